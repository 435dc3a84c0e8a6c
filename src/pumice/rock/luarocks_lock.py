"""`luarocks.lock`: the versions that LuaRocks pinned (LuaRocks contract 8)."""

from __future__ import annotations

from pumice.base.value import Value
from pumice.errors import LuaDataError, ManifestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pumice.lua.data import LuaTable

__all__ = ["LuaRocksLock", "luarocks_lock_bytes", "read_luarocks_lock"]

_HINT = "make it anew with 'pumice make --pin', or delete it"


class LuaRocksLock(Value):
    """Pinned versions by rock name, for each kind of dependency, transitive ones included; never `lua`."""

    dependencies: Mapping[str, str] = {}
    build_dependencies: Mapping[str, str] = {}
    test_dependencies: Mapping[str, str] = {}


def read_luarocks_lock(data: bytes, name: str) -> LuaRocksLock:
    """What a `luarocks.lock` pins; `lua` is dropped, as LuaRocks does.

    Raises ManifestError when it does not load or holds something else.
    """
    from pumice.lua.data import evaluate

    try:
        table = evaluate(data, name).returned
    except LuaDataError as error:
        raise ManifestError(
            f"Could not read existing lockfile {name}: {error.message}", hint=_HINT
        ) from error
    if not isinstance(table, dict):
        raise ManifestError(f"{name} returns no table", hint=_HINT)
    return LuaRocksLock(*(_pins(table, kind, name) for kind in LuaRocksLock._fields))


def _pins(table: LuaTable, kind: str, name: str) -> dict[str, str]:
    pins = table.get(kind)
    if pins is None:
        return {}
    if not isinstance(pins, dict):
        raise ManifestError(f"{name}: '{kind}' is no table", hint=_HINT)
    result: dict[str, str] = {}
    for rock, version in pins.items():
        if not isinstance(rock, str) or not isinstance(version, str):
            raise ManifestError(f"{name}: '{kind}' does not map names to versions", hint=_HINT)
        if rock != "lua":
            result[rock] = version
    return result


def luarocks_lock_bytes(lock: LuaRocksLock) -> bytes:
    """The text that LuaRocks writes for these pins; kinds without any are left out."""
    from pumice.lua.write import format_module

    pins = {
        kind: {rock: version for rock, version in getattr(lock, kind).items() if rock != "lua"}
        for kind in LuaRocksLock._fields
    }
    text = format_module({kind: versions for kind, versions in pins.items() if versions})
    return text.encode("utf-8", "surrogateescape")
