"""`make_plan`: what is known of every node, and what is wanted, become a `Plan`, or are refused. Pure.

Order (Kong contract 4.9): a new or higher version goes to the control planes first, then to the data planes;
a lower one the other way round; removal takes the entities first, then data planes, then control planes.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pumice.base.value import Value
from pumice.cluster.compatibility import CONTROL_FIRST, DATA_FIRST, judge
from pumice.cluster.plan import Artifact, Change, NodePlan, Plan
from pumice.cluster.plan_batches import ROLE_NAMES, batches_of, goes_down, migrations_of, role_of
from pumice.cluster.plan_steps import steps_of
from pumice.cluster.sync_order import plugins_gone
from pumice.errors import PumiceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pumice.cluster.change import Enabling
    from pumice.cluster.facts import NodeFacts
    from pumice.cluster.inventory import Cluster, Node
    from pumice.cluster.node_content import NodeContent
    from pumice.cluster.plan import EntityStep

__all__ = ["Asked", "NodeInput", "RolloutRefused", "facts_digest", "make_plan"]


class RolloutRefused(PumiceError):
    """A rollout that would do harm; nothing was sent to any node."""

    default_hint = "Nothing was sent to any node."


class _Problem(Value):
    """Why it cannot be done, and the way out."""

    text: str
    hint: str = ""


class Asked(Value):
    """What an operator asked for, besides the content."""

    action: str
    artifacts: tuple[Artifact, ...]
    entities: tuple[EntityStep, ...] = ()
    window: bool = False
    force: bool = False
    id: str = ""
    made: str = ""
    by: str = ""
    exact: bool = False
    """What is not asked for goes, as `Plan.exact`."""
    later: tuple[str, ...] = ()
    """The plugins that go in a rollout of their own, after this one."""


class NodeInput(Value):
    """What is known of one reachable node, and what it shall hold."""

    node: Node
    facts: NodeFacts
    content: NodeContent | None
    """None: a rollback, whose content is there already."""
    digest: str
    """Of the next content."""
    enabling: Enabling
    target: int
    """The generation that it will be on."""
    files: int = 0
    """How many contents travel."""
    size: int = 0
    reason: str = ""
    """Why something is to be done although content and configuration are as they shall be."""
    proof: tuple[tuple[str, str], ...] = ()
    changes: tuple[Change, ...] = ()
    back: str = ""
    """What becomes of the files where a rollout is taken back on a tree without generations."""

    @property
    def unchanged(self) -> bool:
        """Nothing is to be done."""
        settled = not self.back and (self.content is None or self.content.unchanged)
        return (
            settled and not self.enabling.edits and not self.reason and self.target == self.facts.generation
        )


def facts_digest(facts: NodeFacts) -> str:
    """What must not change on a node between plan and rollout, as one digest, which tells no secrets."""
    digest = hashlib.sha256()
    conf, enable = facts.conf, facts.enable_file
    for part in (
        facts.state,
        facts.generation,
        facts.arch,
        facts.libc,
        facts.kong_version,
        facts.role,
        conf.digest if conf is not None else None,
        enable.digest if enable is not None else None,
    ):
        text = repr(part).encode()
        digest.update(b"%d:%s" % (len(text), text))
    return digest.hexdigest()


def make_plan(
    cluster: Cluster,
    inputs: Sequence[NodeInput],
    missing: Mapping[str, str],
    asked: Asked,
    configured: Mapping[str, int | None],
) -> Plan:
    """The plan for the nodes that were reached (`inputs`); `missing` are the others, and why.

    `configured`: how many entities use a plugin, by plugin, of those whose version changes. Raises
    RolloutRefused, with every reason there is.
    """
    going = [each for each in inputs if not each.unchanged]
    problems = [*_node_problems(inputs), *_role_problems(inputs, asked)]
    if missing and going and len(missing) > cluster.max_failures:
        problems.append(_too_many_missing(missing))
    order, verdicts, warnings = _order(going, inputs, asked, configured)
    problems += verdicts
    if problems:
        raise RolloutRefused(
            "Nothing was sent. " + " ".join(_sentence(each.text) for each in problems),
            hint=next((each.hint for each in problems if each.hint), ""),
        )
    if asked.later:
        warnings.append(
            f"{', '.join(asked.later)} is not in cluster.toml and goes afterwards, data planes first, in a "
            "rollout of its own; after a saved plan, `pumice cluster sync` does that"
        )
    for each in going:
        warnings += [f"{each.node.name}: {_without(text, each.node.name)}" for text in each.enabling.warnings]
    plans = {each.node.name: _node_plan(each, cluster) for each in going}
    batches = batches_of(going, cluster, order)
    ordered = [plans[node] for batch in batches for node in batch.nodes]
    return Plan(
        id=asked.id,
        action=asked.action,
        cluster=cluster.name,
        made=asked.made,
        by=asked.by,
        artifacts=asked.artifacts,
        nodes=tuple(ordered),
        batches=batches,
        unchanged=tuple(each.node.name for each in inputs if each.unchanged),
        missing=tuple(missing.items()),
        max_failures=max(cluster.max_failures - len(missing), 0),
        timeout=cluster.timeout,
        migrate=migrations_of(going, batches),
        entities=asked.entities,
        warnings=_once(warnings),
        exact=asked.exact,
        force=asked.force,
    )


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _without(text: str, node: str) -> str:
    """The text without the node's name at its head, which is told before it."""
    for head in (f"{node}: ", f"{node}'s "):
        if text.startswith(head):
            return f"its {text.removeprefix(head)}" if head.endswith("s ") else text.removeprefix(head)
    return text


