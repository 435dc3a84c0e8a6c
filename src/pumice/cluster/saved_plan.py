"""Whether a plan that was saved still says what would happen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pumice.cluster.planning import RolloutRefused, facts_digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pumice.cluster.plan import Plan
    from pumice.cluster.preparation import Prepared

__all__ = ["still_true"]


def still_true(saved: Plan, found: Mapping[str, Prepared], missing: Mapping[str, str]) -> Plan:
    """The saved plan, if every node and all content are what they were. Raises RolloutRefused."""
    if len(missing) > saved.max_failures:
        name, why = next(iter(missing.items()))
        raise RolloutRefused(f"Nothing was sent. {name}: {why}", hint="Mend it, or make a plan without it.")
    for part in saved.nodes:
        if part.node in missing:
            continue
        each = found[part.node].input
        if facts_digest(each.facts) != part.facts:
            raise RolloutRefused(
                f"Nothing was sent: {part.node} has changed since the plan was made.",
                hint="Make the plan anew.",
            )
        if each.digest != part.content:
            raise RolloutRefused(
                f"Nothing was sent: {part.node} would get other files than when the plan was made.",
                hint="A rock, or what it needs, has changed since. Make the plan anew.",
            )
    if not missing:
        return saved
    if saved.migrate is not None and saved.migrate[0] in missing:
        raise RolloutRefused(
            f"Nothing was sent: {saved.migrate[0]} cannot go, and it runs the migrations.",
            hint="Mend it, or make a plan without it.",
        )
    nodes = tuple(each for each in saved.nodes if each.node not in missing)
    batches = tuple(
        each.replace(nodes=tuple(name for name in each.nodes if name not in missing))
        for each in saved.batches
    )
    return saved.replace(
        nodes=nodes,
        batches=tuple(each for each in batches if each.nodes),
        missing=tuple(missing.items()),
        max_failures=saved.max_failures - len(missing),
    )
