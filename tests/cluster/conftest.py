"""Nodes of the tests: real sshd, each on a port of its own, with a PATH of little more than nothing."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pumice.cluster.address import Address
from pumice.cluster.engine import Engine
from pumice.cluster.inventory import Node

NODE_PROGRAMS = (  # noqa: SIM905
    "sh cat chmod chown cp cut date dd df du expr head id ln ls mkdir mktemp mv od printf pwd readlink rm rmdir "
    "sha256sum sleep sort stat sync tail tar tee test touch tr true false uname uniq wc env timeout basename "
    "dirname kill nproc echo"
).split()
"""All that a node has: a shell, tar and coreutils."""


def free_port() -> int:
    """A port of the loopback on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, seconds: float = 10.0) -> None:
    """Return once something listens."""
    until = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


@dataclass
class SshNode:
    """One sshd: its directory, its port, and the process."""

    name: str
    root: Path
    port: int
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        """End the daemon; sessions of it end with it."""
        self.process.terminate()
        self.process.wait(10)


@dataclass
class SshFleet:
    """Starts nodes; all share one host key and one client key unless a test asks for others."""

    root: Path
    nodes: list[SshNode] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self.identity = self.key("id")
        self.host_key = self.key("host")
        self.known_hosts = self.root / "known_hosts"
        self.known_hosts.touch()
        self.programs = self.root / "bin"
        self.programs.mkdir()
        for program in NODE_PROGRAMS:
            found = shutil.which(program)
            if found:
                (self.programs / program).symlink_to(found)

    def key(self, name: str) -> Path:
        """A new key pair; the private one's path."""
        path = self.root / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
        return path

    def trust(self, port: int, host_key: Path) -> None:
        """Add a host key to known_hosts."""
        with self.known_hosts.open("a") as file:
            file.write(f"[127.0.0.1]:{port} {host_key.with_suffix('.pub').read_text()}")

    def start(
        self, name: str, *, extra: str = "", host_key: Path | None = None, known: bool = True
    ) -> SshNode:
        """A running node; `extra` are further lines of its sshd_config."""
        root = self.root / name
        root.mkdir()
        port = free_port()
        key = host_key or self.host_key
        (root / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1:{port}\n"
            f"HostKey {key}\n"
            f"AuthorizedKeysFile {self.identity}.pub\n"
            f"PidFile {root}/sshd.pid\n"
            f"SetEnv PATH={self.programs} HOME={root}\n"
            "StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            "PermitRootLogin yes\nLogLevel VERBOSE\nUseDNS no\nMaxStartups 500\nMaxSessions 100\n"
            "AcceptEnv none\nPrintMotd no\nPrintLastLog no\n" + extra
        )
        process = subprocess.Popen(
            [shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-f", root / "sshd_config", "-E", root / "log"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if known:
            self.trust(port, key)
        node = SshNode(name, root, port, process)
        self.nodes.append(node)
        wait_for_port(port)
        return node

    def node(self, ssh: SshNode, **fields: object) -> Node:
        """The inventory's value of a node."""
        return Node(
            name=ssh.name,
            address=Address("ssh", "127.0.0.1", user=getpass.getuser(), port=ssh.port),
            identity=str(self.identity),
            known_hosts=str(self.known_hosts),
        ).replace(**fields)

    def stop(self) -> None:
        """End every daemon."""
        for node in self.nodes:
            node.process.terminate()
        for node in self.nodes:
            node.process.wait(10)


@pytest.fixture(scope="session")
def needs_sshd() -> None:
    """Skips where there is no OpenSSH; `./test` installs it."""
    if not shutil.which("ssh") or not (shutil.which("sshd") or Path("/usr/sbin/sshd").exists()):
        pytest.skip("OpenSSH's client and server are not installed")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)


@pytest.fixture
def fleet(needs_sshd: None, tmp_path: Path):
    """A fleet without nodes; what a test starts is stopped at its end."""
    made = SshFleet(tmp_path / "fleet")
    yield made
    made.stop()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment of the programs that reach nodes: no agent, no configuration of the machine's user."""
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8"}


@pytest.fixture
def engine(environment: dict[str, str]):
    """An engine that is closed at the end."""
    with Engine(environment) as made:
        yield made
