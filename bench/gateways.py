"""Gateways of the bench's nodes: the stand-in, each on its node's own address, without a database."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pumice.kong.standin.write import find_programs, write_gateway

PROXY, ADMIN, STATUS = 8000, 8001, 8007


def write_program(folder: Path) -> str:
    """The command `kong` that all nodes share."""
    programs = find_programs(f"{os.environ.get('PATH', '')}:/usr/bin:/bin")
    return write_gateway(str(folder), programs=programs, version="3.9.1").kong


@dataclass(frozen=True)
class NodeGateway:
    """One node's gateway; everything of it lies in `folder`."""

    folder: Path
    address: str
    kong: str

    @property
    def conf(self) -> Path:
        """Its kong.conf."""
        return self.folder / "kong.conf"

    def configure(self, plugins: str = "bundled", tree: Path | None = None) -> None:
        """Write kong.conf; with `tree` plugins are looked for there."""
        path = f"lua_package_path = {tree}/share/lua/5.1/?.lua\n" if tree else ""
        self.conf.write_text(
            f"prefix = {self.folder}/prefix\ndatabase = off\nnginx_worker_processes = 1\n"
            f"proxy_listen = {self.address}:{PROXY}\nadmin_listen = {self.address}:{ADMIN}\n"
            f"status_listen = {self.address}:{STATUS}\nplugins = {plugins}\n{path}",
            encoding="utf-8",
        )

    def begin(self, action: str) -> subprocess.Popen[bytes]:
        """`kong start`, `kong prepare` or `kong reload`, begun."""
        (self.folder / "prefix").mkdir(exist_ok=True)
        return subprocess.Popen(
            [self.kong, action, "-c", str(self.conf)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def stop(self) -> None:
        """End it, by its own pid file."""
        try:
            os.kill(int((self.folder / "prefix/pids/nginx.pid").read_text()), signal.SIGTERM)
        except (OSError, ValueError):
            pass


def run_all(gateways: Iterable[NodeGateway], action: str) -> None:
    """A command of `kong` on all of them, some at a time. Raises OSError when one fails."""
    todo = list(gateways)
    while todo:
        begun, todo = todo[:8], todo[8:]
        for gateway, process in [(each, each.begin(action)) for each in begun]:
            _, said = process.communicate(timeout=60)
            if process.returncode != 0:
                raise OSError(f"kong {action} on {gateway.address}: {said.decode(errors='replace')}")


def restore(gateways: Iterable[NodeGateway], tree: str) -> None:
    """Take every node back to what it was before anything was shipped."""
    changed = [each for each in gateways if (each.folder / tree).exists()]
    for each in changed:
        each.configure()
    run_all(changed, "prepare")  # a reload alone keeps what the file does not name any more
    run_all(changed, "reload")
    time.sleep(0.3 if changed else 0)  # workers on their way out
    for each in changed:
        shutil.rmtree(each.folder / tree)
