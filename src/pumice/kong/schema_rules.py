"""What a gateway demands of the shape of a schema, and its fields (Kong contract 2.1, 2.8, 8.1)."""

from __future__ import annotations

import re

from pumice.base.value import Value
from pumice.kong.finding import Finding, finding
from pumice.kong.kong_version import NEWEST
from pumice.kong.loaded import Opaque
from pumice.kong.metaschema import judge
from pumice.kong.metaschema_doubts import doubts
from pumice.kong.schema_table import NULL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pumice.kong.kong_version import Gateway
    from pumice.kong.loaded import Loaded
    from pumice.kong.metaschema import Verdict
    from pumice.kong.metaschema_doubts import Doubt
    from pumice.kong.schema_functions import SchemaFunctions

__all__ = ["SchemaField", "fields_of", "forbids_a_scope", "schema_findings"]


_NOT_EVERYWHERE = (
    "description",
    "examples",
    "deprecation",
    "json_schema",
    "transient",
    "shorthands",
    "legacy",
)


class SchemaField(Value):
    """One setting of a plugin."""

    path: str
    """`config.timing.enabled`."""
    type: str
    required: bool
    default: object
    """As in `Loaded.value`; None when there is none."""


def schema_findings(
    plugin: str,
    loaded: Loaded,
    file: str,
    source: bytes = b"",
    gateway: Gateway = NEWEST,
    functions: SchemaFunctions | None = None,
) -> Iterator[Finding]:
    """What is wrong with a schema that was loaded without an error; `file` and its text say where."""
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
    verdict = judge(plugin, schema, gateway, functions)
    if verdict is not None:
        yield _refusal(plugin, verdict, file, source)
        return
    name = schema.get("name")
    if isinstance(name, str) and name != plugin:
        yield finding(
            "name-schema",
            f"the schema's name is '{name}', the plugin's directory '{plugin}': Kong starts with it, but "
            "Konnect, decK and the operator take the schema's name",
            file=file,
            hint=f'write name = "{plugin}"',
        )
    if isinstance(schema.get("fields"), dict):
        if _config(schema) is None and not any(
            isinstance(entry, Opaque) for entry in schema["fields"].values()
        ):
            yield finding(
                "schema-config",
                f"the schema of '{plugin}' has no 'config'",
                kong="config: error in schema definition: abstract field was not specialized",
                file=file,
                hint='add { config = { type = "record", fields = {} } }: else any configuration is refused',
            )
        for doubt in doubts(schema):
            yield _doubt_finding(doubt, file, source)


def _refusal(plugin: str, verdict: Verdict, file: str, source: bytes) -> Finding:
    """What Kong refuses, under the code of the part that is wrong, with the paths that Kong hides."""
    paths = [path for path, _ in verdict.problems]
    told = "; ".join(f"{path}: {said}" if path else said for path, said in verdict.problems[:5])
    if len(verdict.problems) > 5:
        told += f"; and {len(verdict.problems) - 5} more"
    line = _line_of(paths, source)
    if "name" in paths:
        return finding(
            "schema-name",
            f"the schema of '{plugin}' is refused: {told}",
            kong=verdict.words,
            file=file,
            line=line,
            hint=f'add name = "{plugin}"',
        )
    if any(path == "fields" or path.startswith("fields.") for path in paths):
        return finding(
            "schema-fields",
            f"the schema of '{plugin}' is refused: {told}",
            kong=verdict.words,
            file=file,
            line=line,
            hint="fields is a list, each field a table of its own: fields = { { config = { … } } }",
        )
    if "config" in paths or "config.fields" in paths:
        return finding(
            "schema-config",
            f"the schema of '{plugin}' is refused: {told}",
            kong=verdict.words,
            file=file,
            line=line,
            hint='write config = { type = "record", fields = { { … } } }',
        )
    return finding(
        "schema-field",
        f"the schema of '{plugin}' is refused: {told}",
        kong=verdict.words,
        file=file,
        line=line,
        hint=_field_hint(verdict),
    )


def _field_hint(verdict: Verdict) -> str:
    words = verdict.words
    if "cannot create a new field" in words:
        return "below 'config' stand your settings; beside it only the fields of Kong's plugin entity"
    if "translate_backwards" in words:
        return "Kong 3.9 does not know translate_backwards: use deprecation.replaced_with"
    if any(f'{name} = "unknown field"' in words for name in _NOT_EVERYWHERE):
        return "not every version of Kong knows the attribute: leave it out, or leave the version out"
    if "unknown field" in words:
        return "Kong knows no such attribute: see the list of field attributes in its documentation"
    return "mend the field's definition: no node starts with it"


def _doubt_finding(doubt: Doubt, file: str, source: bytes) -> Finding:
    message, line = f"{doubt.path}: {doubt.message}", _line_of([doubt.path], source)
    if doubt.code == "schema-duplicate":
        return finding("schema-duplicate", message, file=file, line=line, hint="take one of them away")
    if doubt.code == "schema-check":
        return finding("schema-check", message, file=file, line=line, hint="mend the check, or take it away")
    if doubt.code == "schema-never":
        return finding("schema-never", message, file=file, line=line, hint="change what the field asks for")
    return finding("schema-useless", message, file=file, line=line, hint="take it away")


def _line_of(paths: list[str], source: bytes) -> int | None:
    """The line of the first of these fields or attributes whose name is set only once in the file."""
    for path in paths:
        for name in reversed(path.split(".")):
            pattern = rb"(?<![\w.])" + re.escape(name.encode("utf-8", "surrogateescape")) + rb"\s*=[^=]"
            found = list(re.finditer(pattern, source))
            if len(found) == 1:
                return source.count(b"\n", 0, found[0].start()) + 1
    return None


def forbids_a_scope(schema: object) -> bool:
    """Whether a schema takes no consumer, route or service: Kong notes that on the handler."""
    fields = schema.get("fields") if isinstance(schema, dict) else None
    entries = list(fields.values()) if isinstance(fields, dict) else []
    scopes = (_entry(entries, name) for name in ("consumer", "route", "service"))
    return any(isinstance(scope, dict) and scope.get("eq") == NULL for scope in scopes)


def fields_of(schema: object) -> tuple[SchemaField, ...]:
    """Every setting below `config`, in order, records opened; nothing for a schema that is broken."""
    config = _config(schema)
    return tuple(_settings(config, "config")) if isinstance(config, dict) else ()


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


def _shown(kind: str) -> str:
    return "nothing" if kind == "boolean" else f"a {kind}"
