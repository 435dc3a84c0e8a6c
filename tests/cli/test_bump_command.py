"""`bump`: whole projects, all or nothing, also when it is killed or the disk fails."""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples/kong-plugin-request-stamp"
NAME = "kong-plugin-request-stamp"
HANDLER = "kong/plugins/request-stamp/handler.lua"


def copied(target: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, target, ignore=shutil.ignore_patterns(".pumice")))


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A copy of the example."""
    return copied(tmp_path / "plugin")


def test_the_example_is_raised_and_still_passes_its_check(command: Any, plugin: Path) -> None:
    assert command("bump", "minor", cwd=plugin) == 0
    assert f"{NAME}-0.1.0-1.rockspec -> {NAME}-0.2.0-1.rockspec" in command.output
    assert [path.name for path in plugin.glob("*.rockspec")] == [f"{NAME}-0.2.0-1.rockspec"]
    assert 'VERSION = "0.2.0"' in (plugin / HANDLER).read_text()
    assert "## 0.2.0\n\n## 0.1.0\n" in (plugin / "CHANGELOG.md").read_text()
    assert not (plugin / ".pumice").exists()
    assert command("check", "--strict", cwd=plugin) == 0
    assert command("bump", "2.0.0", cwd=plugin) == 0
    assert command("check", "--strict", cwd=plugin) == 0


def test_a_new_project_is_raised_and_still_passes_its_check(command: Any, tmp_path: Path) -> None:
    assert command("new", "acme-audit", cwd=tmp_path) == 0
    project = tmp_path / "kong-plugin-acme-audit"
    assert command("bump", "major", str(project)) == 0
    assert (project / "kong-plugin-acme-audit-1.0.0-1.rockspec").exists()
    assert command("check", "--strict", str(project)) == 0


def test_a_dry_run_shows_the_difference_and_writes_nothing(
    command: Any, plugin: Path, tree_hash: Callable[[Path], str]
) -> None:
    before = tree_hash(plugin)
    assert command("bump", "patch", "--dry-run", cwd=plugin) == 0
    assert '-  VERSION = "0.1.0",\n+  VERSION = "0.1.1",' in command.output
    assert f"+++ b/{NAME}-0.1.1-1.rockspec" in command.output
    assert before == tree_hash(plugin)


@pytest.mark.parametrize("step", ["0.1.0", "sideways"])
def test_a_step_that_is_none_changes_nothing(
    command: Any, plugin: Path, tree_hash: Callable[[Path], str], step: str
) -> None:
    before = tree_hash(plugin)
    assert command("bump", step, cwd=plugin) == 1
    assert before == tree_hash(plugin)


def test_a_rockspec_that_is_there_already_is_not_written_over(
    command: Any, plugin: Path, tree_hash: Callable[[Path], str]
) -> None:
    (plugin / "specs").mkdir()
    (plugin / f"{NAME}-0.1.1-1.rockspec").symlink_to("nowhere")
    before = tree_hash(plugin)
    assert command("bump", "patch", cwd=plugin) == 1
    assert "is there already" in command.output
    assert before == tree_hash(plugin)


def test_a_file_that_is_a_link_is_left_alone(command: Any, plugin: Path) -> None:
    (plugin / "CHANGELOG.md").rename(plugin / "elsewhere.md")
    (plugin / "CHANGELOG.md").symlink_to("elsewhere.md")
    assert command("bump", "patch", cwd=plugin) == 1
    assert "CHANGELOG.md is reached through a link" in command.output


@pytest.mark.sweep
@pytest.mark.parametrize("error", [None, errno.ENOSPC])
def test_killed_or_failing_anywhere_it_is_all_or_nothing(
    command: Any, tmp_path: Path, make_fault: Any, tree_hash: Callable[[Path], str], error: int | None
) -> None:
    """After a failure, or after a kill and the next bump, every file is as before or as after."""
    calls = command.count("bump", "patch", str(copied(tmp_path / "count")))
    assert calls > 5
    for at in range(1, calls + 1):
        project = copied(tmp_path / f"p{at}")
        before = tree_hash(project)
        code = command("bump", "patch", str(project), fault=make_fault(at, error))
        if error is not None and code not in (0, -9):
            assert before == tree_hash(project), at
        if error is None:
            # the next bump finds the old version whole, or the new one
            assert command("bump", "9.9.9", str(project)) == 0, command.output
            assert 'VERSION = "9.9.9"' in (project / HANDLER).read_text()
            assert "## 9.9.9\n\n## 0.1." in (project / "CHANGELOG.md").read_text()
            (rockspec,) = project.glob("*.rockspec")
            assert rockspec.name == f"{NAME}-9.9.9-1.rockspec"
            assert not (project / ".pumice/bump.json").exists()


def test_what_was_edited_after_a_kill_is_never_lost(command: Any, plugin: Path, make_fault: Any) -> None:
    calls = command.count("bump", "patch", str(copied(plugin.parent / "count")))
    for at in range(calls, 0, -1):
        if command("bump", "patch", str(plugin), fault=make_fault(at)) == 0:
            # more was counted than there is now: Python had compiled a module
            shutil.rmtree(plugin)
            copied(plugin)
            continue
        if (plugin / ".pumice/bump.json").exists():
            break
    handler = plugin / HANDLER
    handler.write_text(handler.read_text() + "-- mine\n")
    assert command("bump", "patch", str(plugin)) == 1
    assert "was edited after a bump that was killed" in command.output
    assert handler.read_text().endswith("-- mine\n")
