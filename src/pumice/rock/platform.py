"""Platforms: what a machine is called, and what a rockspec's `platforms` change for it (contract 2.3).

The merge goes key by key, indices of arrays included, and `platforms.macos` is never applied: both are
LuaRocks's own habits, which published rockspecs rely on (contract 12, B15 and B16).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from typing import Any

__all__ = ["OVERRIDE_ORDER", "overridden", "platforms_of", "unsupported_platforms"]

_SETS = {
    "linux": ("unix", "linux"),
    "macosx": ("unix", "bsd", "macosx", "macos"),
    "freebsd": ("unix", "bsd", "freebsd"),
    "openbsd": ("unix", "bsd", "openbsd"),
    "netbsd": ("unix", "bsd", "netbsd"),
    "dragonfly": ("unix", "bsd", "dragonfly"),
    "solaris": ("unix", "solaris"),
    "haiku": ("unix", "haiku"),
    "cygwin": ("unix", "cygwin"),
    "msys": ("unix", "cygwin", "msys"),
    "windows": ("windows", "win32"),
    "mingw": ("windows", "win32", "mingw32", "mingw"),
    "msys2_mingw_w64": ("windows", "win32", "mingw32", "mingw", "msys", "msys2_mingw_w64"),
}

OVERRIDE_ORDER = (
    "unix",
    "bsd",
    "solaris",
    "netbsd",
    "openbsd",
    "freebsd",
    "dragonfly",
    "linux",
    "macosx",
    "cygwin",
    "msys",
    "haiku",
    "windows",
    "win32",
    "mingw",
    "mingw32",
    "msys2_mingw_w64",
)
"""General before specific; the later one wins. `macos` is not among them."""


def platforms_of(system: str) -> tuple[str, ...]:
    """The identifiers of a system, named as in an arch (`linux`, `macosx`, …); of any other one, `unix`."""
    return _SETS.get(system, ("unix",))


def overridden(table: dict[Any, Any], platforms: Collection[str]) -> dict[Any, Any]:
    """`table` with its `platforms` merged in for these identifiers, and without that field.

    The table itself is not changed; it is given back as it is when it has no such field.
    """
    if not isinstance(table.get("platforms"), dict):
        return table
    result: dict[Any, Any] = _copy(table)
    for platform in OVERRIDE_ORDER:
        if platform in platforms:
            # Looked up anew each time: an override may hold a `platforms` of its own and change it.
            offered = result["platforms"]
            changes = offered.get(platform) if isinstance(offered, dict) else None
            if isinstance(changes, dict):
                _merge(result, changes)
    result.pop("platforms", None)
    return result


def _merge(target: dict[Any, Any], changes: Mapping[Any, Any]) -> None:
    for key, value in list(changes.items()):
        if isinstance(value, dict):
            here = target.setdefault(key, {})
            if isinstance(here, dict):
                _merge(here, value)
                continue
        target[key] = value


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(inner) for key, inner in value.items()}
    return value


def unsupported_platforms(supported: Iterable[str], platforms: Iterable[str]) -> str | None:
    """None if a rock with these `supported_platforms` may be installed here, else what it does not support.

    That is the platform it names with `!`, or, when none of those that it names is here, all that are.
    """
    here = frozenset(platforms)
    only_negative = True
    for entry in supported:
        if entry.startswith("!"):
            if entry[1:] in here:
                return entry[1:]
        else:
            only_negative = False
            if entry in here:
                return None
    return None if only_negative else ", ".join(sorted(here))
