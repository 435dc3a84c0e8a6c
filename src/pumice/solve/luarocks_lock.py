"""`luarocks.lock`: exact versions by name, as LuaRocks's `--pin` writes them (contract 8)."""

from __future__ import annotations

from pumice.base.value import Value
from pumice.errors import DataError
from pumice.lua.data import evaluate
from pumice.lua.write import format_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pumice.lua.data import LuaTable

__all__ = ["LuarocksLock", "luarocks_lock_text", "read_luarocks_lock"]

_KINDS = ("dependencies", "build_dependencies", "test_dependencies")


class LuarocksLock(Value):
    """Name -> version with revision, for each kind of dependency, transitive ones included; never `lua`."""

    dependencies: Mapping[str, str] = {}
    build_dependencies: Mapping[str, str] = {}
    test_dependencies: Mapping[str, str] = {}


def read_luarocks_lock(data: bytes, name: str = "luarocks.lock") -> LuarocksLock:
    """The lock that a file holds; `lua` is dropped, as LuaRocks does.

    Raises LuaDataError when it is no Lua data, DataError when it says something else than names and versions.
    """
    table = evaluate(data, name).returned
    if not isinstance(table, dict):
        raise DataError(f"{name} returns no table", hint="write it anew with --pin")
    kinds: dict[str, dict[str, str]] = {}
    for kind in _KINDS:
        versions = table.get(kind, {})
        if not isinstance(versions, dict):
            raise DataError(f"{name}: '{kind}' is no table", hint="write it anew with --pin")
        kinds[kind] = {}
        for rock, version in versions.items():
            if not isinstance(rock, str) or not isinstance(version, str):
                raise DataError(f"{name}: '{kind}' has something else than names and versions")
            if rock != "lua":
                kinds[kind][rock] = version
    return LuarocksLock(**kinds)


def luarocks_lock_text(lock: LuarocksLock) -> str:
    """The text that LuaRocks writes: kinds that were never looked at are left out."""
    table: LuaTable = {}
    for kind in _KINDS:
        versions = {rock: version for rock, version in getattr(lock, kind).items() if rock != "lua"}
        if versions:
            table[kind] = dict(versions)
    return format_module(table)
