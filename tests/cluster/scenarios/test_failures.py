"""What goes wrong on a node: it is on the old version, whole, and the others are as the rules say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fleetkit.claims import has, has_nothing, tidy, unharmed
from fleetkit.controller import Controller
from fleetkit.fleet import DBLESS, TRADITIONAL, Fleet
from fleetkit.plugins import HEADER, NAME

pytestmark = pytest.mark.peer
Plugin = Callable[..., Path]


def test_a_node_that_is_down_stops_a_rollout_before_anything_is_sent(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    fleet.start([DBLESS] * 3)
    fleet[1].sshd.stop()
    controller.run("ship", plugin("1.0.0"), "--to", fleet.toml).fails("node-2")
    has_nothing(fleet)


def test_a_node_that_is_down_may_be_left_out(fleet: Fleet, controller: Controller, plugin: Plugin) -> None:
    fleet.start([DBLESS] * 3)
    fleet[1].sshd.stop()
    source = plugin("1.0.0")
    done = controller.run("ship", source, "--to", fleet.toml, "--max-failures", "1")
    has([fleet[0], fleet[2]], source, "1.0.0")
    has_nothing([fleet[1]])
    assert "node-2" in done.said
    status = controller.run("cluster", "status", "--to", fleet.toml)
    assert "node-2" in status.said


def test_a_full_disk_leaves_the_old_version(
    fleet: Fleet, controller: Controller, plugin: Plugin, needs_root: None
) -> None:
    small = ["mkdir -p ROOT/opt/pumice", "mount -t tmpfs -o size=1200k,mode=755 tmpfs ROOT/opt/pumice"]
    fleet.start([DBLESS] * 3, mounts={1: small})
    one, two = plugin("1.0.0"), plugin("1.1.0", extra_files=300)
    controller.run("ship", one, "--to", fleet.toml).ok()
    controller.run("ship", two, "--to", fleet.toml, "--max-failures", "1", "--canary", "0").fails("node-2")
    has([fleet[1]], one, "1.0.0")
    has([fleet[0], fleet[2]], two, "1.1.0")
    for node in fleet:
        tidy(node)


def test_a_read_only_tree_is_told_and_the_others_go_on(
    fleet: Fleet, controller: Controller, plugin: Plugin, needs_root: None
) -> None:
    sealed = ["mkdir -p ROOT/opt", "mount --bind ROOT/opt ROOT/opt", "mount -o remount,bind,ro ROOT/opt"]
    fleet.start([DBLESS] * 3, mounts={2: sealed})
    source = plugin("1.0.0")
    controller.run("ship", source, "--to", fleet.toml, "--max-failures", "1").fails("node-3")
    has_nothing([fleet[2]])


def test_a_plugin_that_does_not_load_after_the_reload_is_taken_back(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    fleet.cluster = {"canary": 0}
    fleet.start([DBLESS] * 4)
    one, two = plugin("1.0.0"), plugin("1.1.0", fails_where_told=True)
    controller.run("ship", one, "--to", fleet.toml).ok()
    fleet[2].fail_at_load("the table of node three")
    said = controller.run("ship", two, "--to", fleet.toml, "--max-failures", "1", "--batch", "100%")
    said.fails("node-3", "the table of node three")  # the node's own log line
    has([fleet[2]], one, "1.0.0")
    has([fleet[0], fleet[1], fleet[3]], two, "1.1.0")
    for node in fleet:
        tidy(node)
    fleet[2].load_again()
    controller.run("ship", two, "--to", fleet.toml).ok()
    has(fleet, two, "1.1.0")


def test_past_the_failure_limit_the_batch_is_taken_back_and_the_rollout_stops(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    fleet.cluster = {"canary": 1, "batch": "2"}
    fleet.start([DBLESS] * 5)
    one, two = plugin("1.0.0"), plugin("1.1.0", fails_where_told=True)
    controller.run("ship", one, "--to", fleet.toml).ok()
    fleet[2].fail_at_load()
    controller.run("ship", two, "--to", fleet.toml).fails("node-3")
    has([fleet[0]], two, "1.1.0")  # the canary has been proved
    has([fleet[1], fleet[2]], one, "1.0.0")  # the batch
    has([fleet[3], fleet[4]], one, "1.0.0")  # never begun
    assert [node.generation for node in fleet][3:] == [1, 1]


def test_a_canary_that_fails_keeps_the_rollout_from_everybody_else(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    fleet.cluster = {"canary": 1, "max_failures": 3}
    fleet.start([DBLESS] * 4)
    one, two = plugin("1.0.0"), plugin("1.1.0", fails_where_told=True)
    controller.run("ship", one, "--to", fleet.toml).ok()
    workers = [node.workers() for node in fleet]
    fleet[0].fail_at_load()
    controller.run("ship", two, "--to", fleet.toml).fails("node-1")
    has(fleet, one, "1.0.0")
    assert [node.workers() for node in fleet][1:] == workers[1:]  # they were not even reloaded


def test_a_first_install_that_fails_leaves_nothing_behind(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    fleet.start([DBLESS] * 2)
    fleet[0].fail_at_load()
    controller.run("ship", plugin("1.0.0", fails_where_told=True), "--to", fleet.toml).fails("node-1")
    has_nothing(fleet)
    for node in fleet:
        tidy(node)


def test_a_syntax_error_never_reaches_a_gateway(fleet: Fleet, controller: Controller, plugin: Plugin) -> None:
    fleet.start([DBLESS] * 2)
    workers = [node.workers() for node in fleet]
    controller.run("ship", plugin("1.0.0", broken_syntax=True), "--to", fleet.toml).fails("handler.lua")
    controller.run("ship", plugin("1.0.0", broken_syntax=True), "--to", fleet.toml, "--no-check").fails()
    has_nothing(fleet)
    assert [node.workers() for node in fleet] == workers


def test_a_missing_header_in_a_real_request_fails_the_node(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    expect = {"path": "/mark", "headers": {HEADER: "mark 1.0.0"}}
    fleet.start([TRADITIONAL] * 2)
    one, none = plugin("1.0.0"), plugin("1.0.1", header=False)
    controller.run("ship", one, "--to", fleet.toml).ok()
    add_entity(fleet)
    for node in fleet:
        node.toml["expect"] = expect
    fleet.write()
    controller.run("ship", none, "--to", fleet.toml).fails("node-1", HEADER)
    has(fleet, one, "1.0.0")
    for node in fleet:
        node.toml["expect"] = {"path": "/mark", "status": 200, "headers": {HEADER: "mark 1.0.2"}}
    fleet.write()
    two = plugin("1.0.2")
    controller.run("ship", two, "--to", fleet.toml).ok()
    has(fleet, two, "1.0.2")


def test_plugins_that_the_environment_of_a_session_names_are_refused(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    """`KONG_PLUGINS` beats kong.conf in every command of the gateway: what is written there would not count."""
    fleet.start([DBLESS] * 2, sessions={1: {"KONG_PLUGINS": "bundled"}})
    controller.run("ship", plugin("1.0.0"), "--to", fleet.toml).fails("node-2", "KONG_PLUGINS")
    has_nothing(fleet)


def test_plugins_that_no_file_of_the_node_names_are_refused(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    """A gateway blanks its environment, so what it was prepared with is all that tells of a variable."""
    fleet.start([DBLESS] * 2, environment={1: {"KONG_PLUGINS": "key-auth,acme"}})
    controller.run("ship", plugin("1.0.0"), "--to", fleet.toml).fails(
        "node-2", "KONG_PLUGINS", "key-auth,acme"
    )
    has_nothing([fleet[0]])
    assert fleet[1].conf == fleet[1].first_conf


def test_what_a_gateway_does_not_listen_on_is_told(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    fleet.cluster = {"timeout": 2}
    fleet.start([DBLESS])
    fleet[0].toml["admin"] = f"http://{fleet[0].address}:9"
    fleet.write()
    controller.run("ship", plugin("1.0.0"), "--to", fleet.toml).fails("node-1", "admin")
    has_nothing(fleet)


def test_an_unknown_host_key_is_never_accepted(fleet: Fleet, controller: Controller, plugin: Plugin) -> None:
    fleet.start([DBLESS] * 2)
    lines = fleet.known_hosts.read_text().splitlines(keepends=True)
    stranger = lines[0].split(" ", 1)[1]
    other = fleet[1].address
    fleet.known_hosts.write_text("".join(line for line in lines if other not in line))
    controller.run("ship", plugin("1.0.0"), "--to", fleet.toml).fails("node-2")
    fleet.known_hosts.write_text("".join(lines[:2]) + f"[{other}]:2222 {stranger}")
    controller.run("ship", plugin("1.0.0"), "--to", fleet.toml).fails("node-2")
    has_nothing(fleet)
    assert not (Path(controller.environment["HOME"]) / ".ssh/known_hosts").exists()


def test_no_secret_is_written_or_told(
    fleet: Fleet, controller: Controller, plugin: Plugin, tmp_path: Path
) -> None:
    fleet.start([TRADITIONAL] * 2)
    secret = "do-not-show-this-pa55"
    token = "t0ken-of-the-admin"
    told = Controller.at(controller.folder, KONG_ADMIN_TOKEN=token)
    one, two = plugin("1.0.0"), plugin("1.1.0", fails_where_told=True)
    said = told.run("ship", one, "--to", fleet.toml, "--verbose").ok().said
    fleet[0].fail_at_load()
    said += told.run("ship", two, "--to", fleet.toml, "--verbose").said
    said += told.run("cluster", "status", "--to", fleet.toml, "--json").said
    said += told.run("cluster", "install", NAME, "--to", fleet.toml, "--plan").said
    private = fleet.identity.read_text().splitlines()[2]
    places = [said.encode()]
    for folder in (controller.folder, *(node.path("/opt") for node in fleet)):
        places += [
            file.read_bytes()
            for file in folder.rglob("*")
            if file.is_file() and ".pumice/cluster" not in str(file)
        ]
    for word in (secret, token, private):
        assert not any(word.encode() in text for text in places), word


def add_entity(fleet: Fleet, name: str = NAME) -> None:
    """A route `/mark` with the plugin, made by the owner of the cluster."""
    admin = fleet[0].admin
    service = admin("/services", method="POST", body={"name": "mark", "url": "http://127.0.0.1:9"})
    route = {"name": "mark", "paths": ["/mark"], "service": {"id": service["id"]}}
    admin("/routes", method="POST", body=route)
    admin("/plugins", method="POST", body={"name": name, "config": {}})
    for node in fleet:
        unharmed(node)
