"""What a gateway demands of a plugin's schema, as a schema of its own, and its verdict in Kong's words.

Sources: Kong contract 2.1 to 2.4, 2.8 and 8.1, for Kong 3.9. `Engine` holds a plugin's schema against
`METASUBSCHEMA`; the rest are the checks that Kong makes beside it, with the same order and overwriting.
"""

from __future__ import annotations

from pumice.base.value import Value
from pumice.kong.metaschema_words import violation
from pumice.kong.schema_engine import TYPES, Engine
from pumice.kong.schema_entity_checks import CHECKERS
from pumice.kong.schema_table import LuaFault, Table, fields_by_name, is_unknown, items, lua_type, truth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pumice.kong.metaschema_words import Problem

__all__ = ["ENTITIES", "PARENT", "Verdict", "judge"]

ENTITIES = frozenset(
    [
        "ca_certificates",
        "certificates",
        "clustering_data_planes",
        "consumers",
        "filter_chains",
        "key_sets",
        "keys",
        "parameters",
        "plugins",
        "routes",
        "services",
        "snis",
        "tags",
        "targets",
        "upstreams",
        "vaults",
        "workspaces",
    ]
)
"""What a foreign field can refer to in the open-source gateway."""
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
}
"""The fields of the entity that a plugin's schema specialises: type, and type of the elements."""


class Verdict(Value):
    """Why a gateway would refuse a schema."""

    words: str
    """Kong's own."""
    problems: tuple[tuple[str, str], ...]
    """What is wrong, each with the path that Kong hides, such as `config.port.default` ("" for the whole)."""


def _sequence(*entries: object) -> Table:
    return dict(enumerate(entries, 1))


def _fields(**definitions: Table) -> Table:
    return _sequence(*({name: definition} for name, definition in definitions.items()))


def _record(**definitions: Table) -> Table:
    return {"type": "record", "fields": _fields(**definitions)}


def _array(elements: Table) -> Table:
    return {"type": "array", "elements": elements}


_STRING: Table = {"type": "string"}
_BOOLEAN: Table = {"type": "boolean"}
_FUNCTION: Table = {"type": "function"}
_INTEGER: Table = {"type": "integer"}
_ANY: Table = {"type": "any"}
_STRINGS = _array(_STRING)
_RULES = _array(_record(pattern={**_STRING, "required": True}, err=_STRING))

_VALIDATORS: dict[str, Table] = {
    "between": {**_array({"type": "number"}), "len_eq": 2},
    "eq": _ANY,
    "ne": _ANY,
    "gt": {"type": "number"},
    "len_eq": _INTEGER,
    "len_min": _INTEGER,
    "len_max": _INTEGER,
    "match": _STRING,
    "not_match": _STRING,
    "match_all": _RULES,
    "match_none": _RULES,
    "match_any": _record(patterns={**_STRINGS, "required": True}, err=_STRING),
    "starts_with": _STRING,
    "one_of": _array(_ANY),
    "not_one_of": _array(_ANY),
    "contains": _ANY,
    "is_regex": _BOOLEAN,
    "timestamp": _BOOLEAN,
    "uuid": _BOOLEAN,
    "custom_validator": _FUNCTION,
    "mutually_exclusive_subsets": _array(_STRINGS),
}
_JSON_SCHEMA: Table = {
    **_record(namespace=_STRING, parent_subschema_key=_STRING, optional=_BOOLEAN, inline=_ANY, default=_ANY),
    "entity_checks": _sequence(
        {"at_least_one_of": _sequence("inline", "namespace", "parent_subschema_key")},
        {"mutually_required": _sequence("namespace", "parent_subschema_key")},
        {
            "mutually_exclusive_sets": {
                "set1": _sequence("inline"),
                "set2": _sequence("namespace", "parent_subschema_key", "optional"),
            }
        },
    ),
}
_DEPRECATION = _record(
    message={**_STRING, "required": True},
    removal_in_version={**_STRING, "required": True},
    old_default=_ANY,
    replaced_with=_array(
        _record(path={**_STRINGS, "len_min": 1, "required": True}, reverse_mapping_function=_FUNCTION)
    ),
)
_ATTRIBUTES: dict[str, Table] = {
    "type": {**_STRING, "one_of": _sequence(*TYPES), "required": True},
    "required": _BOOLEAN,
    "reference": _STRING,
    "description": {**_STRING, "len_min": 10, "len_max": 500},
    "examples": _array(_ANY),
    "auto": _BOOLEAN,
    "unique": _BOOLEAN,
    "unique_across_ws": _BOOLEAN,
    "on_delete": {**_STRING, "one_of": _sequence("restrict", "cascade", "null")},
    "default": {"type": "self"},
    "abstract": _BOOLEAN,
    "generate_admin_api": _BOOLEAN,
    "immutable": _BOOLEAN,
    "err": _STRING,
    "encrypted": _BOOLEAN,
    "referenceable": _BOOLEAN,
    "json_schema": _JSON_SCHEMA,
    "deprecation": _DEPRECATION,
    "transient": _BOOLEAN,
    **_VALIDATORS,
}

_FIELD_LIST: Table = {}
"""`fields` of any definition; what it holds is added below, because fields hold fields."""
_FIELD_ATTRIBUTES: Table = {}
_FIELD: Table = {"type": "record", "fields": _FIELD_ATTRIBUTES}

