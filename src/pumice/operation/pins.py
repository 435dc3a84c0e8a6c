"""`luarocks.lock`: the versions that LuaRocks pinned for a project (contract 8)."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pumice.base.progress import Progress

__all__ = ["pinned_here"]


def pinned_here(folder: str, progress: Progress, key: str = "dependencies") -> dict[str, str]:
    """The versions that a `luarocks.lock` in `folder` demands (contract 8); none without that file.

    A file that cannot be read is a warning, as in LuaRocks.
    """
    path = os.path.join(folder, "luarocks.lock")
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return {}
    from pumice.errors import PumiceError
    from pumice.rock.luarocks_lock import read_luarocks_lock

    try:
        lock = read_luarocks_lock(data, path)
    except PumiceError as error:
        progress.message("warning", error.message)
        return {}
    progress.message("info", f"Using dependencies pinned in lockfile: {path}")
    found: Mapping[str, str] = getattr(lock, key)
    return {name: version for name, version in found.items() if name != "lua"}
