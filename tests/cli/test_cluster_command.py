"""`pumice cluster`: the words, the live table, and what is told; the scenarios run it on real nodes."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pumice.cli.bars import columns
from pumice.cli.cluster_telling import Teller
from pumice.cli.cluster_view import RolloutView
from pumice.cli.terminal import Terminal
from pumice.cluster.events import Event
from pumice.cluster.plan import Batch, Plan

PLAN = Plan(
    "r1", "install", "edge", "now", "alice", (), (), (Batch("canary", ("a",), True), Batch("rest", ("b", "c\x1b", "dp-äöü")))
)  # fmt: skip


def fed(*events: Event) -> RolloutView:
    view = RolloutView(PLAN)
    for number, event in enumerate(events):
        view.feed(event, now=float(number))
    return view


def test_the_table_shows_what_is_under_way_and_counts_the_rest() -> None:
    view = fed(
        Event("batch", step="canary"),
        Event("step", "a", "stage", "begun"),
        Event("step", "a", "gate", "begun"),
    )
    lines = view.lines(80, 24, True, now=5.5)
    assert lines[0].split() == ["node", "step", "time", "result"]
    assert lines[1].split() == ["a", "gate", "4.5", "s"]
    assert lines[-1] == "canary: 1 under way, 3 waiting"


def test_what_failed_stands_first() -> None:
    view = fed(
        Event("step", "a", "gate", "begun"),
        Event("node", "a", state="done", seconds=2.0),
        Event("step", "b", "gate", "begun"),
        Event("node", "b", "gate", "stuck", seconds=3.0),
    )
    lines = view.lines(80, 24, True, now=9.0)
    assert lines[1].split() == ["b", "gate", "3.0", "s", "LOOK", "AT", "IT"]
    assert lines[2].split() == ["a", "gate", "2.0", "s", "done"]
    assert lines[-1] == "1 failed, 1 done, 2 waiting"


@pytest.mark.parametrize("width", [10, 20, 33, 80])
@pytest.mark.parametrize("most", [1, 2, 4, 24])
def test_the_table_never_leaves_its_place(width: int, most: int) -> None:
    events = [Event("step", node, "preflight", "begun") for node in ("a", "b", "c\x1b", "dp-äöü")]
    lines = fed(Event("batch", step="x" * 50), *events).lines(width, most, False)
    assert 1 <= len(lines) <= most
    assert all(columns(line) < width for line in lines)
    assert all(line.isprintable() for line in lines)


def test_events_of_unknown_nodes_do_not_matter() -> None:
    assert fed(Event("step", "zzz", "gate", "begun")).lines(80, 24, True)[-1] == "4 waiting"


def test_json_tells_every_event_as_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    teller = Teller(Terminal(), json=True, quiet=False)
    teller.tell(Event("step", "a", "stage", "begun"))
    teller.tell(Event("node", "a", state="done", text="done"))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["step", "node"]


def test_a_failure_is_told_with_its_log_and_what_to_do_also_with_quiet(
    capsys: pytest.CaptureFixture[str],
) -> None:
    teller = Teller(Terminal(quiet=True), json=False, quiet=True)
    teller.tell(Event("node", "a", state="done", text="done"))
    teller.tell(Event("node", "b", "gate", "back", "FAILED at gate: x", hint="do y", lines=("log line",)))
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == ["b: FAILED at gate: x", "    log line", "    next: do y"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("cluster",), "missing argument 'action'"),
        (("cluster", "explode"), "unknown action 'explode'"),
        (("cluster", "status"), "There is no cluster.toml in this directory"),
        (("cluster", "status", "--to", "none.toml"), "none.toml"),
        (("cluster", "status", "word"), "too many arguments"),
        (("ship", ".", "--to", "none.toml"), "Error:"),
    ],
)
def test_wrong_words_are_told(command: Any, words: tuple[str, ...], text: str) -> None:
    assert command(*words) == 1
    assert text in command.output


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    """A cluster whose one node is this machine, without any gateway."""
    file = tmp_path / "cluster.toml"
    file.write_text(
        '[cluster]\nname = "edge"\n'
        f'[[node]]\nname = "here"\naddress = "local:"\ntree = "{tmp_path}/tree"\nprefix = "{tmp_path}/prefix"\n'
        f'conf = "{tmp_path}/kong.conf"\nkong = "{tmp_path}/kong"\n'
    )
    return file


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--canary", "-1"),
        ("--canary", "x"),
        ("--batch", "0"),
        ("--batch", "101%"),
        ("--batch", "%"),
        ("--max-failures", "1.5"),
        ("--pause", "soon"),
        ("--timeout", "-1"),
        ("--timeout", "nan"),
    ],
)
def test_numbers_are_judged(command: Any, cluster: Path, option: str, value: str) -> None:
    assert command("cluster", "status", "--to", str(cluster), f"{option}={value}") == 1
    assert f"malformed argument '{value}'" in command.output


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("install",), "missing argument 'rock'"),
        (("remove",), "remove takes one plugin"),
        (("apply",), "apply takes one plan"),
        (("apply", "none.json"), "none.json"),
        (("sync",), "has no [[plugin]]"),
        (("install", "none-1.0-1.all.rock"), "none-1.0-1.all.rock"),
        (("rollback", "elsewhere"), "has no node 'elsewhere'"),
        (("status", "--only", "elsewhere"), "has no node 'elsewhere'"),
    ],
)
def test_what_cannot_be_done_is_told_before_any_node_is_asked(
    command: Any, cluster: Path, words: tuple[str, ...], text: str
) -> None:
    assert command("cluster", *words, "--to", str(cluster)) == 1
    assert text in command.output


@pytest.mark.parametrize("version", ["9.9.9", "> 1.0"])
def test_sync_refuses_sources_of_another_version_than_asked_for(
    command: Any, cluster: Path, tmp_path: Path, version: str
) -> None:
    example = Path(__file__).parents[2] / "examples/kong-plugin-request-stamp"
    sources = shutil.copytree(example, tmp_path / "sources", ignore=shutil.ignore_patterns(".pumice"))
    with cluster.open("a") as file:
        file.write(f'[[plugin]]\npath = "{sources}"\nversion = "{version}"\n')
    assert command("cluster", "sync", "--to", str(cluster)) == 1
    assert f"kong-plugin-request-stamp 0.1.0-1, not {version} as its [[plugin]] says" in command.output


def test_a_node_without_a_gateway_is_told_and_can_be_looked_at(command: Any, cluster: Path) -> None:
    assert command("cluster", "status", "--to", str(cluster), "--json") == 0
    (node,) = json.loads(command.output)["nodes"]
    assert node["node"] == "here"
    assert node["reachable"]
    assert not node["running"]
    assert any("there is no program" in text for text in node["drift"])
    assert command("cluster", "verify", "--to", str(cluster)) == 1
    assert "DRIFT" in command.output


def test_a_cluster_without_records_has_no_history(command: Any, cluster: Path) -> None:
    assert command("cluster", "history", "--to", str(cluster)) == 0
    assert "No rollout is recorded" in command.output
