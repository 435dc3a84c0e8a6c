"""Lua values as Python has them here, and what Lua's own operations say of them."""

from __future__ import annotations

from pumice.kong.loaded import Opaque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pumice.kong.metaschema_words import Problem

__all__ = [
    "NULL",
    "LuaFault",
    "Table",
    "cast_problem",
    "fields_by_name",
    "is_sequence",
    "is_unknown",
    "items",
    "lua_type",
    "same",
    "shown",
    "truth",
]

Table = dict[object, object]
NULL = Opaque("userdata")
"""`ngx.null`."""


class LuaFault(Exception):
    """A gateway's own code would fail here, with this text."""


def lua_type(value: object) -> str:
    """`type(value)`."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, dict):
        return "table"
    if isinstance(value, Opaque):
        return value.kind
    return "string"


def truth(value: object) -> bool:
    """Whether Lua takes a value for true."""
    return value is not None and value is not False


def same(left: object, right: object) -> bool:
    """`left == right`: tables are never the same here, and true is not 1."""
    if isinstance(left, dict) or isinstance(left, bool) is not isinstance(right, bool):
        return False
    return left == right


def shown(value: object) -> str:
    """`tostring(value)`, and `null`."""
    if value == NULL:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:.14g}"
    return value if isinstance(value, str) else lua_type(value)


def cast_problem(words: str | Table) -> Problem:
    """What a plugin's function said is wrong: a text, or texts by field."""
    if isinstance(words, str):
        return words
    return {
        key: cast_problem(inner) if isinstance(inner, str | dict) else shown(inner)
        for key, inner in words.items()
    }


def is_sequence(table: Table) -> bool:
    """Whether the keys are 1…n."""
    return all(index in table for index in range(1, len(table) + 1))


def is_unknown(value: object) -> bool:
    """Whether nobody knows here what the value would be."""
    return isinstance(value, Opaque) and value.kind in ("inert", "cycle", "more")


def items(table: object) -> Iterator[object]:
    """What stands at 1, 2, … up to the first gap."""
    if isinstance(table, dict):
        index = 1
        while index in table:
            yield table[index]
            index += 1


def fields_by_name(schema: Table) -> dict[str, Table]:
    """The fields of a record, in order; of two with one name the last counts. Raises LuaFault."""
    fields = schema.get("fields")
    if is_unknown(fields):
        return {}
    if not isinstance(fields, dict):
        raise LuaFault(f"attempt to index field 'fields' (a {lua_type(fields)} value)")
    found: dict[str, Table] = {}
    for entry in items(fields):
        if isinstance(entry, dict):
            for name, field in entry.items():
                if isinstance(name, str) and isinstance(field, dict):
                    found[name] = field
    return found
