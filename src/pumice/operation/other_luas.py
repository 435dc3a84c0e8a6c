"""For which other Luas there is a rock that was not found: `--check-lua-versions` (contract 1.4)."""

from __future__ import annotations

from pumice.base.progress import Silent
from pumice.index.index import Index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.errors import NotFoundError
    from pumice.index.index import Query
    from pumice.net.downloader import Downloader

__all__ = ["about_other_luas", "not_found"]

LUA_VERSIONS = ("5.1", "5.2", "5.3", "5.4", "5.5")
_UNCOMMON = "5.5"
"""LuaRocks 3.8 does not ask for it, so it warns of no server without a manifest for it."""


def not_found(
    query: Query, index: Index, config: Config, downloader: Downloader, progress: Progress, *, check: bool
) -> NotFoundError:
    """The error for a query without results in `index`: LuaRocks's two lines, and why servers failed."""
    line = about_other_luas(query, config, downloader, progress, check=check)
    error = index.not_found(hint="`pumice search` with a part of the name shows what there is.")
    return type(error)(f"{error.message}\n{line}", hint=error.hint)


def about_other_luas(
    query: Query, config: Config, downloader: Downloader, progress: Progress, *, check: bool
) -> str:
    """What LuaRocks says after `No results matching query were found`.

    With `check` the servers are asked for every other Lua, which is told as it goes on.
    """
    if not check:
        return "To check if it is available for other Lua versions, use --check-lua-versions."
    progress.message("info", f"{query.name} not found for Lua {config.lua_version}.")
    progress.message("info", "Checking if available for other Lua versions...")
    found = []
    for lua_version in LUA_VERSIONS:
        if lua_version != config.lua_version:
            progress.message("info", f"Checking for Lua {lua_version}...")
            told = Silent() if lua_version == _UNCOMMON else progress
            if Index(config, downloader, told, lua_version=lua_version).search(query):
                found.append(f"Lua {lua_version}")
    if not found:
        return f"{query.name} is not available for any Lua versions."
    only = f"only {' and '.join(found)} but not Lua {config.lua_version}."
    constraints = query.constraints
    if not constraints:
        return f"{query.name} supports {only}"
    if len(constraints) == 1 and constraints[0].op == "==":
        return f"{query.name} {constraints[0].version.text} supports {only}"
    return f"Matching {query.name} versions support {only}"
