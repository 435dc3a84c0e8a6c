"""Events as lines of JSON and as lines for people; records of rollouts, here and on nodes."""

import json
from pathlib import Path

from pumice.cluster.events import Event, event_json, event_line, moment
from pumice.cluster.plan import Artifact, Batch, Change, NodePlan, Plan
from pumice.cluster.rollout_record import folder_of, merge_records, read_records_here, write_record
from pumice.cluster.rollout_state import BACK, DONE, Outcome


def test_an_event_is_one_line_of_json_with_what_it_has() -> None:
    event = Event("node", "dp-1", "gate", "back", "two\nlines", seconds=1.23456, lines=("a", "b"), time=0.0)
    text = event_json(event)
    assert "\n" not in text
    assert json.loads(text) == {
        "event": "node",
        "time": "1970-01-01T00:00:00Z",
        "node": "dp-1",
        "step": "gate",
        "state": "back",
        "text": "two\nlines",
        "seconds": 1.235,
        "lines": ["a", "b"],
    }
    assert "seconds" not in json.loads(event_json(Event("batch")))
    assert json.loads(event_json(Event("step", seconds=0.0)))["seconds"] == 0


def test_steps_are_for_the_table_and_nodes_for_everybody() -> None:
    assert event_line(Event("step", "a", "stage", "begun")) is None
    assert event_line(Event("step", "a", "stage", "failed", "no room")) == "a: stage failed: no room"
    assert event_line(Event("node", "a", state="done", text="done", seconds=2.0)) == "a: done in 2.0 s"
    assert event_line(Event("entity", text="x: created")) == "entity: x: created"


PLAN = Plan(
    "r1",
    "install",
    "edge",
    moment(0),
    "alice@laptop",
    (Artifact("x", "1.0-1", "/x.rock", "d" * 64),),
    (
        NodePlan("a", "local:", "traditional", "f", "c", (Change("x", "", "1.0-1"),), (("x", "1.0"),), ()),
        NodePlan("b", "local:", "traditional", "f", "c", (), (), ()),
    ),
    (Batch("all", ("a", "b")),),
)


def test_a_record_tells_who_what_when_and_what_became_of_every_node(tmp_path: Path) -> None:
    folder = folder_of(str(tmp_path / "cluster.toml"))
    outcomes = [Outcome("a", DONE, seconds=1.0), Outcome("b", BACK, "gate", "not loaded")]
    path = write_record(
        folder, PLAN, outcomes, result="failed", stopped="1 node failed", entities=["x: created"]
    )
    assert Path(path) == tmp_path / ".pumice/rollouts/r1.json"
    assert Path(path).stat().st_mode & 0o077 == 0
    assert (tmp_path / ".pumice/.gitignore").read_text() == "*\n"
    record = read_records_here(folder)["r1"]
    assert (record["by"], record["result"], record["stopped"]) == ("alice@laptop", "failed", "1 node failed")
    assert record["artifacts"] == [{"name": "x", "version": "1.0-1", "sha256": "d" * 64}]
    nodes = record["nodes"]
    assert isinstance(nodes, list)
    assert [(each["node"], each["state"], each["message"]) for each in nodes] == [
        ("a", "done", ""),
        ("b", "back", "not loaded"),
    ]


def test_records_of_nodes_and_of_here_become_one_history(tmp_path: Path) -> None:
    folder = str(tmp_path)
    write_record(folder, PLAN, [], result="ok")
    theirs = json.dumps({"version": 1, "id": "r0", "made": "1969", "node": "a", "by": "bob"}).encode()
    (tmp_path / "broken.json").write_text("{")
    merged = merge_records(
        read_records_here(folder),
        {"a": {"r0": theirs, "r1": b'{"version": 1}'}, "b": {"r0": theirs, "x": b"["}},
    )
    assert [(each["id"], each["by"], each["kept_on"]) for each in merged] == [
        ("r0", "bob", ["a", "b"]),
        ("r1", "alice@laptop", ["a"]),
    ]


def test_a_folder_that_is_not_there_has_no_records(tmp_path: Path) -> None:
    assert read_records_here(str(tmp_path / "none")) == {}
