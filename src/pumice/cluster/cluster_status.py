"""What is on every node, what its gateway has loaded, and where that differs from what it should be.

`status` asks each node once and its Admin API once; `verify` also has every file compared with its digest.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from pumice.base.value import Value
from pumice.cluster.drift import drift, read_records
from pumice.cluster.earlier import plugins_in, rocks_in
from pumice.cluster.enabling import enabled_plugins
from pumice.cluster.gate_rules import ABSENT, loaded_plugins
from pumice.cluster.loaded_plugins import PROBE, PROBE_PATH, read_loaded
from pumice.cluster.node_asks import Gateways
from pumice.errors import PumiceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pumice.cluster.connection import Connection
    from pumice.cluster.engine import Engine
    from pumice.cluster.facts import NodeFacts
    from pumice.cluster.inventory import Cluster, Node
    from pumice.cluster.survey import Survey

__all__ = ["NodeStatus", "PluginStatus", "node_statuses"]


class PluginStatus(Value):
    """A plugin on a node."""

    name: str
    on_disk: str
    """The version that was proved when it came; of its rock where nothing is recorded; empty: not known."""
    enabled: bool
    loaded: str | None
    """The version that the gateway answers with; None: not loaded, or it tells no plugins (`told`)."""
    told: bool


class NodeStatus(Value):
    """A node as it is."""

    node: str
    address: str
    role: str = ""
    kong: str = ""
    generation: int = 0
    running: bool = False
    plugins: tuple[PluginStatus, ...] = ()
    sync: str = ""
    """Of a data plane: what its control plane says of it."""
    drift: tuple[str, ...] = ()
    """What is not as it should be, in words."""
    error: str = ""
    """Why it could not be looked at."""

    @property
    def well(self) -> bool:
        """Whether there is nothing to be mended."""
        return not self.error and not self.drift


class _Found(Value):
    plugins: tuple[PluginStatus, ...]
    drift: tuple[str, ...]


def node_statuses(
    cluster: Cluster, engine: Engine, survey: Survey, token: str | None, *, files: bool = False
) -> tuple[NodeStatus, ...]:
    """The state of every node, in the order of cluster.toml. `files`: each is compared with its digest."""
    gateways = Gateways(survey, token)
    connections = {name: survey.connections[name] for name in survey.facts}

    def one(connection: Connection) -> _Found:
        facts = survey.facts[connection.node.name]
        return _found(connection, facts, gateways, files=files)

    answers = engine.map(one, connections)
    planes = _data_planes(gateways)
    statuses = []
    for node in survey.nodes:
        name, address = node.name, str(node.address)
        answer, facts = answers.get(name), survey.facts.get(name)
        if facts is None:
            statuses.append(NodeStatus(name, address, node.role or "", error=survey.missing[name].message))
        elif answer is None or isinstance(answer, PumiceError):
            text = answer.message if answer is not None else "it was not asked"
            statuses.append(NodeStatus(name, address, facts.role or "", error=text))
        else:
            statuses.append(_status(node, facts, answer, planes))
    return _compared(cluster, tuple(statuses))


def _found(connection: Connection, facts: NodeFacts, gateways: Gateways, *, files: bool) -> _Found:
    node = connection.node
    paths = facts.record.files if facts.record is not None else {}
    names = plugins_in(paths)
    versions = {name: _rock_version(name, rocks_in(paths)) for name in names}
    if names:
        versions |= _proved(read_records(connection), facts.generation)
    enabled = enabled_plugins(node, facts)
    loaded, problems = _loaded(connection, facts, gateways)
    ours = dict.fromkeys((*names, *(name for name in enabled if name not in ("bundled", "off"))))
    plugins = tuple(
        PluginStatus(
            name,
            versions.get(name, ""),
            name in enabled,
            loaded.get(name) if loaded is not None else None,
            loaded is not None,
        )
        for name in ours
    )
    problems += list(facts.problems)
    if files and facts.record is not None:
        found = drift(connection, facts)
        problems += [f"changed: {path}" for path in found.changed]
        problems += [f"missing: {path}" for path in found.missing]
        problems += [f"not installed by Pumice: {path}" for path in found.extra]
    return _Found(plugins, tuple(problems))


def _rock_version(plugin: str, rocks: Mapping[str, str]) -> str:
    return rocks.get(f"kong-plugin-{plugin}", rocks.get(plugin, ""))


def _proved(records: Mapping[str, bytes], generation: int) -> dict[str, str]:
    for data in reversed(list(records.values())):
        try:
            record = json.loads(data)
            if record["generation"] == generation:
                return {str(name): str(version) for name, version in record["proof"] if version != ABSENT}
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return {}


def _loaded(
    connection: Connection, facts: NodeFacts, gateways: Gateways
) -> tuple[dict[str, str] | None, list[str]]:
    """Plugins and versions that the gateway answers with; None where it tells none."""
    if facts.master is None:
        return None, ["the gateway does not run"]
    if facts.role == "data_plane" and PROBE in enabled_plugins(connection.node, facts):
        return _told(connection, gateways), []
    if facts.role == "data_plane" or connection.node.admin is None:
        return None, []
    try:
        reply = gateways.asks(connection).admin("/")
    except PumiceError as error:
        return None, [error.message]
    if reply is None:
        return None, [f"nothing listens on the Admin API ({connection.node.admin})"]
    if reply.status != 200:
        return None, [f"the Admin API answers {reply.status}"]
    return loaded_plugins(reply.data), []


def _told(connection: Connection, gateways: Gateways) -> dict[str, str] | None:
    """What the probe plugin of a data plane tells."""
    try:
        reply = gateways.asks(connection).status(PROBE_PATH)
    except PumiceError:
        return None
    loaded = read_loaded(reply.data) if reply is not None else None
    return None if loaded is None else {name: each.version or "" for name, each in loaded.items()}


def _data_planes(gateways: Gateways) -> Sequence[Mapping[str, object]]:
    asks = gateways.first("control_plane")
    if asks is None:
        return ()
    try:
        return asks.data_planes()
    except PumiceError:
        return ()


def _status(
    node: Node, facts: NodeFacts, found: _Found, planes: Iterable[Mapping[str, object]]
) -> NodeStatus:
    problems = list(found.drift)
    for plugin in found.plugins:
        problems += _of_plugin(facts, plugin)
    sync = ""
    if facts.role == "data_plane":
        own = [plane for plane in planes if plane.get("id") == facts.node_id]
        sync = str(own[0].get("sync_status", "")) if own else ""
        if sync not in ("", "normal"):
            problems.append(f"its control plane says {sync}")
        current = f"/generations/{facts.generation}/"
        if facts.generation and current not in facts.settings.get("lua_package_path", current):
            problems.append(f"its gateway was not told of generation {facts.generation}")
    return NodeStatus(
        node.name,
        str(node.address),
        facts.role or "",
        facts.kong_version or "",
        facts.generation,
        facts.master is not None,
        found.plugins,
        sync,
        tuple(problems),
    )


def _of_plugin(facts: NodeFacts, plugin: PluginStatus) -> list[str]:
    problems = []
    there = plugin.name in plugins_in(facts.record.files) if facts.record is not None else False
    if there and not plugin.enabled:
        problems.append(f"{plugin.name} is on disk, but not in `plugins`")
    if plugin.told and plugin.enabled and plugin.loaded is None:
        problems.append(f"{plugin.name} is in `plugins`, but not loaded")
    proved = plugin.on_disk if "-" not in plugin.on_disk else ""
    if there and plugin.loaded and proved and plugin.loaded != proved:
        problems.append(f"{plugin.name} {proved} is on disk, {plugin.loaded} is loaded")
    return problems


def _compared(cluster: Cluster, statuses: tuple[NodeStatus, ...]) -> tuple[NodeStatus, ...]:
    """Nodes against each other, and against the [[plugin]] entries of cluster.toml."""
    versions: dict[str, Counter[str]] = {}
    for status in statuses:
        for plugin in status.plugins:
            versions.setdefault(plugin.name, Counter())[plugin.loaded or plugin.on_disk] += 1
    most = {name: counted.most_common(1)[0][0] for name, counted in versions.items()}
    wanted = [wish.name for wish in cluster.plugins if wish.name is not None]
    compared = []
    for status in statuses:
        problems = list(status.drift)
        here = {plugin.name: plugin.loaded or plugin.on_disk for plugin in status.plugins}
        if not status.error:
            for name, version in most.items():
                if name not in here:
                    problems.append(f"{name} is not there, and other nodes have it")
                elif version and here[name] and here[name] != version:
                    problems.append(f"{name} {here[name]}, where most nodes have {version}")
            for name in wanted:
                if not any(name in (plugin, f"kong-plugin-{plugin}") for plugin in here):
                    problems.append(f"{name} is in cluster.toml, but not there")
        compared.append(status.replace(drift=tuple(dict.fromkeys(problems))))
    return tuple(compared)
