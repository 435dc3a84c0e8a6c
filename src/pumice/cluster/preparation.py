"""`prepare`: for each node that was probed, what it shall hold, what has to travel, and what changes there.

Nodes of equal state share one computation of the content. Nothing is changed on any node.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pumice.base.value import Value
from pumice.cluster.change import NodeChange
from pumice.cluster.compatibility import gateway_version
from pumice.cluster.drift import drift
from pumice.cluster.enabling import enable
from pumice.cluster.gate_rules import ABSENT, admin_lacks
from pumice.cluster.payload import make_payload
from pumice.cluster.planning import NodeInput, RolloutRefused
from pumice.errors import PumiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pumice.cluster.connection import Connection
    from pumice.cluster.content import ContentMaker, Wish
    from pumice.cluster.engine import Engine
    from pumice.cluster.facts import NodeFacts
    from pumice.cluster.gates import Asks
    from pumice.cluster.inventory import Node
    from pumice.cluster.node_content import NodeContent
    from pumice.cluster.payload import Sent
    from pumice.cluster.survey import Survey

__all__ = ["Prepared", "prepare", "prepare_rollback"]


class Prepared(Value):
    """One node's part: for the plan, and for the node."""

    input: NodeInput
    change: NodeChange
    payload: Sent | None


def prepare(
    engine: Engine,
    survey: Survey,
    maker: ContentMaker,
    wish: Wish,
    rollout: str,
    asks_of: Callable[[Connection, NodeFacts], Asks],
) -> tuple[dict[str, Prepared], dict[str, str]]:
    """The nodes that can go, and why the others cannot, by name.

    Of a node that should be as it shall be already, files and gateway are looked at: what differs is mended.
    Raises the error of all nodes, where it is one and the same.
    """
    now = time.time()

    def one(connection: Connection) -> Prepared:
        facts = survey.facts[connection.node.name]
        content = maker.content(connection, facts, wish)
        reason = ""
        if content.unchanged and facts.record is not None:
            found = drift(connection, facts)
            reason = _of_files((*found.changed, *found.missing))
            facts = facts.replace(keys=facts.keys - set(found.damaged))
        if content.unchanged and not reason:
            reason = _not_loaded(
                facts, content, _wanted(connection.node, content), asks_of(connection, facts)
            )
        return _prepared(connection, facts, content, rollout, now, reason)

    return _sorted_out(engine, survey, one)


def _of_files(paths: tuple[str, ...]) -> str:
    if not paths:
        return ""
    count = "1 file differs" if len(paths) == 1 else f"{len(paths)} files differ"
    return f"{count} from what was installed: {paths[0]}"


def _prepared(
    connection: Connection,
    facts: NodeFacts,
    content: NodeContent,
    rollout: str,
    now: float,
    reason: str,
) -> Prepared:
    node = connection.node
    gone = [name for name in content.plugins_before if name not in content.plugins]
    wanted = _wanted(node, content)
    same = enable(node, facts, facts.generation, add=wanted, remove=gone)
    again = bool(content.unchanged and (same.edits or reason))
    payload = make_payload(content, facts, command=f"pumice {rollout}", now=now, again=again)
    target = payload.generation if payload is not None else facts.generation
    enabling = enable(node, facts, target, add=wanted, remove=gone) if target != facts.generation else same
    proof = tuple((name, gateway_version(content.plugins[name]) or "") for name in sorted(wanted))
    proof += tuple((name, ABSENT) for name in sorted(gone))
    return Prepared(
        NodeInput(
            node,
            facts,
            content,
            content.state,
            enabling,
            target,
            files=len(payload.keys) if payload is not None else 0,
            size=payload.size if payload is not None else 0,
            reason=reason,
            proof=proof,
        ),
        NodeChange(rollout, facts.generation, target, enabling, conf_before=_digest(facts)),
        payload,
    )


def _wanted(node: Node, content: NodeContent) -> tuple[str, ...]:
    """The plugins that the node shall load: all of a tree of ours, of its own those that were asked for."""
    return tuple(content.plugins) if node.layout == "generations" else content.asked


def _digest(facts: NodeFacts) -> str | None:
    return facts.conf.digest if facts.conf is not None else None


