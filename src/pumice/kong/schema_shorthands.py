"""Shorthand fields: settings that a plugin's function turns into others (Kong contract 2.5, 8.1)."""

from __future__ import annotations

from pumice.kong.schema_table import NULL, LuaFault, Table, items, truth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.kong.schema_engine import Engine

__all__ = ["unfolded"]

_FAULT = "attempt to index local 'input' (a nil value)"
"""What becomes of every problem with a shorthand: Kong's own code fails, and the answer is a 500."""


def unfolded(engine: Engine, schema: Table, entity: Table) -> Table:
    """The record with what its shorthands stand for in place of them. Raises LuaFault as Kong does."""
    whole: Table = dict(entity)
    for entry in items(schema.get("shorthand_fields")):
        for name, definition in entry.items() if isinstance(entry, dict) else ():
            if whole.get(name) is not None and isinstance(definition, dict):
                _unfold(engine, str(name), definition, whole)
    return whole


def _unfold(engine: Engine, name: str, definition: Table, whole: Table) -> None:
    value = whole[name]
    if engine.field(definition, value, name) is not None or _contradicts(engine, name, definition, whole):
        raise LuaFault(_FAULT)
    del whole[name]
    called = engine.call(definition.get("func"), (value,), f"{name} (shorthand)")
    if called is None:
        return
    if called.error is not None:
        raise LuaFault(called.error)
    made = called.values[0] if called.values else None
    if not truth(made):
        return
    if not isinstance(made, dict):
        raise LuaFault("bad argument #1 to 'for iterator' (table expected)")
    # a deprecated shorthand gives way to the field that replaces it
    deprecated = truth(definition.get("deprecation"))
    for key, item in made.items():
        there = whole.get(key)
        if isinstance(item, dict):
            source = there if isinstance(there, dict) else {}
            if deprecated:
                kept = {inner: old for inner, old in source.items() if old != NULL}
                whole[key] = {**source, **item, **kept}
            else:
                whole[key] = {**source, **item}
        elif not deprecated or there in (None, NULL):
            whole[key] = item


def _contradicts(engine: Engine, name: str, definition: Table, whole: Table) -> bool:
    """Whether a deprecated shorthand and the field that replaces it were both sent, and differ."""
    deprecation = definition.get("deprecation")
    value = whole[name]
    if not isinstance(deprecation, dict) or value == NULL:
        return False
    for replaced in items(deprecation.get("replaced_with")):
        if not isinstance(replaced, dict):
            continue
        reverse = replaced.get("reverse_mapping_function")
        if truth(reverse):
            called = engine.call(reverse, (whole,), f"{name} (reverse_mapping_function)")
            if called is None:
                continue
            if called.error is not None:
                raise LuaFault(called.error)
            other = called.values[0] if called.values else None
        else:
            other = whole
            for part in items(replaced.get("path")):
                other = other.get(part) if isinstance(other, dict) else None
        if truth(other) and other not in (NULL, value):
            return True
    return False
