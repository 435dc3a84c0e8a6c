"""`pumice ship`: check → build → pack → install on nodes → verify that each node loads it."""

from __future__ import annotations

from pumice.cli.arguments import Command, Option, Positional
from pumice.cli.cluster_command import ROLLOUT
from pumice.cli.findings import finding_lines, table
from pumice.cli.options import JSON
from pumice.errors import EXIT_OK, CheckError, TreeError
from pumice.operation.ship import ship

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session
    from pumice.operation.ship import Shipped

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "ship",
    "Check, build, pack, install on nodes, and verify that each node loads it.",
    description="Ships a Kong plugin: checks it, builds and packs its rock, installs it on the node, and "
    "loads handler, schema and every other module from the node's tree by name, as a gateway would. The node "
    "is an embedded one: a tree of generations under .pumice/node, and LuaJIT. A node that does not load the "
    "plugin is taken back to what it had.",
    positionals=(Positional("path", "A directory, a rockspec or a rock; default: this directory.", "?"),),
    options=(
        Option(("--no-check",), "Leave the check out (never the proof)."),
        Option(
            ("--to",),
            "Not to the embedded node, but to those of this cluster.toml, or to this kubectl context.",
            "<target>",
        ),
        *ROLLOUT,
        JSON,
    ),
    examples=(
        ("pumice ship .", "To the embedded node: does it load?"),
        (
            "pumice ship . --to cluster.toml",
            "Check, build, pack, then on every node: canary, batches, proof.",
        ),
        ("pumice ship . --to cluster.toml --entity stamp.json", "And its entity, once every node has it."),
    ),
)


def run(arguments: Arguments, session: Session) -> int:
    """Ships, and prints the proof."""
    if arguments.text("to") is not None:
        from pumice.cli.cluster_rollouts import ship_to_nodes

        return ship_to_nodes(arguments, session)
    path = arguments.text("path") or "."
    shipped = ship(path, session.config, session.terminal, check=not arguments.flag("no_check"))
    terminal = session.terminal
    if shipped.report is not None:
        for line in finding_lines(shipped.report.findings):
            terminal.print(line)
        if not shipped.report.ok:
            raise CheckError(
                "The check found errors; nothing was shipped.", hint="Mend them, and ship again."
            )
    if shipped.packed is not None:
        terminal.message("info", f"Packed: {shipped.packed}")
    if shipped.plugins:
        terminal.print(
            "\n".join(table(("plugin", "version", "priority", "phases", "files", "digest"), _rows(shipped)))
        )
    failed = [plugin for plugin in shipped.plugins if not plugin.ok]
    if failed:
        raise TreeError(
            f"The node does not load {failed[0].name}: {failed[0].error}. The node is back on what it had.",
            hint=failed[0].hint,
        )
    terminal.message("info", f"The node in {shipped.node} loads it.")
    return EXIT_OK


def _rows(shipped: Shipped) -> list[tuple[str, ...]]:
    return [
        (
            plugin.name,
            plugin.version or "-",
            plugin.priority or "-",
            ",".join(plugin.phases) or "-",
            str(len(plugin.files)),
            f"sha256:{plugin.digest[:16]}" if plugin.ok else "not loaded",
        )
        for plugin in shipped.plugins
    ]
