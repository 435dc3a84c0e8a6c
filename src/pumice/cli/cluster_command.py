"""`pumice cluster`: plugins on every node of a cluster (docs/cluster.md)."""

from __future__ import annotations

from pumice.cli.arguments import Command, Option, Positional
from pumice.cli.options import JSON
from pumice.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["COMMAND", "ROLLOUT", "run"]

_ACTIONS = (
    "init", "status", "install", "sync", "apply", "verify", "rollback", "remove", "history",
)  # fmt: skip

ROLLOUT = (
    Option(
        ("--plan",),
        "Say what would be done, and stop there; with a file (--plan=FILE, or a name that ends in .json) "
        "also write it, for `cluster apply`.",
        "[<file>]",
        optional=".json",
    ),
    Option(("--canary",), "Nodes that go first, alone (cluster.toml; 1).", "<number>"),
    Option(("--batch",), "Nodes that go at once: a number or a share (cluster.toml; 25%).", "<size>"),
    Option(("--max-failures",), "Nodes that may fail before all stops (cluster.toml; 0).", "<number>"),
    Option(("--only",), "Only these nodes; a list with commas, or given again.", "<node>", repeat=True),
    Option(("--pause",), "Seconds between batches.", "<seconds>"),
    Option(("--timeout",), "Seconds that a node has to prove the new version.", "<seconds>"),
    Option(("--force-lock",), "Take the cluster's lock, whoever holds it."),
    Option(("--window",), "Data planes may be without new configuration until the rollout is over."),
    Option(("--entity",), "A file with the plugin's entity, applied once all nodes have proved it.", "<file>",
           repeat=True),
    Option(("--image",), "Kubernetes with the operator: where the plugin's image is.", "<image>"),
    Option(("--pull-secret",), "Kubernetes with the operator: the Secret of its registry.", "<secret>"),
)  # fmt: skip

COMMAND = Command(
    "cluster",
    "Bring plugins to every node of a cluster, and prove that each has loaded them.",
    description="Works on the nodes of cluster.toml (--to names another file). There, a shell, tar and "
    "coreutils are enough. Control planes go before data planes, a canary before the rest; a node that does "
    "not prove the new version is taken back at once. See docs/cluster.md.",
    positionals=(
        Positional("action", ", ".join(_ACTIONS)),
        Positional("words", "Rocks, a plan, nodes or a plugin, as the action asks.", "*"),
    ),
    options=(
        Option(("--to",), "The cluster's file, or a kubectl context; default: cluster.toml.", "<target>"),
        *ROLLOUT,
        Option(("--force",), "remove, sync: delete the entities of plugins that go. init: replace the file."),
        Option(
            ("--from-ansible",), "init: an Ansible inventory; words name its groups or hosts.", "<inventory>"
        ),
        Option(
            ("--from-ssh-config",), "init: an ssh configuration; words are patterns of its hosts.", "<file>"
        ),
        Option(("--set",), "init: KEY=VALUE for every node, such as sudo=true.", "<setting>", repeat=True),
        Option(("--node",), "init: NAME=ADDRESS; may be given again.", "<node>", repeat=True),
        Option(("--name",), "init: the cluster's name.", "<name>"),
        JSON,
    ),
    examples=(
        ("pumice cluster init", "Write cluster.toml."),
        ("pumice cluster status", "What every node has, and where they differ."),
        ("pumice cluster install my-plugin-1.0-1.all.rock --plan", "What would happen, in which order."),
        ("pumice cluster install my-plugin-1.0-1.all.rock", "On every node: canary, batches, proof."),
        ("pumice cluster rollback dp-3", "That node on the generation of before."),
        ("pumice cluster remove my-plugin", "Entities are looked for first; then `plugins`, then the files."),
    ),
)


def run(arguments: Arguments, session: Session) -> int:
    """One action on a cluster; its exit code. Raises PumiceError."""
    action, words = arguments.required("action"), arguments.texts("words")
    if action == "init":
        from pumice.cli import cluster_init

        return cluster_init.run(arguments, session)
    if action in ("status", "verify", "history"):
        from pumice.cli import cluster_looking

        if words:
            raise UsageError(
                "too many arguments", hint=f"`pumice cluster {action} --only NODE` looks at one."
            )
        return int(getattr(cluster_looking, action)(arguments, session))
    if action not in _ACTIONS:
        raise UsageError(f"unknown action '{action}'", hint=f"cluster takes {', '.join(_ACTIONS)}.")
    from pumice.cli import cluster_rollouts

    if action == "sync":
        return cluster_rollouts.sync(arguments, session)
    actions = {
        "install": cluster_rollouts.install,
        "apply": cluster_rollouts.apply,
        "rollback": cluster_rollouts.rollback,
        "remove": cluster_rollouts.remove,
    }
    return actions[action](words, arguments, session)
