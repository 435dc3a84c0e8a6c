"""`pumice cluster init`: writes cluster.toml from flags, another inventory, or answers on a terminal."""

from __future__ import annotations

import os

from pumice.cluster.address import parse_address
from pumice.cluster.inventory import ROLES
from pumice.cluster.inventory_writer import cluster_text, write_cluster
from pumice.cluster.node_draft import NodeDraft, node_name
from pumice.errors import EXIT_OK, ConfigError, PumiceError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["run"]


def run(arguments: Arguments, session: Session) -> int:
    """Writes the file, and says how to go on. Raises UsageError, ConfigError, NotFoundError, DataError."""
    path = os.path.join(session.cwd, arguments.text("to") or "cluster.toml")
    if os.path.lexists(path) and not arguments.flag("force"):
        raise ConfigError(f"{path} is there already.", hint="--force replaces it; --to names another file.")
    name = arguments.text("name")
    nodes = _given(arguments) + _imported(arguments, session)
    if not nodes:
        if not _terminal():
            raise UsageError(
                "no node is named",
                hint="Give --node NAME=ADDRESS, --from-ansible INVENTORY or --from-ssh-config FILE.",
            )
        name = name or _ask("Name of the cluster", _folder(path))
        nodes = _asked()
    text = cluster_text(name or _folder(path), nodes, _settings(arguments.texts("set")))
    cluster = write_cluster(path, text, replace=arguments.flag("force"))
    count = len(cluster.nodes)
    session.terminal.print(f"Wrote {path}: {count} node{'' if count == 1 else 's'}")
    to = "" if os.path.basename(path) == "cluster.toml" else f" --to {arguments.text('to')}"
    session.terminal.message("info", f"Next: `pumice cluster status{to}` asks every one of them.")
    return EXIT_OK


def _folder(path: str) -> str:
    """A name for the cluster, of the directory that its file lies in."""
    return node_name(os.path.basename(os.path.dirname(path)), set())


def _given(arguments: Arguments) -> list[NodeDraft]:
    nodes: list[NodeDraft] = []
    for given in arguments.texts("node"):
        name, equals, address = given.partition("=")
        if not equals:
            parsed = parse_address(given)
            name, address = node_name(parsed.host or "local", {node.name for node in nodes}), given
        nodes.append(NodeDraft(name, address))
    return nodes


def _imported(arguments: Arguments, session: Session) -> list[NodeDraft]:
    inventory, config = arguments.text("from_ansible"), arguments.text("from_ssh_config")
    patterns = arguments.texts("words")
    search_path, home = session.environment.get("PATH", ""), session.environment.get("HOME", "/")
    nodes: list[NodeDraft] = []
    if inventory is not None:
        from pumice.cluster.ansible_inventory import ansible_nodes

        found = ansible_nodes(os.path.join(session.cwd, inventory), patterns, search_path)
        for note in found.notes:
            session.terminal.message("warning", note)
        nodes += found.nodes
    if config is not None:
        from pumice.cluster.ssh_config_hosts import ssh_config_nodes

        path = os.path.join(session.cwd, config)
        nodes += ssh_config_nodes(path, patterns, home=home, search_path=search_path)
    if patterns and inventory is None and config is None:
        raise UsageError("too many arguments", hint="Nodes are named by --node NAME=ADDRESS.")
    if (inventory or config) and not nodes:
        raise ConfigError(
            "No node was found that Pumice could reach.", hint="What was left out stands above."
        )
    return nodes


def _settings(given: Sequence[str]) -> dict[str, str | bool]:
    """KEY=VALUE for all nodes, as in [defaults]."""
    settings: dict[str, str | bool] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set takes KEY=VALUE, not '{text}'")
        settings[key] = value == "true" if value in {"true", "false"} else value
    return settings


def _terminal() -> bool:
    import sys

    return sys.stdin.isatty() and sys.stdout.isatty()


def _asked() -> list[NodeDraft]:
    """Nodes from answers; what is no address or role is told, and asked again."""
    nodes: list[NodeDraft] = []
    taken: set[str] = set()
    while True:
        address = _ask(
            "Address of a node (ssh://user@host:22, docker://name, kubectl://namespace/pod, local:; "
            "empty: no more)",
            "",
        )
        if not address:
            if nodes:
                return nodes
            raise UsageError("no node is named")
        try:
            parsed = parse_address(address if ":" in address else f"ssh://{address}")
        except PumiceError as error:
            print(f"{error.message}\n{error.hint}")
            continue
        name = _ask("Its name", node_name(parsed.host or "local", set(taken)))
        role = _ask(f"Its role ({', '.join(ROLES)}; empty: ask the node)", "")
        while role and role not in ROLES:
            role = _ask(f"One of {', '.join(ROLES)}, or nothing", "")
        nodes.append(NodeDraft(node_name(name, taken), str(parsed), (("role", role),) if role else ()))


def _ask(question: str, default: str) -> str:
    shown = f" [{default}]" if default else ""
    try:
        return input(f"{question}{shown}: ").strip() or default
    except EOFError:
        return default
