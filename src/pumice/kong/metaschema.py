"""What a gateway demands of a plugin's schema, as a schema of its own, and its verdict in Kong's words.

Sources: Kong contract 2.1 to 2.4, 2.8 and 8.1, for Kong 3.9; what differs in other versions: `kong_version`.
`Engine` holds a plugin's schema against the metaschema of the version; the rest are the checks that Kong
makes beside it, with the same order and overwriting.
"""

from __future__ import annotations

from pumice.base.value import Value
from pumice.kong.kong_version import NEWEST
from pumice.kong.metaschema_tables import entity_metaschema, metasubschema
from pumice.kong.metaschema_words import in_order, violation
from pumice.kong.schema_engine import Engine
from pumice.kong.schema_functions import settled
from pumice.kong.schema_table import LuaFault, Table, fields_by_name, is_unknown, items, lua_type, truth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pumice.kong.kong_version import Gateway
    from pumice.kong.metaschema_words import Problem
    from pumice.kong.schema_functions import SchemaFunctions

__all__ = ["PARENT", "Verdict", "judge", "judge_entity"]

PARENT = {
    "id": ("string",),
    "name": ("string",),
    "instance_name": ("string",),
    "created_at": ("integer",),
    "updated_at": ("integer",),
    "route": ("foreign",),
    "service": ("foreign",),
    "consumer": ("foreign",),
    "config": ("record",),
    "protocols": ("set", "string"),
    "enabled": ("boolean",),
    "tags": ("set", "string"),
    "consumer_group": ("foreign",),
}
"""The fields of the entity that a plugin's schema specialises: type, and type of the elements."""


class Verdict(Value):
    """Why a gateway would refuse a schema."""

    words: str
    """Kong's own."""
    problems: tuple[tuple[str, str], ...]
    """What is wrong, each with the path that Kong hides, such as `config.port.default` ("" for the whole)."""


_COMPANIONS = {
    "array": ("elements",),
    "set": ("elements",),
    "map": ("keys", "values"),
    "record": ("fields",),
    "json": ("json_schema",),
}
_NUMBERS = frozenset(("integer", "number"))
_UNIQUE = frozenset(("string", "number", "integer", "foreign"))
_ONLY_ON: dict[str, frozenset[str]] = {
    "between": _NUMBERS,
    "len_eq": frozenset(("array", "set", "string", "map")),
    "match": frozenset(("string",)),
    "one_of": _NUMBERS | {"string"},
    "contains": frozenset(("array", "set")),
    "is_regex": frozenset(("string",)),
    "timestamp": _NUMBERS,
    "uuid": frozenset(("string",)),
    "unique": _UNIQUE,
    "unique_across_ws": _UNIQUE,
    "abstract": frozenset(("string", "number", "integer", "record", "array", "set", "map")),
    "transient": frozenset(("string", "number", "integer", "array", "set", "boolean")),
    "json_schema": frozenset(("json",)),
}


def judge(
    plugin: str, schema: Table, gateway: Gateway = NEWEST, functions: SchemaFunctions | None = None
) -> Verdict | None:
    """Why `gateway` would not start with the schema of `plugin`; None when it would.

    `functions` are the schema's own, which judge its defaults; without them they count as passed. Never
    raises for what the schema does: where Kong's own code fails on it, its text is the verdict.
    """
    return settled(lambda: _judge(plugin, schema, gateway, Engine(functions)), functions)


def _judge(plugin: str, schema: Table, gateway: Gateway, engine: Engine) -> Verdict | None:
    try:
        problems = _violations(schema, gateway, engine)
        if problems:
            return Verdict(violation(problems), tuple(_located(schema, problems, "")))
        refused = _not_a_specialisation(plugin, schema, gateway)
    except LuaFault as fault:
        return Verdict(str(fault), (("", str(fault)),))
    return (
        None
        if refused is None
        else Verdict(f"error initializing schema for plugin: {refused[1]}", (refused,))
    )


def judge_entity(entity: Table, gateway: Gateway = NEWEST) -> str | None:
    """Why `gateway` would not start with an entity of a plugin's daos, in its words; None when it would."""
    try:
        problems = Engine().entity(entity_metaschema(gateway), entity, "")
        if not problems and isinstance(entity.get("fields"), dict):
            found: dict[object, Problem] = {}
            _check_fields(entity, found, 0)
            problems = found
    except LuaFault as fault:
        return str(fault)
    return violation(problems) if problems else None


def _located(value: object, problem: Problem, path: str) -> Iterator[tuple[str, str]]:
    """Every sentence of a problem with its path: an entry of `fields` by its field's name, not its number."""
    if isinstance(problem, str):
        yield path, problem
        return
    # the order of a Lua table differs from process to process
    for key, inner in sorted(problem.items(), key=lambda entry: in_order(entry[0])):
        if key == "@entity" and isinstance(inner, dict):
            yield from ((path, str(said)) for said in inner.values())
            continue
        part = value.get(key) if isinstance(value, dict) else None
        if key in ("fields", "shorthand_fields") and isinstance(inner, dict):
            for number, told in sorted(inner.items(), key=lambda entry: in_order(entry[0])):
                entry = part.get(number) if isinstance(part, dict) else None
                if isinstance(entry, dict) and len(entry) == 1:
                    name, field = next(iter(entry.items()))
                else:
                    name, field = f"{key}.{number}", entry
                yield from _located(field, told, _joined(path, name))
        else:
            yield from _located(part, inner, _joined(path, key))


