"""What a rollout means on a node: steps that fail, contents that are damaged, connections that break."""

import json
from typing import Any

import pytest

from pumice.cluster import node_work as module
from pumice.cluster.address import Address
from pumice.cluster.change import DONE, FAILED, WARNED, Enabling, NodeChange, StepResult
from pumice.cluster.connection import ConnectionCut, Unreachable
from pumice.cluster.events import Event
from pumice.cluster.facts import NodeFacts, Process
from pumice.cluster.inventory import Node
from pumice.cluster.node_work import NodeWork
from pumice.cluster.plan import Batch, NodePlan, Plan
from pumice.cluster.planning import NodeInput
from pumice.cluster.preparation import Prepared
from pumice.cluster.rollout import StepFailed
from pumice.errors import PumiceError

NODE = Node("n", Address("local"))
FACTS = NodeFacts("n", role="traditional", generation=3, master=Process(1, 1), workers=(Process(11, 2),))
ENABLING = Enabling((), {}, "", "", "")
PREPARED = Prepared(
    NodeInput(NODE, FACTS, None, "digest", ENABLING, 4, proof=(("x", "2.0.0"),)),
    NodeChange("r1", 3, 4, ENABLING),
    None,
)
PLAN = Plan(
    "r1", "install", "edge", "then", "alice", (), (NodePlan("n", "local:", "traditional", "f", "c", (), (("x", "2.0.0"),), ()),),
    (Batch("all", ("n",)),), timeout=1.0,
)  # fmt: skip


class FakeEngine:
    def __init__(self) -> None:
        self.reached: Any = "again"

    def connect(self, nodes: Any) -> dict[str, Any]:
        return {node.name: self.reached for node in nodes}

    def wait(self, seconds: float) -> None:
        """No time passes."""


