"""Entities, removal, drift, nodes that join, rollback, history, plans: the commands of `pumice cluster`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fleetkit.claims import eventually, has, has_nothing, listed, tidy
from fleetkit.controller import Controller
from fleetkit.fleet import CONTROL_PLANE, DATA_PLANE, DBLESS, TRADITIONAL, Fleet
from fleetkit.plugins import HEADER, NAME

pytestmark = pytest.mark.peer
Plugin = Callable[..., Path]


@pytest.fixture
def entity(tmp_path: Path) -> Path:
    """A file with the plugin's entity, for all requests."""
    path = tmp_path / "entity.json"
    path.write_text(json.dumps({"name": NAME, "config": {"word": "plain"}}), encoding="utf-8")
    return path


def test_the_entity_comes_after_every_node_has_proved_the_plugin(
    fleet: Fleet, controller: Controller, plugin: Plugin, entity: Path
) -> None:
    fleet.start([CONTROL_PLANE, DATA_PLANE, DATA_PLANE])
    source = plugin("1.0.0")
    done = controller.run("ship", source, "--to", fleet.toml, "--entity", entity, "--json").ok()
    kinds = [event["event"] for event in done.events if event["event"] in {"node", "entity"}]
    assert kinds.index("entity") >= 3
    [made] = fleet[0].admin("/plugins")["data"]
    assert (made["name"], made["config"]["word"]) == (NAME, "plain")
    eventually(lambda: fleet[1].header(HEADER) == fleet[2].header(HEADER) == "mark 1.0.0")
    entity.write_text(json.dumps({"name": NAME, "config": {"word": "other"}}), encoding="utf-8")
    controller.run("ship", source, "--to", fleet.toml, "--entity", entity).ok()
    [updated] = fleet[0].admin("/plugins")["data"]
    assert (updated["id"], updated["config"]["word"]) == (made["id"], "other")


def test_no_entity_is_made_where_one_node_did_not_prove_the_plugin(
    fleet: Fleet, controller: Controller, plugin: Plugin, entity: Path
) -> None:
    fleet.cluster = {"canary": 0, "batch": "100%", "max_failures": 1}
    fleet.start([TRADITIONAL] * 3)
    fleet[2].fail_at_load()
    source = plugin("1.0.0", fails_where_told=True)
    controller.run("ship", source, "--to", fleet.toml, "--entity", entity).fails("node-3")
    assert fleet[0].admin("/plugins")["data"] == []


def test_a_plugin_in_use_is_not_removed_and_forced_it_goes_in_three_steps(
    fleet: Fleet, controller: Controller, plugin: Plugin, entity: Path
) -> None:
    fleet.start([CONTROL_PLANE, DATA_PLANE])
    source = plugin("1.0.0")
    controller.run("ship", source, "--to", fleet.toml, "--entity", entity).ok()
    workers = fleet[0].workers()
    controller.run("cluster", "remove", NAME, "--to", fleet.toml).fails(NAME)
    has(fleet, source, "1.0.0")
    assert fleet[0].workers() == workers
    controller.run("cluster", "remove", NAME, "--to", fleet.toml, "--force").ok()
    assert fleet[0].admin("/plugins")["data"] == []
    for node in fleet:
        assert node.plugin_files() == {}
        assert not listed(node)
        tidy(node)
    assert fleet[0].loaded_version() is None


