"""`pumice check`: what Kong or LuaRocks would refuse, before anything leaves the machine."""

from __future__ import annotations

from pumice.cli.arguments import Command, Option, Positional
from pumice.cli.findings import counted, finding_lines, table
from pumice.cli.options import JSON
from pumice.errors import EXIT_FAILURE, EXIT_OK, PumiceError
from pumice.kong.finding import finding
from pumice.operation.check import Report, check_path, parse_targets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session
    from pumice.kong.finding import Finding

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "check",
    "Check a rock or plugin before it ships.",
    description="Checks directories, rockspecs, rocks or tars: the rockspec, that every listed file exists, "
    "that every Lua file compiles, and of a Kong plugin the handler and schema, which are loaded in a "
    "process of their own. Every finding has a code; docs/checks/ has a page for each. The exit code is 1 "
    "when Kong or LuaRocks would refuse.",
    positionals=(Positional("path", "What to check; default: this directory.", "*"),),
    options=(
        JSON,
        Option(
            ("--format",),
            "How the findings are told: text, json, sarif (for code hosts) or junit (for CI).",
            "<format>",
            choices=("text", "json", "sarif", "junit"),
        ),
        Option(("--strict",), "Warnings count as errors."),
        Option(
            ("--for",),
            "What it has to work on, separated by commas or given several times: kong@3.4, kong@>=3.4, "
            "newest; oss, enterprise; rock, tar, image, helm, operator, konnect-hybrid, streaming. "
            "Default: [check] for in pumice.toml, else the newest open-source Kong.",
            "<target>",
            repeat=True,
        ),
    ),
    examples=(
        ("pumice check", "The plugin or rock here, for the newest open-source Kong."),
        ("pumice check --for kong@2.8,kong@>=3.4", "What breaks on which of these versions."),
        ("pumice check --for operator,streaming plugin.rock", "Whether these channels take it."),
    ),
)


def run(arguments: Arguments, session: Session) -> int:
    """Checks every argument."""
    form = "json" if arguments.flag("json") else arguments.text("format") or "text"
    strict = arguments.flag("strict")
    targets = parse_targets(arguments.texts("for")) if arguments.texts("for") else None
    reports = []
    failed = False
    paths = arguments.texts("path") or (".",)
    for path in paths:
        try:
            report = check_path(path, session.config, targets)
        except PumiceError as error:
            if form == "text" and len(paths) == 1:
                raise
            report = Report((_unreadable(path, error),), ())
        bad = not report.ok or (strict and any(item.severity == "warning" for item in report.findings))
        failed = failed or bad
        if form == "json":
            session.terminal.print(_json(path, report, ok=not bad))
        elif form == "text":
            _print(path, report, session)
        reports.append((path, report))
    if form == "sarif":
        session.terminal.print(_sarif(reports))
    elif form == "junit":
        from pumice.kong.junit import junit_xml

        told = [(path, report.findings) for path, report in reports]
        session.terminal.print(junit_xml(told, strict=strict))
    return EXIT_FAILURE if failed else EXIT_OK


def _print(path: str, report: Report, session: Session) -> None:
    for line in finding_lines(report.findings, report.lines):
        session.terminal.print(line)
    if report.plugins and not session.terminal.quiet:
        rows = [
            (plugin.name, plugin.version or "-", plugin.priority or "-", ", ".join(plugin.phases) or "-")
            for plugin in report.plugins
        ]
        session.terminal.print("\n".join(table(("plugin", "version", "priority", "phases"), rows)))
    if report.channels and not session.terminal.quiet:
        verdicts = [
            (each.plugin, each.channel, "yes" if each.ok else "no", each.name_from, each.restart)
            for each in report.channels
        ]
        head = ("plugin", "channel", "taken", "named by", "an update asks for")
        session.terminal.print("\n".join(table(head, verdicts)))
    errors = sum(item.severity == "error" for item in report.findings)
    warnings = sum(item.severity == "warning" for item in report.findings)
    counts = [counted(errors, "error"), counted(warnings, "warning")]
    if report.silenced:
        counts.append(f"{len(report.silenced)} silenced")
    session.terminal.message("info", f"{path}: {', '.join(counts)}")


def _json(path: str, report: Report, *, ok: bool) -> str:
    import json

    silenced = [{**item.finding.as_json(), "reason": item.reason} for item in report.silenced]
    findings = [item.as_json() for item in report.findings]
    told: dict[str, object] = {"file": path, "ok": ok, "findings": findings, "silenced": silenced}
    if report.channels:
        told["channels"] = [
            {
                "plugin": each.plugin,
                "channel": each.channel,
                "ok": each.ok,
                "name_from": each.name_from,
                "restart": each.restart,
            }
            for each in report.channels
        ]
    return json.dumps(told)


def _sarif(reports: Sequence[tuple[str, Report]]) -> str:
    import json
    import os

    from pumice import __version__
    from pumice.kong.sarif import sarif_log

    checked = [
        (os.path.dirname(path) if path.endswith(".rockspec") else path, report.findings, report.silenced)
        for path, report in reports
    ]
    return json.dumps(sarif_log(checked, version=__version__), indent=2)


def _unreadable(path: str, error: PumiceError) -> Finding:
    """What cannot be checked at all, told as a finding to those who read findings."""
    return finding("unreadable", error.message, file=path, hint=error.hint)
