"""The Lua interpreters of this machine, found as LuaRocks finds them (contract 7.3).

A program is started only where neither its name nor what was learnt before tells the version: what a
run has told is kept in `<cache_dir>/interpreters` while the file keeps its size and time.
"""

from __future__ import annotations

import os

from pumice.base.value import Value
from pumice.errors import BuildError
from pumice.lua._memory import Memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pumice.base.config import Config

__all__ = ["LUA_VERSIONS", "Interpreter", "find_in_prefix", "find_interpreter", "require_interpreter"]

LUA_VERSIONS = ("5.5", "5.4", "5.3", "5.2", "5.1")
"""Every Lua that may be looked for when no version is asked for, in that order."""

_WRAPPER_MARK = b"LUAROCKS_SYSCONFDIR"
_BINARY_MAGIC = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
_QUESTION = 'io.write(_VERSION, "\\t", tostring(jit and jit.version))'


class Interpreter(Value):
    """A Lua interpreter that exists."""

    path: str
    version: str
    """ "5.1" … "5.5"."""
    luajit_version: str | None
    """ "2.1.0-beta3" and the like for LuaJIT."""
    prefix: str
    """LUA_DIR: headers and libraries are looked for below it."""

    @property
    def bin_dir(self) -> str:
        """LUA_BINDIR."""
        return os.path.dirname(self.path)


def find_interpreter(config: Config) -> Interpreter | None:
    """The interpreter for the configured Lua version, or None: pure-Lua rocks do without.

    `variables.LUA` if it is set, else the first one under `variables.LUA_DIR` or, without it, along
    PATH; wrapper scripts of LuaRocks are passed over.
    """
    variables, environment = config.variables, config.environment
    named = variables.get("LUA")
    if named:
        return _named(named, config)
    lua_dir, bin_dir = variables.get("LUA_DIR"), variables.get("LUA_BINDIR")
    places: Iterable[tuple[str, str]]
    if lua_dir:
        places = [(lua_dir, directory) for directory in (bin_dir, *_bin_dirs(lua_dir)) if directory]
    elif bin_dir:
        places = [(_without_bin(bin_dir), bin_dir)]
    else:
        entries = [entry for entry in environment.get("PATH", "").split(os.pathsep) if entry.startswith("/")]
        prefixes = dict.fromkeys(map(_without_bin, entries))
        places = [(prefix, directory) for prefix in prefixes for directory in _bin_dirs(prefix)]
    return _search(places, config.lua_version, _Knowledge(config.cache_dir, environment))


def require_interpreter(config: Config) -> Interpreter:
    """As `find_interpreter`; raises BuildError with the way to name one where there is none."""
    found = find_interpreter(config)
    if found is None:
        lua_dir = config.variables.get("LUA_DIR")
        where = f"at {lua_dir}" if lua_dir else "in PATH"
        raise BuildError(
            f"Could not find Lua {config.lua_version} {where}.",
            hint=f"Install Lua {config.lua_version}, or name it: --lua-dir PREFIX, or LUA=/path/to/lua.",
        )
    return found


def find_in_prefix(
    prefix: str, lua_version: str | None, *, cache_dir: str, environment: Mapping[str, str]
) -> Interpreter | None:
    """The interpreter of `--lua-dir PREFIX`: of the version asked for, else of the newest one there."""
    places = [(prefix, directory) for directory in _bin_dirs(prefix)]
    return _search(places, lua_version, _Knowledge(cache_dir, environment))


def _bin_dirs(prefix: str) -> tuple[str, str]:
    prefix = prefix.rstrip("/")
    return f"{prefix}/bin", prefix or "/"


def _without_bin(directory: str) -> str:
    """The prefix of a PATH entry."""
    directory = directory.rstrip("/")
    return directory[:-4] or "/" if directory.endswith("/bin") else directory or "/"


def _named(name: str, config: Config) -> Interpreter | None:
    """The interpreter that the user named, if it is there; its version is taken on trust."""
    path: str | None = name
    if "/" not in name:
        from pumice.base.process import find_program

        path = find_program(name, config.environment.get("PATH", ""))
    if path is None or not os.path.isfile(path):
        return None
    path = os.path.join(config.cwd, path)
    prefix = config.variables.get("LUA_DIR") or _without_bin(os.path.dirname(path))
    known = _Knowledge(config.cache_dir, config.environment).look(path)
    if known is None:
        return Interpreter(path, config.lua_version, None, prefix)
    return Interpreter(path, known[0], known[1], prefix)


def _search(
    places: Iterable[tuple[str, str]], lua_version: str | None, knowledge: _Knowledge
) -> Interpreter | None:
    names: list[str] = []
    for version in (lua_version,) if lua_version else LUA_VERSIONS:
        short = version.replace(".", "")
        names += [f"lua{version}", f"lua{short}", f"lua-{version}", f"lua-{short}"]
    if lua_version in {"5.1", None}:
        names.append("luajit")
    names.append("lua")
    for prefix, directory in places:
        for name in names:
            path = f"{directory}/{name}"
            if os.path.isfile(path):
                known = knowledge.look(path)
                if known is not None and lua_version in {known[0], None}:
                    return Interpreter(path, known[0], known[1], prefix)
    return None


class _Knowledge:
    """What is known of interpreter files: by their names, from earlier runs, or by asking them."""

    def __init__(self, cache_dir: str, environment: Mapping[str, str]) -> None:
        self._memory = Memory(cache_dir, "interpreters", width=2)
        self._environment = environment

    def look(self, path: str) -> tuple[str, str | None] | None:
        """Its Lua version and LuaJIT version; None for what is no interpreter, or a wrapper of LuaRocks."""
        try:
            with open(path, "rb") as file:
                head = file.read(1000)
                status = os.fstat(file.fileno())
        except OSError:
            return None
        if _WRAPPER_MARK in head or not os.access(path, os.X_OK):
            return None
        if head.startswith(_BINARY_MAGIC):
            version = _version_of_name(os.path.basename(os.path.realpath(path)))
            if version:
                return version, None
        answers = self._memory.recall(path, status)
        if answers is None:
            answers = self._ask(path) or ("", "")
            self._memory.keep(path, status, answers)
        version, jit = answers
        return (version, jit or None) if version else None

    def _ask(self, path: str) -> tuple[str, str] | None:
        from pumice.base.process import run

        clean = {name: text for name, text in self._environment.items() if not name.startswith("LUA_INIT")}
        try:
            finished = run([path, "-e", _QUESTION], env=clean, timeout=10, keep_errors=False)
        except BuildError:
            return None
        version, _, jit = finished.output.strip().partition("\t")
        if not finished.ok or not version.startswith("Lua "):
            return None
        return version[4:], "" if jit == "nil" else jit.removeprefix("LuaJIT ")


def _version_of_name(name: str) -> str | None:
    """The version that the name of a binary tells: lua5.1, lua51, lua-5.1; None for luajit and lua."""
    if not name.startswith("lua"):
        return None
    digits = name[3:].removeprefix("-").replace(".", "", 1)
    if len(digits) == 2 and digits.isascii() and digits.isdigit():
        return f"{digits[0]}.{digits[1]}"
    return None