def test_a_plugin_that_nobody_uses_is_removed_everywhere(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    fleet.start([TRADITIONAL, DBLESS])
    controller.run("ship", plugin("1.0.0"), "--to", fleet.toml).ok()
    controller.run("cluster", "remove", NAME, "--to", fleet.toml).ok()
    for node in fleet:
        assert node.plugin_files() == {}
        assert not listed(node)
        assert node.loaded_version() is None


def test_drift_is_shown_by_status_and_verify_and_mended_by_ship(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    fleet.start([DBLESS] * 4)
    source = plugin("1.0.0")
    controller.run("ship", source, "--to", fleet.toml).ok()
    controller.run("cluster", "verify", "--to", fleet.toml).ok()
    edited = fleet[1].path(f"{fleet[1].tree}/current/share/lua/5.1/kong/plugins/{NAME}/words.lua")
    edited.chmod(0o644)
    edited.write_text("return { of = function() return 'edited by hand' end }\n", encoding="utf-8")
    fleet[2].path(f"{fleet[2].tree}/current/share/lua/5.1/kong/plugins/{NAME}/words.lua").unlink()
    conf = fleet[3].path("/etc/kong/kong.conf")
    conf.write_text(fleet[3].first_conf, encoding="utf-8")
    conf.chmod(0o640)
    said = controller.run("cluster", "verify", "--to", fleet.toml).fails("node-2", "node-3", "node-4")
    assert "words.lua" in said.said
    status = controller.run("cluster", "status", "--to", fleet.toml).said
    assert "drift" in status.lower()
    controller.run("ship", source, "--to", fleet.toml).ok()
    has(fleet, source, "1.0.0")
    controller.run("cluster", "verify", "--to", fleet.toml).ok()


def test_sync_brings_a_node_that_joined_yesterday_to_the_desired_state(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    source = plugin("1.0.0")
    fleet.plugins = [{"path": str(source)}]
    fleet.start([DBLESS] * 3)
    fleet.write(fleet.nodes[:2])
    controller.run("cluster", "sync", "--to", fleet.toml).ok()
    has(fleet.nodes[:2], source, "1.0.0")
    has_nothing(fleet.nodes[2:])
    workers = [node.workers() for node in fleet][:2]
    fleet.write()
    controller.run("cluster", "sync", "--to", fleet.toml).ok()
    has(fleet, source, "1.0.0")
    assert [node.workers() for node in fleet][:2] == workers
    fleet.plugins = []
    fleet.write()


def test_rollback_goes_to_the_version_before_and_history_tells_it(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    fleet.start([DBLESS] * 3)
    one, two = plugin("1.0.0"), plugin("2.0.0")
    for source in (one, two):
        controller.run("ship", source, "--to", fleet.toml).ok()
    controller.run("cluster", "rollback", "node-2", "--to", fleet.toml).ok()
    has([fleet[1]], one, "1.0.0")
    has([fleet[0], fleet[2]], two, "2.0.0")
    controller.run("cluster", "rollback", "node-1", "node-3", "--to", fleet.toml).ok()
    has(fleet, one, "1.0.0")
    said = controller.run("cluster", "history", "--to", fleet.toml).ok().said
    assert "operator" in said
    records = list((fleet.folder / ".pumice/rollouts").glob("*.json"))
    assert len(records) == 4
    for node in fleet:
        assert list(node.path(f"{node.tree}/rollouts").glob("*.json"))


def test_a_plan_is_printed_saved_and_applied_later(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    fleet.start([CONTROL_PLANE, DATA_PLANE])
    source = plugin("1.0.0")
    file = controller.work / "plan.json"
    said = controller.run("ship", source, "--to", fleet.toml, f"--plan={file}").ok().said
    assert "node-1" in said
    assert "node-2" in said
    has_nothing(fleet)
    assert json.loads(file.read_text())["version"] == 1
    controller.run("cluster", "apply", file, "--to", fleet.toml).ok()
    has(fleet, source, "1.0.0")


def test_a_plan_is_refused_when_a_node_has_changed_since(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    fleet.start([DBLESS, DBLESS])
    one, two = plugin("1.0.0"), plugin("2.0.0")
    file = controller.work / "plan.json"
    controller.run("ship", two, "--to", fleet.toml, f"--plan={file}").ok()
    controller.run("ship", one, "--to", fleet.toml, "--only", "node-2").ok()
    controller.run("cluster", "apply", file, "--to", fleet.toml).fails("node-2")
    has([fleet[1]], one, "1.0.0")
    has_nothing([fleet[0]])


def test_c_modules_are_refused_before_anything_is_sent_where_nodes_are_of_another_machine(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    fleet.start([DBLESS] * 6, proxied=True)
    source = plugin("1.0.0", c_module=True)
    for node in fleet.nodes[1:]:
        node.uname("riscv64")
    said = controller.run("ship", source, "--to", fleet.toml).fails("node-2", "node-6", "riscv64")
    has_nothing(fleet)
    for node in fleet:
        assert not node.path("/opt/pumice/generations").exists(), said.said
    controller.run("ship", plugin("1.0.0", c_module=True), "--to", fleet.toml, "--only", "node-1").ok()
    assert fleet[0].loaded_version() == "1.0.0"
    assert [path for path in fleet[0].files() if path.endswith("fleet_native.so")]


def test_a_plugin_of_lua_alone_goes_to_every_machine(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    fleet.start([DBLESS] * 2)
    fleet[1].uname("aarch64")
    source = plugin("1.0.0")
    controller.run("ship", source, "--to", fleet.toml).ok()
    has(fleet, source, "1.0.0")


def test_only_some_nodes_when_asked(fleet: Fleet, controller: Controller, plugin: Plugin) -> None:
    fleet.start([DBLESS] * 3)
    source = plugin("1.0.0")
    controller.run("ship", source, "--to", fleet.toml, "--only", "node-1", "--only", "node-3").ok()
    has([fleet[0], fleet[2]], source, "1.0.0")
    has_nothing([fleet[1]])


def test_status_as_json_tells_of_every_node(fleet: Fleet, controller: Controller, plugin: Plugin) -> None:
    fleet.start([CONTROL_PLANE, DATA_PLANE, DBLESS])
    controller.run("ship", plugin("1.0.0"), "--to", fleet.toml).ok()
    fleet[2].sshd.stop()
    status = controller.run("cluster", "status", "--to", fleet.toml, "--json").json
    nodes = {node["node"]: node for node in status["nodes"]}
    assert set(nodes) == {"node-1", "node-2", "node-3"}
    assert [nodes[f"node-{number}"]["reachable"] for number in (1, 2, 3)] == [True, True, False]
    assert nodes["node-1"]["role"] == CONTROL_PLANE
    assert "1.0.0" in json.dumps(nodes["node-1"])


def test_names_with_spaces_and_quotes_are_only_names(
    fleet: Fleet, controller: Controller, tmp_path: Path
) -> None:
    from fleetkit.plugins import write_plugin

    fleet.start([DBLESS, DBLESS])
    odd = "/opt/a $(touch /tmp/never) `tree` & more"
    for node in fleet:
        node.tree = odd
        node.toml["tree"] = node.root.seen(odd)
    fleet.write()
    source = write_plugin(tmp_path / "it's; a 'source' $(x)", "1.0.0")
    controller.run("ship", source, "--to", fleet.toml).ok()
    has(fleet, source, "1.0.0")
    assert not Path("/tmp/never").exists()
    later = write_plugin(tmp_path / "later", "2.0.0")
    controller.run("ship", later, "--to", fleet.toml).ok()
    controller.run("cluster", "rollback", "node-1", "--to", fleet.toml).ok()
    has([fleet[0]], source, "1.0.0")
    has([fleet[1]], later, "2.0.0")


@pytest.mark.parametrize("odd", ["/opt/it's", '/opt/a "tree"'])
def test_a_tree_that_no_gateway_could_name_is_refused(
    fleet: Fleet, controller: Controller, plugin: Plugin, odd: str
) -> None:
    fleet.start([DBLESS])
    fleet[0].toml["tree"] = fleet[0].root.seen(odd)
    fleet.write()
    controller.run("ship", plugin("1.0.0"), "--to", fleet.toml).fails("node-1", "quotes")
    has_nothing(fleet)
