"""The rollout against nodes in memory: every failure at every step, every kill at every event."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.cluster.events import Event
from pumice.cluster.plan import Batch, NodePlan, Plan
from pumice.cluster.rollout import Result, RolloutInterrupted, StepFailed, run_rollout
from pumice.cluster.rollout_state import (
    BACK,
    DONE,
    PROVED,
    REVERTED,
    STUCK,
    UNFINISHED,
    UNTOUCHED,
    WAITING,
    Outcome,
    next_act,
)
from pumice.errors import PumiceError

STEPS = ("stage", "preflight", "activate", "reload", "gate", "finish", "undo")


class Killed(BaseException):
    """The controller is gone: nothing of it runs any more."""


class FakeNode:
    """A node as the real steps leave it: what is switched is switched whole, and a journal tells of it."""

    def __init__(self) -> None:
        self.active = "old"
        self.loaded = "old"
        self.journal = False
        self.staged = False

    @property
    def whole(self) -> bool:
        return self.active in ("old", "new") and self.loaded in ("old", "new")

    def recover(self) -> None:
        """What the next command does first: here it undoes."""
        if self.journal:
            self.active, self.journal = "old", False
            self.loaded = "old"
        self.staged = False


class FakeWork:
    """The work on such nodes; `faults` are (node, step) that fail, `kill_at` is the event at which we die."""

    def __init__(self, nodes: Sequence[str], faults: set[tuple[str, str]], kill_at: int = 0) -> None:
        self.nodes = {name: FakeNode() for name in nodes}
        self.faults = faults
        self.kill_at = kill_at
        self.events = 0
        self.unproved: set[str] = set()
        self.most_unproved = 0

    def _event(self, node: str, step: str) -> None:
        self.events += 1
        if self.events == self.kill_at:
            raise Killed
        if (node, step) in self.faults:
            raise StepFailed(
                f"{step} said no", step=step, untouched=step in ("stage", "preflight"), log=("a line",)
            )

    def change(self, node: str) -> None:
        it = self.nodes[node]
        self._event(node, "stage")
        it.staged = True
        self._event(node, "preflight")
        self.unproved.add(node)
        self.most_unproved = max(self.most_unproved, len(self.unproved))
        it.journal, it.active = True, "new"
        self._event(node, "activate")
        self._event(node, "reload")
        it.loaded = "new"

    def prove(self, node: str) -> str:
        self._event(node, "gate")
        assert self.nodes[node].loaded == "new"
        self.unproved.discard(node)
        return "answers new"

    def finish(self, node: str) -> str:
        self._event(node, "finish")
        self.nodes[node].journal = False
        return ""

    def undo(self, node: str) -> str:
        self._event(node, "undo")
        it = self.nodes[node]
        it.active = it.loaded = "old"
        it.journal = False
        self.unproved.discard(node)
        return "it is back on old"


class OneByOne:
    """Runs a function on nodes one after the other."""

    def map(self, function: Callable[[str], Any], nodes: Sequence[str]) -> dict[str, Any]:
        answers: dict[str, Any] = {}
        for node in nodes:
            try:
                answers[node] = function(node)
            except PumiceError as error:
                answers[node] = error
        return answers


def plan(sizes: Sequence[int], *, canary: bool = False, max_failures: int = 0, pause: float = 0.0) -> Plan:
    names = [f"n{number}" for number in range(sum(sizes))]
    batches, begin = [], 0
    for number, size in enumerate(sizes):
        members = tuple(names[begin : begin + size])
        batches.append(Batch(f"batch {number}", members, canary and number == 0, pause if number else 0.0))
        begin += size
    nodes = tuple(NodePlan(name, "local:", "traditional", "", "", (), (), ()) for name in names)
    return Plan("p", "install", "edge", "", "", (), nodes, tuple(batches), max_failures=max_failures)


def go(work: FakeWork, wanted: Plan, **named: Any) -> tuple[Result, list[Event]]:
    told: list[Event] = []
    return run_rollout(wanted, work, OneByOne(), told.append, **named), told


def states(result: Result) -> list[str]:
    return [outcome.state for outcome in result.outcomes]


def test_all_nodes_are_done_in_order() -> None:
    wanted = plan([1, 2])
    work = FakeWork(["n0", "n1", "n2"], set())
    result, told = go(work, wanted)
    assert result.ok
    assert states(result) == [DONE] * 3
    assert [event.step for event in told if event.kind == "batch"] == ["batch 0", "batch 1"]
    assert not any(node.journal for node in work.nodes.values())


@pytest.mark.parametrize(
    ("step", "state"),
    [("stage", UNTOUCHED), ("preflight", UNTOUCHED), ("activate", BACK), ("reload", BACK), ("gate", BACK)],
)
def test_a_canary_that_fails_is_taken_back_and_nothing_else_begins(step: str, state: str) -> None:
    wanted = plan([1, 3], canary=True, max_failures=5)
    work = FakeWork([node.node for node in wanted.nodes], {("n0", step)})
    result, _ = go(work, wanted)
    assert states(result) == [state, WAITING, WAITING, WAITING]
    assert result.stopped == "the canary n0 failed"
    assert result.outcomes[0].message == f"{step} said no"
    assert result.outcomes[0].log == ("a line",)
    assert all(node.active == node.loaded == "old" for node in work.nodes.values())


def test_past_the_limit_the_batch_is_taken_back_and_earlier_batches_stay() -> None:
    wanted = plan([1, 3, 2], max_failures=0)
    work = FakeWork([node.node for node in wanted.nodes], {("n2", "gate")})
    result, told = go(work, wanted)
    assert states(result) == [DONE, REVERTED, BACK, REVERTED, WAITING, WAITING]
    assert work.nodes["n0"].loaded == "new"
    assert work.nodes["n1"].loaded == "old"
    assert result.stopped == "1 node failed, and none may"
    assert any("the batch is taken back" in event.text for event in told)


def test_failures_within_the_limit_do_not_stop_it() -> None:
    wanted = plan([2, 2], max_failures=1)
    work = FakeWork([node.node for node in wanted.nodes], {("n1", "gate")})
    result, _ = go(work, wanted)
    assert states(result) == [DONE, BACK, DONE, DONE]
    assert not result.ok
    assert not result.stopped


def test_a_node_that_cannot_be_taken_back_stops_it() -> None:
    wanted = plan([1, 1], max_failures=9)
    work = FakeWork(["n0", "n1"], {("n0", "gate"), ("n0", "undo")})
    result, told = go(work, wanted)
    assert states(result) == [STUCK, WAITING]
    assert "gate said no; and it could not be taken back: undo said no" in result.outcomes[0].message
    assert any("LOOK AT IT" in event.text for event in told)


def test_a_node_that_cannot_be_tidied_is_new_but_has_to_be_finished() -> None:
    work = FakeWork(["n0", "n1"], {("n0", "finish")})
    result, told = go(work, plan([1, 1]))
    assert states(result) == [UNFINISHED, DONE]
    assert not result.ok
    assert not result.stopped
    assert work.nodes["n0"].loaded == "new"
    assert any("run this again to finish it" in event.text for event in told)


def test_a_lost_lock_stops_between_two_batches() -> None:
    calls: list[int] = []

    def lost() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise PumiceError("bob has taken the lock")

    work = FakeWork(["n0", "n1"], set())
    result, _ = go(work, plan([1, 1]), before_batch=lost)
    assert states(result) == [DONE, WAITING]
    assert result.stopped == "bob has taken the lock"


def test_pauses_come_between_batches() -> None:
    slept: list[float] = []
    go(FakeWork(["n0", "n1", "n2"], set()), plan([1, 1, 1], pause=7.0), sleep=slept.append)
    assert slept == [7.0, 7.0]


@pytest.mark.parametrize("where", ["pause", "renewal", "event"])
def test_an_interruption_between_two_batches_says_which_nodes_are_on_the_new_version(where: str) -> None:
    """Ctrl-C while nobody works on a node: what is done stays, and what is not begun is left alone."""
    calls: list[str] = []

    def interrupted(it: str) -> None:
        calls.append(it)
        if it == where and (it == "pause" or calls.count(it) == 2):
            raise KeyboardInterrupt

    def told(event: Event) -> None:
        if event.kind == "batch":
            interrupted("event")

    work = FakeWork(["n0", "n1"], set())
    with pytest.raises(RolloutInterrupted, match="On the new version: n0; all others are as before") as error:
        run_rollout(
            plan([1, 1], pause=7.0),
            work,
            OneByOne(),
            told,
            before_batch=lambda: interrupted("renewal"),
            sleep=lambda _: interrupted("pause"),
        )
    assert states(error.value.result)[0] == DONE
    assert (work.nodes["n0"].active, work.nodes["n1"].active) == ("new", "old")


def test_a_fleet_that_loses_a_node_is_a_failure_of_that_node() -> None:
    class Losing(OneByOne):
        def map(self, function: Callable[[str], Any], nodes: Sequence[str]) -> dict[str, Any]:
            answers = super().map(function, [node for node in nodes if node != "n1"])
            return {**answers, **({"n1": PumiceError("n1 is gone")} if "n1" in nodes else {})}

    work = FakeWork(["n0", "n1"], set())
    result = run_rollout(plan([2], max_failures=1), work, Losing(), lambda event: None)
    assert states(result) == [DONE, UNTOUCHED]


sizes = st.lists(st.integers(1, 4), min_size=1, max_size=4)
faults = st.sets(st.tuples(st.integers(0, 15).map(lambda n: f"n{n}"), st.sampled_from(STEPS)), max_size=6)


@settings(max_examples=300)
@given(sizes, faults, st.integers(0, 3), st.booleans())
def test_whatever_fails_every_node_is_old_or_new_and_the_limits_hold(
    batches: list[int], broken: set[tuple[str, str]], max_failures: int, canary: bool
) -> None:
    wanted = plan(batches, canary=canary, max_failures=max_failures)
    work = FakeWork([node.node for node in wanted.nodes], broken)
    result, _ = go(work, wanted)
    for outcome in result.outcomes:
        it = work.nodes[outcome.node]
        assert it.whole
        expected = {WAITING: "old", UNTOUCHED: "old", BACK: "old", REVERTED: "old", DONE: "new"}
        expected[UNFINISHED] = "new"
        if outcome.state != STUCK:
            assert it.active == it.loaded == expected[outcome.state]
    assert PROVED not in states(result)
    # No batch begins once more have failed than may.
    failed_before = 0
    for batch in wanted.batches:
        members = [outcome for outcome in result.outcomes if outcome.node in batch.nodes]
        begun = any(outcome.state != WAITING for outcome in members)
        assert not begun or failed_before <= max_failures
        failed_before += sum(outcome.state in (UNTOUCHED, BACK, STUCK) for outcome in members)
    assert work.most_unproved <= sum(1 for _, step in broken if step == "undo") + max(batches)
    assert result.ok == all(state == DONE for state in states(result))


@settings(max_examples=200)
@given(sizes, faults, st.integers(1, 60))
def test_killed_at_any_event_every_node_is_whole_and_a_second_run_ends_it(
    batches: list[int], broken: set[tuple[str, str]], kill_at: int
) -> None:
    wanted = plan(batches, max_failures=9)
    work = FakeWork([node.node for node in wanted.nodes], broken, kill_at)
    try:
        go(work, wanted)
    except Killed:
        pass
    assert all(node.whole for node in work.nodes.values())
    assert all(node.active == node.loaded or node.journal for node in work.nodes.values() if not broken)
    for node in work.nodes.values():
        node.recover()
    work.faults, work.kill_at = set(), 0
    rest, _ = go(work, wanted)
    assert rest.ok
    assert all(node.active == node.loaded == "new" and not node.journal for node in work.nodes.values())


@given(sizes, st.data())
def test_an_act_is_always_of_one_batch_and_of_nodes_in_the_state_for_it(
    batches: list[int], data: st.DataObject
) -> None:
    wanted = plan(batches, max_failures=data.draw(st.integers(0, 2)))
    state = st.sampled_from([WAITING, PROVED, DONE, UNTOUCHED, BACK, STUCK])
    outcomes = {node.node: Outcome(node.node, data.draw(state)) for node in wanted.nodes}
    act = next_act(wanted, outcomes)
    allowed = {"prove": WAITING, "finish": PROVED, "undo": PROVED}
    if act.kind in allowed:
        assert act.nodes
        assert set(act.nodes) <= set(wanted.batches[act.batch].nodes)
        assert all(outcomes[node].state == allowed[act.kind] for node in act.nodes)
