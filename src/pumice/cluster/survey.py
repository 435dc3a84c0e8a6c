"""`look`: every node is reached and probed at once; what befalls one is kept with its name."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pumice.base.value import Value
from pumice.cluster.probe import probe
from pumice.errors import NotFoundError, PumiceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pumice.cluster.connection import Connection
    from pumice.cluster.engine import Engine
    from pumice.cluster.facts import NodeFacts
    from pumice.cluster.inventory import Cluster, Node

__all__ = ["Survey", "chosen", "look", "look_again"]


class Survey(Value):
    """What is known of the nodes that were asked."""

    nodes: tuple[Node, ...]
    """In the order of cluster.toml."""
    connections: Mapping[str, Connection]
    """Of the nodes that were reached, by name."""
    facts: Mapping[str, NodeFacts]
    missing: Mapping[str, PumiceError]
    """Why a node was not reached, or did not answer."""
    looked_at: float = 0.0
    """When, by this machine's clock: the nodes tell theirs in their facts."""

    @property
    def lock_node(self) -> str | None:
        """The node that keeps the cluster's lock: the first control plane that was reached, else node."""
        reached = [node.name for node in self.nodes if node.name in self.facts]
        planes = [name for name in reached if self.facts[name].role == "control_plane"]
        return next(iter((*planes, *reached)), None)


def chosen(cluster: Cluster, only: Iterable[str]) -> tuple[Node, ...]:
    """The nodes named by `only`, or all. Raises NotFoundError for a name that is not in cluster.toml."""
    names = [name for each in only for name in each.split(",") if name]
    known = [node.name for node in cluster.nodes]
    for name in names:
        if name not in known:
            raise NotFoundError(
                f"{cluster.path} has no node {name!r}", hint=f"Its nodes are {', '.join(known)}."
            )
    return tuple(node for node in cluster.nodes if not names or node.name in names)


def look(engine: Engine, nodes: Iterable[Node]) -> Survey:
    """Connects to the nodes and probes them."""
    nodes = tuple(nodes)
    connections: dict[str, Connection] = {}
    missing: dict[str, PumiceError] = {}
    for name, found in engine.connect(nodes).items():
        if isinstance(found, PumiceError):
            missing[name] = found
        else:
            connections[name] = found
    survey = Survey(nodes, connections, {}, missing, time.time())
    return look_again(engine, survey, connections)


def look_again(engine: Engine, survey: Survey, names: Iterable[str]) -> Survey:
    """The same survey with fresh facts of some nodes."""
    asked = {name: survey.connections[name] for name in names}
    facts, missing = dict(survey.facts), dict(survey.missing)
    for name, found in engine.map(probe, asked).items():
        if isinstance(found, PumiceError):
            missing[name] = found
            facts.pop(name, None)
        else:
            facts[name] = found
    return survey.replace(facts=facts, missing=missing)