class Nodes:
    """The steps, with the answers that a test puts in; each call takes the next."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.answers: dict[str, list[Any]] = {}
        for name in ("roll_out", "stage", "activate", "migrate", "finish", "undo"):
            monkeypatch.setattr(module, name, self._step(name))
        monkeypatch.setattr(module, "resend", lambda payload, damaged: ("resent", tuple(damaged)))
        monkeypatch.setattr(module, "prove", self._prove)
        self.gates: list[Any] = []
        self.told: list[Event] = []
        self.engine = FakeEngine()

    def _step(self, name: str) -> Any:
        def step(connection: Any, change: Any, *more: Any, **named: Any) -> Any:
            self.calls.append((name, (connection, *more)))
            given = self.answers.get(name, [])
            answer = given.pop(0) if given else (StepResult(name, DONE),)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return step

    def _prove(self, gate: Any, asks: Any, control_plane: Any, **named: Any) -> str:
        self.gates.append(gate)
        return "runs it"

    def work(self, prepared: Prepared = PREPARED) -> NodeWork:
        return NodeWork(
            PLAN, {"n": prepared}, {"n": "connection"}, self.engine, lambda *_: None, self.told.append,  # type: ignore
        )  # fmt: skip


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Nodes:
    return Nodes(monkeypatch)


def test_the_gate_knows_what_the_node_told_when_it_switched(nodes: Nodes) -> None:
    nodes.answers["roll_out"] = [
        (
            StepResult("activate", DONE, 5, data={"uptime": "777"}),
            StepResult("reload", DONE, 9, data={"workers": "21 22"}),
        )
    ]
    work = nodes.work()
    work.change("n")
    assert work.prove("n") == "runs it"
    (gate,) = nodes.gates
    assert (gate.workers_before, gate.activated, gate.proof) == (frozenset((21, 22)), 777, (("x", "2.0.0"),))
    assert [event.step for event in nodes.told if event.state == "ok"] == ["activate", "reload", "gate"]


def test_without_its_word_the_workers_of_the_probe_count(nodes: Nodes) -> None:
    work = nodes.work()
    work.change("n")
    work.prove("n")
    assert nodes.gates[0].workers_before == frozenset((11,))


@pytest.mark.parametrize(
    ("step", "untouched"),
    [("stage", True), ("preflight", True), ("activate", True), ("reload", False)],
)
def test_a_step_that_fails_says_whether_anything_is_to_be_taken_back(
    nodes: Nodes, step: str, untouched: bool
) -> None:
    nodes.answers["roll_out"] = [(StepResult(step, FAILED, 1, "first\n\nlast line"),)]
    with pytest.raises(StepFailed) as caught:
        nodes.work().change("n")
    assert caught.value.untouched == untouched
    assert caught.value.log == ("first", "last line")
    assert "last line" in caught.value.message


def test_damaged_contents_are_sent_anew_once(nodes: Nodes) -> None:
    damaged = (StepResult("stage", FAILED, 1, "damaged", {"damaged": "k1 k2"}),)
    nodes.answers["roll_out"] = [damaged]
    prepared = PREPARED.replace(payload="payload")
    nodes.work(prepared).change("n")
    assert [call[1][1] for call in nodes.calls] == ["payload", ("resent", ("k1", "k2"))]
    nodes.answers["roll_out"] = [damaged, damaged]
    with pytest.raises(StepFailed):
        nodes.work(prepared).change("n")


def test_a_warning_is_told_and_goes_on(nodes: Nodes) -> None:
    nodes.answers["roll_out"] = [(StepResult("preflight", WARNED, 1, "parse does not like it"),)]
    nodes.work().change("n")
    assert [event.text for event in nodes.told if event.kind == "notice"] == ["parse does not like it"]


def test_migrations_run_between_staging_and_activating(nodes: Nodes) -> None:
    work = nodes.work()
    work.stage_and_migrate("n")
    work.change("n")
    work.finish_migrations("n")
    assert [call[0] for call in nodes.calls] == ["stage", "migrate", "activate", "migrate"]


def test_undo_makes_a_connection_that_broke_anew(nodes: Nodes) -> None:
    nodes.answers["undo"] = [ConnectionCut("n: cut")]
    assert nodes.work().undo("n") == "it is back on generation 3"
    assert [call[1][0] for call in nodes.calls] == ["connection", "again"]
    assert not nodes.gates[0].reloaded


def test_a_node_that_cannot_be_reached_any_more_is_told_as_whole_but_unknown(nodes: Nodes) -> None:
    nodes.answers["undo"] = [ConnectionCut("n: cut")]
    nodes.engine.reached = Unreachable("n: no route.")
    with pytest.raises(PumiceError) as caught:
        nodes.work().undo("n")
    assert "it is whole, the old or the new version" in caught.value.message
    assert "pumice cluster status" in caught.value.hint


def test_an_undo_that_fails_is_an_error(nodes: Nodes) -> None:
    nodes.answers["undo"] = [(StepResult("undo", FAILED, 1, "disk is gone"),)]
    with pytest.raises(StepFailed, match="disk is gone"):
        nodes.work().undo("n")


def test_a_gateway_that_did_not_run_is_not_asked_after_an_undo(nodes: Nodes) -> None:
    stopped = PREPARED.replace(input=PREPARED.input.replace(facts=FACTS.replace(master=None)))
    nodes.work(stopped).undo("n")
    assert nodes.gates == []


def test_the_record_on_the_node_tells_who_and_what_and_no_secret(nodes: Nodes) -> None:
    record = json.loads(nodes.work()._record("n"))
    assert (record["id"], record["by"], record["generation"]) == ("r1", "alice", 4)
    assert record["proof"] == [["x", "2.0.0"]]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("Error: no plugin found\n", "Error: no plugin found"),
        ("Error:\nhandler.lua:3: no field\nstack traceback:\n\t[C]: in 'error'\n\t[C]: at 0x5", "handler.lua:3: no field"),
        ("stack traceback:\n\t[C]: at 0x5", "stack traceback:"),
    ],
)  # fmt: skip
def test_the_reason_of_a_refusal_is_the_line_above_the_traceback(said: str, reason: str) -> None:
    assert module._reason(said.splitlines()) == reason
