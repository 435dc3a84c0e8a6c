"""The gateway of a node: Kong where it is on the path, else the stand-in, each on the node's own address."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from bench.nodes import Sshd

from fleetkit.roots import Root, copy_with_libraries
from pumice.kong.standin.write import find_programs, write_gateway

PROXY, ADMIN, CLUSTER, STATUS = 8000, 8001, 8005, 8007
KONG = shutil.which("kong")
_SEARCHED = f"{os.environ.get('PATH', '')}:/usr/bin:/bin"
_CONF = """\
# -----------------------
# Kong configuration file
# -----------------------
# Comments, blank lines and the order of this file are its owner's.

prefix = {prefix}          # where it runs
log_level = info
#plugins = bundled               # Comma-separated list of plugins

role = {role}
database = {database}
pg_database = {pg_database}
pg_password = do-not-show-this-pa55
nginx_worker_processes = 1
proxy_listen = {address}:{PROXY}
admin_listen = {address}:{ADMIN}
status_listen = {address}:{STATUS}
cluster_listen = {address}:{CLUSTER}
cluster_control_plane = {control}:{CLUSTER}
# the end
"""


@dataclass
class Gateway:
    """Where a node's gateway lies, and how it is started and stopped from outside."""

    name: str
    address: str
    role: str
    root: Root
    sshd: Sshd
    shared: Path
    """The fleet's folder: nodes with a database share it there."""
    bootstrapped: bool = field(default=False)

    @property
    def kong(self) -> str:
        """The program, as the node spells it."""
        return self.root.seen("/usr/local/bin/kong")

    def install(self, control: str | None, *, lag: float, **properties: str) -> None:
        """The program and kong.conf. `control` is the address of the control plane."""
        database = self.role in {"traditional", "control_plane"}
        if KONG:
            if database or self.role == "data_plane":
                pytest.skip("this fleet needs a PostgreSQL for the real Kong")
            if self.root.chrooted:
                pytest.skip("the real Kong is not copied into a root of its own")
            script = (
                f'#!/bin/sh\nPATH=/usr/local/openresty/bin:/usr/local/bin:/usr/bin:/bin exec {KONG} "$@"\n'
            )
            program = self.root.outside("/usr/local/bin/kong")
            program.write_text(script, encoding="utf-8")
            program.chmod(0o755)
        else:
            self._install_standin()
        text = _CONF.format(
            prefix=self.root.seen("/usr/local/kong"),
            role="traditional" if self.role == "dbless" else self.role,
            database="postgres" if database else "off",
            pg_database="kong",
            address=self.address,
            control=control or self.address,
            PROXY=PROXY, ADMIN=ADMIN, STATUS=STATUS, CLUSTER=CLUSTER,
        )  # fmt: skip
        if lag:
            text += f"standin_lag = {lag}\n"
        text += "".join(f"{key} = {value}\n" for key, value in properties.items())
        self.root.outside("/etc/kong/kong.conf").write_text(text, encoding="utf-8")
        self.root.outside("/etc/kong/kong.conf").chmod(0o640)
        self.root.outside("/usr/local/kong").mkdir(parents=True, exist_ok=True)

    def begin_start(self, environment: Mapping[str, str]) -> subprocess.Popen[str]:
        """`kong start`, begun; on a new database `kong migrations bootstrap` before it."""
        words = [self.kong, "start", "-c", self.root.seen("/etc/kong/kong.conf")]
        database = self.shared / "database/kong"
        if self.role in {"traditional", "control_plane"} and not database.is_dir():
            database.mkdir(parents=True)
            self._run([self.kong, "migrations", "bootstrap", *words[2:]]).communicate(timeout=30)
        return self._run(words, environment)

    def run(self, *words: str, environment: Mapping[str, str] | None = None) -> str:
        """A command of the gateway's program, run on the node from outside; what it said."""
        said, _ = self._run([self.kong, *words], environment or {}).communicate(timeout=60)
        return said

    def begin_stop(self) -> int | None:
        """Tell it to end, by its own pid file; its pid, when it ran."""
        try:
            pid = int(self.root.outside("/usr/local/kong/pids/nginx.pid").read_text())
            os.kill(pid, signal.SIGTERM)
        except (OSError, ValueError):
            return None
        return pid

    @property
    def log(self) -> str:
        """Its error log."""
        return self.root.outside("/usr/local/kong/logs/error.log").read_text(errors="replace")

    def _run(self, words: list[str], environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        inside: list[str] = []
        if self.sshd.mounts and self.sshd.process is not None:
            inside = ["nsenter", "-t", str(self.sshd.process.pid), "-m"]
        if self.root.chrooted:
            inside += ["chroot", str(self.root.here)]
        return subprocess.Popen(
            [*inside, *words],
            env={
                "PATH": f"{self.root.search_path}:/usr/bin:/usr/sbin:/bin",
                "HOME": "/",
                **(environment or {}),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def _install_standin(self) -> None:
        folder = "/usr/local/lib/gateway"
        place = self.root.outside(folder)
        shutil.copytree(_template(self.shared), place)
        values = {
            "@PREFIX@": self.root.seen("/usr/local/kong"),
            "@CONF@": self.root.seen("/etc/kong/kong.conf"),
            "@DATABASE@": str(self.shared / "database"),
            "@HOSTNAME@": self.name,
            "@SYSTEM@": self.root.seen("/usr/local"),
            str(_template(self.shared)): self.root.seen(folder),
        }
        for file in (place / "settings.lua", place / "bin/kong"):
            text = file.read_text(encoding="utf-8")
            for mark, value in values.items():
                text = text.replace(mark, value)
            file.write_text(text, encoding="utf-8")
        self.root.outside("/usr/local/bin/kong").symlink_to(self.root.seen(f"{folder}/bin/kong"))
        if self.root.chrooted:
            found = find_programs(_SEARCHED)
            for program in (found.nginx, found.luajit, *found.modules):
                copy_with_libraries(self.root.here, program)
            for libraries in ("/usr/share/lua/5.1/resty", "/usr/share/lua/5.1/ngx"):
                if os.path.isdir(libraries):
                    shutil.copytree(libraries, f"{self.root.here}{libraries}")
            self.root.outside("/etc/nginx").mkdir(parents=True, exist_ok=True)


def _template(folder: Path) -> Path:
    """A stand-in with marks for what differs from node to node; written once a fleet."""
    place = folder / "gateway-template"
    if not place.is_dir():
        write_gateway(
            str(place),
            programs=find_programs(_SEARCHED),
            version="3.9.1",
            prefix="@PREFIX@",
            default_confs=["@CONF@"],
            database="@DATABASE@",
            hostname="@HOSTNAME@",
            system_tree="@SYSTEM@",
        )
    return place


def have_programs() -> bool:
    """Whether a gateway can be started here at all."""
    return KONG is not None or shlex.split(shutil.which("nginx", path=f"{_SEARCHED}:/usr/sbin") or "") != []


def wait_for_end(pid: int, seconds: float = 8.0) -> None:
    """Return once the process is gone; it is killed when that takes too long."""
    end = time.monotonic() + seconds
    while os.path.exists(f"/proc/{pid}"):
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            return
        time.sleep(0.01)
