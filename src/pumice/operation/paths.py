"""LUA_PATH, LUA_CPATH and PATH for the trees: `path` (contract 1.5)."""

from __future__ import annotations

from pumice.base.value import Value
from pumice.lua.interpreter import find_interpreter
from pumice.lua.search_path import path_variables, search_path
from pumice.operation.trees import read_spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.base.config import Config, TreeSpec
    from pumice.base.progress import Progress

__all__ = ["ShellPaths", "cleaned", "shell_paths", "tree_paths"]


_NOT_LOADED = ("project", "arg")
"""Trees that LuaRocks learns of after its loader."""


class ShellPaths(Value):
    """Three path lists, and the names of the first two in the environment."""

    lua_path: str
    lua_cpath: str
    bin_path: str
    lua_path_variable: str = "LUA_PATH"
    lua_cpath_variable: str = "LUA_CPATH"


def tree_paths(trees: Sequence[TreeSpec], config: Config, progress: Progress) -> ShellPaths:
    """The entries of the trees alone, in their order."""
    specs = [read_spec(tree, progress) for tree in trees]
    lua = ";".join(f"{spec.lua_dir}/?.lua;{spec.lua_dir}/?/init.lua" for spec in specs)
    lib = ";".join(f"{spec.lib_dir}/?.{config.lib_extension}" for spec in specs)
    return ShellPaths(lua, lib, ":".join(spec.bin_dir for spec in specs))


def shell_paths(trees: Sequence[TreeSpec], config: Config, progress: Progress, *, append: bool) -> ShellPaths:
    """The entries of the trees before (or after) what the environment has, each once.

    LuaRocks's loader has put the configured trees at the end of `package.path` already: as the last of equal
    entries counts, they stay there, and only a tree of the project or of --tree comes first.
    """
    own = tree_paths(trees, config, progress)
    loaded = tree_paths([tree for tree in config.trees if tree.name not in _NOT_LOADED], config, progress)
    found = search_path(config, find_interpreter(config))
    here = found.replace(
        path=_extended(found.path, loaded.lua_path, config.lua_version),
        cpath=_extended(found.cpath, loaded.lua_cpath, config.lua_version),
    )
    programs = cleaned(config.environment.get("PATH", ""), ":", None, keep_first=True)
    pairs = (
        (own.lua_path, here.path, ";", config.lua_version),
        (own.lua_cpath, here.cpath, ";", config.lua_version),
        (own.bin_path, programs, ":", None),
    )
    joined = (
        cleaned(
            f"{present}{separator}{mine}" if append else f"{mine}{separator}{present}",
            separator,
            version,
            keep_first=append,
        )
        for mine, present, separator, version in pairs
    )
    lua_path, lua_cpath, bin_path = joined
    return ShellPaths(lua_path, lua_cpath, bin_path, *path_variables(config))


def _extended(present: str, loaded: str, lua_version: str) -> str:
    return cleaned(f"{present};{loaded}" if loaded else present, ";", lua_version, keep_first=True)


def cleaned(paths: str, separator: str, lua_version: str | None, *, keep_first: bool) -> str:
    """Each entry once, the first or the last of equal ones; `/lua/5.x/` parts turned to `lua_version`."""
    entries = [entry.replace("//", "/") for entry in paths.split(separator)]
    if lua_version is not None:
        entries = [_for_version(entry, lua_version) for entry in entries]
    if keep_first:
        return separator.join(dict.fromkeys(entries))
    return separator.join(reversed(dict.fromkeys(reversed(entries))))


def _for_version(entry: str, lua_version: str) -> str:
    parts = entry.split("/")
    for place in range(1, len(parts) - 1):
        part = parts[place]
        if (
            parts[place - 1] == "lua"
            and place >= 2
            and part
            and not part.strip("0123456789.")
            and not part.startswith(lua_version)
        ):
            parts[place] = lua_version
    return "/".join(parts)
