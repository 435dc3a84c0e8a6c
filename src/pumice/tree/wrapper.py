"""The commands of a rock as they are deployed: a wrapper that starts Lua, or a copy (contract 5.3).

A wrapper runs the script with the Lua that was configured, makes the modules of the trees visible without
LUA_PATH, and pins the versions of the rock's own dependencies if LuaRocks's loader is there.
"""

from __future__ import annotations

from pumice.base.value import Value
from pumice.errors import LuaDataError
from pumice.tree.layout import rock_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.base.config import TreeSpec

__all__ = ["Wrapping", "is_relocatable", "is_wrapper", "wants_wrapper", "wrapper_trees"]

_MARK = b"LUAROCKS_SYSCONFDIR"
_LOOKED_AT = 1000
_BYTECODE = b"\x1bL"
_RELOCATABLE = """#!/bin/sh

# Runs a command of a rock with the modules of the tree in which this file lies, wherever that is.
self=$0
while [ -L "$self" ]; do
   link=$(readlink -- "$self") || exit 1
   case $link in
      /*) self=$link ;;
      *) self=$(dirname -- "$self")/$link ;;
   esac
done
PUMICE_TREE=$(cd -- "$(dirname -- "$self")/{up}" && pwd -P) || exit 1
export PUMICE_TREE
LUAROCKS_SYSCONFDIR={sysconfdir} exec {lua} -e {code} "$PUMICE_TREE"/{script} "$@"
"""
_RELOCATABLE_START = _RELOCATABLE.split("{up}", 1)[0].encode()
_LINES = _RELOCATABLE.count("\n")


class Wrapping(Value):
    """How the commands of a tree are deployed."""

    lua: str
    """The interpreter; for a relocatable wrapper a bare name, looked up on the PATH, does too."""
    lua_version: str
    """What a script must compile under to be wrapped: "5.1" … "5.5", or "luajit"."""
    sysconfdir: str
    trees: tuple[TreeSpec, ...]
    """Whose modules a wrapped command sees; `wrapper_trees` gives them."""
    lib_extension: str = "so"
    enabled: bool = True
    """`wrap_bin_scripts`: without it every command is a copy."""
    relocatable: bool = False
    """For a generation tree: nothing in the wrapper says where the tree lies."""

    def deployed(self, tree: TreeSpec, name: str, version: str, path: str, script: bytes) -> bytes | None:
        """The text of the wrapper for the script `path` of a rock's `bin`, or None if it is to be copied."""
        if not (self.enabled and wants_wrapper(script, self.lua_version, path)):
            return None
        text = (
            self._relocatable(tree, name, version, path)
            if self.relocatable
            else self._fixed(f"{rock_dir(tree, name, version)}/bin/{path}", name, version)
        )
        return text.encode("utf-8", "surrogateescape")

    def _fixed(self, script: str, name: str, version: str) -> str:
        paths = "".join(f"{tree.lua_dir}/?.lua;{tree.lua_dir}/?/init.lua;" for tree in self.trees) or ";"
        c_paths = "".join(f"{tree.lib_dir}/?.{self.lib_extension};" for tree in self.trees) or ";"
        code = (
            f"package.path={_lua_quote(paths)}..package.path;"
            f"package.cpath={_lua_quote(c_paths)}..package.cpath;{_pin(name, version)}"
        )
        return (
            f"#!/bin/sh\n\nLUAROCKS_SYSCONFDIR={_shell_quote(self.sysconfdir)} "
            f'exec {_shell_quote(self.lua)} -e {_shell_quote(code)} {_shell_quote(script)} "$@"\n'
        )

    def _relocatable(self, tree: TreeSpec, name: str, version: str, path: str) -> str:
        def inside(directory: str) -> str:
            return directory[len(tree.root) + 1 :]

        depth = inside(tree.bin_dir).count("/") + 1 + path.count("/")
        paths = _lua_quote(f"/{inside(tree.lua_dir)}/?.lua;")
        init_paths = _lua_quote(f"/{inside(tree.lua_dir)}/?/init.lua;")
        c_paths = _lua_quote(f"/{inside(tree.lib_dir)}/?.{self.lib_extension};")
        code = (
            'local t=os.getenv("PUMICE_TREE") '
            f"package.path=t..{paths}..t..{init_paths}..package.path;"
            f"package.cpath=t..{c_paths}..package.cpath;{_pin(name, version)}"
        )
        return _RELOCATABLE.format(
            up="/".join([".."] * depth),
            sysconfdir=_shell_quote(self.sysconfdir),
            lua=_shell_quote(self.lua),
            code=_shell_quote(code),
            script=_shell_quote(f"{inside(tree.rocks_dir)}/{name}/{version}/bin/{path}"),
        )


def wrapper_trees(deps_mode: str, tree: TreeSpec, trees: Sequence[TreeSpec]) -> tuple[TreeSpec, ...]:
    """The trees whose modules a wrapper names: `tree` for "one", all for "all", else it and those after it.

    As in LuaRocks, "none" is "order" here, and of a tree that is not configured nothing follows.
    """
    if deps_mode == "one":
        return (tree,)
    if deps_mode == "all":
        return tuple(trees)
    roots = [each.root for each in trees]
    return tuple(trees[roots.index(tree.root) :]) if tree.root in roots else ()


def wants_wrapper(script: bytes, lua_version: str, name: str) -> bool:
    """Whether a command is a Lua script to be started by a wrapper: by its `#!`, if any, and it compiles.

    LuaRocks looks at compilation only, and so starts scripts of other interpreters (`resty`) with plain Lua.
    """
    if script.startswith(b"#!") and not _names_lua(script):
        return False
    if script.startswith(_BYTECODE):
        return True
    if script.startswith(b"\x7fELF"):
        return False
    from pumice.lua.compile import compile_check

    try:
        return compile_check(script, lua_version, name) is None
    except LuaDataError:
        return False


def is_wrapper(data: bytes) -> bool:
    """Whether a file is a wrapper of LuaRocks or Pumice, and not the command itself."""
    return _MARK in data[:_LOOKED_AT]


def is_relocatable(data: bytes) -> bool:
    """Whether a wrapper finds its tree by itself, as those of generation trees do, and is all of one."""
    return data.startswith(_RELOCATABLE_START) and data.endswith(b' "$@"\n') and data.count(b"\n") == _LINES


def _names_lua(script: bytes) -> bool:
    """Whether the program of a `#!` line is a Lua: `/usr/bin/lua5.1`, `/usr/bin/env -S luajit -O3`."""
    words = script[2:].split(b"\n", 1)[0].split()
    while words:
        program = words.pop(0).rpartition(b"/")[2]
        if program == b"env" or program.startswith(b"-") or b"=" in program:
            continue
        return program.startswith((b"lua", b"texlua"))
    return False


def _pin(name: str, version: str) -> str:
    return (
        'local k,l,_=pcall(require,"luarocks.loader") _=k '
        f"and l.add_context({_lua_quote(name)},{_lua_quote(version)})"
    )


def _shell_quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _lua_quote(text: str) -> str:
    """As `%q` writes it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\\n") + '"'
