"""What a gateway demands of the shape of a schema, and its fields (Kong contract 2.1, 2.8, 8.1)."""

from __future__ import annotations

from pumice.base.value import Value
from pumice.kong.finding import Finding, finding
from pumice.kong.loaded import Opaque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pumice.kong.loaded import Loaded

__all__ = ["SchemaField", "fields_of", "schema_findings"]


class SchemaField(Value):
    """One setting of a plugin."""

    path: str
    """`config.timing.enabled`."""
    type: str
    required: bool
    default: object
    """As in `Loaded.value`; None when there is none."""


def schema_findings(plugin: str, loaded: Loaded, file: str) -> Iterator[Finding]:
    """What is wrong with a schema that was loaded without an error; `file` says where."""
    schema = loaded.value
    if isinstance(schema, Opaque) and schema.kind == "inert":
        return
    if not isinstance(schema, dict):
        yield finding(
            "schema-type",
            f"the schema of '{plugin}' returns {_shown(loaded.type)}, not a table",
            kong="expected an input table",
            file=file,
            hint="end the file with 'return' and a table that has 'name' and 'fields'",
        )
        return
    yield from _name_findings(plugin, schema.get("name"), file)
    fields = schema.get("fields")
    if fields is None:
        yield finding(
            "schema-fields",
            f"the schema of '{plugin}' has no 'fields'",
            kong="schema violation (fields: field required for entity check)",
            file=file,
            hint='add fields = { { config = { type = "record", fields = {} } } }',
        )
    elif isinstance(fields, Opaque):
        return
    elif not _is_array(fields):
        yield finding(
            "schema-fields",
            f"'fields' in the schema of '{plugin}' is not a list",
            kong="schema violation (fields: expected an array)",
            file=file,
            hint="each field is a table of its own: fields = { { config = { … } } }",
        )
    else:
        yield from _config_findings(plugin, list(fields.values()), file)


def fields_of(schema: object) -> tuple[SchemaField, ...]:
    """Every setting below `config`, in order, records opened; nothing for a schema that is broken."""
    config = _config(schema)
    return tuple(_settings(config, "config")) if isinstance(config, dict) else ()


def _name_findings(plugin: str, name: object, file: str) -> Iterator[Finding]:
    if name is None or (not isinstance(name, str) and not isinstance(name, Opaque)):
        said = "field required for entity check" if name is None else "expected a string"
        yield finding(
            "schema-name",
            f"the schema of '{plugin}' has no 'name'"
            if name is None
            else f"'name' in the schema of '{plugin}' is no string",
            kong=f"schema violation (name: {said})",
            file=file,
            hint=f'add name = "{plugin}"',
        )
    elif isinstance(name, str) and name != plugin:
        yield finding(
            "name-schema",
            f"the schema's name is '{name}', the plugin's directory '{plugin}': Kong starts with it, but "
            "Konnect, decK and the operator take the schema's name",
            file=file,
            hint=f'write name = "{plugin}"',
        )


def _config_findings(plugin: str, entries: list[object], file: str) -> Iterator[Finding]:
    for number, entry in enumerate(entries, 1):
        problem = None
        if isinstance(entry, Opaque):
            continue
        if not isinstance(entry, dict):
            problem = "each entry in fields must be a sub-table"
        elif not entry:
            problem = "field entry table is empty"
        elif len(entry) != 1:
            problem = "length must be 1"
        if problem is not None:
            yield finding(
                "schema-fields",
                f"entry {number} of 'fields' in the schema of '{plugin}' is not a table with one field",
                kong=f"schema violation (fields.{number}: {problem})",
                file=file,
                hint="write each field as { name = { type = … } }",
            )
            return
    config = _entry(entries, "config")
    if isinstance(config, Opaque) or any(isinstance(entry, Opaque) for entry in entries):
        return
    if config is None:
        yield finding(
            "schema-config",
            f"the schema of '{plugin}' has no 'config'",
            kong="config: error in schema definition: abstract field was not specialized",
            file=file,
            hint='add { config = { type = "record", fields = {} } }: without it any configuration is refused',
        )
    elif not isinstance(config, dict) or config.get("type") != "record":
        yield finding(
            "schema-config",
            f"'config' in the schema of '{plugin}' is not a record",
            kong="error initializing schema for plugin: error in definition of "
            f"'{plugin}': config: cannot change type in a specialized field",
            file=file,
            hint='write config = { type = "record", fields = { … } }',
        )
    elif config.get("fields") is None:
        yield finding(
            "schema-config",
            f"'config' in the schema of '{plugin}' has no 'fields'",
            kong="field of type 'record' must declare 'fields'",
            file=file,
            hint="add fields = {}, and the settings in it",
        )
    elif not isinstance(config["fields"], Opaque) and not _is_array(config["fields"]):
        yield finding(
            "schema-config",
            f"'config.fields' in the schema of '{plugin}' is not a list",
            kong=f"schema violation (fields.{_position(entries)}.fields: expected an array)",
            file=file,
            hint='each field is a table of its own: fields = { { enabled = { type = "boolean" } } }',
        )


def _settings(record: dict[object, object], path: str) -> Iterator[SchemaField]:
    fields = record.get("fields")
    for entry in fields.values() if isinstance(fields, dict) else ():
        for name, definition in entry.items() if isinstance(entry, dict) else ():
            if not isinstance(definition, dict):
                continue
            here = f"{path}.{name}"
            kind = definition.get("type")
            yield SchemaField(
                here,
                kind if isinstance(kind, str) else "?",
                definition.get("required") is True,
                definition.get("default"),
            )
            if kind == "record":
                yield from _settings(definition, here)


def _config(schema: object) -> object:
    fields = schema.get("fields") if isinstance(schema, dict) else None
    return _entry(list(fields.values()), "config") if isinstance(fields, dict) else None


def _entry(entries: list[object], name: str) -> object:
    return next((entry[name] for entry in entries if isinstance(entry, dict) and name in entry), None)


def _position(entries: list[object]) -> int:
    return next(
        number for number, entry in enumerate(entries, 1) if isinstance(entry, dict) and "config" in entry
    )


def _is_array(value: object) -> bool:
    return isinstance(value, dict) and set(value) == set(range(1, len(value) + 1))


def _shown(kind: str) -> str:
    return "nothing" if kind == "boolean" else f"a {kind}"
