"""The commands that look at a cluster: status, verify, history."""

from __future__ import annotations

from pumice.cli.cluster_rollouts import cluster_of
from pumice.cli.findings import table
from pumice.errors import EXIT_FAILURE, EXIT_OK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session
    from pumice.cluster.cluster_status import NodeStatus, PluginStatus

__all__ = ["history", "status", "verify"]


def status(arguments: Arguments, session: Session) -> int:
    """`cluster status`: what every node is and has; never fails for what it sees."""
    _statuses(arguments, session, files=False)
    return EXIT_OK


def verify(arguments: Arguments, session: Session) -> int:
    """`cluster verify`: status, every file against its digest; exit 1 unless all is well."""
    statuses = _statuses(arguments, session, files=True)
    return EXIT_OK if all(each.well for each in statuses) else EXIT_FAILURE


def history(arguments: Arguments, session: Session) -> int:
    """`cluster history`: every rollout that nodes or this machine have a record of, the newest last."""
    import json

    from pumice.cluster.drift import read_records
    from pumice.cluster.engine import Engine
    from pumice.cluster.rollout_record import folder_of, merge_records, read_records_here
    from pumice.cluster.survey import chosen
    from pumice.errors import PumiceError

    cluster = cluster_of(arguments, session)
    nodes = chosen(cluster, arguments.texts("only"))
    with Engine(session.environment) as engine:
        reached = engine.connect(nodes)
        connections = {name: each for name, each in reached.items() if not isinstance(each, PumiceError)}
        answers = engine.map(read_records, connections)
    for name, each in (*reached.items(), *answers.items()):
        if isinstance(each, PumiceError):
            session.terminal.message("warning", f"{name}: {each.message}")
    kept = {name: each for name, each in answers.items() if not isinstance(each, PumiceError)}
    rollouts = merge_records(read_records_here(folder_of(cluster.path)), kept)
    if arguments.flag("json"):
        for rollout in rollouts:
            session.terminal.print(json.dumps(rollout))
        return EXIT_OK
    rows = [tuple(_cell(each) for each in _row(rollout)) for rollout in rollouts]
    if rows:
        head = ("when", "rollout", "action", "what", "by", "result", "nodes")
        session.terminal.print("\n".join(table(head, rows)))
    else:
        session.terminal.message("info", "No rollout is recorded, on the nodes or here.")
    return EXIT_OK


def _row(rollout: dict[str, object]) -> tuple[object, ...]:
    nodes, kept, artifacts = rollout.get("nodes"), rollout.get("kept_on"), rollout.get("artifacts")
    if isinstance(artifacts, list):
        pairs = [(each.get("name"), each.get("version")) for each in artifacts if isinstance(each, dict)]
        what = ", ".join(f"{name} {version}".strip() for name, version in pairs)
    else:
        changes = rollout.get("changes")
        listed = changes if isinstance(changes, list) else []
        what = ", ".join(
            f"{each[0]} {each[2]}" for each in listed if isinstance(each, list) and len(each) == 3
        )
    done = [each for each in nodes if isinstance(each, dict)] if isinstance(nodes, list) else []
    proved = sum(each.get("state") == "done" for each in done)
    count = f"{proved} of {len(done)}" if done else str(len(kept) if isinstance(kept, list) else 0)
    return (
        rollout.get("made", ""),
        rollout["id"],
        rollout.get("action", ""),
        what,
        rollout.get("by", ""),
        rollout.get("result", ""),
        count,
    )


def _cell(value: object) -> str:
    """Records come from nodes: nothing in them may steer a terminal, or be endless."""
    text = "".join(each if each.isprintable() else "?" for each in str(value))
    return text if len(text) <= 60 else f"{text[:59]}~"


def _statuses(arguments: Arguments, session: Session, *, files: bool) -> Sequence[NodeStatus]:
    from pumice.cluster.cluster_status import node_statuses
    from pumice.cluster.engine import Engine
    from pumice.cluster.survey import chosen, look

    cluster = cluster_of(arguments, session)
    with Engine(session.environment) as engine:
        survey = look(engine, chosen(cluster, arguments.texts("only")))
        token = session.environment.get("KONG_ADMIN_TOKEN")
        statuses = node_statuses(cluster, engine, survey, token, files=files)
    if arguments.flag("json"):
        import json

        session.terminal.print(
            json.dumps({"cluster": cluster.name, "nodes": [_facts(each) for each in statuses]}, indent=2)
        )
        return statuses
    head = ("node", "role", "kong", "generation", "plugins", "state")
    rows = [tuple(_cell(cell) for cell in _status_row(each)) for each in statuses]
    session.terminal.print("\n".join(table(head, rows)))
    for each in statuses:
        if each.error:
            session.terminal.print(f"{each.node}: {_line(each.error)}")
        for problem in each.drift[:20]:
            session.terminal.print(f"{each.node}: {_line(problem)}")
        if len(each.drift) > 20:
            session.terminal.print(f"{each.node}: and {len(each.drift) - 20} more")
    return statuses


def _status_row(status: NodeStatus) -> tuple[str, ...]:
    plugins = ", ".join(_plugin(each) for each in status.plugins) or "-"
    if status.error:
        state = "UNREACHED"
    elif status.drift:
        state = f"DRIFT ({len(status.drift)})"
    else:
        state = status.sync or "ok"
    return (
        status.node,
        status.role.replace("_", " ") or "-",
        status.kong or "-",
        str(status.generation or "-"),
        plugins,
        state,
    )


def _plugin(plugin: PluginStatus) -> str:
    version = plugin.loaded or plugin.on_disk
    if not plugin.enabled:
        return f"{plugin.name} {version} (not enabled)"
    if plugin.told and plugin.loaded is None:
        return f"{plugin.name} {version} (not loaded)"
    return f"{plugin.name} {version}".strip()


def _line(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text)[:400]


def _facts(status: NodeStatus) -> dict[str, object]:
    return {
        "node": status.node,
        "address": status.address,
        "reachable": not status.error,
        "error": status.error,
        "role": status.role,
        "kong": status.kong,
        "generation": status.generation,
        "running": status.running,
        "sync_status": status.sync,
        "plugins": [
            {
                "name": plugin.name,
                "on_disk": plugin.on_disk,
                "enabled": plugin.enabled,
                "loaded": plugin.loaded,
                "told": plugin.told,
            }
            for plugin in status.plugins
        ],
        "drift": list(status.drift),
    }