_CONDITION = _record(required=_BOOLEAN, elements=_FIELD, keys=_FIELD, values=_FIELD, **_VALIDATORS)
_CHECKER_ARGUMENTS: dict[str, Table] = {
    "at_least_one_of": _STRINGS,
    "conditional_at_least_one_of": _record(
        if_field=_STRING,
        if_match=_CONDITION,
        then_at_least_one_of=_STRINGS,
        then_err=_STRING,
        else_match=_CONDITION,
        else_then_at_least_one_of=_STRINGS,
        else_then_err=_STRING,
    ),
    "only_one_of": _STRINGS,
    "distinct": _STRINGS,
    "conditional": _record(
        if_field=_STRING, if_match=_CONDITION, then_field=_STRING, then_match=_CONDITION, then_err=_STRING
    ),
    "custom_entity_check": _record(
        field_sources=_STRINGS,
        fn=_FUNCTION,
        run_with_missing_fields=_BOOLEAN,
        run_with_invalid_fields=_BOOLEAN,
    ),
    "mutually_required": _STRINGS,
    "mutually_exclusive": _STRINGS,
    "mutually_exclusive_sets": _record(set1=_STRINGS, set2=_STRINGS),
}
_ENTITY_CHECKS: Table = {
    **_array(
        {
            **_record(**_CHECKER_ARGUMENTS),
            "entity_checks": _sequence({"only_one_of": _sequence(*CHECKERS)}),
        }
    ),
    "nilable": True,
}
_UNIQUE_EVERYWHERE = _sequence(
    {
        "conditional": {
            "if_field": "unique_across_ws",
            "if_match": {"eq": True},
            "then_field": "unique",
            "then_match": {"eq": True, "required": True},
        }
    }
)
_SHORTHANDS: Table = {
    **_array({"type": "map", "keys": _STRING, "values": {}, "required": True, "len_eq": 1}),
    "nilable": True,
}
_OWN_LISTS: dict[str, Table] = {
    "elements": _FIELD,
    "keys": _FIELD,
    "values": _FIELD,
    "fields": _FIELD_LIST,
    "entity_checks": _ENTITY_CHECKS,
    "shorthand_fields": _SHORTHANDS,
}


def _close_the_circle() -> None:
    """Fields hold fields: the lists that refer to each other are filled here."""
    attributes = {
        name: {**definition, "nilable": definition.get("required") is not True}
        for name, definition in _ATTRIBUTES.items()
    }
    _FIELD_ATTRIBUTES.update(_fields(**attributes, **_OWN_LISTS))
    entry = {**_FIELD, "entity_checks": _UNIQUE_EVERYWHERE}
    _FIELD_LIST.update(
        _array({"type": "map", "keys": _STRING, "values": entry, "required": True, "len_eq": 1})
    )
    kinds = sorted(set(TYPES) - {"record", "foreign", "function"})
    shorthand = {
        **attributes,
        "type": {**_STRING, "one_of": _sequence(*kinds), "required": True},
        **_OWN_LISTS,
        "func": {**_FUNCTION, "required": True},
    }
    elements = _SHORTHANDS["elements"]
    assert isinstance(elements, dict)
    elements["values"] = {
        "type": "record",
        "fields": _fields(**shorthand),
        "entity_checks": _UNIQUE_EVERYWHERE,
    }


_close_the_circle()

_TRANSFORMATIONS: Table = {
    **_array(
        {
            **_record(input=_STRINGS, needs=_STRINGS, on_write=_FUNCTION, on_read=_FUNCTION),
            "entity_checks": _sequence({"at_least_one_of": _sequence("on_write", "on_read")}),
        }
    ),
    "nilable": True,
}
METASUBSCHEMA: Table = {
    "fields": _fields(
        name={**_STRING, "required": True},
        fields=_FIELD_LIST,
        entity_checks=_ENTITY_CHECKS,
        shorthand_fields=_SHORTHANDS,
        transformations=_TRANSFORMATIONS,
        check={**_FUNCTION, "nilable": True},
    )
}

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


def judge(plugin: str, schema: Table) -> Verdict | None:
    """Why a gateway would not start with the schema of `plugin`; None when it would.

    Never raises: where Kong's own code fails on a schema, its text is the verdict.
    """
    try:
        problems = _violations(schema)
        if problems:
            return Verdict(violation(problems), tuple(_located(schema, problems, "")))
        refused = _not_a_specialisation(plugin, schema)
    except LuaFault as fault:
        return Verdict(str(fault), (("", str(fault)),))
    return (
        None
        if refused is None
        else Verdict(f"error initializing schema for plugin: {refused[1]}", (refused,))
    )


def _located(value: object, problem: Problem, path: str) -> Iterator[tuple[str, str]]:
    """Every sentence of a problem with its path: an entry of `fields` by its field's name, not its number."""
    if isinstance(problem, str):
        yield path, problem
        return
    for key, inner in problem.items():
        if key == "@entity" and isinstance(inner, dict):
            yield from ((path, str(said)) for said in inner.values())
            continue
        part = value.get(key) if isinstance(value, dict) else None
        if key in ("fields", "shorthand_fields") and isinstance(inner, dict):
            for number, told in inner.items():
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


def _violations(schema: Table) -> dict[object, Problem]:
    problems = Engine().entity(METASUBSCHEMA, schema, "")
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


def _not_a_specialisation(plugin: str, schema: Table) -> tuple[str, str] | None:
    """Why the schema does not fit the entity that it specialises: the field, and Kong's words."""
    for name, field in fields_by_name(schema).items():
        if field.get("type") == "foreign":
            reference = field.get("reference")
            if not isinstance(reference, str) or reference not in ENTITIES:
                told = reference if isinstance(reference, str) else "nil"
                return name, f"schema refers to an invalid foreign entity: {told}"
    for name, field in fields_by_name(schema).items():
        parent = PARENT.get(name)
        if parent is None:
            return name, f"error in definition of '{plugin}': {name}: cannot create a new field"
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