def _joined(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)


def _violations(schema: Table, gateway: Gateway, engine: Engine) -> dict[object, Problem]:
    problems = engine.entity(metasubschema(gateway), schema, "")
    absent = [name for name in ("name", "fields") if schema.get(name) is None]
    for name in absent:
        problems[name] = "field required for entity check"
    if not absent:
        found: dict[object, Problem] = {}
        _check_fields(schema, found, 0)
        problems |= found
    return problems


def _check_fields(schema: Table, found: dict[object, Problem], depth: int) -> None:
    fields = schema.get("fields")
    if is_unknown(fields) or depth > 24:
        return
    _check_transformations(schema, found)
    if isinstance(fields, str):
        if fields:
            found["fields"] = "each entry in fields must be a sub-table"
        return
    if not isinstance(fields, dict):
        raise LuaFault(f"attempt to get length of field 'fields' (a {lua_type(fields)} value)")
    for entry in items(fields):
        if is_unknown(entry):
            continue
        if not isinstance(entry, dict):
            found["fields"] = "each entry in fields must be a sub-table"
            break
        if not entry:
            found["fields"] = "field entry table is empty"
            break
        name, field = next(iter(entry.items()))
        if isinstance(field, dict):
            _check_field(name, field, found, schema, depth)
        elif not is_unknown(field):
            found[name] = f"'{name}' must be a table"


def _check_field(name: object, field: Table, found: dict[object, Problem], parent: Table, depth: int) -> None:
    kind = field.get("type")
    if not truth(kind):
        found[name] = "missing type declaration"
        return
    if not isinstance(kind, str):
        # told already, or nobody knows
        return
    companions = _COMPANIONS.get(kind, ())
    if not (kind == "record" and truth(field.get("abstract"))):
        for companion in companions:
            if not truth(field.get(companion)):
                found[name] = f"field of type '{kind}' must declare '{companion}'"
    for attribute in field:
        if isinstance(attribute, str) and kind not in _ONLY_ON.get(attribute, (kind,)):
            found[name] = f"field of type '{kind}' cannot have attribute '{attribute}'"
    for inner in ("elements", "keys", "values"):
        definition = field.get(inner)
        if isinstance(definition, dict):
            _check_field(name, definition, found, field, depth + 1)
        elif truth(definition) and not is_unknown(definition):
            found[name] = f"'{inner}' must be a table"
    if kind == "json" and isinstance(field.get("json_schema"), dict):
        _check_json(name, field, found, parent)
    if truth(field.get("fields")):
        _check_fields(field, found, depth + 1)


def _check_json(name: object, field: Table, found: dict[object, Problem], parent: Table) -> None:
    described = field["json_schema"]
    assert isinstance(described, dict)
    key = described.get("parent_subschema_key")
    if not truth(key):
        return
    if not isinstance(parent.get("fields"), dict):
        raise LuaFault("attempt to get length of field 'fields' (a nil value)")
    said = "value must be a field name of the parent schema"
    for entry in items(parent["fields"]):
        if isinstance(entry, dict) and key in entry:
            other = entry[key]
            if isinstance(other, dict) and other.get("type") == "string":
                return
            said = "value must be a string field of the parent schema"
            break
    found[name] = {"json_schema": {"parent_subschema_key": said}}


def _check_transformations(schema: Table, found: dict[object, Problem]) -> None:
    for number, transformation in enumerate(items(schema.get("transformations")), 1):
        if not isinstance(transformation, dict):
            continue
        for part in ("input", "needs"):
            for place, name in enumerate(items(transformation.get(part)), 1):
                if isinstance(name, str) and not _has_field(schema, name):
                    told: dict[object, Problem] = {place: f"invalid field name: {name}"}
                    found["transformations"] = {part: {number: told}}


def _has_field(schema: Table, path: str) -> bool:
    head, _, tail = path.partition(".")
    for entry in items(schema.get("fields")):
        if isinstance(entry, dict) and head in entry:
            field = entry[head]
            if not tail or not isinstance(field, dict) or field.get("type") == "foreign":
                return True
            return _has_field(field, tail)
    return False


def _not_a_specialisation(plugin: str, schema: Table, gateway: Gateway) -> tuple[str, str] | None:
    """Why the schema does not fit the entity that it specialises: the field, and Kong's words."""
    for name, field in fields_by_name(schema).items():
        if field.get("type") == "foreign":
            reference = field.get("reference")
            if not isinstance(reference, str) or gateway.has_entity(reference) is False:
                told = reference if isinstance(reference, str) else "nil"
                return name, f"schema refers to an invalid foreign entity: {told}"
    for name, field in fields_by_name(schema).items():
        if (name not in PARENT and not gateway.is_enterprise) or gateway.has_parent_field(name) is False:
            return name, f"error in definition of '{plugin}': {name}: cannot create a new field"
        # what Enterprise's other fields are is not public
        parent = PARENT.get(name, ())
        elements = field.get("elements")
        given = (field.get("type"), elements.get("type") if isinstance(elements, dict) else None)
        if given[: len(parent)] != parent:
            return (
                name,
                f"error in definition of '{plugin}': {name}: cannot change type in a specialized field",
            )
        if name == "config":
            _abstract_records(field)
    return None


def _abstract_records(field: Table) -> None:
    """A record without fields stops Kong when it goes through the nested records."""
    for inner in fields_by_name(field).values():
        if inner.get("type") == "record":
            _abstract_records(inner)
