"""Where an interpreter looks for modules by itself: its `package.path` and `package.cpath`.

The compiled-in defaults are asked of the interpreter once and kept in `<cache_dir>/search-paths` while the
program keeps its size and time; LUA_PATH and LUA_CPATH are applied on top as Lua applies them (the manual,
section `package.path`).
"""

from __future__ import annotations

import os

from pumice.base.value import Value
from pumice.errors import PumiceError
from pumice.lua._memory import Memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.base.config import Config
    from pumice.lua.interpreter import Interpreter

__all__ = ["SearchPath", "path_variables", "search_path"]

_QUESTION = 'io.write(package.path, "\\n", package.cpath, "\\n")'


class SearchPath(Value):
    """Templates with `?`, separated by `;`."""

    path: str
    cpath: str


def path_variables(config: Config) -> tuple[str, str]:
    """The names of the environment variables that the target Lua reads: LUA_PATH or LUA_PATH_5_4 if set."""
    suffix = "_" + config.lua_version.replace(".", "_")
    versioned = config.lua_version != "5.1"

    def chosen(name: str) -> str:
        return name + suffix if versioned and name + suffix in config.environment else name

    return chosen("LUA_PATH"), chosen("LUA_CPATH")


def search_path(config: Config, interpreter: Interpreter | None) -> SearchPath:
    """What the interpreter's `package.path` and `package.cpath` are in this environment.

    Without an interpreter the defaults of a plain Lua built with the prefix `/usr/local` are taken.
    """
    defaults = _defaults(config, interpreter)
    path_variable, cpath_variable = path_variables(config)
    return SearchPath(
        _applied(config.environment.get(path_variable), defaults.path),
        _applied(config.environment.get(cpath_variable), defaults.cpath),
    )


def _applied(given: str | None, default: str) -> str:
    """`;;` in the variable stands for the default, as in Lua's own `setpath`."""
    if given is None:
        return default
    before, double, after = given.partition(";;")
    if not double:
        return given
    return ";".join(part for part in (before, default, after) if part)


def _plain(version: str) -> SearchPath:
    share, lib = f"/usr/local/share/lua/{version}/", f"/usr/local/lib/lua/{version}/"
    path = f"{share}?.lua;{share}?/init.lua;{lib}?.lua;{lib}?/init.lua"
    cpath = f"{lib}?.so;{lib}loadall.so"
    if version == "5.1":
        return SearchPath(f"./?.lua;{path}", f"./?.so;{cpath}")
    here = "./?.lua" if version == "5.2" else "./?.lua;./?/init.lua"
    return SearchPath(f"{path};{here}", f"{cpath};./?.so")


def _defaults(config: Config, interpreter: Interpreter | None) -> SearchPath:
    if interpreter is None:
        return _plain(config.lua_version)
    try:
        status = os.stat(interpreter.path)
    except OSError:
        return _plain(config.lua_version)
    memory = Memory(config.cache_dir, "search-paths", width=2)
    known = memory.recall(interpreter.path, status)
    if known is not None:
        return SearchPath(*known)
    asked = _ask(interpreter, config)
    if asked is None:
        return _plain(config.lua_version)
    memory.keep(interpreter.path, status, (asked.path, asked.cpath))
    return asked


def _ask(interpreter: Interpreter, config: Config) -> SearchPath | None:
    from pumice.base.process import run

    clean = {name: text for name, text in config.environment.items() if not name.startswith("LUA_")}
    try:
        finished = run([interpreter.path, "-e", _QUESTION], env=clean, timeout=10, keep_errors=False)
    except PumiceError:
        return None
    path, newline, rest = finished.output.partition("\n")
    return SearchPath(path, rest.rstrip("\n")) if finished.ok and newline else None
