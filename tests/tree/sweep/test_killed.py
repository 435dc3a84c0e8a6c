"""Killed at every file-system call in turn, a tree is as before or as after the whole change."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time

import pytest

pytestmark = pytest.mark.sweep
LAYOUTS = ("plain", "generations")
CHANGES = ("install", "upgrade", "remove")


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_killed_at_every_call_the_tree_is_whole_and_the_command_can_be_repeated(
    scenario, faults, layout, change
):
    it = scenario(layout, change)
    result, calls = faults.writing.run(it.change)
    assert result == "done"
    seen = set()
    for at in range(calls):
        it.reset()
        assert faults.writing.run(it.change, at=at, fault=faults.kill)[0] == "killed"
        it.recover()
        outcome = it.outcome()
        assert outcome in ("before", "after"), f"torn when killed at call {at} of {calls}"
        seen.add(outcome)
        if outcome == "before":
            it.change()
            assert it.outcome() == "after"
    assert seen == {"before", "after"}
    print(f"{layout} {change}: killed at {calls} of {calls} calls, 0 torn")


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_recovery_killed_at_every_call_still_ends_whole(scenario, faults, layout, change):
    it = scenario(layout, change)
    _, calls = faults.writing.run(it.change)
    killed = 0
    for at in range(0, calls, 4 if layout == "plain" else 29):
        it.reset()
        faults.writing.run(it.change, at=at, fault=faults.kill)
        for again in range(10_000):
            result, _ = faults.writing.run(it.recover, at=again, fault=faults.kill)
            killed += result == "killed"
            if result != "killed":
                break
        assert result == "done"
        assert it.outcome() in ("before", "after"), (
            f"torn: change killed at {at}, then recovery again and again"
        )
    print(f"{layout} {change}: recovery killed {killed} times, 0 torn")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_killed_200_times_at_random_instants_of_45_rocks(quick_disk, layout, request):
    """The change is the size of kong's closure: 45 rocks with 8 files each."""
    from pumice.rock.content import Content
    from pumice.tree.steps import Put

    scenarios = request.getfixturevalue("scenario")
    it = scenarios(layout, "install")

    def steps(spec):
        made = [Put(f"{spec.rocks_dir}/manifest", Content.of_bytes(b"45 rocks" * 1000), 0o644)]
        for rock in range(45):
            for file in range(4):
                made.append(Put(f"{spec.rocks_dir}/r{rock}/1-1/f{file}", Content.of_bytes(b"x" * 500), 0o644))
                made.append(Put(f"{spec.lua_dir}/r{rock}/m{file}.lua", Content.of_bytes(b"y" * 3000), 0o644))
        return made

    it.steps = steps
    it.change()
    it.after = it.fingerprint(it.root)
    it.reset()
    started = time.monotonic()
    it.change()
    whole = time.monotonic() - started
    seed = random.randrange(1 << 32)
    print(f"seed {seed}, one change takes {whole * 1000:.0f} ms")
    chance = random.Random(seed)
    seen = {"before": 0, "after": 0}
    for _ in range(200 if layout == "plain" else 60):
        it.reset()
        child = os.fork()
        if child == 0:
            try:
                it.change()
            finally:
                os._exit(0)
        time.sleep(chance.random() * whole * 1.2)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        it.recover()
        seen[it.outcome()] += 1
    print(f"{layout}: {seen}")
    assert seen["before"] > 0
    shutil.rmtree(it.root)
