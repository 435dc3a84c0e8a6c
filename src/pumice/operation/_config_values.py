"""Values out of the merged settings, each of the kind that it must be.

Every reader takes the table and the name of a setting, and raises ConfigError that names it.
"""

from __future__ import annotations

from pumice.errors import ConfigError
from pumice.operation._config_files import sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["number", "patterns", "prefixes", "strings", "subdirs", "text", "texts", "truth", "wrong"]


def wrong(key: str, wanted: str) -> ConfigError:
    """The error for a setting that is not what it must be."""
    return ConfigError(
        f"Configuration error: {key} must be {wanted}.",
        hint="Mend it in the configuration file that sets it.",
    )


def text(table: Mapping[Any, Any], key: str) -> str | None:
    """A string; a number is taken as one."""
    value = table.get(key)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool | dict):
        raise wrong(key, "a string")
    return str(value)


def truth(table: Mapping[Any, Any], key: str, default: bool) -> bool:
    """As Lua sees it: everything but nil and false is true."""
    value = table.get(key)
    return default if value is None else value is not False


def number(table: Mapping[Any, Any], key: str, default: float) -> float:
    """A number, or a string that is one."""
    value = table.get(key)
    if value is None:
        return default
    try:
        if not isinstance(value, bool | dict):
            return float(value)
    except (TypeError, ValueError):
        pass
    raise wrong(key, "a number")


def strings(table: Mapping[Any, Any], key: str) -> tuple[str, ...]:
    """A list of strings; one string is a list of one."""
    value = table.get(key)
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in sequence(value)):
        raise wrong(key, "a list of strings")
    return tuple(sequence(value))


def texts(table: Mapping[Any, Any], key: str) -> dict[str, str]:
    """A table of strings; numbers are taken as strings, `false` as unset."""
    value = table.get(key)
    return {} if value is None else _texts_of(value, key)


def _texts_of(value: object, key: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise wrong(key, "a table")
    found = {str(name): text(value, name) for name in value if value[name] is not False}
    return {name: each for name, each in found.items() if each is not None}


def subdirs(table: Mapping[Any, Any], key: str) -> dict[str, str | tuple[str, ...]]:
    """Directories below a prefix, one or several for each kind."""
    value = table.get(key)
    if not isinstance(value, dict):
        raise wrong(key, "a table")
    return {
        str(kind): below if isinstance(below, str) else strings(value, kind) for kind, below in value.items()
    }


def patterns(table: Mapping[Any, Any], key: str) -> dict[str, tuple[str, ...]]:
    """File name patterns for each kind."""
    value = table.get(key)
    if not isinstance(value, dict):
        raise wrong(key, "a table")
    return {str(kind): strings(value, kind) for kind in value}


def prefixes(table: Mapping[Any, Any]) -> tuple[Mapping[str, str] | str, ...]:
    """The entries of `external_deps_dirs`: prefixes, or tables of directories."""
    value = table.get("external_deps_dirs")
    if not isinstance(value, dict):
        raise wrong("external_deps_dirs", "a list of directories")
    return tuple(
        entry if isinstance(entry, str) else _texts_of(entry, "external_deps_dirs")
        for entry in sequence(value)
    )
