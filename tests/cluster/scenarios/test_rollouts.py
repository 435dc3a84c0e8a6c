"""What goes well: first install, upgrade, downgrade, nothing to do, roles in their order."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fleetkit.claims import has, has_nothing, listed, named_generation, sampled, tidy, unharmed
from fleetkit.controller import Controller
from fleetkit.fleet import CONTROL_PLANE, DATA_PLANE, DBLESS, TRADITIONAL, Fleet, FleetNode
from fleetkit.plugins import NAME
from fleetkit.roots import BUSYBOX, CHROOT

pytestmark = pytest.mark.peer
Plugin = Callable[..., Path]


def test_first_install_reaches_twenty_nodes_of_every_role_and_kind(
    fleet: Fleet, controller: Controller, plugin: Plugin, needs_root: None
) -> None:
    roles = [TRADITIONAL] * 4 + [CONTROL_PLANE] + [DATA_PLANE] * 4 + [DBLESS] * 11
    kinds = {3: BUSYBOX, 8: BUSYBOX, 10: BUSYBOX, 12: BUSYBOX, 18: CHROOT, 19: CHROOT}
    fleet.start(roles, kinds=kinds)
    source = plugin("1.0.0")
    done = controller.run("ship", source, "--to", fleet.toml).ok()
    has(fleet, source, "1.0.0")
    for node in fleet:
        assert node.name in done.said
        assert node.setting("plugins") == f"bundled,{NAME}"
        tidy(node)
        for file in node.path(f"{node.tree}/generations/1").rglob("*.lua"):
            assert file.stat().st_mode & 0o777 == 0o444
    assert {node.generation for node in fleet} == {1}
    assert [p["sync_status"] for p in fleet["node-5"].admin("/clustering/data-planes")["data"]] == [
        "normal"
    ] * 4


def test_upgrade_and_downgrade_replace_the_version_in_new_workers(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    fleet.start([TRADITIONAL, DBLESS, DBLESS])
    one, two = plugin("1.0.0"), plugin("1.1.0", extra_files=2)
    for source, version, generation in ((one, "1.0.0", 1), (two, "1.1.0", 2), (one, "1.0.0", 3)):
        before = {node.name: node.workers() for node in fleet}
        controller.run("ship", source, "--to", fleet.toml).ok()
        has(fleet, source, version)
        for node in fleet:
            assert node.generation == generation
            assert not before[node.name] & node.workers()
            tidy(node)


def test_nothing_is_sent_where_nothing_is_to_be_done(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    fleet.start([TRADITIONAL, DBLESS, DBLESS], proxied=True)
    source = plugin("1.0.0", extra_files=60)
    controller.run("ship", source, "--to", fleet.toml).ok()
    first = {node.name: node.proxy.sent for node in fleet}
    before = {node.name: (node.workers(), node.conf, node.generation, _stamps(node)) for node in fleet}
    _reset(fleet)
    controller.run("cluster", "status", "--to", fleet.toml).ok()
    asked = {node.name: node.proxy.sent for node in fleet}
    _reset(fleet)
    controller.run("ship", source, "--to", fleet.toml).ok()
    for node in fleet:
        assert node.proxy.connections == 1
        assert first[node.name] > node.proxy.sent + 20_000
        assert (
            node.proxy.sent < asked[node.name] + 8_000
        )  # a question, the lock, and what the files should be
        assert before[node.name] == (node.workers(), node.conf, node.generation, _stamps(node))


def test_one_connection_to_each_node_carries_a_whole_rollout(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    fleet.start([CONTROL_PLANE, DATA_PLANE, DATA_PLANE], proxied=True)
    source = plugin("1.0.0")
    controller.run("ship", source, "--to", fleet.toml).ok()
    has(fleet, source, "1.0.0")
    assert [node.proxy.connections for node in fleet] == [1, 1, 1]


def test_only_files_that_a_node_lacks_travel(fleet: Fleet, controller: Controller, plugin: Plugin) -> None:
    fleet.start([DBLESS, DBLESS], proxied=True)
    one, two = plugin("1.0.0", extra_files=120), plugin("1.0.1", extra_files=120)
    controller.run("ship", one, "--to", fleet.toml).ok()
    first = [node.proxy.sent for node in fleet]
    _reset(fleet)
    controller.run("ship", two, "--to", fleet.toml).ok()
    has(fleet, two, "1.0.1")
    for node, before in zip(fleet, first, strict=True):
        assert node.proxy.sent < before - 10_000


def test_control_planes_go_first_and_data_planes_first_on_the_way_back(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    fleet.start([DATA_PLANE, CONTROL_PLANE, DATA_PLANE])
    one, two = plugin("1.0.0"), plugin("1.1.0")
    for source, version, order in ((one, "1.0.0", "first"), (two, "1.1.0", "first"), (one, "1.0.0", "last")):
        done = controller.run("ship", source, "--to", fleet.toml, "--json").ok()
        has(fleet, source, version)
        proved = [event["node"] for event in done.events if event["event"] == "node"]
        assert sorted(set(proved)) == ["node-1", "node-2", "node-3"]
        place = list(dict.fromkeys(proved)).index("node-2")
        assert place == (0 if order == "first" else 2), proved


def test_data_planes_get_their_configuration_all_the_way_up_and_down(
    fleet: Fleet, controller: Controller, plugin: Plugin, tmp_path: Path
) -> None:
    """A control plane serves no data plane whose plugin is newer than its own: the order depends on the way."""
    fleet.start([CONTROL_PLANE, DATA_PLANE, DATA_PLANE])
    entity = tmp_path / "entity.json"
    entity.write_text(json.dumps({"name": NAME, "config": {}}), encoding="utf-8")
    one, two = plugin("1.0.0"), plugin("1.1.0")
    controller.run("ship", one, "--to", fleet.toml, "--entity", entity).ok()
    seen: set[str] = set()
    with sampled(lambda: seen.update(_sync_states(fleet))):
        controller.run("ship", two, "--to", fleet.toml).ok()
        has(fleet, two, "1.1.0")
        controller.run("cluster", "rollback", "--to", fleet.toml).ok()
        has(fleet, one, "1.0.0")
        controller.run("ship", two, "--to", fleet.toml).ok()
        controller.run("ship", one, "--to", fleet.toml).ok()
        has(fleet, one, "1.0.0")
    assert seen == {"normal"}


def test_a_data_plane_that_lags_is_waited_for(fleet: Fleet, controller: Controller, plugin: Plugin) -> None:
    fleet.start([CONTROL_PLANE, DATA_PLANE], lag={1: 3.0})
    source = plugin("1.0.0")
    controller.run("ship", source, "--to", fleet.toml).ok()
    has(fleet, source, "1.0.0")


def test_a_data_plane_that_lags_too_long_goes_back(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    fleet.cluster = {"timeout": 3}
    fleet.start([CONTROL_PLANE, DATA_PLANE], lag={1: 30.0})
    controller.run("ship", plugin("1.0.0"), "--to", fleet.toml).fails("node-2", "not proved")
    has_nothing([fleet["node-2"]])
    tidy(fleet["node-2"])


def test_a_running_gateway_that_was_never_prepared_by_us_keeps_its_own_settings(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    fleet.start([DBLESS])
    node = fleet[0]
    conf = node.path("/etc/kong/kong.conf")
    text = node.first_conf + "plugins = bundled, key-auth  # ours\nlua_package_path = /srv/ours/?.lua;;\n"
    conf.write_text(text, encoding="utf-8")
    source = plugin("1.0.0")
    controller.run("ship", source, "--to", fleet.toml).ok()
    unharmed(node)
    assert listed(node) and listed(node, "key-auth") and listed(node, "bundled")
    assert named_generation(node) == 1
    assert "/srv/ours/?.lua" in node.setting("lua_package_path")
    assert node.loaded_version() == "1.0.0"


def _sync_states(fleet: Fleet) -> set[str]:
    """Of the data planes that the control plane in the first place knows; nothing while it reloads."""
    try:
        return {plane["sync_status"] for plane in fleet[0].admin("/clustering/data-planes")["data"]}
    except (OSError, http.client.HTTPException):
        return set()


def _reset(fleet: Fleet) -> None:
    for node in fleet:
        node.proxy.reset()


def _stamps(node: FleetNode) -> dict[str, int]:
    """When everything in the tree was changed last, the place of the cluster's lock aside."""
    place = node.path(node.tree)
    return {
        str(file): file.lstat().st_mtime_ns
        for file in place.rglob("*")
        if ".pumice" not in file.parts and file.name != "rollouts"
    }
