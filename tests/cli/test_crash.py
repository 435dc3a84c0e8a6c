"""A command that is killed, or whose disk fails, leaves the tree as before or as after: never between."""

import errno
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.sweep

MakeRock = Callable[..., Path]
TreeHash = Callable[[Path], str]


@pytest.fixture
def fault_type(request: pytest.FixtureRequest) -> Any:
    """The class of faults, from the conftest beside this file."""
    return request.getfixturevalue("make_fault")


@pytest.fixture
def rocks(make_rock: MakeRock) -> dict[str, Path]:
    """Two versions of a rock with modules, a command and conf."""
    found = {}
    for version in ("1.0-1", "2.0-1"):
        found[version] = make_rock(
            "subject",
            version,
            {
                "lua/subject/init.lua": f"return '{version}'\n",
                "lua/subject/util.lua": f"return {{ '{version}' }}\n",
                "bin/subject": "#!/bin/sh\necho hi\n",
                "conf/subject.conf": version,
            },
        )
    return found


SCENARIOS = ("install", "upgrade", "remove")


def words_of(
    scenario: str, tree: Path, rocks: dict[str, Path]
) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """What to run before, and the command under test."""
    first = ("--tree", str(tree), "install", str(rocks["1.0-1"]))
    if scenario == "install":
        return None, first
    if scenario == "upgrade":
        return first, ("--tree", str(tree), "install", str(rocks["2.0-1"]))
    return first, ("--tree", str(tree), "remove", "subject")


def prepared(
    scenario: str, layout: str, tmp_path: Path, rocks: dict[str, Path], command: Any, tree_hash: TreeHash
) -> tuple[Path, Path, tuple[str, ...], str, str]:
    """The tree, a pristine copy of it, the command under test, and the hash before and after it."""
    tree, pristine = tmp_path / "tree", tmp_path / "pristine"
    setup, words = words_of(scenario, tree, rocks)
    extra = ("--layout", layout)
    tree.mkdir()
    if setup is not None:
        assert command(*extra, *setup) == 0, command.output
    elif layout == "generations":
        other = str(rocks["2.0-1"])
        assert command(*extra, "--tree", str(tree), "install", other) == 0, command.output
        assert command("--tree", str(tree), "remove", "subject") == 0, command.output
    shutil.copytree(tree, pristine, symlinks=True)
    before = visible(tree, tree_hash)
    assert command(*words) == 0, command.output
    after = visible(tree, tree_hash)
    assert before != after
    return tree, pristine, words, before, after


def visible(tree: Path, tree_hash: TreeHash) -> str:
    """The hash of what users see: a plain tree, or the current generation of the other kind."""
    if (tree / "current").exists():
        # The generation's own record holds the time at which it was made.
        return "".join(tree_hash((tree / "current").resolve() / part) for part in ("bin", "share", "lib"))
    return tree_hash(tree)


