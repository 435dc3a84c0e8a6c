"""What a gateway demands of a plugin's schema, as a schema of its own, for every version of Kong.

Sources: Kong contract 2.1 to 2.4 and 8.1 for 3.9; what other versions lack or have besides: `kong_version`.
"""

from __future__ import annotations

from pumice.kong.schema_engine import TYPES
from pumice.kong.schema_entity_checks import CHECKERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.kong.kong_version import Gateway
    from pumice.kong.schema_table import Table

__all__ = ["entity_metaschema", "metasubschema"]

_VARIABLE = (
    "deprecation",
    "description",
    "examples",
    "json_schema",
    "legacy",
    "replaced_with",
    "shorthands",
    "transient",
    "translate_backwards",
)
"""Attributes that not every version knows."""
_ENTITY_FLAGS = ("workspaceable", "ttl", "db_export", "generate_admin_api")
_ENTITY_TEXTS = (
    "endpoint_key",
    "subschema_key",
    "subschema_error",
    "admin_api_name",
    "admin_api_nested_name",
    "dao",
    "table_name",
)
_MADE: dict[frozenset[str], Table] = {}


def metasubschema(gateway: Gateway) -> Table:
    """The schema of the schemas that plugins have in this gateway."""
    without = frozenset(name for name in _VARIABLE if gateway.has_attribute(name) is False)
    if without not in _MADE:
        _MADE[without] = _metasubschema(without)
    return _MADE[without]


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
_SHORTHAND_FUNCTIONS: Table = {
    **_array({"type": "map", "keys": _STRING, "values": _FUNCTION, "required": True, "len_eq": 1}),
    "nilable": True,
}
_REPLACED_WITH = _array(
    _record(path={**_STRINGS, "len_min": 1, "required": True}, reverse_mapping_function=_FUNCTION)
)
_ATTRIBUTES: dict[str, Table] = {
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
    "legacy": _BOOLEAN,
    "transient": _BOOLEAN,
    **_VALIDATORS,
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
_TRANSFORMATIONS: Table = {
    **_array(
        {
            **_record(input=_STRINGS, needs=_STRINGS, on_write=_FUNCTION, on_read=_FUNCTION),
            "entity_checks": _sequence({"at_least_one_of": _sequence("on_write", "on_read")}),
        }
    ),
    "nilable": True,
}


def entity_metaschema(gateway: Gateway) -> Table:
    """The schema of the schemas that entities of plugins have."""
    plugin = metasubschema(gateway)["fields"]
    assert isinstance(plugin, dict)
    more = _fields(
        primary_key={**_STRINGS, "required": True},
        cache_key={**_STRINGS, "nilable": True},
        **{name: {**_BOOLEAN, "nilable": True} for name in _ENTITY_FLAGS},
        **{name: {**_STRING, "nilable": True} for name in _ENTITY_TEXTS},
    )
    return {"fields": dict(enumerate((*plugin.values(), *more.values()), 1))}


def _metasubschema(without: frozenset[str]) -> Table:
    types = [kind for kind in TYPES if kind != "json" or "json_schema" not in without]
    # fields hold fields: these tables refer to each other, and are filled at the end
    field_list: Table = {}
    attributes: Table = {}
    field: Table = {"type": "record", "fields": attributes}
    checks: Table = {
        **_array(
            {
                **_record(**_checkers(field)),
                "entity_checks": _sequence({"only_one_of": _sequence(*CHECKERS)}),
            }
        ),
        "nilable": True,
    }
    of_shorthands: Table = {"type": "map", "keys": _STRING, "values": {}, "required": True, "len_eq": 1}
    shorthands: Table = {**_array(of_shorthands), "nilable": True}
    own: dict[str, Table] = {
        "elements": field,
        "keys": field,
        "values": field,
        "fields": field_list,
        "entity_checks": checks,
        "shorthand_fields": shorthands,
    }
    if "shorthands" not in without:
        own["shorthands"] = _SHORTHAND_FUNCTIONS
    known = {
        name: {**definition, "nilable": True}
        for name, definition in {**_ATTRIBUTES, "deprecation": _deprecation(without)}.items()
        if name not in without
    }
    kind: Table = {**_STRING, "one_of": _sequence(*types), "required": True, "nilable": False}
    attributes.update(_fields(type=kind, **known, **own))
    entry: Table = {**field, "entity_checks": _UNIQUE_EVERYWHERE}
    field_list.update(
        _array({"type": "map", "keys": _STRING, "values": entry, "required": True, "len_eq": 1})
    )
    simple = sorted(set(types) - {"record", "foreign", "function"})
    shorthand: dict[str, Table] = {
        "type": {**kind, "one_of": _sequence(*simple)},
        **known,
        **own,
        "func": {**_FUNCTION, "required": True},
    }
    if "translate_backwards" not in without:
        shorthand["translate_backwards"] = _STRINGS
    of_shorthands["values"] = {
        "type": "record",
        "fields": _fields(**shorthand),
        "entity_checks": _UNIQUE_EVERYWHERE,
    }
    top: dict[str, Table] = {
        "name": {**_STRING, "required": True},
        "fields": field_list,
        "entity_checks": checks,
        "shorthand_fields": shorthands,
        "transformations": _TRANSFORMATIONS,
        "check": {**_FUNCTION, "nilable": True},
    }
    if "shorthands" not in without:
        top["shorthands"] = _SHORTHAND_FUNCTIONS
    return {"fields": _fields(**top)}


def _deprecation(without: frozenset[str]) -> Table:
    parts: dict[str, Table] = {
        "message": {**_STRING, "required": True},
        "removal_in_version": {**_STRING, "required": True},
        "old_default": _ANY,
    }
    if "replaced_with" not in without:
        parts["replaced_with"] = _REPLACED_WITH
    return _record(**parts)


def _checkers(field: Table) -> dict[str, Table]:
    """What each entity check takes."""
    condition = _record(required=_BOOLEAN, elements=field, keys=field, values=field, **_VALIDATORS)
    return {
        "at_least_one_of": _STRINGS,
        "conditional_at_least_one_of": _record(
            if_field=_STRING,
            if_match=condition,
            then_at_least_one_of=_STRINGS,
            then_err=_STRING,
            else_match=condition,
            else_then_at_least_one_of=_STRINGS,
            else_then_err=_STRING,
        ),
        "only_one_of": _STRINGS,
        "distinct": _STRINGS,
        "conditional": _record(
            if_field=_STRING, if_match=condition, then_field=_STRING, then_match=condition, then_err=_STRING
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
