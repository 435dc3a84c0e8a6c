"""A plan is saved and read back as it was, judged key by key, and printed so that a reviewer understands it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.cluster.plan import Artifact, Batch, Change, EntityStep, NodePlan, Plan, Step
from pumice.cluster.plan_json import plan_json, read_plan
from pumice.cluster.plan_text import plan_lines
from pumice.errors import DataError

STEPS = (
    Step("stage", "12 files (34 kB) that the node lacks", "they are deleted"),
    Step("preflight", "kong config parse with the new files"),
    Step("activate", "generation 3 → 4", "back to generation 3"),
)


def node(name: str, role: str = "data_plane", **fields: Any) -> NodePlan:
    change = Change("request-stamp", "0.1.0-1", "0.2.0-1")
    given = {
        "node": name,
        "address": f"ssh://{name}",
        "role": role,
        "facts": "f" * 64,
        "content": "c" * 64,
        "changes": (change,),
        "proof": (("request-stamp", "0.2.0"),),
        "steps": STEPS,
    }
    return NodePlan(**{**given, **fields})


def plan(**fields: Any) -> Plan:
    given = {
        "id": "20261123T183100Z-ab12",
        "action": "install",
        "cluster": "edge",
        "made": "2026-11-23T18:31:00Z",
        "by": "alice@laptop",
        "artifacts": (Artifact("kong-plugin-request-stamp", "0.2.0-1", "/srv/a.rock", "d" * 64),),
        "nodes": (node("cp-1", "control_plane"), node("dp-1"), node("dp-2")),
        "batches": (
            Batch("control planes, canary", ("cp-1",), canary=True),
            Batch("data planes", ("dp-1", "dp-2"), pause=30.0),
        ),
    }
    return Plan(**{**given, **fields})


FULL = plan(
    unchanged=("dp-9",),
    missing=(("dp-7", "no route to host"),),
    max_failures=1,
    timeout=30.0,
    exact=True,
    migrate=("cp-1", ("request-stamp",)),
    entities=(EntityStep("request-stamp", "apply", "/srv/entity.json", "e" * 64),),
    warnings=("careful",),
)


def test_a_plan_is_the_same_after_saving() -> None:
    assert read_plan(plan_json(FULL), "plan.json") == FULL


names = st.text(min_size=1, max_size=12)


@given(st.lists(names, min_size=1, max_size=6, unique=True), names, st.integers(0, 9), st.floats(0, 1e6))
def test_any_names_survive(nodes: list[str], word: str, failures: int, timeout: float) -> None:
    """Also with quotes, line ends and unpaired surrogates in them."""
    wanted = plan(
        nodes=tuple(node(name, changes=(Change(word, "", "1"),)) for name in nodes),
        batches=(Batch(word, tuple(nodes)),),
        max_failures=failures,
        timeout=timeout,
        warnings=(word,),
    )
    assert read_plan(plan_json(wanted), "p") == wanted


def damage(change: Any) -> str:
    data = json.loads(plan_json(FULL))
    change(data)
    return json.dumps(data)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda data: data.update(version=2), "version 2"),
        (lambda data: data.update(extra=1), "unknown key 'extra'"),
        (lambda data: data.pop("nodes"), "lacks 'nodes'"),
        (lambda data: data["nodes"][1].pop("facts"), "number 2 of 'nodes' lacks 'facts'"),
        (lambda data: data["nodes"][0].update(shell="rm"), "unknown key 'shell'"),
        (lambda data: data.update(action="explode"), "install or sync"),
        (lambda data: data.update(max_failures=True), "a number from 0 on"),
        (lambda data: data.update(timeout=-1), "a number of seconds"),
        (lambda data: data.update(timeout=float("nan")), "a number of seconds"),
        (lambda data: data["batches"][0].update(nodes=["dp-1"]), "exactly once"),
        (lambda data: data["batches"][0].update(nodes="cp-1"), "a list"),
        (lambda data: data.update(id="../../x"), "letters, digits"),
        (lambda data: data.update(migrate=[1, 2]), "a node and a list of plugins"),
        (lambda data: data["nodes"][0].update(proof=[["a"]]), "pairs"),
        (lambda data: data.update(warnings=[1]), "a list of texts"),
    ],
)
def test_a_damaged_plan_is_refused_with_its_key(change: Any, text: str) -> None:
    with pytest.raises(DataError, match=text.replace("'", "['\"]")):
        read_plan(damage(change), "plan.json")


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "[" * 100_000])
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(DataError):
        read_plan(text, "plan.json")


def test_the_printed_plan_tells_order_steps_undo_and_limits() -> None:
    text = "\n".join(plan_lines(FULL))
    order = [
        "migrations",
        "control planes, canary",
        "dp-1, dp-2  after a pause of 30 s",
        "entity of request-stamp",
        "On cp-1 (control plane):",
        "On each of dp-1, dp-2 (data plane):",
        "A node that fails is taken back at once",
    ]
    places = [text.index(each) for each in order]
    assert sorted(places) == places
    for each in (
        "request-stamp 0.1.0-1 → 0.2.0-1",
        "generation 3 → 4  (undo: back to generation 3)",
        "Not reached, left as it is: dp-7: no route to host",
        "Nothing to do on dp-9.",
        "Warning: careful",
        "When more than 1 node failed",
        "A canary that fails stops it in any case.",
        "sha256:dddddddddddddddd",
    ):
        assert each in text


def test_nodes_to_which_the_same_happens_are_told_once() -> None:
    text = "\n".join(plan_lines(FULL))
    assert text.count("kong config parse") == 2


def test_a_plan_without_changes_says_so() -> None:
    empty = plan(nodes=(), batches=(), unchanged=("cp-1", "dp-1"))
    assert empty.empty
    assert plan_lines(empty)[-1] == "There is nothing to do."
