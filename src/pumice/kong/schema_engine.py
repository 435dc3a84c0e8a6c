"""`Engine`: values are held against field definitions as a gateway does it, with its words.

Sources: Kong contract 2.2 to 2.6 and 8.1. Definitions and values are Lua values as `Loaded.value` has them:
tables are dicts, sequences have the keys 1…n, null is `NULL`, functions are `Opaque`. The plugin's own
functions are asked through `SchemaFunctions`, if there are any; what cannot be known counts as passed, and
`Engine.not_run` tells of it.
"""

from __future__ import annotations

from pumice.kong.loaded import Opaque
from pumice.kong.schema_entity_checks import run_entity_checks, run_transformation_checks
from pumice.kong.schema_shorthands import unfolded
from pumice.kong.schema_table import (
    NULL,
    LuaFault,
    Table,
    cast_problem,
    fields_by_name,
    is_sequence,
    is_unknown,
    items,
    lua_type,
    shown,
    truth,
)
from pumice.kong.schema_validators import validate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.kong.metaschema_words import Problem
    from pumice.kong.schema_functions import Called, SchemaFunctions

__all__ = ["REQUIRED", "TYPES", "Engine"]

REQUIRED = "required field missing"
UNKNOWN = "unknown field"
TYPES = (
    "array",
    "boolean",
    "foreign",
    "function",
    "integer",
    "json",
    "map",
    "number",
    "record",
    "set",
    "string",
)
_EXPECTED = {
    "array": "expected an array",
    "set": "expected a set",
    "map": "expected a map",
    "record": "expected a record",
    "string": "expected a string",
    "number": "expected a number",
    "boolean": "expected a boolean",
    "integer": "expected an integer",
    "function": "expected a function",
}
_UUID = "00000000-0000-4000-8000-000000000000"


