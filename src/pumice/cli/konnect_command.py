"""`pumice konnect push`: a plugin's schema, or the streamed plugin, into a control plane of Konnect."""

from __future__ import annotations

from pumice.cli.arguments import Command, Option, Positional
from pumice.cli.options import JSON
from pumice.errors import EXIT_OK, UsageError
from pumice.operation.konnect import account, push

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session
    from pumice.operation.konnect import Pushed

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "konnect",
    "Bring a plugin to a control plane of Konnect.",
    description="'konnect push' sends a plugin's schema to a control plane of Konnect, or with --streamed "
    "the plugin itself, which Konnect then hands to the nodes. What is there already is looked at first: the "
    "same is left alone, something else is replaced, and the difference shown. The token comes from "
    "KONNECT_TOKEN (or decK's DECK_KONNECT_TOKEN), and is never printed. Written to the documented API; it "
    "has not been run against the real Konnect.",
    positionals=(
        Positional("action", "What to do: push."),
        Positional("path", "A directory, a rockspec or a rock; default: this directory.", "?"),
    ),
    options=(
        Option(("--control-plane",), "Its name or id; default: DECK_KONNECT_CONTROL_PLANE_NAME.", "<name>"),
        Option(("--region",), "us, eu, au, me, in or sg; default: us.", "<region>"),
        Option(
            ("--url",),
            "The API's URL instead; default: KONNECT_CONTROL_PLANE_URL, DECK_KONNECT_ADDR.",
            "<url>",
        ),
        Option(
            ("--streamed",), "Send handler and schema, for gateways that get plugins from the control plane."
        ),
        Option(("--single-file",), "Fold the plugin's modules and dependencies into its two files first."),
        Option(("--dry-run",), "Ask what is there, show what would change, and change nothing."),
        Option(("--no-check",), "Leave the check out."),
        JSON,
    ),
    examples=(
        (
            "pumice konnect push --control-plane edge --region eu --dry-run",
            "What would change on the control plane?",
        ),
        (
            "pumice konnect push . --control-plane edge --streamed",
            "The plugin itself, for Dedicated Cloud Gateways.",
        ),
    ),
)

_ORDERS = {
    "any-order": "safe in any order",
    "control-planes-first": "control planes first, then data planes",
    "one-window": "control planes and data planes in one window",
    "new-plugin-name": "a new plugin name: instances of today do not fit",
}


def run(arguments: Arguments, session: Session) -> int:
    """Pushes, and tells what became of each plugin."""
    action = arguments.text("action")
    if action != "push":
        raise UsageError(
            f"'konnect {action}' is no command", hint="pumice konnect push [PATH] --control-plane NAME"
        )
    where = account(
        session.config.environment,
        session.cwd,
        url=arguments.text("url"),
        region=arguments.text("region"),
        control_plane=arguments.text("control_plane"),
    )
    pushed = push(
        arguments.text("path") or ".",
        where,
        session.trees,
        session.config,
        session.terminal,
        streamed=arguments.flag("streamed"),
        single_file=arguments.flag("single_file"),
        check=not arguments.flag("no_check"),
        dry_run=arguments.flag("dry_run"),
    )
    if arguments.flag("json"):
        import json

        session.terminal.print(json.dumps([_as_json(one) for one in pushed]))
        return EXIT_OK
    for one in pushed:
        _print(one, session)
    return EXIT_OK


def _as_json(one: Pushed) -> dict[str, object]:
    return {
        "plugin": one.plugin,
        "kind": one.kind,
        "result": one.result,
        "difference": list(one.difference),
        "order": one.order.order if one.order is not None else None,
    }


def _print(one: Pushed, session: Session) -> None:
    what = "streamed plugin" if one.kind == "custom-plugins" else "schema"
    session.terminal.print(f"{one.plugin}: {what} {one.result}")
    for line in one.difference:
        session.terminal.print(f"    {line}")
    if one.order is not None and one.order.changes:
        session.terminal.print(f"    the new schema asks for: {_ORDERS[one.order.order]}")
    if one.result == "updated" and one.kind == "plugin-schemas":
        session.terminal.message(
            "info",
            "Data planes hear of a changed schema when an entity changes: update the plugin's instances.",
        )
