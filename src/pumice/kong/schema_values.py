"""`validate_configuration`: what `POST /schemas/plugins/validate` would answer (Kong contract 2.6, 8.1)."""

from __future__ import annotations

from pumice.base.value import Value
from pumice.kong.loaded import Opaque
from pumice.kong.metaschema_words import violation
from pumice.kong.schema_engine import Engine
from pumice.kong.schema_functions import settled
from pumice.kong.schema_table import NULL, LuaFault, Table, fields_by_name, is_sequence, items

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pumice.kong.metaschema_words import Problem
    from pumice.kong.schema_functions import SchemaFunctions

__all__ = ["Answer", "as_json", "as_lua", "validate_configuration"]

_PROTOCOLS = ("grpc", "grpcs", "http", "https", "tcp", "tls", "tls_passthrough", "udp")
_ENTITY: dict[str, Table] = {
    "id": {"type": "string", "uuid": True, "auto": True},
    "name": {"type": "string", "required": True},
    "instance_name": {"type": "string"},
    "created_at": {"type": "integer", "timestamp": True, "auto": True},
    "updated_at": {"type": "integer", "timestamp": True, "auto": True},
    "route": {"type": "foreign", "reference": "routes"},
    "service": {"type": "foreign", "reference": "services"},
    "consumer": {"type": "foreign", "reference": "consumers"},
    "config": {"type": "record", "abstract": True},
    "protocols": {
        "type": "set",
        "required": True,
        "default": dict(enumerate(("grpc", "grpcs", "http", "https"), 1)),
        "elements": {"type": "string", "one_of": dict(enumerate(_PROTOCOLS, 1))},
    },
    "enabled": {"type": "boolean", "required": True, "default": True},
    "tags": {"type": "set", "elements": {"type": "string", "required": True}},
}


class Answer(Value):
    """Whether a gateway would take a configuration, and Kong's words by field if not."""

    ok: bool
    fields: Mapping[str, object]
    message: str
    not_run: tuple[str, ...]
    """Functions of the plugin that a gateway would have asked, and that were not run here."""


def validate_configuration(
    plugin: str, schema: Table, sent: object, functions: SchemaFunctions | None = None
) -> Answer:
    """Holds what was read from JSON against the schema of `plugin`, which a gateway must accept itself.

    `sent` is the plugin entity (`{"name": …, "config": {…}}`), or the settings alone; `functions` are the
    schema's own, without which they count as passed. Raises nothing for what the plugin's code does.
    """
    return settled(lambda: _validate(plugin, schema, sent, functions), functions)


def _validate(plugin: str, schema: Table, sent: object, functions: SchemaFunctions | None) -> Answer:
    given = as_lua(sent)
    if not isinstance(given, dict):
        return Answer(False, {}, "expected an input table", ())
    entity: Table = given
    if "config" not in entity and "name" not in entity:
        entity = {"config": entity}
    name = entity.get("name", plugin)
    entity = {**entity, "name": name}
    if name != plugin:
        told = f"plugin '{name}' not enabled; add it to the 'plugins' configuration property"
        return Answer(False, {"name": told}, violation({"name": told}), ())
    engine = Engine(functions)
    try:
        own = {key: _records_required(field) for key, field in fields_by_name(schema).items()}
        fields = dict(enumerate(({key: field} for key, field in {**_ENTITY, **own}.items()), 1))
        own_parts = ("entity_checks", "shorthand_fields", "transformations")
        whole: Table = {"fields": fields, **{part: schema.get(part) for part in own_parts}}
        problems = engine.entity(whole, engine.filled(whole, entity), "", entity)
    except LuaFault as fault:
        # the Admin API answers with a 500; the log has the fault
        return Answer(False, {}, f"An unexpected error occurred ({fault})", _once(engine))
    if problems:
        told_fields = {str(key): _problem_json(problem) for key, problem in problems.items()}
        return Answer(False, told_fields, violation(problems), _once(engine))
    return Answer(True, {}, "schema validation successful", _once(engine))


def as_lua(value: object) -> object:
    """What was read from JSON, as a gateway has it."""
    if value is None:
        return NULL
    if isinstance(value, list):
        return {number: as_lua(item) for number, item in enumerate(value, 1)}
    if isinstance(value, dict):
        return {str(key): as_lua(item) for key, item in value.items()}
    return value


def as_json(value: object, kind: str = "") -> object:
    """A Lua value for JSON; `kind` is its type in the schema, which tells an empty list from an empty map."""
    if isinstance(value, Opaque):
        return None
    if not isinstance(value, dict):
        return value
    if is_sequence(value) and (value or kind in ("array", "set")):
        return [as_json(item) for item in items(value)]
    return {str(key): as_json(item) for key, item in value.items()}


def _problem_json(problem: Problem) -> object:
    if not isinstance(problem, dict):
        return problem
    numbers = [key for key in problem if isinstance(key, int)]
    if numbers and len(numbers) == len(problem):
        return [_problem_json(problem[n]) if n in problem else None for n in range(1, max(numbers) + 1)]
    return {str(key): _problem_json(inner) for key, inner in problem.items()}


def _records_required(field: Table) -> Table:
    """In a plugin's schema every record is required unless it says otherwise."""
    if field.get("type") != "record" or not isinstance(field.get("fields"), dict):
        return field
    inner = {key: _records_required(item) for key, item in fields_by_name(field).items()}
    required = field["required"] if field.get("required") is not None else True
    return {**field, "required": required, "fields": dict(enumerate(({k: v} for k, v in inner.items()), 1))}


def _once(engine: Engine) -> tuple[str, ...]:
    return tuple(dict.fromkeys(engine.not_run))
