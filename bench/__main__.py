"""`python -m bench`: Pumice and the real LuaRocks in alternation, in one run (docs/bench.md)."""

from __future__ import annotations

import argparse
import fnmatch
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.cases import CASES, PUMICE, Case, Setting, Step
from bench.checks import check_cases
from bench.cluster import cluster_cases
from bench.corpus import evaluate_corpus
from bench.measure import CommandFailed, Cost, Samples, peak_memory, weigh
from bench.report import Report, Row
from bench.servers import server_cases

PROJECT = Path(__file__).resolve().parent.parent
CORPUS = "rockspecs"


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print, and exit with 1 where a target is missed or a command failed."""
    given = _arguments(words)
    shared = Path(os.environ.get("PUMICE_SHARED", PROJECT.parent / "shared"))
    with tempfile.TemporaryDirectory(prefix="pumice-bench-") as folder:
        setting = _setting(Path(folder), given)
        report = Report(_machine(setting))
        for make, rows in {
            **CASES,
            **check_cases(shared),
            **server_cases(shared),
            **cluster_cases(),
        }.values():
            if any(_wanted(row, given.only) for row in rows):
                report.rows += _measured(make(setting), given, setting)
        if _wanted(CORPUS, given.only) and (shared / "corpus").is_dir():
            _say(given, CORPUS)
            report.corpus = evaluate_corpus(shared, given.rockspecs)
    _say(given, "")
    print(report.json() if given.json else report.table())
    return 0 if report.ok else 1


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__, allow_abbrev=False)
    parser.add_argument("--runs", type=int, default=15, metavar="N", help="runs of each row and side (15)")
    parser.add_argument(
        "--only", action="append", metavar="PATTERN", help="rows to measure, as list or 'install*'"
    )
    parser.add_argument("--json", action="store_true", help="print JSON with every sample")
    parser.add_argument("--rockspecs", type=int, metavar="N", help="evaluate only the first N of the corpus")
    parser.add_argument("--python", default=sys.executable, metavar="FILE", help="the Python of Pumice")
    parser.add_argument(
        "--luarocks", default=shutil.which("luarocks", path="/usr/local/bin:/usr/bin"), metavar="COMMAND"
    )
    given = parser.parse_args(words)
    if not given.luarocks:
        parser.error("there is no luarocks here to compare with; give one with --luarocks")
    return given


def _setting(folder: Path, given: argparse.Namespace) -> Setting:
    home = folder / "home"
    home.mkdir()
    environment = {
        "HOME": str(home),
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "TMPDIR": str(folder),
    }
    return Setting(
        folder,
        given.python,
        [given.python, "-m", "pumice"],
        shlex.split(given.luarocks),
        PROJECT / "examples/kong-plugin-request-stamp",
        environment,
        _cache(),
    )


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = Path(home) / "pumice-bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _machine(setting: Setting) -> dict[str, str]:
    shown = subprocess.run(
        [*setting.luarocks, "--version"], env=dict(setting.environment), capture_output=True, text=True
    )
    return {
        "system": platform.platform(),
        "processors": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.2f}",
        "python": platform.python_version(),
        "luarocks": (shown.stdout.splitlines() or ["?"])[0],
    }


def _measured(case: Case, given: argparse.Namespace, setting: Setting) -> Iterator[Row]:
    """All rows of a case. The sides take turns, and who begins changes from run to run."""
    rows = {
        row: Row(
            row,
            case.targets[row],
            against=case.against,
            most_memory=case.most_memory,
            most_wall=case.most_wall,
        )
        for row in case.rows
    }
    runs = given.runs if case.runs is None else min(given.runs, case.runs)
    output = setting.folder / "output"
    sides = list(case.sides)
    try:
        for run in range(-1, runs):
            _say(given, f"{case.name} {max(run, 0) + 1}/{runs}")
            for side in sides if run % 2 else reversed(sides):
                if run < 0 and case.runs == 1:
                    continue  # too long for a run that does not count
                case.reset(side)
                for step in case.sides[side]:
                    row = rows[step.row]
                    try:
                        cost = _run(step, setting, output)
                    except CommandFailed as failed:
                        row.failure = f"{side}: {failed}"
                        continue
                    for name in (step.row, *step.also) if run >= 0 else ():
                        rows[name].sides.setdefault(side, Samples()).costs.append(cost)
            if run < 0 and case.most_memory is not None:
                _weigh_memory(case, rows, setting)
            if all(row.failure.startswith(PUMICE) for row in rows.values()):
                break
    finally:
        case.close()
    return (row for row in rows.values() if _wanted(row.name, given.only))


def _weigh_memory(case: Case, rows: dict[str, Row], setting: Setting) -> None:
    """One more run of Pumice's steps, which is not timed."""
    for step in case.sides[PUMICE]:
        environment = {**setting.environment, **step.environment}
        for command in step.commands:
            try:
                memory = peak_memory(command, cwd=step.cwd, environment=environment)
            except CommandFailed as failed:
                rows[step.row].failure = f"{PUMICE}: {failed}"
                continue
            rows[step.row].memory = max(rows[step.row].memory, memory)


def _run(step: Step, setting: Setting, output: Path) -> Cost:
    total = Cost(0.0, 0.0)
    environment = {**setting.environment, **step.environment}
    for command in step.commands:
        total += weigh(command, cwd=step.cwd, environment=environment, output=output)
    written = output.read_text(encoding="utf-8", errors="replace")
    if step.says not in written:
        raise CommandFailed(f"{' '.join(step.commands[-1])} does not say {step.says!r} but\n{written[:500]}")
    if step.makes is not None and not step.makes.exists():
        raise CommandFailed(f"{' '.join(step.commands[-1])} does not make {step.makes}")
    if step.unmakes is not None and step.unmakes.exists():
        raise CommandFailed(f"{' '.join(step.commands[-1])} leaves {step.unmakes}")
    return total


def _wanted(row: str, patterns: list[str] | None) -> bool:
    return patterns is None or any(fnmatch.fnmatchcase(row, pattern) for pattern in patterns)


def _say(given: argparse.Namespace, text: str) -> None:
    """What is going on, on a line that the next one replaces."""
    if sys.stderr.isatty() and not given.json:
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
