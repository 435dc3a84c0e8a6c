"""`pumice cluster sync` makes every node exactly what the [[plugin]] entries say, what goes included."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fleetkit.claims import eventually, has, listed, modules, tidy
from fleetkit.controller import Controller
from fleetkit.fleet import CONTROL_PLANE, DATA_PLANE, DBLESS, TRADITIONAL, Fleet, FleetNode
from fleetkit.plugins import NAME, write_plugin

pytestmark = pytest.mark.peer
Plugin = Callable[..., Path]
OTHER = "fleet-other"


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """The sources of a second plugin."""
    return write_plugin(tmp_path / "other", "1.0.0", name=OTHER)


def listing(fleet: Fleet, *sources: Path) -> None:
    """cluster.toml lists these plugins, and no others."""
    fleet.plugins = [{"path": str(source)} for source in sources]
    fleet.write()


def lacks(node: FleetNode, name: str) -> None:
    """No file, no word in `plugins`, nothing loaded, nothing left lying about."""
    assert node.plugin_files(name) == {}, node.name
    assert not [path for path in node.files() if name in path], node.name
    assert not listed(node, name), node.name
    if node.role != DATA_PLANE:
        eventually(lambda: node.loaded_version(name) is None)
    tidy(node)


def test_a_plugin_that_is_listed_no_longer_goes_and_another_comes_in_one_change_of_a_node(
    fleet: Fleet, controller: Controller, plugin: Plugin, other: Path
) -> None:
    source = plugin("1.0.0")
    fleet.start([TRADITIONAL, DBLESS])
    listing(fleet, other)
    controller.run("cluster", "sync", "--to", fleet.toml).ok()
    listing(fleet, source)
    said = controller.run("cluster", "sync", "--to", fleet.toml, "--plan").ok().said
    assert f"kong-plugin-{OTHER} 1.0.0-1 goes" in said
    assert f"no {OTHER}" in said
    assert all(listed(node, OTHER) for node in fleet)
    controller.run("cluster", "sync", "--to", fleet.toml).ok()
    has(fleet, source, "1.0.0")
    for node in fleet:
        lacks(node, OTHER)
        assert node.generation == 2
        assert "bundled" in node.setting("plugins")
    workers = [node.workers() for node in fleet]
    assert "Nothing was to be done" in controller.run("cluster", "sync", "--to", fleet.toml).ok().said
    assert [node.workers() for node in fleet] == workers


def test_in_a_hybrid_cluster_what_comes_goes_before_what_leaves_each_in_its_order(
    fleet: Fleet, controller: Controller, plugin: Plugin, other: Path
) -> None:
    source = plugin("1.0.0")
    fleet.start([CONTROL_PLANE, DATA_PLANE])
    listing(fleet, other)
    controller.run("cluster", "sync", "--to", fleet.toml).ok()
    listing(fleet, source)
    planned = controller.run("cluster", "sync", "--to", fleet.toml, "--plan", "--json").ok().json
    assert not planned["exact"]
    assert OTHER in "".join(planned["warnings"])
    done = controller.run("cluster", "sync", "--to", fleet.toml, "--json").ok()
    proved = [
        event["node"] for event in done.events if event["event"] == "node" and event["state"] == "proved"
    ]
    assert proved == ["node-1", "node-2", "node-2", "node-1"]
    assert [node.version_on_disk() for node in fleet] == ["1.0.0", "1.0.0"]
    for node in fleet:
        lacks(node, OTHER)
    again = controller.run("cluster", "sync", "--to", fleet.toml, "--json").ok()
    assert not [event for event in again.events if event["event"] == "node"]


def test_what_is_in_use_does_not_go_before_anything_is_sent_and_forced_goes_with_its_entities(
    fleet: Fleet, controller: Controller, plugin: Plugin, other: Path
) -> None:
    source = plugin("1.0.0")
    fleet.start([CONTROL_PLANE, DATA_PLANE])
    listing(fleet, other)
    controller.run("cluster", "sync", "--to", fleet.toml).ok()
    fleet[0].admin("/plugins", method="POST", body={"name": OTHER, "config": {"word": "plain"}})
    workers = fleet[0].workers()
    listing(fleet, source)
    controller.run("cluster", "sync", "--to", fleet.toml).fails(OTHER, "in use", "--force")
    assert fleet[0].workers() == workers
    assert [node.generation for node in fleet] == [1, 1]
    controller.run("cluster", "sync", "--to", fleet.toml, "--force").ok()
    assert fleet[0].admin("/plugins")["data"] == []
    for node in fleet:
        lacks(node, OTHER)
        assert node.version_on_disk() == "1.0.0"


def test_without_any_plugin_listed_sync_is_refused_forced_or_not(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    fleet.start([DBLESS])
    source = plugin("1.0.0")
    controller.run("ship", source, "--to", fleet.toml).ok()
    for more in ((), ("--force",)):
        controller.run("cluster", "sync", "--to", fleet.toml, *more).fails("[[plugin]]", "cluster remove")
    has(fleet, source, "1.0.0")


def test_a_saved_sync_takes_away_what_it_said_when_it_is_applied(
    fleet: Fleet, controller: Controller, plugin: Plugin, other: Path
) -> None:
    source = plugin("1.0.0")
    fleet.start([DBLESS])
    listing(fleet, source, other)
    controller.run("cluster", "sync", "--to", fleet.toml).ok()
    listing(fleet, source)
    file = controller.work / "plan.json"
    controller.run("cluster", "sync", "--to", fleet.toml, f"--plan={file}").ok()
    plan = json.loads(file.read_text())
    assert plan["exact"]
    assert plan["nodes"][0]["changes"] == [{"name": f"kong-plugin-{OTHER}", "before": "1.0.0-1", "after": ""}]
    controller.run("cluster", "apply", file, "--to", fleet.toml).ok()
    has(fleet, source, "1.0.0")
    lacks(fleet[0], OTHER)


def test_in_a_nodes_own_tree_only_what_pumice_has_put_there_goes(
    fleet: Fleet, controller: Controller, plugin: Plugin, other: Path, tmp_path: Path
) -> None:
    import shutil
    import subprocess

    luarocks = shutil.which("luarocks")
    assert luarocks is not None
    fleet.start([DBLESS])
    node = fleet[0]
    node.tree = "/usr/local"
    node.toml.update(layout="luarocks", tree=node.root.seen("/usr/local"))
    by_hand = write_plugin(tmp_path / "by-hand", "1.0.0", name="fleet-by-hand")
    tree = node.path("/usr/local")
    command = [luarocks, "--lua-version", "5.1", "--tree", str(tree), "make"]
    made = subprocess.run(command, cwd=by_hand, capture_output=True, text=True, timeout=60)
    assert made.returncode == 0, made.stderr
    source = plugin("1.0.0")
    folder = tree / "share/lua/5.1/kong/plugins"
    for sources in ((source, other), (source,)):
        listing(fleet, *sources)
        controller.run("cluster", "sync", "--to", fleet.toml).ok()
        assert (folder / OTHER).exists() is (other in sources)
    assert {path.name: path.read_text() for path in (folder / NAME).iterdir()} == modules(source)
    assert (folder / "fleet-by-hand/handler.lua").is_file()
    assert not listed(node, OTHER)
    assert node.loaded_version() == "1.0.0"
