"""A tree manifest that LuaRocks or a person wrote in another layout, read as the Lua that it is."""

from __future__ import annotations

from pumice.errors import DataError, ManifestError
from pumice.lua.data import MANIFEST, ROCKSPEC, evaluate
from pumice.lua.write import format_globals
from pumice.tree.manifest_text import CanonicalText

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.lua.data import LuaTable, LuaValue

__all__ = ["REPAIR", "rewritten"]

REPAIR = "`pumice repair` writes the manifest anew from what is installed."
_LARGE = 300_000


def rewritten(data: bytes, name: str) -> CanonicalText:
    """A manifest in any layout, evaluated as the Lua that it is and written anew. Raises ManifestError."""
    try:
        found = evaluate(data, name, limits=MANIFEST if len(data) > _LARGE else ROCKSPEC).globals
    except DataError as error:
        raise ManifestError(f"Failed loading manifest for {name}: {error.message}", hint=REPAIR) from error
    sections: LuaTable = {}
    for section in ("commands", "dependencies", "modules", "repository"):
        table = found.get(section)
        if table is None and section == "dependencies":
            table = {}
        if not isinstance(table, dict) or not all(
            isinstance(key, str) and isinstance(value, dict) for key, value in table.items()
        ):
            raise ManifestError(
                f"Error checking manifest: {name} has no table '{section}' of the right form", hint=REPAIR
            )
        sections[section] = table
    if _has_line_break(sections):
        raise ManifestError(f"Error checking manifest: {name} has names with line breaks", hint=REPAIR)
    return CanonicalText(format_globals(sections).encode("utf-8", "surrogateescape"), checked=True)


def _has_line_break(value: LuaValue) -> bool:
    if isinstance(value, str):
        return "\n" in value or "\r" in value
    return isinstance(value, dict) and any(_has_line_break(part) for item in value.items() for part in item)
