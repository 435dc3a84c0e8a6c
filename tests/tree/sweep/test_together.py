"""Several processes on one tree: writers wait for each other, readers see one state."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time

import pytest

from pumice.base.config import TreeSpec
from pumice.base.signals import Interruptible
from pumice.errors import Interrupted
from pumice.rock.content import Content
from pumice.tree.kinds import open_tree
from pumice.tree.steps import Put

pytestmark = pytest.mark.sweep
LAYOUTS = ("plain", "generations")


def children(count: int, work) -> list[int]:
    """`work(number)` in that many processes at once; their exit codes."""
    started = []
    for number in range(count):
        child = os.fork()
        if child == 0:
            code = 99
            try:
                work(number)
                code = 0
            finally:
                os._exit(code)
        started.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in started]


def add_to_manifest(tree, number: int, *, keep_open: float = 0.0) -> None:
    """As an installation does: read the manifest, put files, write the manifest with one line more."""
    with tree.change(command=f"install {number}", timeout=50) as change:
        manifest = os.path.join(change.spec.rocks_dir, "manifest")
        listed = []
        if os.path.exists(manifest):
            with open(manifest) as file:
                listed = json.load(file)
        time.sleep(keep_open)
        change.commit(
            [
                Put(manifest, Content.of_bytes(json.dumps([*listed, number]).encode()), 0o644),
                Put(f"{change.spec.lua_dir}/r{number}.lua", Content.of_bytes(b"%d" % number), 0o644),
                Put(f"{change.spec.lua_dir}/same.lua", Content.of_bytes(b"the same"), 0o644),
            ],
            added=[(f"r{number}", "1.0-1")],
        )


@pytest.mark.adversary(53, 54)
@pytest.mark.parametrize(("layout", "count"), [("plain", 8), ("generations", 8), ("generations", 32)])
def test_parallel_changes_of_one_tree_all_happen(fresh_tree, layout, count):
    tree = fresh_tree(layout, keep=100)
    assert children(count, lambda number: add_to_manifest(tree, number)) == [0] * count
    with open(os.path.join(tree.read_spec.rocks_dir, "manifest")) as file:
        assert sorted(json.load(file)) == list(range(count))
    assert sorted(os.listdir(tree.read_spec.lua_dir)) == sorted(
        [*(f"r{number}.lua" for number in range(count)), "same.lua"]
    )
    assert not os.path.lexists(os.path.join(tree.root, ".pumice"))
    assert not os.path.lexists(os.path.join(tree.root, "lockfile.lfs"))
    if layout == "generations":
        assert len(tree.history()) == count
        assert tree.verify() == ()
    print(f"{layout}: {count} of {count} changes in parallel")


def test_a_reader_of_a_generation_tree_never_sees_a_mixture(fresh_tree):
    """Every file of generation N says N; a reader that resolves `current` once must find one number only."""
    tree = fresh_tree("generations", keep=1000)
    files = 20

    def write(number: int) -> None:
        with tree.change(timeout=50) as change:
            change.commit(
                [
                    Put(f"{change.spec.lua_dir}/m{file}.lua", Content.of_bytes(b"%d" % number), 0o644)
                    for file in range(files)
                ]
            )

    write(0)
    writer = os.fork()
    if writer == 0:
        try:
            for number in range(1, 41):
                write(number)
        finally:
            os._exit(0)
    polls, seen = 0, set()
    while os.waitpid(writer, os.WNOHANG)[0] == 0:
        place = os.path.realpath(os.path.join(tree.root, "current"))
        found = set()
        for file in range(files):
            with open(f"{place}/share/lua/5.1/m{file}.lua", "rb") as opened:
                found.add(opened.read())
        assert len(found) == 1, found
        seen |= found
        polls += 1
    print(f"{polls} polls, {len(seen)} generations seen, 0 mixtures")
    assert polls > 100
    assert len(seen) > 5


@pytest.mark.adversary(52)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_signal_at_any_instant_leaves_no_lock_and_no_temporary_file(scenario, layout, number):
    it = scenario(layout, "upgrade")
    started = time.monotonic()
    it.change()
    whole = time.monotonic() - started
    chance = random.Random(random.randrange(1 << 32))
    codes = set()
    for _ in range(60):
        it.reset()
        ready, told = os.pipe()
        child = os.fork()
        if child == 0:
            code = 99
            try:
                with Interruptible():
                    os.write(told, b"x")
                    it.change()
                code = 0
            except Interrupted as error:
                code = error.exit_code
            except KeyboardInterrupt:  # after the command's end
                code = 0
            finally:
                os._exit(code)
        os.read(ready, 1)
        time.sleep(chance.random() * whole)
        os.kill(child, number)
        codes.add(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        os.close(ready)
        os.close(told)
        assert it.outcome() in (
            "before",
            "after",
        )  # without any recovery; the fingerprint counts locks and files
    assert codes <= {0, 128 + number, -number}
    assert 128 + number in codes


@pytest.mark.adversary(58)
def test_a_rollback_waits_for_the_installation(fresh_tree):
    tree = fresh_tree("generations")
    add_to_manifest(tree, 0)
    add_to_manifest(tree, 1)

    def work(number: int) -> None:
        if number == 0:
            add_to_manifest(tree, 2, keep_open=0.3)
        else:
            time.sleep(0.1)
            tree.rollback()

    assert children(2, work) == [0, 0]
    assert tree.current == 2  # the installation made 3 from 2, then the rollback went back to 2
    assert [each.number for each in tree.history()] == [1, 2, 3]


@pytest.mark.adversary(59)
def test_collecting_garbage_during_installations_removes_nothing_that_is_referred_to(fresh_tree):
    tree = fresh_tree("generations", keep=3)
    add_to_manifest(tree, 100)

    def work(number: int) -> None:
        for turn in range(5):
            if number % 2:
                tree.collect(keep=1 + number % 3)
            else:
                add_to_manifest(tree, number * 10 + turn)

    assert children(6, work) == [0] * 6
    assert tree.verify() == ()
    for generation in tree.history():
        for path in generation.files:
            assert os.path.isfile(os.path.join(tree.place(generation.number), path))
    assert len(os.listdir(tree.read_spec.lua_dir)) == 2 + 3 * 5


def test_readers_of_a_plain_tree_settle_a_change_that_died(scenario, faults):
    it = scenario("plain", "install")
    _, calls = faults.writing.run(it.change)
    settled = 0
    for at in range(0, calls, 4):
        it.reset()
        faults.writing.run(it.change, at=at, fault=faults.kill)
        pending = os.path.exists(f"{it.root}/.pumice/undo") or os.path.exists(f"{it.root}/.pumice/finish")
        it.tree().settle()
        if pending:
            settled += 1
            assert it.outcome() in ("before", "after")
    assert settled > 3
    shutil.rmtree(it.root)


@pytest.fixture
def fresh_tree(quick_disk):
    """Makes a tree that is not there yet."""
    made = []

    def make(layout: str, keep: int = 10):
        root = os.path.join(quick_disk, f"fresh-{len(made)}-{random.randrange(1 << 40)}")
        made.append(root)
        spec = TreeSpec(
            "arg",
            root,
            f"{root}/bin",
            f"{root}/share/lua/5.1",
            f"{root}/lib/lua/5.1",
            f"{root}/lib/luarocks/rocks-5.1",
        )
        tree = open_tree(spec, layout=layout, keep=keep)
        tree.root = root
        return tree

    yield make
    for root in made:
        shutil.rmtree(root, ignore_errors=True)