def remove_empty_directories(tree: Path) -> None:
    for folder in sorted((path for path in tree.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def reset(tree: Path, pristine: Path) -> None:
    shutil.rmtree(tree)
    shutil.copytree(pristine, tree, symlinks=True)


@pytest.mark.adversary(49)
@pytest.mark.parametrize("layout", ["plain", "generations"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_at_every_file_system_call(
    scenario: str,
    layout: str,
    tmp_path: Path,
    rocks: dict[str, Path],
    command: Any,
    fault_type: Any,
    tree_hash: TreeHash,
) -> None:
    """The next command (`list`) finds the old tree or the new one; the same command then succeeds."""
    tree, pristine, words, before, after = prepared(scenario, layout, tmp_path, rocks, command, tree_hash)
    reset(tree, pristine)
    calls = command.count(*words)
    assert calls > 10
    outcomes = {before: 0, after: 0}
    for call in range(1, calls + 1):
        reset(tree, pristine)
        assert command(*words, fault=fault_type(call)) == -9
        assert command("--tree", str(tree), "list", "--porcelain") == 0, command.output
        now = visible(tree, tree_hash)
        assert now in outcomes, f"call {call} of {calls}: neither the old tree nor the new one"
        outcomes[now] += 1
        again = command(*words)
        if scenario == "remove" and now == after:
            assert again == 1
        else:
            assert again == 0, f"call {call}: {command.output}"
        assert visible(tree, tree_hash) == after
    assert outcomes[before] > 0
    old, new = outcomes[before], outcomes[after]
    print(f"\n{scenario} in a {layout} tree: killed at each of {calls} calls, {old} old, {new} new")


@pytest.mark.adversary(50, 51)
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EMFILE])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_failing_disk_at_every_call(
    scenario: str,
    error: int,
    tmp_path: Path,
    rocks: dict[str, Path],
    command: Any,
    fault_type: Any,
    tree_hash: TreeHash,
) -> None:
    """A clear error (or success where the call did not matter), never a traceback, never half a tree."""
    tree, pristine, words, before, after = prepared(scenario, "plain", tmp_path, rocks, command, tree_hash)
    reset(tree, pristine)
    calls = command.count(*words)
    failed = 0
    for call in range(1, calls + 1):
        reset(tree, pristine)
        code = command(*words, fault=fault_type(call, error))
        assert code in (0, 1, 2), f"call {call}: exit {code}: {command.output}"
        if code != 0:
            failed += 1
            assert "Error: " in command.output
        assert "Traceback" not in command.output
        assert command("--tree", str(tree), "list", "--porcelain") == 0, command.output
        now = visible(tree, tree_hash)
        if code == 0 and now != after:
            # a directory that could not be removed once it was empty is no half-done change
            remove_empty_directories(tree)
            now = visible(tree, tree_hash)
        assert now == after if code == 0 else now in (before, after), f"call {call}: exit {code}"
    assert failed > 0


@pytest.mark.adversary(49)
def test_killed_at_200_random_instants_of_a_45_rock_install(
    tmp_path: Path, make_rock: MakeRock, command: Any, tree_hash: TreeHash
) -> None:
    """200 of 200 are the old tree or the new one, and the retry exits 0."""
    rocks = [
        make_rock(
            f"rock{number:02}",
            "1.0-1",
            {f"lua/rock{number:02}/m{part}.lua": f"return {number}\n" for part in range(4)},
            [f"rock{number - 1:02} >= 1.0"] if number else [],
        )
        for number in range(45)
    ]
    tree, pristine = tmp_path / "tree", tmp_path / "pristine"
    keep = make_rock("keep", "1.0-1", {"lua/keep.lua": "return 1\n"})
    assert command("--tree", str(tree), "install", str(keep)) == 0
    shutil.copytree(tree, pristine, symlinks=True)
    before = tree_hash(tree)
    words = ("--tree", str(tree), "install", *map(str, rocks))
    started = time.monotonic()
    assert command(*words) == 0, command.output
    duration = time.monotonic() - started
    after = tree_hash(tree)
    seed = int(os.environ.get("PUMICE_SEED", "0")) or random.randrange(2**32)
    print(f"\nPUMICE_SEED={seed}")
    instants = random.Random(seed)
    outcomes = {before: 0, after: 0}
    killed = 0
    for _ in range(200):
        reset(tree, pristine)
        killed += command(*words, kill_after=instants.uniform(0, duration)) == -9
        assert command("--tree", str(tree), "list", "--porcelain") == 0, command.output
        now = tree_hash(tree)
        assert now in outcomes
        outcomes[now] += 1
    assert command(*words) == 0, command.output
    assert tree_hash(tree) == after
    assert killed > 100
    print(f"45 rocks: {killed} of 200 runs killed, {outcomes[before]} old, {outcomes[after]} new")


@pytest.mark.adversary(53)
@pytest.mark.parametrize("layout", ["plain", "generations"])
def test_eight_parallel_installs_into_one_tree(
    layout: str, tmp_path: Path, make_rock: MakeRock, command: Any
) -> None:
    """8 of 8 exit 0, and 8 are listed."""
    tree = tmp_path / "tree"
    children = []
    for number in range(8):
        rock = make_rock(f"rock{number}", "1.0-1", {f"lua/rock{number}.lua": "return 1\n"})
        child = os.fork()
        if child == 0:
            try:
                code = command("--tree", str(tree), "--layout", layout, "install", str(rock))
            except BaseException:
                code = 98
            os._exit(code)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert codes == [0] * 8
    assert command("--tree", str(tree), "list", "--porcelain") == 0
    assert len(command.output.splitlines()) == 8


@pytest.mark.adversary(49)
@pytest.mark.parametrize("layout", ["plain", "generations"])
def test_an_install_by_name_is_killed_at_every_file_system_call(
    layout: str, tmp_path: Path, make_rock: MakeRock, command: Any, fault_type: Any, tree_hash: TreeHash
) -> None:
    """Tree and cache are whole: the next command finds the old tree or the new one, and the retry succeeds."""
    make_rock("base", "1.0-1", {"lua/base.lua": "return 1\n"})
    server = make_rock("top", "1.0-1", {"lua/top.lua": "return 2\n"}, ["base >= 1.0"]).parent
    assert command("index", "build", str(server)) == 0, command.output
    tree, pristine = tmp_path / "tree", tmp_path / "pristine"
    keep = make_rock("keep", "1.0-1", {"lua/keep.lua": "return 0\n"}, folder="elsewhere")
    words = ("--tree", str(tree), f"--only-server={server}", "install", "top")
    assert command("--layout", layout, "--tree", str(tree), "install", str(keep)) == 0, command.output
    shutil.copytree(tree, pristine, symlinks=True)
    before = visible(tree, tree_hash)
    cache = command.home / ".cache"
    shutil.rmtree(cache, ignore_errors=True)
    calls = command.count(*words)
    after = visible(tree, tree_hash)
    outcomes = {before: 0, after: 0}
    # every third call: most of them are the same step of another file
    for call in range(1, calls + 1, 3):
        reset(tree, pristine)
        shutil.rmtree(cache, ignore_errors=True)
        assert command(*words, fault=fault_type(call)) == -9
        assert command("--tree", str(tree), "list", "--porcelain") == 0, command.output
        now = visible(tree, tree_hash)
        assert now in outcomes, f"call {call} of {calls}"
        outcomes[now] += 1
        assert command(*words) == 0, f"call {call}: {command.output}"
        assert visible(tree, tree_hash) == after
    assert outcomes[before] > 0


@pytest.mark.adversary(50)
def test_a_lock_is_written_whole_or_not_at_all(
    tmp_path: Path, make_rock: MakeRock, command: Any, fault_type: Any
) -> None:
    """Killed at every call, `pumice.lock` is the old one or the new one."""
    server = make_rock("base", "1.0-1", {"lua/base.lua": "return 1\n"}).parent
    assert command("index", "build", str(server)) == 0, command.output
    project = tmp_path / "project"
    project.mkdir()
    (project / "app-1.0-1.rockspec").write_text(
        'package = "app" version = "1.0-1" source = { url = "x" } dependencies = { "base" }'
        'build = { type = "builtin", modules = {} }'
    )
    lock = project / "pumice.lock"
    old = "# an older one\nversion = 1\n"
    lock.write_text(old)
    words = (f"--only-server={server}", "lock")
    command.count(*words, cwd=project)
    new = lock.read_text()
    # the cache is warm now, as it is in every run below
    lock.write_text(old)
    calls = command.count(*words, cwd=project)
    assert "base" in new
    for call in range(1, calls + 1):
        lock.write_text(old)
        assert command(*words, cwd=project, fault=fault_type(call)) == -9
        assert lock.read_text() in (old, new)