class Engine:
    """One validation. Raises LuaFault where a gateway's own code would fail on the definition."""

    def __init__(self, functions: SchemaFunctions | None = None) -> None:
        self._functions = functions
        self._fields: dict[int, tuple[Table, dict[str, Table]]] = {}
        self.not_run: list[str] = []
        """The plugin's functions that a gateway would have called, as paths of what they belong to."""

    def field(self, field: Table, value: object, path: str) -> Problem | None:
        """What is wrong with one value; None when nothing is."""
        if value is None:
            value = NULL
        if is_unknown(value):
            return None
        said = field.get("err")
        own = said if isinstance(said, str) else None
        wanted = field.get("eq")
        if value == NULL:
            if field.get("ne") == NULL:
                return own or "value must not be null"
            if wanted is not None and wanted != NULL:
                return validate("eq", value, wanted, "")
            return REQUIRED if truth(field.get("required")) else None
        if wanted == NULL:
            return own or "value must be null"
        if truth(field.get("abstract")):
            return "error in schema definition: abstract field was not specialized"
        problem = self._typed(field, value, path)
        if problem is not None:
            return problem
        if field.get("type") == "string" and truth(field.get("referenceable")) and is_reference(value):
            return None
        return self._validated(field, value, own, path)

    def call(self, function: object, arguments: tuple[object, ...], where: str) -> Called | None:
        """What a function of the plugin gives; None when nobody knows (yet)."""
        called: Called | None = None
        if self._functions is not None and isinstance(function, Opaque) and function.path:
            called = self._functions.call(function, arguments)
            if called is None or not called.unknown:
                return called
        self.not_run.append(where if called is None else f"{where}: {called.unknown}")
        return None

    def entity(
        self, schema: Table, entity: Table, path: str, sent: Table | None = None
    ) -> dict[object, Problem]:
        """What is wrong with a record that is filled already, by name and under `@entity`.

        `sent`: the record before it was filled.
        """
        known = self._known(schema)
        problems: dict[object, Problem] = {}
        for key, value in entity.items():
            here = f"{path}.{key}" if path else str(key)
            field = known.get(str(key))
            problem: Problem | None
            if field is None:
                problem = UNKNOWN
            elif field.get("type") == "self":
                # a default is held against the definition that it stands in
                try:
                    problem = self.field(entity, value, here)
                except LuaFault:
                    problem = "error in schema prevents from validating this field"
            elif field.get("type") == "json":
                self.not_run.append(f"{here} (json_schema)")
                continue
            else:
                problem = self.field(field, value, here)
            if problem is not None:
                problems[key] = problem
        for name, field in known.items():
            if truth(field.get("required")) and entity.get(name, NULL) == NULL:
                problems[name] = REQUIRED
        run_entity_checks(self, schema, known, entity, problems, path)
        run_transformation_checks(schema, entity, sent or entity, problems)
        return problems

    def filled(self, schema: Table, entity: Table) -> Table:
        """The record as a gateway would store it: shorthands folded, defaults and nulls where nothing was."""
        whole = unfolded(self, schema, entity)
        for name, field in self._known(schema).items():
            if _stays_absent(field) and whole.get(name) is None:
                whole.pop(name, None)
                continue
            value = self._in_context(field, self._automatic(name, field, whole.get(name)))
            if value is None:
                whole.pop(name, None)
            else:
                whole[name] = value
        return whole

    def _known(self, schema: Table) -> dict[str, Table]:
        """The fields of a record by name: definitions stay as they are while they are looked at."""
        found = self._fields.get(id(schema))
        if found is None:
            found = self._fields[id(schema)] = (schema, fields_by_name(schema))
        return found[1]

    def _typed(self, field: Table, value: object, path: str) -> Problem | None:
        kind = field.get("type")
        if kind in ("array", "set"):
            if not isinstance(value, dict) or not is_sequence(value):
                return _EXPECTED[str(kind)]
            elements = _required(field.get("elements"), "elements")
            found: dict[object, Problem] = {}
            for index in range(1, len(value) + 1):
                problem = self.field(elements, value[index], f"{path}[{index}]")
                if problem is not None:
                    found[index] = problem
            return found or None
        if kind == "map":
            if not isinstance(value, dict):
                return _EXPECTED["map"]
            keys, values = _required(field.get("keys"), "keys"), _required(field.get("values"), "values")
            for key, item in value.items():
                problem = self.field(keys, key, path)
                if problem is None:
                    problem = self.field(values, item, f"{path}.{key}")
                if problem is not None:
                    return problem
            return None
        if kind == "record":
            if not isinstance(value, dict):
                return _EXPECTED["record"]
            return self.entity(field, self.filled(field, value), path) or None
        if kind == "integer":
            return None if lua_type(value) == "number" and is_integral(value) else _EXPECTED["integer"]
        if kind in ("string", "number", "boolean", "function"):
            return None if lua_type(value) == kind else _EXPECTED[str(kind)]
        if kind in ("any", "foreign"):
            return None
        if kind == "json":
            return None if lua_type(value) == "json" else "value failed JSON-schema validation"
        return f"invalid type: {'nil' if kind is None else kind}"

    def _validated(self, field: Table, value: object, own: str | None, path: str) -> Problem | None:
        from pumice.kong.schema_validators import ORDER

        for name in ORDER:
            wanted = field.get(name)
            if name == "len_min" and wanted is None and field.get("type") == "string":
                wanted = 1
            if wanted is None:
                continue
            if name == "custom_validator":
                problem = self._custom(wanted, value, path)
            else:
                problem = validate(name, value, wanted, str(field.get("type")))
            if problem is not None:
                return own or problem
        return None

    def _custom(self, function: object, value: object, path: str) -> Problem | None:
        from pumice.kong.schema_typedefs import TYPEDEFS

        known = TYPEDEFS.get(function.name) if isinstance(function, Opaque) else None
        if known is not None:
            return known(value) if isinstance(value, str) else None
        called = self.call(function, (value,), f"{path} (custom_validator)")
        if called is None:
            return None
        if called.error is not None:
            raise LuaFault(called.error)
        ok, said = (*called.values, None, None)[:2]
        if truth(ok):
            return None
        if isinstance(said, str | dict):
            return cast_problem(said)
        if isinstance(value, dict):
            raise LuaFault("bad argument #1 to 'format' (string expected, got table)")
        return f"failed validating: {shown(value)}"

    def _automatic(self, name: str, field: Table, value: object) -> object:
        if value is None and truth(field.get("auto")):
            if truth(field.get("uuid")):
                return _UUID
            if field.get("type") == "string":
                return "generated"
            if name in ("created_at", "updated_at"):
                return 1
        return value

    def _in_context(self, field: Table, value: object) -> object:
        kind = field.get("type")
        if truth(field.get("abstract")):
            return value
        if kind == "record" and value != NULL and (value is not None or field.get("required") is True):
            if value is None:
                value = self._missing(field)
            return self.filled(field, value) if isinstance(value, dict) else value
        if isinstance(value, dict):
            inner = field.get("values") if kind == "map" else field.get("elements")
            if kind == "set" and is_sequence(value):
                value = _unique(value)
            if kind in ("array", "set", "map") and isinstance(inner, dict):
                return {key: self._in_context(inner, item) for key, item in value.items()}
        return self._missing(field) if value is None else value

    def _missing(self, field: Table) -> object:
        if field.get("default") is not None:
            return field["default"]
        if truth(field.get("nilable")):
            return None
        if field.get("required") is not True:
            return NULL
        return self.filled(field, {}) if field.get("type") == "record" else None


def _stays_absent(field: Table) -> bool:
    """Whether nothing is put in place of a missing value; most fields of the metaschema are such."""
    return (
        field.get("nilable") is True
        and field.get("default") is None
        and field.get("auto") is None
        and field.get("required") is not True
    )


def is_reference(value: object) -> bool:
    """Whether a text stands for a secret of a vault: `{vault://…}`."""
    return (
        isinstance(value, str) and value.startswith("{vault://") and value.endswith("}") and len(value) > 10
    )


def is_integral(value: object) -> bool:
    """Whether a number is whole and finite."""
    return isinstance(value, int) or (isinstance(value, float) and value.is_integer())


def _required(definition: object, name: str) -> Table:
    if is_unknown(definition):
        return {"type": "any"}
    if not isinstance(definition, dict):
        raise LuaFault(f"attempt to index field '{name}' (a {lua_type(definition)} value)")
    return {**definition, "required": True}


def _unique(value: Table) -> Table:
    seen: list[object] = []
    for item in items(value):
        if not any(
            type(item) is type(other) and item == other and not isinstance(item, dict) for other in seen
        ):
            seen.append(item)
    return dict(enumerate(seen, 1))
