"""A controller that is killed and a line that is cut, at every step: each node is old or new, whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fleetkit.claims import eventually, has, old_or_new, tidy
from fleetkit.controller import Controller
from fleetkit.fleet import CONTROL_PLANE, DATA_PLANE, DBLESS, TRADITIONAL, Fleet, FleetNode
from fleetkit.roots import BUSYBOX

pytestmark = [pytest.mark.peer, pytest.mark.sweep, pytest.mark.timeout(280)]
Plugin = Callable[..., Path]
CUTS = 8


def test_a_controller_killed_at_every_step_leaves_whole_nodes_that_the_next_ship_finishes(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    fleet.start([TRADITIONAL, DBLESS, DBLESS], kinds={2: BUSYBOX})
    versions = {"1.0.0": plugin("1.0.0"), "2.0.0": plugin("2.0.0", extra_files=3)}
    controller.run("ship", versions["1.0.0"], "--to", fleet.toml).ok()
    events = controller.run("ship", versions["2.0.0"], "--to", fleet.toml, "--json").ok().events
    moments = list(dict.fromkeys(map(_moment, events)))
    assert {("step", "reload", "ok"), ("step", "gate", "ok"), ("step", "finish", "begun")} <= set(moments)
    new, killed = "1.0.0", 0
    for moment in moments[:-1]:  # nobody kills a result
        ended = controller.killed_at_event(
            lambda event, moment=moment: _moment(event) == moment, "ship", versions[new], "--to", fleet.toml
        )
        killed += ended is None
        _is_whole_and_can_be_finished(fleet, controller, versions, new)
        new = "1.0.0" if new == "2.0.0" else "2.0.0"
    assert killed >= 8


def _moment(event: dict[str, Any]) -> tuple[str, str, str]:
    """What happens, on whichever node."""
    step = event.get("step", "") if event["event"] == "step" else ""
    return event["event"], step, event.get("state", "")


def test_a_controller_killed_at_any_byte_leaves_whole_nodes(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    fleet.start([CONTROL_PLANE, DATA_PLANE], proxied=True)
    versions = {"1.0.0": plugin("1.0.0"), "2.0.0": plugin("2.0.0", extra_files=40)}
    sent, _ = _traffic_of_a_rollout(fleet, controller, versions)
    new = "1.0.0"
    for number in range(CUTS):
        for node in fleet:
            node.proxy.reset()
        limit = sent * (number + 1) // (CUTS + 1)
        controller.killed_when(
            lambda limit=limit: sum(node.proxy.sent for node in fleet) >= limit,
            "ship", versions[new], "--to", fleet.toml,
        )  # fmt: skip
        _is_whole_and_can_be_finished(fleet, controller, versions, new)
        new = "1.0.0" if new == "2.0.0" else "2.0.0"


@pytest.mark.parametrize("way", ["sent", "received"])
def test_a_line_that_is_cut_at_any_byte_leaves_a_whole_node(
    fleet: Fleet, controller: Controller, plugin: Plugin, way: str
) -> None:
    fleet.cluster = {"canary": 0, "batch": "100%", "max_failures": 1}
    fleet.start([DBLESS, DBLESS], proxied=True)
    versions = {"1.0.0": plugin("1.0.0"), "2.0.0": plugin("2.0.0", extra_files=20)}
    traffic = dict(zip(("sent", "received"), _traffic_of_a_rollout(fleet, controller, versions), strict=True))
    new = "1.0.0"
    for number in range(CUTS):
        unlucky, other = fleet[number % 2], fleet[1 - number % 2]
        limit = traffic[way] // 2 * (number + 1) // (CUTS + 1)
        other.proxy.reset()
        unlucky.proxy.reset(**{way: limit})
        ended = controller.run("ship", versions[new], "--to", fleet.toml)
        assert ended.code != 99, ended.said
        if unlucky.proxy.was_cut:
            assert unlucky.name in ended.said  # after its proof, a node is done all the same
        unlucky.proxy.reset()
        _is_whole_and_can_be_finished(fleet, controller, versions, new)
        new = "1.0.0" if new == "2.0.0" else "2.0.0"


def test_a_first_install_that_is_killed_anywhere_is_finished_by_the_next(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    fleet.start([DBLESS] * 2, proxied=True)
    source = plugin("1.0.0", extra_files=10)
    for limit in (6_000, 12_000, 24_000, 48_000):
        for node in fleet:
            node.proxy.reset()
        controller.killed_when(
            lambda limit=limit: sum(node.proxy.sent for node in fleet) >= limit,
            "ship", source, "--to", fleet.toml,
        )  # fmt: skip
        for node in fleet:
            old_or_new(node, {"1.0.0": source})
    controller.run("cluster", "status", "--to", fleet.toml).ok()
    controller.run("ship", source, "--to", fleet.toml, "--force-lock").ok()
    has(fleet, source, "1.0.0")


def _traffic_of_a_rollout(fleet: Fleet, controller: Controller, versions: dict[str, Path]) -> tuple[int, int]:
    """Ships the old version and then the new one; what the second took, to and from all nodes."""
    controller.run("ship", versions["1.0.0"], "--to", fleet.toml).ok()
    for node in fleet:
        node.proxy.reset()
    controller.run("ship", versions["2.0.0"], "--to", fleet.toml).ok()
    return sum(node.proxy.sent for node in fleet), sum(node.proxy.received for node in fleet)


def _is_whole_and_can_be_finished(
    fleet: Fleet, controller: Controller, versions: dict[str, Path], new: str
) -> None:
    """What the issue promises: old or new, whole; `status`, then `ship` again, finish the work."""
    for node in fleet:
        assert old_or_new(node, versions) in versions
        assert _serves(node, versions)
    controller.run("cluster", "status", "--to", fleet.toml).ok()
    for node in fleet:
        assert old_or_new(node, versions) in versions
    controller.run("ship", versions[new], "--to", fleet.toml, "--force-lock").ok()
    has(fleet, versions[new], new)
    for node in fleet:
        eventually(lambda node=node: _settled(node))


def _serves(node: FleetNode, versions: dict[str, Path]) -> bool:
    """Its gateway answers, with one of the versions."""
    return node.role == DATA_PLANE or node.loaded_version() in versions


def _settled(node: FleetNode) -> bool:
    try:
        tidy(node)
    except AssertionError:
        return False
    return True