def _once(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def _too_many_missing(missing: Mapping[str, str]) -> _Problem:
    reasons: dict[str, list[str]] = {}
    for node, why in missing.items():
        reasons.setdefault(why.removeprefix(f"{node}: "), []).append(node)
    told = [f"{', '.join(nodes)} cannot go: {why.rstrip('.')}" for why, nodes in reasons.items()]
    hint = (
        "Mend it, or leave it out: --only NODE… names those that shall go; "
        f"--max-failures {len(missing)} goes on without, and the same command brings them up later."
    )
    return _Problem(". ".join(told), hint)


def _node_problems(inputs: Sequence[NodeInput]) -> Iterator[_Problem]:
    for each in inputs:
        name, facts, tree = each.node.name, each.facts, each.node.tree
        if facts.broken:
            yield _Problem(f"{name}: {'; '.join(facts.problems) or 'nothing can be done there'}")
        if each.unchanged:
            continue
        if not facts.broken and not facts.writable:
            yield _Problem(
                f"{name}: {tree} cannot be written",
                "Name a user who may write there: `sudo` in cluster.toml.",
            )
        if facts.free is not None and each.size > facts.free:
            yield _Problem(
                f"{name}: {each.size:,} bytes have to go to {tree}, where {facts.free:,} are free",
                "Make room there; `pumice cluster history` shows what is kept.",
            )
        yield from (_Problem(f"{name}: {_without(text, name)}") for text in each.enabling.refusals)


def _role_problems(inputs: Sequence[NodeInput], asked: Asked) -> Iterator[_Problem]:
    for each in inputs:
        said, found = each.node.role, each.facts.role
        if said is not None and found is not None and said != found:
            yield _Problem(
                f"{each.node.name} is a {ROLE_NAMES[found]}, and cluster.toml calls it a {ROLE_NAMES[said]}",
                "Mend `role` in cluster.toml, or leave it out.",
            )
    roles = {role_of(each.node, each.facts) for each in inputs}
    applied = [entity for entity in asked.entities if entity.action == "apply"]
    if applied and not roles & {"control_plane", "traditional"}:
        hint = (
            "Leave --entity out, and put it into the declarative configuration of the nodes once they have "
            "the plugin."
        )
        yield _Problem(
            f"the entity of {applied[0].plugin} needs an Admin API with a database behind it, and no node "
            "has one",
            hint,
        )


def _order(
    going: Sequence[NodeInput],
    inputs: Sequence[NodeInput],
    asked: Asked,
    configured: Mapping[str, int | None],
) -> tuple[str, list[_Problem], list[str]]:
    """Which side goes first, what is refused, and what there is to be warned of."""
    if asked.action == "remove":
        return DATA_FIRST, [], []
    if asked.action == "rollback":
        lower = any(goes_down(change) for each in going for change in each.changes)
        return DATA_FIRST if lower else CONTROL_FIRST, [], []
    roles = {role_of(each.node, each.facts) for each in inputs}
    hybrid = {"control_plane", "data_plane"} <= roles
    orders: dict[str, str] = {}
    problems: list[_Problem] = []
    warnings: list[str] = []
    contents = {each.content.base: each.content for each in going if each.content is not None}
    for content in contents.values():
        for name, after in content.plugins.items():
            before = content.plugins_before.get(name)
            if before is None or before.digest == after.digest:
                continue
            verdict = judge(
                before,
                after,
                hybrid=hybrid,
                nodes=len(inputs),
                configured=configured.get(name),
                window=asked.window,
            )
            warnings += verdict.warnings
            problem = _Problem(verdict.refusal, verdict.hint)
            if verdict.refusal and problem not in problems:
                problems.append(problem)
            if verdict.order is not None:
                orders.setdefault(verdict.order, name)
    if len(orders) > 1 and not problems:
        up, down = orders[CONTROL_FIRST], orders[DATA_FIRST]
        problems.append(
            _Problem(
                f"{up} has to go to the control planes first, and {down} to the data planes first",
                f"Roll them out one after the other: first {up}, then {down}.",
            )
        )
    removal = asked.action == "sync" and hybrid and bool(plugins_gone(going))
    return next(iter(orders), DATA_FIRST if removal else CONTROL_FIRST), problems, warnings


def _node_plan(each: NodeInput, cluster: Cluster) -> NodePlan:
    return NodePlan(
        node=each.node.name,
        address=str(each.node.address),
        role=role_of(each.node, each.facts),
        facts=facts_digest(each.facts),
        content=each.digest,
        changes=each.changes or _changes(each),
        proof=each.proof,
        steps=steps_of(each, role_of(each.node, each.facts), cluster.timeout),
        target=each.target if each.content is None else 0,
    )


def _changes(each: NodeInput) -> tuple[Change, ...]:
    if each.content is None:
        return ()
    before, after = dict(each.content.removed), dict(each.content.added)
    return tuple(
        Change(name, before.get(name, ""), after.get(name, "")) for name in dict.fromkeys((*after, *before))
    )
