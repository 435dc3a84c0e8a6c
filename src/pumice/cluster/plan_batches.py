"""The order of nodes in a plan: waves by role, in each a canary and batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pumice.cluster.compatibility import CONTROL_FIRST
from pumice.cluster.plan import Batch
from pumice.rock.version import parse_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.cluster.facts import NodeFacts
    from pumice.cluster.inventory import Cluster, Node
    from pumice.cluster.plan import Change
    from pumice.cluster.planning import NodeInput

__all__ = ["ROLE_NAMES", "batches_of", "goes_down", "migrations_of", "role_of"]

ROLE_NAMES = {
    "control_plane": "control plane",
    "data_plane": "data plane",
    "traditional": "traditional node",
    "dbless": "DB-less node",
}


def role_of(node: Node, facts: NodeFacts) -> str:
    """The role of a node: cluster.toml's word, else the node's own configuration, else `traditional`."""
    return node.role or facts.role or "traditional"


def goes_down(change: Change) -> bool:
    """Whether a rock's version becomes lower, or the rock goes."""
    if not change.before or not change.after:
        return not change.after
    return parse_version(change.after) < parse_version(change.before)


def batches_of(going: Sequence[NodeInput], cluster: Cluster, order: str) -> tuple[Batch, ...]:
    """Canary and batches of each wave: control planes and all that proxies, in the order asked for."""
    control = [each for each in going if role_of(each.node, each.facts) == "control_plane"]
    others = [each for each in going if role_of(each.node, each.facts) != "control_plane"]
    waves = [control, others] if order == CONTROL_FIRST else [others, control]
    batches: list[Batch] = []
    for wave in waves:
        if not wave:
            continue
        roles = dict.fromkeys(f"{ROLE_NAMES[role_of(each.node, each.facts)]}s" for each in wave)
        name, names = " and ".join(roles), [each.node.name for each in wave]
        # A canary that is the whole wave is one all the same.
        first, rest = names[: cluster.canary], names[cluster.canary :]
        if first:
            batches.append(Batch(f"{name}, canary", tuple(first), True, cluster.pause if batches else 0.0))
        size = cluster.batch_size(len(names))
        for begin in range(0, len(rest), size):
            count = f", batch {begin // size + 1}" if len(rest) > size else ""
            pause = cluster.pause if batches else 0.0
            batches.append(Batch(f"{name}{count}", tuple(rest[begin : begin + size]), False, pause))
    return tuple(batches)


def migrations_of(going: Sequence[NodeInput], batches: Sequence[Batch]) -> tuple[str, tuple[str, ...]] | None:
    """The node that runs migrations: the first that goes and has the database."""
    by_name = {each.node.name: each for each in going}
    for batch in batches:
        for name in batch.nodes:
            each = by_name[name]
            if role_of(each.node, each.facts) not in ("control_plane", "traditional") or each.content is None:
                continue
            before = each.content.plugins_before
            having = tuple(
                plugin.name
                for plugin in each.content.plugins.values()
                if plugin.migrations
                and (plugin.name not in before or before[plugin.name].digest != plugin.digest)
            )
            if having:
                return name, having
    return None
