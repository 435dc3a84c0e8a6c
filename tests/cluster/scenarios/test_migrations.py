"""Plugins with tables of their own: who runs their migrations, when, how often, and what a failing one does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fleetkit.claims import has_nothing, listed, tidy
from fleetkit.controller import Controller
from fleetkit.fleet import CONTROL_PLANE, DATA_PLANE, DBLESS, TRADITIONAL, Fleet
from fleetkit.gateway import KONG
from fleetkit.plugins import NAME

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(
        KONG is not None, reason="reads the record of migrations that only the stand-in keeps"
    ),
]
Plugin = Callable[..., Path]


def executed(fleet: Fleet) -> dict[str, Any]:
    """The migrations that the gateways' database has seen, by plugin."""
    text = (fleet.folder / "database/kong/migrations.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def runs(fleet: Fleet) -> list[dict[str, Any]]:
    """Every run of `kong migrations up` or `finish`, in order, since the database was made."""
    lines = (fleet.folder / "database/kong/migrations.log").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    return [run for run in found if run["action"] != "bootstrap"]


@pytest.mark.parametrize(
    "roles",
    [[CONTROL_PLANE, CONTROL_PLANE, DATA_PLANE, DATA_PLANE], [TRADITIONAL, TRADITIONAL, TRADITIONAL]],
    ids=["hybrid", "traditional"],
)
def test_migrations_run_once_from_one_node_with_the_new_files_before_any_node_is_changed(
    fleet: Fleet, controller: Controller, plugin: Plugin, roles: list[str]
) -> None:
    fleet.start(roles)
    source = plugin("1.0.0", migrations=True)
    done = controller.run("ship", source, "--to", fleet.toml, "--json").ok()
    assert executed(fleet) == {NAME: {f"000_base_{NAME}": True}}
    first, last = runs(fleet)
    assert (first["action"], first["executed"], last["action"]) == ("up", 1, "finish")
    assert first["node"] == last["node"] == "node-1"
    assert first["path"].startswith(fleet[0].root.seen("/opt/pumice/generations/1/share/lua/5.1/?.lua"))
    told = [(event["event"], event.get("step"), event.get("node")) for event in done.events]
    migrated = [number for number, each in enumerate(told) if each[1] == "migrate"]
    assert {told[number][2] for number in migrated} == {"node-1"}
    changed = [number for number, each in enumerate(told) if each[1] in ("change", "activate")]
    assert migrated[0] < changed[0], told
    for node in fleet:
        assert node.version_on_disk() == "1.0.0"
        tidy(node)


def test_an_upgrade_without_new_migrations_executes_none_again(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    fleet.start([TRADITIONAL, TRADITIONAL])
    for version in ("1.0.0", "1.0.1"):
        controller.run("ship", plugin(version, migrations=True), "--to", fleet.toml).ok()
    assert sum(run["executed"] for run in runs(fleet)) == 1
    assert [node.loaded_version() for node in fleet] == ["1.0.1", "1.0.1"]
    before = len(runs(fleet))
    controller.run("ship", plugin("1.0.1", migrations=True), "--to", fleet.toml).ok()
    assert len(runs(fleet)) == before


def test_a_migration_that_fails_leaves_every_node_as_it_was_and_is_told_in_the_nodes_words(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    fleet.start([CONTROL_PLANE, DATA_PLANE])
    workers = fleet[0].workers()
    source = plugin("1.0.0", broken_migration=True)
    controller.run("ship", source, "--to", fleet.toml, "--no-check").fails("node-1", "001_missing")
    has_nothing(fleet)
    assert fleet[0].workers() == workers
    assert executed(fleet) == {}
    good = plugin("1.0.0", migrations=True)
    controller.run("ship", good, "--to", fleet.toml).ok()
    for node in fleet:
        assert node.version_on_disk() == "1.0.0"
        assert listed(node)
        tidy(node)


def test_nodes_without_a_database_never_run_migrations(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    fleet.start([DBLESS, DBLESS])
    done = controller.run("ship", plugin("1.0.0", migrations=True), "--to", fleet.toml, "--json").ok()
    assert not [event for event in done.events if event.get("step") == "migrate"]
    assert [node.loaded_version() for node in fleet] == ["1.0.0", "1.0.0"]


def test_a_data_plane_that_goes_alone_runs_no_migrations(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    fleet.start([CONTROL_PLANE, DATA_PLANE])
    source = plugin("1.0.0", migrations=True)
    controller.run("ship", source, "--to", fleet.toml, "--only", "node-2").ok()
    assert executed(fleet) == {}
    controller.run("ship", source, "--to", fleet.toml).ok()
    assert [(run["action"], run["node"]) for run in runs(fleet)] == [("up", "node-1"), ("finish", "node-1")]
