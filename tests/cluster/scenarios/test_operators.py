"""Two operators, the lock between them, and a lock that its owner left behind."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fleetkit.claims import has, old_or_new, tidy
from fleetkit.controller import Controller
from fleetkit.fleet import CONTROL_PLANE, DATA_PLANE, DBLESS, Fleet

pytestmark = pytest.mark.peer
Plugin = Callable[..., Path]
LOCKED = 4


def test_two_operators_cannot_roll_out_at_once(
    fleet: Fleet, tmp_path: Path, controller: Controller, plugin: Plugin
) -> None:
    fleet.cluster = {"pause": 3, "batch": "1"}
    fleet.start([DBLESS, DBLESS])
    other = Controller.at(tmp_path / "other", USER="ann")
    one, two = plugin("1.0.0"), plugin("2.0.0")
    first = controller.start("ship", one, "--to", fleet.toml)
    _wait_for_lock(fleet)
    second = other.run("ship", two, "--to", fleet.toml)
    assert second.code == LOCKED, second.said
    assert "operator" in second.said  # who has it
    assert old_or_new(fleet[1], {"1.0.0": one, "2.0.0": two}) != "2.0.0"
    out, err = first.communicate(timeout=60)
    assert first.returncode == 0, out + err
    has(fleet, one, "1.0.0")
    other.run("ship", two, "--to", fleet.toml).ok()
    has(fleet, two, "2.0.0")


def test_reading_commands_need_no_lock(
    fleet: Fleet, tmp_path: Path, controller: Controller, plugin: Plugin
) -> None:
    fleet.cluster = {"pause": 3, "batch": "1"}
    fleet.start([DBLESS, DBLESS])
    first = controller.start("ship", plugin("1.0.0"), "--to", fleet.toml)
    _wait_for_lock(fleet)
    other = Controller.at(tmp_path / "other")
    other.run("cluster", "status", "--to", fleet.toml).ok()
    other.run("cluster", "history", "--to", fleet.toml).ok()
    first.communicate(timeout=60)
    assert first.returncode == 0


def test_the_lock_lies_on_the_first_control_plane(
    fleet: Fleet, tmp_path: Path, controller: Controller, plugin: Plugin
) -> None:
    fleet.cluster = {"pause": 2}
    fleet.start([DATA_PLANE, CONTROL_PLANE])
    first = controller.start("ship", plugin("1.0.0"), "--to", fleet.toml)
    _wait_for_lock(fleet)
    assert not _lock(fleet, 0).is_symlink()
    assert "operator" in os.readlink(_lock(fleet, 1))
    first.communicate(timeout=60)
    assert first.returncode == 0
    for node in fleet:
        tidy(node)


def test_the_lock_of_a_killed_operator_is_told_and_can_be_forced(
    fleet: Fleet, tmp_path: Path, controller: Controller, plugin: Plugin
) -> None:
    fleet.cluster = {"pause": 5, "batch": "1"}
    fleet.start([DBLESS, DBLESS])
    first = controller.start("ship", plugin("1.0.0"), "--to", fleet.toml)
    _wait_for_lock(fleet)
    first.kill()
    first.communicate(timeout=20)
    other = Controller.at(tmp_path / "other", USER="ann")
    source = plugin("2.0.0")
    said = other.run("ship", source, "--to", fleet.toml)
    assert said.code == LOCKED, said.said
    assert "--force-lock" in said.said
    other.run("ship", source, "--to", fleet.toml, "--force-lock").ok()
    has(fleet, source, "2.0.0")


def test_an_expired_lock_is_taken_over_and_told(fleet: Fleet, controller: Controller, plugin: Plugin) -> None:
    fleet.start([DBLESS])
    place = _lock(fleet, 0)
    place.parent.mkdir(parents=True)
    fleet.cluster = {"pause": 2}
    fleet.write()
    first = controller.start("ship", plugin("1.0.0"), "--to", fleet.toml)
    _wait_for_lock(fleet)
    first.kill()
    first.communicate(timeout=20)
    text, _, _ = os.readlink(place).rpartition(":")
    place.unlink()
    place.symlink_to(f"{text}:{int(time.time()) - 5}")
    source = plugin("1.0.0")
    done = controller.run("ship", source, "--to", fleet.toml).ok()
    assert "lock" in done.said
    has(fleet, source, "1.0.0")


def _lock(fleet: Fleet, number: int) -> Path:
    node = fleet[number]
    return node.path(f"{node.tree}/rollouts/lock")


def _wait_for_lock(fleet: Fleet) -> None:
    end = time.monotonic() + 30
    while not any(_lock(fleet, number).is_symlink() for number in range(len(fleet.nodes))):
        assert time.monotonic() < end, "nobody took the lock"
        time.sleep(0.005)
