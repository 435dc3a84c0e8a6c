"""The settings of a plugin for people and for editors: rows with constraints, and a JSON Schema."""

from __future__ import annotations

from pumice.base.value import Value
from pumice.kong.loaded import Opaque
from pumice.kong.schema_table import NULL, Table, fields_by_name, items, shown
from pumice.kong.schema_values import as_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Setting", "json_schema", "settings"]

_PLAIN = frozenset(
    ("type", "required", "default", "description", "fields", "elements", "keys", "values", "examples", "err")
)
_JSON_TYPES = {"set": "array", "map": "object", "record": "object"}
_DEPTH = 24


class Setting(Value):
    """One field below `config`."""

    path: str
    type: str
    """`string`, `array of string`, `map of string to integer`."""
    required: bool
    default: object
    """For JSON; None when there is none."""
    constraints: tuple[str, ...]
    description: str

    def as_json(self) -> dict[str, object]:
        """The object that `schema --json` prints."""
        return {
            "path": self.path,
            "type": self.type,
            "required": self.required,
            "default": self.default,
            "constraints": list(self.constraints),
            "description": self.description,
        }


def settings(schema: Table) -> tuple[Setting, ...]:
    """Every setting of a schema that a gateway accepts, in order, records opened."""
    config = fields_by_name(schema).get("config")
    return tuple(_rows(config, "config", 0)) if config is not None else ()


def json_schema(plugin: str, schema: Table) -> dict[str, object]:
    """A JSON Schema (2020-12) of the plugin's `config`, so that editors complete and mark it."""
    config = fields_by_name(schema).get("config", {})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Configuration of the Kong plugin {plugin}",
        **_describe({**config, "type": "record"}, 0),
    }


def _rows(record: Table, path: str, depth: int) -> Iterator[Setting]:
    if depth > _DEPTH or not isinstance(record.get("fields"), dict):
        return
    for name, field in fields_by_name(record).items():
        said = field.get("description")
        yield Setting(
            f"{path}.{name}",
            _type(field),
            field.get("required") is True,
            as_json(field.get("default"), str(field.get("type"))),
            tuple(_constraints(field)),
            said if isinstance(said, str) else "",
        )
        yield from _rows(field, f"{path}.{name}", depth + 1)
        elements = field.get("elements")
        if isinstance(elements, dict):
            yield from _rows(elements, f"{path}.{name}[]", depth + 1)


def _type(field: Table) -> str:
    kind = str(field.get("type", "?"))
    elements, keys, values = field.get("elements"), field.get("keys"), field.get("values")
    if isinstance(elements, dict):
        return f"{kind} of {elements.get('type', '?')}"
    if isinstance(keys, dict) and isinstance(values, dict):
        return f"{kind} of {keys.get('type', '?')} to {values.get('type', '?')}"
    return kind


def _constraints(field: Table) -> Iterator[str]:
    for name, value in field.items():
        if not isinstance(name, str) or name in _PLAIN or value is False:
            continue
        if name == "between" and isinstance(value, dict):
            yield f"between {' and '.join(shown(item) for item in items(value))}"
        elif name in ("one_of", "not_one_of"):
            yield f"{name.replace('_', ' ')} {', '.join(shown(item) for item in items(value))}"
        elif value is True:
            yield name
        elif isinstance(value, Opaque) and value != NULL:
            yield value.name or name
        elif isinstance(value, dict):
            yield name
        else:
            yield f"{name} {shown(value)}"
    elements = field.get("elements")
    if isinstance(elements, dict):
        yield from (f"each {item}" for item in _constraints(elements))


def _describe(field: Table, depth: int) -> dict[str, object]:
    kind = str(field.get("type"))
    if depth > _DEPTH or kind in ("json", "foreign", "function"):
        return {}
    described: dict[str, object] = {"type": _JSON_TYPES.get(kind, kind)}
    if isinstance(field.get("description"), str):
        described["description"] = field["description"]
    if field.get("default") is not None:
        described["default"] = as_json(field["default"], kind)
    if isinstance(field.get("one_of"), dict):
        described["enum"] = [as_json(item) for item in items(field["one_of"])]
    limits = list(items(field.get("between")))
    if len(limits) == 2:
        described["minimum"], described["maximum"] = limits
    if isinstance(field.get("gt"), int | float):
        described["exclusiveMinimum"] = field["gt"]
    if kind == "string":
        described |= _lengths(field, "Length")
        if field.get("len_min") is None and field.get("len_eq") is None:
            described["minLength"] = 1
    elif kind in ("array", "set"):
        described |= _lengths(field, "Items")
        elements = field.get("elements")
        described["items"] = _describe(elements, depth + 1) if isinstance(elements, dict) else {}
    elif kind == "map":
        values = field.get("values")
        described["additionalProperties"] = _describe(values, depth + 1) if isinstance(values, dict) else {}
    elif kind == "record" and isinstance(field.get("fields"), dict):
        inner = fields_by_name(field)
        described["properties"] = {name: _describe(item, depth + 1) for name, item in inner.items()}
        described["additionalProperties"] = False
        needed = [
            name
            for name, item in inner.items()
            if item.get("required") is True and item.get("default") is None and item.get("type") != "record"
        ]
        if needed:
            described["required"] = needed
    if field.get("required") is not True and depth:
        # a setting that may be missing may be null as well
        described["type"] = [described["type"], "null"]
        if isinstance(described.get("enum"), list):
            described["enum"] = [as_json(item) for item in items(field["one_of"])] + [None]
    return described


def _lengths(field: Table, noun: str) -> dict[str, object]:
    found: dict[str, object] = {}
    for attribute, names in (("len_min", ("min",)), ("len_max", ("max",)), ("len_eq", ("min", "max"))):
        value = field.get(attribute)
        if isinstance(value, int) and not isinstance(value, bool):
            found |= {f"{name}{noun}": value for name in names}
    return found
