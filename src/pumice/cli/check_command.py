"""`pumice check`: what Kong or LuaRocks would refuse, before anything leaves the machine."""

from __future__ import annotations

from pumice.cli.arguments import Command, Option, Positional
from pumice.cli.findings import counted, finding_lines, table
from pumice.cli.options import JSON
from pumice.errors import EXIT_FAILURE, EXIT_OK, PumiceError
from pumice.operation.check import check_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session
    from pumice.operation.check import Report

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "check",
    "Check a rock or plugin before it ships.",
    description="Checks directories, rockspecs, rocks or tars: the rockspec, that every listed file exists, "
    "that every Lua file compiles, and of a Kong plugin the handler and schema, which are loaded in a "
    "process of their own. Every finding has a code; docs/checks/ has a page for each. The exit code is 1 "
    "when Kong or LuaRocks would refuse.",
    positionals=(Positional("path", "What to check; default: this directory.", "*"),),
    options=(JSON, Option(("--strict",), "Warnings count as errors.")),
)


def run(arguments: Arguments, session: Session) -> int:
    """Checks every argument."""
    failed = False
    for path in arguments.texts("path") or (".",):
        try:
            report = check_path(path, session.config)
        except PumiceError as error:
            if not arguments.flag("json"):
                raise
            session.terminal.print(_error_json(path, error))
            failed = True
            continue
        strict = arguments.flag("strict")
        bad = not report.ok or (strict and any(item.severity == "warning" for item in report.findings))
        failed = failed or bad
        if arguments.flag("json"):
            session.terminal.print(_json(path, report, ok=not bad))
        else:
            _print(path, report, session)
    return EXIT_FAILURE if failed else EXIT_OK


def _print(path: str, report: Report, session: Session) -> None:
    for line in finding_lines(report.findings):
        session.terminal.print(line)
    if report.plugins and not session.terminal.quiet:
        rows = [
            (plugin.name, plugin.version or "-", plugin.priority or "-", ", ".join(plugin.phases) or "-")
            for plugin in report.plugins
        ]
        session.terminal.print("\n".join(table(("plugin", "version", "priority", "phases"), rows)))
    errors = sum(item.severity == "error" for item in report.findings)
    warnings = sum(item.severity == "warning" for item in report.findings)
    session.terminal.message("info", f"{path}: {counted(errors, 'error')}, {counted(warnings, 'warning')}")


def _json(path: str, report: Report, *, ok: bool) -> str:
    import json

    return json.dumps({"file": path, "ok": ok, "findings": [item.as_json() for item in report.findings]})


def _error_json(path: str, error: PumiceError) -> str:
    import json

    found = {"code": "unreadable", "severity": "error", "message": error.message, "kong": "", "file": path}
    return json.dumps({"file": path, "ok": False, "findings": [{**found, "line": None, "hint": error.hint}]})
