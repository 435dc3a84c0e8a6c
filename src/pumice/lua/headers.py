"""Lua's C headers and library, found as LuaRocks finds them (contract 7.3), then by pkg-config."""

from __future__ import annotations

import os

from pumice.base.distribution import install_hint
from pumice.base.value import Value
from pumice.errors import BuildError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pumice.base.config import Config
    from pumice.lua.interpreter import Interpreter

__all__ = ["Headers", "find_headers"]

_PLAIN_PREFIXES = ("/usr/local", "/usr", "/opt/homebrew", "/usr/local/openresty/luajit")
"""Where headers may be when no interpreter tells the prefix; the last is a gateway's own LuaJIT."""


class Headers(Value):
    """What a C module is compiled and linked against."""

    incdir: str
    """LUA_INCDIR: the directory of `lua.h`."""
    libdir: str | None
    """LUA_LIBDIR: the directory of the Lua library; needed only where `link_lua_explicitly` is set."""
    library: str | None
    """The library's file name, as `liblua5.1.so`."""


def find_headers(config: Config, interpreter: Interpreter | None) -> Headers:
    """The headers of the configured Lua version, and its library if there is one.

    `variables.LUA_INCDIR` is final. Else they are looked for under `variables.LUA_DIR` or the
    interpreter's prefix, then by pkg-config, then under the usual prefixes. Raises BuildError naming the
    package to install; also when the library is missing and has to be linked.
    """
    jit = None if interpreter is None else interpreter.luajit_version
    incdir = _incdir(config, interpreter, jit)
    found = _library(config, interpreter, jit, incdir)
    if found is None and config.link_lua_explicitly:
        raise BuildError(
            f"Failed finding Lua library of Lua {config.lua_version}. You may need to configure LUA_LIBDIR.",
            hint=install_hint(_packages(config.lua_version, jit)),
        )
    libdir, library = found or (config.variables.get("LUA_LIBDIR"), None)
    return Headers(incdir, libdir, library)


def _incdir(config: Config, interpreter: Interpreter | None, jit: str | None) -> str:
    version = config.lua_version
    fixed = config.variables.get("LUA_INCDIR")
    mismatch: str | None = None
    for directory in [fixed] if fixed else _include_directories(config, interpreter, jit):
        judged = _holds_headers(directory, version)
        if judged:
            return directory
        if judged is False:
            mismatch = mismatch or directory
    hint = f"{install_hint(_packages(version, jit)).rstrip('.')}, or set LUA_INCDIR=/directory/of/lua.h."
    if mismatch and (fixed or config.variables.get("LUA_DIR")):
        raise BuildError(
            f"Lua header mismatches configured version: {mismatch}/lua.h is not of Lua {version}. "
            "You may need to install them or configure LUA_INCDIR.",
            hint=hint,
        )
    where = f" in {fixed}" if fixed else ""
    raise BuildError(
        f"Failed finding Lua header files (lua.h of Lua {version}){where}. "
        "You may need to install them or configure LUA_INCDIR.",
        hint=hint,
    )


def _include_directories(config: Config, interpreter: Interpreter | None, jit: str | None) -> Iterator[str]:
    """Every directory that may hold the headers, best first; pkg-config is asked only if need be."""
    version = config.lua_version
    prefixes = [config.variables.get("LUA_DIR") or "", interpreter.prefix if interpreter else ""]
    own = list(dict.fromkeys(filter(None, prefixes)))
    for prefix in own:
        yield from _below(prefix, version, jit)
    yield from _from_pkg_config(config, jit)
    if not config.variables.get("LUA_DIR"):
        for prefix in _PLAIN_PREFIXES:
            if prefix not in own:
                yield from _below(prefix, version, jit)
        if version == "5.1":
            for prefix in (*own, *_PLAIN_PREFIXES):
                yield from _luajit_directories(prefix)


def _below(prefix: str, version: str, jit: str | None) -> Iterator[str]:
    include, short = os.path.join(prefix, "include"), version.replace(".", "")
    for name in (f"lua/{version}", f"lua{version}", f"lua-{version}", f"lua{short}"):
        yield os.path.join(include, name)
    yield include
    yield prefix
    if jit:
        yield os.path.join(include, "luajit-" + ".".join(jit.split("-")[0].split(".")[:2]))


