"""A `Plan` in words: what a reviewer reads before it happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pumice.cluster.plan import NodePlan, Plan

__all__ = ["plan_lines"]

_VERBS = {"install": "install", "sync": "bring to the state of cluster.toml", "rollback": "go back to what "
          "was there before", "remove": "remove"}  # fmt: skip


def plan_lines(plan: Plan) -> list[str]:
    """The plan as lines of text: order, what happens on each kind of node, what undoes it, when it stops."""
    lines = [f"Plan {plan.id} for the cluster {plan.cluster}, made {plan.made} by {plan.by}:"]
    lines.append(f"  {_sentence(plan)}")
    for artifact in plan.artifacts:
        digest = f"  sha256:{artifact.sha256[:16]}" if artifact.sha256 else ""
        origin = f"  from {artifact.origin}" if artifact.origin else ""
        lines.append(f"  {f'{artifact.name} {artifact.version}'.strip()}{digest}{origin}")
    lines += [f"Warning: {warning}" for warning in plan.warnings]
    lines += [f"Not reached, left as it is: {node}: {why}" for node, why in plan.missing]
    if plan.unchanged:
        lines.append(f"Nothing to do on {_listed(plan.unchanged)}.")
    if plan.empty:
        lines.append("There is nothing to do.")
        return lines
    lines += ["", "Order:", *_order(plan), ""]
    for members in _alike(plan.nodes):
        lines += _happening(members)
    if plan.nodes:
        lines += ["", *_limits(plan)]
    return lines


def _sentence(plan: Plan) -> str:
    what = ", ".join(f"{each.name} {each.version}".strip() for each in plan.artifacts)
    number = f"{len(plan.nodes)} node{'' if len(plan.nodes) == 1 else 's'}"
    verb = _VERBS[plan.action]
    return f"{verb} {what} on {number}" if plan.action in ("install", "remove") else f"{verb} on {number}"


def _order(plan: Plan) -> list[str]:
    rows: list[tuple[str, str]] = []
    rows += [
        (f"entities of {entity.plugin}", "are deleted through the Admin API")
        for entity in plan.entities
        if entity.action == "delete"
    ]
    if plan.migrate is not None:
        node, plugins = plan.migrate
        rows.append(("migrations", f"of {_listed(plugins)}, once, on {node}; tables that they make stay"))
    for batch in plan.batches:
        pause = f"  after a pause of {batch.pause:g} s" if batch.pause else ""
        rows.append((batch.name, _listed(batch.nodes) + pause))
    rows += [
        (f"entity of {entity.plugin}", f"is created or updated from {entity.file}")
        for entity in plan.entities
        if entity.action == "apply"
    ]
    width = max(len(name) for name, _ in rows)
    return [f"  {number:>2}. {name.ljust(width)}  {what}" for number, (name, what) in enumerate(rows, 1)]


def _alike(nodes: Sequence[NodePlan]) -> list[list[NodePlan]]:
    """The nodes in groups to which the same happens, in the order of the plan."""
    groups: dict[object, list[NodePlan]] = {}
    for node in nodes:
        groups.setdefault((node.role, node.changes, node.steps, node.proof), []).append(node)
    return list(groups.values())


def _happening(members: Sequence[NodePlan]) -> list[str]:
    first = members[0]
    role = first.role.replace("_", " ")
    each = "On" if len(members) == 1 else "On each of"
    lines = [f"{each} {_listed([member.node for member in members])} ({role}):"]
    lines += [f"    {change}" for change in first.changes]
    width = max((len(step.name) for step in first.steps), default=0)
    for step in first.steps:
        undo = f"  (undo: {step.undo})" if step.undo else ""
        lines.append(f"  {step.name.ljust(width)}  {step.what}{undo}")
    return lines


def _limits(plan: Plan) -> list[str]:
    allowed = plan.max_failures
    if allowed:
        limit = f"When more than {allowed} node{'' if allowed == 1 else 's'} failed"
    else:
        limit = "Then"
    stop = f"{limit}, its whole batch is taken back, and the rollout stops; batches before it stay."
    lines = [f"A node that fails is taken back at once to what it had. {stop}"]
    if allowed and any(batch.canary for batch in plan.batches):
        lines.append("A canary that fails stops it in any case.")
    return lines


def _listed(names: Iterable[str], most: int = 12) -> str:
    given = list(names)
    if len(given) > most:
        return f"{', '.join(given[: most - 1])} and {len(given) - most + 1} more"
    return ", ".join(given)
