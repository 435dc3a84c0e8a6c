"""`run_rollout`: a plan happens. `rollout_state` decides what is next; what it means on a node is `Work`.

Every change on a node is atomic there and leaves a journal until the node is finished (`Work`): killed or cut
off at any moment, a node is on the old or on the new version, whole, and the next command tidies.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol, TypeVar

from pumice.base.value import Value
from pumice.cluster.events import Event
from pumice.cluster.rollout_state import (
    BACK,
    DONE,
    FAILED,
    PROVED,
    REVERTED,
    STUCK,
    UNFINISHED,
    UNTOUCHED,
    WAITING,
    Outcome,
    next_act,
)
from pumice.errors import Interrupted, PumiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pumice.cluster.plan import Plan

__all__ = ["Fleet", "Result", "RolloutInterrupted", "StepFailed", "Work", "run_rollout"]

_T = TypeVar("_T")


class StepFailed(PumiceError):
    """A step on a node did not do what it should; `untouched`: nothing has to be taken back."""

    default_hint = "Mend what the node says, and run the same command again."

    def __init__(
        self,
        message: str,
        *,
        step: str,
        untouched: bool = False,
        log: tuple[str, ...] = (),
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.step = step
        self.untouched = untouched
        self.log = log


class Work(Protocol):
    """What is done to one node. Every method may be called for several nodes at once, from several threads.

    Each raises StepFailed or another PumiceError; `prove` is only called after `change`, `finish` and `undo`
    only after those.
    """

    def change(self, node: str) -> None:
        """Stage, preflight, activate, reload: the new version is there, and told to load."""

    def prove(self, node: str) -> str:
        """Ask the node until it answers with the new version; gives what it answered, in words."""

    def finish(self, node: str) -> str:
        """Record, drop the journal and what is old; gives what else is to be said, or nothing."""

    def undo(self, node: str) -> str:
        """What it was before, loaded; gives in words what the node is on now. May be called twice."""


class Fleet(Protocol):
    """Who runs the same on several nodes at once (the engine)."""

    def map(self, function: Callable[[str], _T], nodes: Sequence[str]) -> dict[str, _T | PumiceError]:
        """What `function` gave, or the PumiceError that it raised, by node."""


class Result(Value):
    """How a rollout ended."""

    outcomes: tuple[Outcome, ...]
    """Of every node of the plan, in its order."""
    stopped: str = ""
    """Why it did not go to its end."""

    @property
    def ok(self) -> bool:
        """Whether every node is done."""
        return not self.stopped and all(each.state == DONE for each in self.outcomes)

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """The nodes that failed."""
        return tuple(each for each in self.outcomes if each.state in FAILED)


def run_rollout(
    plan: Plan,
    work: Work,
    fleet: Fleet,
    tell: Callable[[Event], None],
    *,
    before_batch: Callable[[], None] = lambda: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Result:
    """Runs the nodes of a plan, batch by batch.

    `before_batch` is called before each begins, and may raise a PumiceError (the lock is lost): that stops
    the rollout between two batches. A node's error never ends it. Raises Interrupted, once the nodes of the
    batch that was under way are taken back.
    """
    outcomes = {node.node: Outcome(node.node) for node in plan.nodes}
    runner = _Runner(work, fleet, tell, outcomes)
    begun: set[int] = set()
    stopped = ""
    while True:
        act = next_act(plan, outcomes)
        if act.kind in ("stop", "end"):
            stopped = act.reason
            break
        try:
            if act.kind == "prove" and act.batch not in begun:
                batch = plan.batches[act.batch]
                if batch.pause:
                    text = f"Waiting {batch.pause:g} s."
                    tell(Event("pause", text=text, seconds=batch.pause, time=time.time()))
                    sleep(batch.pause)
                try:
                    before_batch()
                except PumiceError as error:
                    stopped = error.message
                    break
                begun.add(act.batch)
                text = f"{batch.name}: {', '.join(batch.nodes)}"
                tell(Event("batch", step=batch.name, text=text, time=time.time()))
            if act.kind == "undo":
                text = f"{act.reason[:1].upper()}{act.reason[1:]}: the batch is taken back."
                tell(Event("notice", text=text, time=time.time()))
            runner.run(act.kind, act.nodes, act.reason)
        except KeyboardInterrupt as interruption:
            if act.batch in begun:
                runner.take_back(plan.batches[act.batch].nodes)
            result = Result(tuple(outcomes.values()), "interrupted")
            raise _interrupted(interruption, result) from interruption
    return Result(tuple(outcomes.values()), stopped)


class RolloutInterrupted(Interrupted):
    """An interruption of a rollout; `result` tells how far it came."""

    result: Result


def _interrupted(interruption: KeyboardInterrupt, result: Result) -> RolloutInterrupted:
    """The interruption, with where every node is."""
    number = interruption.exit_code - 128 if isinstance(interruption, Interrupted) else 2
    done = [each.node for each in result.outcomes if each.state == DONE]
    stuck = [each.node for each in result.outcomes if each.state == STUCK]
    error = RolloutInterrupted(
        f"Interrupted. On the new version: {', '.join(done) or 'no node'}; all others are as before.",
        signal_number=number,
    )
    error.result = result
    error.hint = "The same command goes on where this one stopped; `pumice cluster rollback` takes it back."
    if stuck:
        error.message += f" Not taken back: {', '.join(stuck)}."
        error.hint = "`pumice cluster status` tells what those are on; the same command tidies and goes on."
    return error


class _Runner:
    """Lets the fleet do one act, and keeps what came of it."""

    def __init__(
        self, work: Work, fleet: Fleet, tell: Callable[[Event], None], outcomes: dict[str, Outcome]
    ) -> None:
        self._work = work
        self._fleet = fleet
        self._tell = tell
        self._outcomes = outcomes

    def run(self, kind: str, nodes: Sequence[str], reason: str) -> None:
        function = {
            "prove": self._prove,
            "finish": self._finish,
            "undo": lambda node: self._undo(node, "", reason, (), "", time.monotonic()),
        }[kind]
        for node, answer in self._fleet.map(function, nodes).items():
            if isinstance(answer, PumiceError):  # the fleet itself failed before the work could say how
                answer = self._after_cut(node, kind, answer)
            self._outcomes[node] = answer

    def take_back(self, nodes: Sequence[str]) -> None:
        """After an interruption: the nodes of the batch that are not done are as before."""
        open_ = [node for node in nodes if self._outcomes[node].state in (WAITING, PROVED)]
        if open_:
            text = f"Interrupted: {', '.join(open_)} {'is' if len(open_) == 1 else 'are'} taken back."
            self._tell(Event("notice", text=text, time=time.time()))
            self.run("undo", open_, "the rollout was interrupted")

    def _after_cut(self, node: str, kind: str, error: PumiceError) -> Outcome:
        state = {"prove": UNTOUCHED, "undo": STUCK}.get(kind, UNFINISHED)
        return self._told(Outcome(node, state, kind, error.message, error.hint))

    def _prove(self, node: str) -> Outcome:
        begun = time.monotonic()
        try:
            self._work.change(node)
            answer = self._work.prove(node)
        except StepFailed as error:
            if error.untouched:
                took = time.monotonic() - begun
                return self._told(
                    Outcome(node, UNTOUCHED, error.step, error.message, error.hint, error.log, took)
                )
            return self._undo(node, error.step, error.message, error.log, error.hint, begun)
        except PumiceError as error:
            return self._undo(node, "change", error.message, (), error.hint, begun)
        return self._told(Outcome(node, PROVED, seconds=time.monotonic() - begun, note=answer))

    def _undo(
        self, node: str, step: str, message: str, log: tuple[str, ...], hint: str, begun: float
    ) -> Outcome:
        try:
            now = self._work.undo(node)
        except PumiceError as error:
            text = f"{message}; and it could not be taken back: {error.message}"
            more = error.log if isinstance(error, StepFailed) else ()
            took = time.monotonic() - begun
            return self._told(Outcome(node, STUCK, step or "undo", text, error.hint, (*log, *more), took))
        took = time.monotonic() - begun
        state = BACK if step else REVERTED
        return self._told(Outcome(node, state, step, message, hint, log, took, now))

    def _finish(self, node: str) -> Outcome:
        outcome = self._outcomes[node]
        try:
            note = self._work.finish(node)
        except PumiceError as error:
            return self._told(outcome.replace(state=UNFINISHED, step="finish", message=error.message))
        return self._told(outcome.replace(state=DONE, note=note or outcome.note))

    def _told(self, outcome: Outcome) -> Outcome:
        self._tell(
            Event(
                "node",
                node=outcome.node,
                step=outcome.step,
                state=outcome.state,
                text=_sentence(outcome),
                hint=outcome.hint,
                seconds=outcome.seconds,
                lines=outcome.log,
                time=time.time(),
            )
        )
        return outcome


def _sentence(outcome: Outcome) -> str:
    note = f": {outcome.note}" if outcome.note else ""
    if outcome.state == PROVED:
        return f"proved{note}"
    if outcome.state == DONE:
        return f"done{note}"
    if outcome.state == UNFINISHED:
        return f"proved, NOT FINISHED: {outcome.message} It runs the new version; run this again to finish it"
    at = f" at {outcome.step}" if outcome.step else ""
    if outcome.state == UNTOUCHED:
        return f"FAILED{at}, nothing was changed there: {outcome.message}"
    now = outcome.note or "it is on what it had"
    if outcome.state == BACK:
        return f"FAILED{at}: {outcome.message}; {now}"
    if outcome.state == REVERTED:
        return f"taken back with its batch, as {outcome.message}; {now}"
    assert outcome.state == STUCK, WAITING
    return f"FAILED{at}, LOOK AT IT: {outcome.message}"