def _not_loaded(facts: NodeFacts, content: NodeContent, wanted: tuple[str, ...], asks: Asks) -> str:
    """Why a node that has everything still has to be told; empty where it runs what it has.

    A data plane tells no versions: what it was last prepared with says which generation it runs.
    """
    if facts.master is None:
        return ""
    if facts.role == "data_plane" or not wanted:
        path = facts.settings.get("lua_package_path", "")
        current = f"/generations/{facts.generation}/"
        return "" if not facts.generation or current in path else "its gateway was not told of these files"
    proof = [(name, gateway_version(content.plugins[name]) or "") for name in wanted]
    try:
        reply = asks.admin("/")
    except PumiceError:
        return ""
    if reply is None or reply.status != 200:
        return ""
    lacking = admin_lacks(reply.data, proof, frozenset(), reloaded=False)
    return f"its gateway has not loaded these files: {lacking}" if lacking else ""


def _sorted_out(
    engine: Engine, survey: Survey, one: Callable[[Connection], Prepared]
) -> tuple[dict[str, Prepared], dict[str, str]]:
    missing = {name: error.message for name, error in survey.missing.items()}
    sound: dict[str, Connection] = {}
    for name, facts in survey.facts.items():
        if facts.broken:
            missing[name] = "; ".join(facts.problems) or "nothing can be done there"
        else:
            sound[name] = survey.connections[name]
    prepared: dict[str, Prepared] = {}
    errors: dict[str, PumiceError] = {}
    for name, answer in engine.map(one, sound).items():
        if isinstance(answer, PumiceError):
            errors[name] = answer
        else:
            prepared[name] = answer
    _raise_common(errors, sound)
    machines = {(survey.facts[name].arch, survey.facts[name].libc) for name in sound}
    for name, error in errors.items():
        facts = survey.facts[name]
        which = f" (it is {facts.arch}, {facts.libc})" if len(machines) > 1 else ""
        missing[name] = f"{error.message.rstrip('.')}{which}"
    return prepared, {node.name: missing[node.name] for node in survey.nodes if node.name in missing}


def _raise_common(errors: Mapping[str, PumiceError], asked: Iterable[str]) -> None:
    """An error that all nodes have is one of what was asked for, not of the nodes."""
    if errors and set(errors) == set(asked):
        first = next(iter(errors.values()))
        if all(type(each) is type(first) for each in errors.values()):
            texts = dict.fromkeys(each.message for each in errors.values())
            if len(texts) == 1:
                raise first
            raise RolloutRefused("Nothing was sent. " + " ".join(texts), hint=first.hint)


def prepare_rollback(
    engine: Engine, survey: Survey, rollout: str
) -> tuple[dict[str, Prepared], dict[str, str]]:
    """Each node goes to the generation that its current one was made from.

    On a node with its own LuaRocks tree the newest rollout is taken back.
    """
    from pumice.cluster.earlier import earlier_generation

    def one(connection: Connection) -> Prepared:
        facts = survey.facts[connection.node.name]
        if connection.node.layout == "luarocks":
            return _taken_back(connection, facts, rollout)
        earlier = earlier_generation(connection, facts)
        enabling = enable(connection.node, facts, earlier.number, add=earlier.plugins, remove=earlier.gone)
        return Prepared(
            NodeInput(
                connection.node,
                facts,
                None,
                earlier.state,
                enabling,
                earlier.number,
                proof=earlier.proof,
                changes=earlier.changes,
            ),
            NodeChange(rollout, facts.generation, earlier.number, enabling, conf_before=_digest(facts)),
            None,
        )

    return _sorted_out(engine, survey, one)


def _taken_back(connection: Connection, facts: NodeFacts, rollout: str) -> Prepared:
    from pumice.cluster.luarocks_earlier import earlier_files
    from pumice.cluster.luarocks_tree import PlainPayload

    earlier = earlier_files(connection)
    enabling = enable(connection.node, facts, 0, add=earlier.add, remove=earlier.remove)
    return Prepared(
        NodeInput(
            connection.node,
            facts,
            None,
            earlier.state,
            enabling,
            0,
            proof=earlier.proof,
            changes=earlier.changes,
            back=earlier.told,
        ),
        NodeChange(rollout, 0, 0, enabling, conf_before=_digest(facts)),
        PlainPayload(earlier.change, None, earlier.state),
    )
