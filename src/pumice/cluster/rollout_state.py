"""The rules of a rollout, without any node: which state a node is in, and what is to be done next.

A node goes

    waiting ──change, prove──► proved ──finish──► done
       │                          └──── its batch is taken back ───► reverted
       ├── fails before anything has changed ──────────────────────► untouched
       ├── fails later, and is taken back at once ─────────────────► back
       └── fails later, and cannot be taken back ──────────────────► stuck

    proved ── its record and journal cannot be written ────────────► unfinished: on the new version, until
                                                                      the next command tidies

- Batches go one after the other, each only when every node of those before is done or failed.
- Failed are untouched, back and stuck. More of them than `max_failures`, any of them in a canary's batch,
  or one that is stuck: the proved nodes of the batch are taken back, and nothing else is begun.
- Nodes that were done in earlier batches stay: they have been proved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pumice.base.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pumice.cluster.plan import Batch, Plan

__all__ = [
    "BACK",
    "DONE",
    "FAILED",
    "PROVED",
    "REVERTED",
    "STUCK",
    "UNFINISHED",
    "UNTOUCHED",
    "WAITING",
    "Act",
    "Outcome",
    "next_act",
]  # fmt: skip

WAITING, PROVED, DONE = "waiting", "proved", "done"
UNTOUCHED, BACK, STUCK = "untouched", "back", "stuck"
REVERTED, UNFINISHED = "reverted", "unfinished"
FAILED = frozenset((UNTOUCHED, BACK, STUCK))


class Outcome(Value):
    """Where a node is, and how it came there."""

    node: str
    state: str = WAITING
    step: str = ""
    """The step that failed."""
    message: str = ""
    """What happened."""
    hint: str = ""
    log: tuple[str, ...] = ()
    """The node's own log lines."""
    seconds: float = 0.0
    note: str = ""
    """What else is to be said of a node that is well."""


class Act(Value):
    """What is to be done next: `prove`, `finish` or `undo` nodes of a batch, or `stop`, or `end`."""

    kind: str
    nodes: tuple[str, ...] = ()
    batch: int = -1
    reason: str = ""


def next_act(plan: Plan, outcomes: Mapping[str, Outcome]) -> Act:
    """What the rules ask for now. A node without an outcome is waiting."""
    for number, batch in enumerate(plan.batches):
        reason = _reason_to_stop(plan, number, outcomes)
        proved = _in_state(batch, PROVED, outcomes)
        if reason:
            return Act("undo", proved, number, reason) if proved else _stopped(plan, number, outcomes, reason)
        waiting = _in_state(batch, WAITING, outcomes)
        if waiting:
            return Act("prove", waiting, number)
        if proved:
            return Act("finish", proved, number)
    return Act("end")


def _stopped(plan: Plan, number: int, outcomes: Mapping[str, Outcome], reason: str) -> Act:
    """A stop, or the end where the failures came with the very last nodes: nothing is left to stop."""
    return Act("stop", tuple(_not_begun(plan, outcomes)), number, reason)


def _not_begun(plan: Plan, outcomes: Mapping[str, Outcome]) -> list[str]:
    return [node for batch in plan.batches for node in _in_state(batch, WAITING, outcomes)]


def _reason_to_stop(plan: Plan, number: int, outcomes: Mapping[str, Outcome]) -> str:
    """Why nothing else may be begun in this batch; empty when it may."""
    gone = [node for batch in plan.batches[: number + 1] for node in batch.nodes]
    failed = [node for node in gone if node in outcomes and outcomes[node].state in FAILED]
    stuck = [node for node in failed if outcomes[node].state == STUCK]
    if stuck:
        return f"{stuck[0]} could not be taken back"
    canaries = [node for batch in plan.batches[: number + 1] if batch.canary for node in batch.nodes]
    dead = [node for node in canaries if node in failed]
    if dead:
        return f"the canary {dead[0]} failed"
    if len(failed) > plan.max_failures:
        count = f"{len(failed)} node{'' if len(failed) == 1 else 's'} failed"
        return f"{count}, and {plan.max_failures or 'none'} may"
    return ""


def _in_state(batch: Batch, state: str, outcomes: Mapping[str, Outcome]) -> tuple[str, ...]:
    return tuple(
        node for node in batch.nodes if (outcomes[node].state if node in outcomes else WAITING) == state
    )