def _luajit_directories(prefix: str) -> Iterator[str]:
    """LuaJIT's headers serve 5.1 as well; newest first."""
    include = os.path.join(prefix, "include")
    try:
        names = sorted(os.listdir(include), reverse=True)
    except OSError:
        return
    yield from (os.path.join(include, name) for name in names if name.startswith("luajit-"))


def _from_pkg_config(config: Config, jit: str | None) -> Iterator[str]:
    from pumice.base.process import find_program, run

    program = find_program("pkg-config", config.environment.get("PATH", ""))
    if program is None:
        return
    version = config.lua_version
    names = [f"lua{version}", f"lua-{version}", f"lua{version.replace('.', '')}", "lua"]
    if version == "5.1":
        names.insert(0 if jit else len(names), "luajit")
    for name in names:
        try:
            finished = run(
                [program, "--cflags-only-I", name],
                env={**config.environment, "PKG_CONFIG_ALLOW_SYSTEM_CFLAGS": "1"},
                timeout=20,
                keep_errors=False,
            )
        except BuildError:
            return
        if finished.ok:
            for word in finished.output.split():
                yield word.removeprefix("-I")


def _holds_headers(directory: str, version: str) -> bool | None:
    """Whether `lua.h` there is of this version; None if there is none."""
    try:
        with open(os.path.join(directory, "lua.h"), encoding="utf-8", errors="replace") as file:
            words = file.read().split()
    except OSError:
        return None
    major, _, minor = version.partition(".")
    defined = {words[i + 1]: words[i + 2] for i in range(len(words) - 2) if words[i].endswith("define")}
    if defined.get("LUA_VERSION_NUM") == f"{major}{int(minor):02d}":
        return True
    return (defined.get("LUA_VERSION_MAJOR_N"), defined.get("LUA_VERSION_MINOR_N")) == (major, minor)


def _library(
    config: Config, interpreter: Interpreter | None, jit: str | None, incdir: str
) -> tuple[str, str] | None:
    """Directory and file name of the Lua library."""
    variables, version = config.variables, config.lua_version
    fixed, named = variables.get("LUA_LIBDIR"), variables.get("LUALIB")
    if fixed and named and os.path.exists(os.path.join(fixed, named)):
        return fixed, named
    short = version.replace(".", "")
    names = [f"lua{version}", f"lua{short}", f"lua-{version}", f"lua-{short}", "lua"]
    if jit or "luajit" in os.path.basename(incdir):
        names = [f"luajit-{version}", "luajit", *names]
    if fixed:
        directories = [fixed]
    else:
        prefix = variables.get("LUA_DIR") or (interpreter.prefix if interpreter else _prefix_of(incdir))
        below = config.external_deps_subdirs.get("lib", "lib")
        directories = [os.path.join(prefix, name) for name in ((below,) if isinstance(below, str) else below)]
    patterns = config.external_deps_patterns.get("lib", ("lib?.a", "lib?.so", "lib?.so.*"))
    for directory in directories:
        try:
            present = sorted(os.listdir(directory))
        except OSError:
            continue
        for name in names:
            for pattern in patterns:
                wanted = pattern.replace("?", name)
                for file in present:
                    fits = file.startswith(wanted[:-1]) if wanted.endswith("*") else file == wanted
                    if fits and (name != "lua" or _speaks(os.path.join(directory, file), version)):
                        return directory, file
    return None


def _prefix_of(incdir: str) -> str:
    head, _, _ = incdir.partition("/include")
    return head or "/usr"


def _speaks(path: str, version: str) -> bool:
    """Whether a library whose name tells no version holds this one's name."""
    try:
        with open(path, "rb") as file:
            return f"Lua {version}".encode() in file.read()
    except OSError:
        return False


def _packages(version: str, jit: str | None) -> dict[str, str]:
    """The package with the headers, by family of distribution."""
    if jit:
        return {
            "debian": "libluajit-5.1-dev",
            "alpine": "luajit-dev",
            "fedora": "luajit-devel",
            "suse": "luajit-devel",
            "arch": "luajit",
            "brew": "luajit",
        }
    short = version.replace(".", "")
    return {
        "debian": "liblua5.1-0-dev" if version == "5.1" else f"liblua{version}-dev",
        "alpine": f"lua{version}-dev",
        "fedora": "compat-lua-devel" if version == "5.1" else "lua-devel",
        "suse": f"lua{short}-devel",
        "arch": f"lua{short}",
        "brew": f"lua@{version}",
    }
