"""Real sshd nodes on loopback: one master each, with its own address, host key, environment and log."""

from __future__ import annotations

import getpass
import os
import random
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PORT = 2222
_CONFIGURATION = """\
ListenAddress {address}:{port}
HostKey "{folder}/host_key"
AuthorizedKeysFile "{authorized}"
PidFile none
UsePAM no
UseDNS no
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PrintMotd no
PrintLastLog no
MaxStartups 1000
MaxSessions 100
LoginGraceTime 60
LogLevel ERROR
Subsystem sftp internal-sftp
{more}
"""


def loopback_addresses(count: int) -> list[str]:
    """Addresses of a free network below 127.0.0.0/8 that chance chose; its nodes begin at .1."""
    chance = random.SystemRandom()
    for _ in range(100):
        network = f"127.{chance.randint(64, 254)}.{chance.randint(1, 254)}"
        with socket.socket() as taken:
            try:
                taken.bind((f"{network}.1", PORT))
            except OSError:
                continue
        return [f"{network}.{number}" for number in range(1, count + 1)]
    raise OSError("no loopback network is free")


@dataclass
class Sshd:
    """One node's sshd; started and stopped by its own process id."""

    name: str
    address: str
    folder: Path
    environment: Mapping[str, str]
    """What every session has, PATH and HOME among it."""
    options: Sequence[str] = ()
    """More lines of its configuration."""
    port: int = PORT
    mounts: Sequence[str] = ()
    """Shell commands that mount what the node alone sees; they need root, and end with the node."""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def log(self) -> Path:
        """What the server said."""
        return self.folder / "sshd.log"

    @property
    def host_key(self) -> str:
        """The public key, as it follows the address in known_hosts."""
        return " ".join((self.folder / "host_key.pub").read_text(encoding="utf-8").split()[:2])

    def start(self, authorized: Path) -> None:
        """Begins to start it; `wait` says when it answers."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # where sshd's unprivileged half lives
        variables = " ".join(_quoted(f"{name}={value}") for name, value in self.environment.items())
        text = _CONFIGURATION.format(
            address=self.address,
            port=self.port,
            folder=self.folder,
            authorized=authorized,
            more="\n".join([f"SetEnv {variables}", *self.options]),
        )
        (self.folder / "sshd_config").write_text(text, encoding="utf-8")
        command = [sshd_program(), "-D", "-e", "-f", str(self.folder / "sshd_config")]
        if self.mounts:
            script = " && ".join([*self.mounts, f"exec {shlex.join(command)}"])
            command = ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script]
        with open(self.log, "ab") as log:
            # Its own session: a terminal's Ctrl-C for whoever tests is not for the nodes.
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self, timeout: float = 20.0) -> None:
        """Returns once it greets. Raises OSError with its log when it does not."""
        end = time.monotonic() + timeout
        while True:
            try:
                with socket.create_connection((self.address, self.port), timeout=2) as asked:
                    if asked.recv(4) == b"SSH-":
                        return
            except OSError:
                pass
            if time.monotonic() > end or self.process is None or self.process.poll() is not None:
                raise OSError(f"sshd of {self.name} does not answer: {self.log.read_text(errors='replace')}")
            time.sleep(0.01)

    def stop(self) -> None:
        """Ends the master; sessions end with their connections."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None


def _quoted(text: str) -> str:
    """A word of sshd_config."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def sshd_program() -> str:
    """The full path, as sshd demands it."""
    return (
        shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        or "/usr/sbin/sshd"
    )


def make_key(path: Path) -> Path:
    """An ed25519 key pair without a passphrase; `path` is the private half."""
    _keygen(path).wait(20)
    return path


def make_keys(paths: Sequence[Path]) -> None:
    """Many at once."""
    for started in [_keygen(path) for path in paths]:
        if started.wait(20) != 0:
            raise OSError("ssh-keygen failed")


def _keygen(path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.parent.name, "-f", str(path)],
        stdin=subprocess.DEVNULL,
    )


def write_known_hosts(path: Path, nodes: Sequence[Sshd]) -> Path:
    """The host keys of all nodes, as ssh-keyscan would write them."""
    lines = [f"[{node.address}]:{node.port} {node.host_key}\n" for node in nodes]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def write_ssh_config(path: Path, nodes: Sequence[Sshd], identity: Path, known_hosts: Path) -> Path:
    """An ssh client's configuration in which every node has its name."""
    blocks = [f"Host {node.name}\n  HostName {node.address}\n  Port {node.port}\n" for node in nodes]
    everywhere = {
        "User": getpass.getuser(),
        "IdentityFile": shlex.quote(str(identity)),
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": shlex.quote(str(known_hosts)),
        "StrictHostKeyChecking": "yes",
        "BatchMode": "yes",
    }
    blocks.append("Host *\n" + "".join(f"  {key} {value}\n" for key, value in everywhere.items()))
    path.write_text("".join(blocks), encoding="utf-8")
    return path


def start_all(nodes: Sequence[Sshd], authorized: Path) -> None:
    """Makes their host keys, starts them all, and returns once each of them answers."""
    for node in nodes:
        node.folder.mkdir(parents=True, exist_ok=True)
    make_keys([node.folder / "host_key" for node in nodes if not (node.folder / "host_key").exists()])
    for node in nodes:
        node.start(authorized)
    for node in nodes:
        node.wait()
