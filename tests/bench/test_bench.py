"""The bench measures what it says, and tells when a command did not do its work."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def test_the_cost_of_children_of_the_command_is_counted(bench: Any, tmp_path: Path) -> None:
    busy = f"{shlex.quote(sys.executable)} -c 'sum(range(6000000))'; true"
    cost = bench("measure").weigh(
        ["/bin/sh", "-c", busy], cwd=tmp_path, environment={}, output=tmp_path / "o"
    )
    assert cost.cpu > 0.03
    assert cost.wall > 0.03


def test_memory_is_that_of_the_command_and_not_of_the_bench(bench: Any, tmp_path: Path) -> None:
    ours = bytearray(200 << 20)

    def peak(text: str) -> float:
        command = [sys.executable, "-S", "-c", text]
        found: float = bench("measure").peak_memory(command, cwd=tmp_path, environment={})
        return found

    assert peak("pass") < 60 < 120 < peak("bytearray(120 << 20)") < 200
    assert len(ours) == 200 << 20
    with pytest.raises(bench("measure").CommandFailed, match=r"exit 3\nwhy"):
        peak("import sys; print('why', file=sys.stderr); sys.exit(3)")


def test_a_command_runs_where_it_should_and_its_output_is_kept(bench: Any, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    here = os.getcwd()
    bench("measure").weigh(
        ["/bin/sh", "-c", "pwd; echo $X >&2"],
        cwd=tmp_path / "in",
        environment={"X": "y"},
        output=tmp_path / "o",
    )
    assert (tmp_path / "o").read_text(encoding="utf-8") == f"{tmp_path}/in\ny\n"
    assert os.getcwd() == here


def test_a_failing_command_is_no_result(bench: Any, tmp_path: Path) -> None:
    measure = bench("measure")
    with pytest.raises(measure.CommandFailed, match=r"exit 3\nwhy"):
        measure.weigh(
            ["/bin/sh", "-c", "echo why; exit 3"], cwd=tmp_path, environment={}, output=tmp_path / "o"
        )


def test_medians_ratios_and_verdicts(bench: Any) -> None:
    measure, report = bench("measure"), bench("report")

    def samples(*milliseconds: float) -> Any:
        return measure.Samples([measure.Cost(each / 1000, each / 2000) for each in milliseconds])

    row = report.Row("x", 0.7, {"pumice": samples(10, 30, 20), "luarocks": samples(40, 40, 90)})
    assert (row.ratio("wall"), row.ratio("cpu"), row.verdict) == (0.5, 0.5, "ok")
    assert report.Row("x", 0.4, row.sides).verdict == "over"
    assert report.Row("x", None, row.sides).verdict == ""
    assert report.Row("x", 0.4, {}, "no").verdict == "failed"
    assert report.Row("x", 0.7, row.sides, memory=39, most_memory=40).verdict == "ok"
    assert report.Row("x", 0.7, row.sides, memory=41, most_memory=40).verdict == "over"
    wall = row.sides["pumice"].wall
    assert report.Row("x", None, row.sides, most_wall=wall + 1).verdict == "ok"
    assert report.Row("x", None, row.sides, most_wall=wall - 1).verdict == "over"
    floor = {"pumice": samples(20), "luarocks": samples(90), "floor": samples(10)}
    assert report.Row("x", 1.1, floor, against="floor").verdict == "over"
    whole = report.Report({}, [row, report.Row("y", 0.4, row.sides)])
    assert not whole.ok
    assert report.Report({}, [row]).ok
    assert [line.split()[-1] for line in whole.table().splitlines()[2:4]] == ["ok", "over"]


def test_of_many_rivals_the_fastest_counts_and_by_wall_time_alone(bench: Any) -> None:
    measure, report = bench("measure"), bench("report")
    sides = {
        name: measure.Samples([measure.Cost(wall, cpu)])
        for name, wall, cpu in (("pumice", 2.0, 9.0), ("loop", 20.0, 1.0), ("ansible", 40.0, 1.0))
    }
    row = report.Row("x", 0.11, sides, against="")
    assert (row.rival, row.ratio("wall"), row.verdict) == ("loop", 0.1, "ok")
    assert report.Row("x", 0.09, sides, against="").verdict == "over"
    assert row.rivals == "loop 20000 (0.10), ansible 40000 (0.050)"
    assert report.Row("x", 0.1, {}, "no", against="").rivals == "-"


def test_a_run_may_count_for_more_rows_and_what_was_started_is_stopped(bench: Any, tmp_path: Path) -> None:
    main, cases = bench("__main__"), bench("cases")
    setting = cases.Setting(tmp_path, sys.executable, [], [], tmp_path, {})
    stopped: list[bool] = []
    sides = {
        "pumice": [cases.Step(row, [["/bin/true"]], tmp_path) for row in ("first", "again")],
        "loop": [cases.Step("first", [["/bin/true"]], tmp_path, also=("again",))],
    }
    case = cases.Case(
        "x", sides, {"first": 1.0, "again": 1.0}, close=lambda: stopped.append(True), against=""
    )
    given = main._arguments(["--runs", "2", "--luarocks", "/bin/true"])
    rows = list(main._measured(case, given, setting))
    assert [(row.name, len(row.sides["loop"].costs)) for row in rows] == [("first", 2), ("again", 2)]
    assert stopped == [True]


def test_what_a_command_must_do_is_checked(bench: Any, tmp_path: Path) -> None:
    main, cases, measure = bench("__main__"), bench("cases"), bench("measure")
    setting = cases.Setting(tmp_path, sys.executable, [], [], tmp_path, {})

    def run(text: str, **wanted: Any) -> Any:
        step = cases.Step("x", [["/bin/sh", "-c", text]], tmp_path, **wanted)
        return main._run(step, setting, tmp_path / "o")

    assert run("echo hello; touch made", says="hello", makes=tmp_path / "made").wall > 0
    with pytest.raises(measure.CommandFailed, match="does not say"):
        run("true", says="hello")
    with pytest.raises(measure.CommandFailed, match="does not make"):
        run("true", makes=tmp_path / "absent")
    with pytest.raises(measure.CommandFailed, match="leaves"):
        run("true", unmakes=tmp_path / "made")


@pytest.mark.peer
def test_the_rocks_and_trees_to_measure_with_are_good_ones(bench: Any, tmp_path: Path) -> None:
    """The real LuaRocks lists the tree, and installs and removes the rock."""
    workload = bench("workload")
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    tree = workload.write_tree(tmp_path / "tree", 3, ["/usr/bin/luarocks"], environment)
    rock = workload.write_rock(3, tmp_path)

    def luarocks(*words: str) -> str:
        command = ["/usr/bin/luarocks", "--tree", str(tree), *words]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True, timeout=120
        )
        return done.stdout

    luarocks("install", str(rock))
    assert len(luarocks("list", "--porcelain").splitlines()) == 4
    luarocks("remove", "bench-rock-0003")
    luarocks("remove", "bench-rock-0001")
    assert len(luarocks("list", "--porcelain").splitlines()) == 2
    assert not (tree / "share/lua/5.1/bench_rock_0001").exists()


@pytest.mark.peer
def test_a_run_prints_json_for_machines(project: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "bench", "--runs", "1", "--only", "version", "--json"],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = json.loads(shown.stdout)
    (row,) = found["rows"]
    assert row["failure"] == ""
    assert {"pumice", "luarocks", "floor"} <= row.keys()
    assert len(row["pumice"]["samples"]) == 1
    assert "LuaRocks" in found["machine"]["luarocks"] or "luarocks" in found["machine"]["luarocks"]
