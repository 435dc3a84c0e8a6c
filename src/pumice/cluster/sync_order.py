"""What a sync takes away, and whether that can go with what it brings. Pure.

Removal goes to the data planes first, everything else to the control planes first (Kong contract 4.9): where
a cluster has both, a sync that does both is two rollouts, and what comes goes before what leaves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pumice.cluster.plan_batches import role_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pumice.cluster.planning import NodeInput

__all__ = ["goes_in_two", "plugins_gone"]


def plugins_gone(inputs: Iterable[NodeInput]) -> tuple[str, ...]:
    """The plugins that any node would have no longer, sorted."""
    return tuple(
        sorted(
            {
                name
                for each in inputs
                if each.content is not None
                for name in each.content.plugins_before
                if name not in each.content.plugins
            }
        )
    )


def goes_in_two(inputs: Sequence[NodeInput]) -> bool:
    """Whether no one order does for all that is to come and to go."""
    roles = {role_of(each.node, each.facts) for each in inputs}
    if not {"control_plane", "data_plane"} <= roles or not plugins_gone(inputs):
        return False
    return any(
        name not in each.content.plugins_before or each.content.plugins_before[name].digest != plugin.digest
        for each in inputs
        if each.content is not None
        for name, plugin in each.content.plugins.items()
    )
