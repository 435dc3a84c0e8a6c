"""Nodes of the tests: real sshd, each on a port of its own, with a PATH of little more than nothing."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import tempfile
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


STANDIN_DOCKER = """#!/bin/sh
# Stands for docker: containers are this machine, under a name that a file has.
case "$1 $2" in
"container inspect")
    [ -f "{state}/$3" ] || { echo "Error: No such container: $3" >&2; exit 1; }
    cat "{state}/$3" ;;
"exec -i")
    shift 2
    [ "$1" != --user ] || { echo "$2" > "{state}/user"; shift 2; }
    [ -f "{state}/$1" ] || { echo "Error: No such container: $1" >&2; exit 1; }
    shift
    exec setsid -w "$@" ;;
*) echo "docker: what is $*" >&2; exit 1 ;;
esac
"""

STANDIN_KUBECTL = """#!/bin/sh
# Stands for kubectl: pods are this machine.
[ "$1" != --context ] || { echo "$2" > "{state}/context"; shift 2; }
[ "$1" = -n ] || exit 64
namespace=$2
shift 2
case "$1" in
get)
    [ -f "{state}/$namespace.$3" ] || { echo "Error from server (NotFound): pods \\"$3\\" not found" >&2; exit 1; }
    cat "{state}/$namespace.$3" ;;
exec)
    shift 3
    [ "$1" != -c ] || { echo "$2" > "{state}/container"; shift 2; }
    [ "$1" = -- ] || exit 64
    shift
    exec setsid -w "$@" ;;
port-forward) exec "{python}" "{state}/forward.py" "${5#:}" ;;
*) exit 64 ;;
esac
"""

STANDIN_FORWARD = """
import socket, sys, threading
port = int(sys.argv[1])
listener = socket.create_server(("127.0.0.1", 0))
print(f"Forwarding from 127.0.0.1:{listener.getsockname()[1]} -> {port}", flush=True)
print(f"Forwarding from [::1]:{listener.getsockname()[1]} -> {port}", flush=True)
def pump(source, target):
    while data := source.recv(65536):
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)
while True:
    near, _ = listener.accept()
    try:
        far = socket.create_connection(("127.0.0.1", port))
    except ConnectionRefusedError:
        print(f"E0000 portforward.go:413] an error occurred forwarding: connect: connection refused", flush=True)
        near.close()
        continue
    for pair in ((near, far), (far, near)):
        threading.Thread(target=pump, args=pair, daemon=True).start()
"""


@pytest.fixture
def standins(tmp_path: Path, environment: dict[str, str]) -> Path:
    """`docker` and `kubectl` of the test's own, first on the engine's PATH; gives the directory of their state."""
    folder = tmp_path / "standins"
    state = folder / "state"
    state.mkdir(parents=True)
    (state / "forward.py").write_text(STANDIN_FORWARD)
    for name, text in (("docker", STANDIN_DOCKER), ("kubectl", STANDIN_KUBECTL)):
        program = folder / name
        program.write_text(text.replace("{state}", str(state)).replace("{python}", sys.executable))
        program.chmod(0o755)
    (state / "gw").write_text('[{"State": {"Running": true}, "HostConfig": {"NetworkMode": "bridge"}}]')
    (state / "kong.gw-0").write_text("Running")
    environment["PATH"] = f"{folder}:{environment['PATH']}"
    return state


def mentioned(text: str) -> bool:
    """Whether a process has this in its command line."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text.encode() in path.read_bytes():
                return True
        except OSError:
            continue
    return False


PODMAN = """#!/bin/sh
exec "{podman}" --root "{root}" --runroot "{run}" --storage-driver vfs --runtime runc --cgroup-manager cgroupfs "$@"
"""


@pytest.fixture(scope="session")
def podman():
    """A directory with a `podman` of the tests' own, whose image `node` has busybox and nothing else."""
    real, busybox = shutil.which("podman"), shutil.which("busybox")
    if not real or not busybox or not shutil.which("runc") or os.getuid() != 0:
        pytest.skip("podman, runc and busybox are not installed, or this is not root")
    # podman allows no long paths here.
    folder = Path(tempfile.mkdtemp(prefix="podman-"))
    program = folder / "podman"
    text = (
        PODMAN.replace("{podman}", real).replace("{root}", f"{folder}/root").replace("{run}", f"{folder}/run")
    )
    program.write_text(text)
    program.chmod(0o755)
    tree = folder / "tree"
    for name in ("bin", "tmp", "proc", "dev", "sys", "etc"):
        (tree / name).mkdir(parents=True)
    linked = subprocess.run(["ldd", busybox], capture_output=True, text=True, check=False).stdout.split()
    for path in [busybox, *(word for word in linked if word.startswith("/"))]:
        target = tree / path.lstrip("/") if path != busybox else tree / "bin/busybox"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    for name in ("sh", "cat", "echo", "printf", "sleep", "tar", "kill", "id", "ls", "nc"):
        (tree / "bin" / name).symlink_to("busybox")
    (tree / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\nkong:x:1000:1000::/:/bin/sh\n")
    packed = subprocess.run(["tar", "-C", tree, "-c", "."], capture_output=True, check=True).stdout
    made = subprocess.run([program, "import", "-", "node"], input=packed, capture_output=True, check=False)
    if made.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(f"podman does not work here: {made.stderr.decode()[-200:]}")
    started: list[str] = []

    def start(name: str) -> None:
        options = ["--network=host", "--cgroups=no-conmon", "--security-opt=seccomp=unconfined"]
        limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000"]
        done = subprocess.run(
            [program, "run", "-d", "--name", name, *options, *limits, "node", "sleep", "600"],
            capture_output=True,
            check=False,
        )
        started.append(name)
        if done.returncode:
            pytest.skip(f"podman starts no container here: {done.stderr.decode()[-200:]}")

    yield folder, start
    for name in started:
        subprocess.run([program, "rm", "-f", "-t", "0", name], capture_output=True, check=False)
    # What podman leaves behind for tidying writes there until it has ended.
    until = time.monotonic() + 10
    while mentioned(str(folder)) and time.monotonic() < until:
        time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)
