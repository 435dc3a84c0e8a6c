"""Ctrl-C: the batch under way is taken back, what was proved stays, and the same command goes on."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from fleetkit.claims import has, old_or_new, tidy
from fleetkit.controller import Controller
from fleetkit.fleet import DBLESS, Fleet

pytestmark = [pytest.mark.peer, pytest.mark.timeout(200)]
Plugin = Callable[..., Path]


@pytest.mark.parametrize("step", ["change", "gate"])
def test_an_interrupted_rollout_takes_its_batch_back_and_can_go_on(
    fleet: Fleet, controller: Controller, plugin: Plugin, step: str
) -> None:
    fleet.cluster = {"canary": 1, "batch": "2"}
    fleet.start([DBLESS] * 3)
    one, two = plugin("1.0.0"), plugin("1.1.0")
    controller.run("ship", one, "--to", fleet.toml).ok()
    process = controller.start("ship", two, "--to", fleet.toml, "--json")
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event.get("node") == "node-2" and event.get("step") == step:
            os.killpg(process.pid, signal.SIGINT)
            break
    out, err = process.communicate(timeout=90)
    assert process.returncode == 130, out + err
    assert "Interrupted" in err
    has([fleet[0]], two, "1.1.0")
    for node in fleet.nodes[1:]:
        assert old_or_new(node, {"1.0.0": one, "1.1.0": two}) == "1.0.0", out + err
    has(fleet.nodes[1:], one, "1.0.0")
    controller.run("ship", two, "--to", fleet.toml).ok()
    has(fleet, two, "1.1.0")
    for node in fleet:
        tidy(node)
