"""`pumice schema`: a plugin's settings, a configuration held against them, and what a new schema asks for."""

from __future__ import annotations

from pumice.cli.arguments import Command, Option, Positional
from pumice.cli.findings import table
from pumice.cli.options import JSON
from pumice.errors import EXIT_FAILURE, EXIT_OK, UsageError
from pumice.operation.schema import diff_schemas, schemas_at, validate_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["COMMAND", "run"]

_TOLD = {
    "any-order": "safe in any order",
    "control-planes-first": "control planes first, then data planes",
    "one-window": "control planes and data planes in one window",
    "new-plugin-name": "a new plugin name: instances of today do not fit",
}

COMMAND = Command(
    "schema",
    "Show a plugin's settings, validate a configuration, compare two versions.",
    description="Shows fields, types, defaults and constraints of a Kong plugin's schema. With --validate "
    "it says what a gateway would answer; 'schema diff OLD NEW' tells how control "
    "planes and data planes can take a new version. The exit code is 1 when it is refused, or "
    "when the new version needs more than control planes first.",
    positionals=(
        Positional("path", "A directory, rockspec, rock or tar.gz; or: diff OLD NEW. Default: here.", "*"),
    ),
    options=(
        JSON,
        Option(("--json-schema",), "Print a JSON Schema for editors."),
        Option(("--validate",), "Say whether this JSON file would be accepted.", "<file>"),
    ),
    examples=(
        ("pumice schema . --validate config.json", "What a gateway would say of config.json."),
        ("pumice schema diff old.rock new.rock", "How a fleet can take the new version."),
    ),
)


def run(arguments: Arguments, session: Session) -> int:
    """Shows, validates or compares."""
    paths = arguments.texts("path") or (".",)
    if paths[0] == "diff" and len(paths) != 1:
        if len(paths) != 3:
            raise UsageError("'schema diff' takes two versions", hint="pumice schema diff OLD NEW")
        return _diff(paths[1], paths[2], arguments.flag("json"), session)
    if len(paths) != 1:
        raise UsageError("'schema' takes one path", hint="pumice schema DIR, or: pumice schema diff OLD NEW")
    configuration = arguments.text("validate")
    if configuration is not None:
        return _validate(paths[0], configuration, arguments.flag("json"), session)
    return _show(paths[0], arguments, session)


def _show(path: str, arguments: Arguments, session: Session) -> int:
    import json

    for schema in schemas_at(path, session.config):
        if arguments.flag("json_schema"):
            session.terminal.print(json.dumps(schema.json_schema(), indent=2))
        elif arguments.flag("json"):
            fields = [setting.as_json() for setting in schema.settings()]
            session.terminal.print(json.dumps({"plugin": schema.plugin, "fields": fields}))
        else:
            rows = [
                (
                    setting.path,
                    setting.type,
                    "yes" if setting.required else "no",
                    json.dumps(setting.default, ensure_ascii=False) if setting.default is not None else "-",
                    "; ".join(setting.constraints) or "-",
                )
                for setting in schema.settings()
            ]
            head = ("field", "type", "required", "default", "constraints")
            session.terminal.print("\n".join([f"{schema.plugin}:", *table(head, rows)]))
    return EXIT_OK


def _validate(path: str, configuration: str, as_json: bool, session: Session) -> int:
    answer = validate_file(path, configuration, session.config)
    if as_json:
        import json

        told = {"ok": answer.ok, "fields": answer.fields, "message": answer.message}
        session.terminal.print(json.dumps({**told, "not_run": list(answer.not_run)}))
    else:
        session.terminal.print(answer.message)
        for name in answer.not_run:
            session.terminal.message("info", f"not run here, a gateway would: {name}")
    return EXIT_OK if answer.ok else EXIT_FAILURE


def _diff(old: str, new: str, as_json: bool, session: Session) -> int:
    found = diff_schemas(old, new, session.config)
    for plugin, difference in found.items():
        if as_json:
            import json

            changes = [
                {"field": change.path, "order": change.order, "reason": change.reason}
                for change in difference.changes
            ]
            session.terminal.print(
                json.dumps({"plugin": plugin, "order": difference.order, "changes": changes})
            )
        else:
            session.terminal.print(f"{plugin}: {_TOLD[difference.order]}")
            for change in difference.changes:
                session.terminal.print(f"  {change.path} {change.reason} [{change.order}]")
    harmless = all(item.order in ("any-order", "control-planes-first") for item in found.values())
    return EXIT_OK if harmless else EXIT_FAILURE
