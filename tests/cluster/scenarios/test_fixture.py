"""The fleet is what the other tests take it for."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest
from fleetkit.fleet import DBLESS, Fleet
from fleetkit.orphans import end_orphans, new_folder
from fleetkit.roots import BUSYBOX, CHROOT, COREUTILS

ROOT = {"bin", "dev", "etc", "home", "lib", "lib64", "opt", "proc", "root", "tmp", "usr"}
pytestmark = pytest.mark.peer


def on(fleet: Fleet, number: int, script: str) -> str:
    node = fleet[number]
    done = subprocess.run(
        ["ssh", "-i", fleet.identity, "-p", "2222", "-o", f"UserKnownHostsFile={fleet.known_hosts}",
         "-o", "BatchMode=yes", "-F", "none", node.address, script],
        capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_nodes_have_a_shell_tar_and_coreutils_and_nothing_else(fleet: Fleet, needs_root: None) -> None:
    fleet.start([DBLESS] * 3, kinds={1: BUSYBOX, 2: CHROOT}, gateways=False)
    for number in range(3):
        said = on(
            fleet,
            number,
            "for each in sh tar cat sha256sum mv stat; do command -v $each || echo no $each; done",
        )
        assert "no " not in said, said
        said = on(
            fleet,
            number,
            "for each in find grep sed awk python3 perl lua luajit gzip curl zip; do command -v $each; done",
        )
        assert said == "", said
    assert "BusyBox" in on(fleet, 1, "tar --help 2>&1 | head -1")
    assert set(on(fleet, 2, "ls /").split()) <= ROOT
    assert [node.root.kind for node in fleet] == [COREUTILS, BUSYBOX, CHROOT]


def test_twenty_nodes_with_gateways_start_in_seconds(fleet: Fleet) -> None:
    begun = time.monotonic()
    fleet.start([DBLESS] * 20)
    assert time.monotonic() - begun < 60
    for node in fleet:
        assert node.admin("/")["plugins"]["available_on_server"]["key-auth"]


def test_a_fleet_whose_test_run_was_killed_is_ended_by_the_next(tmp_path: Path) -> None:
    gone = subprocess.Popen(["/bin/true"])
    gone.wait()
    orphan = tmp_path / f"pumice-fleet-{gone.pid}-x"
    orphan.mkdir()
    mine = new_folder(tmp_path)
    left = subprocess.Popen(["/bin/sh", "-c", 'sleep 60; : "$0"', f"{orphan}/node"])
    end_orphans(tmp_path)
    assert left.wait(10) == -signal.SIGTERM
    assert (mine.exists(), orphan.exists()) == (True, False)
