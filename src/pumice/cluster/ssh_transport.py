"""A node behind ssh."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pumice.cluster.connection import Unreachable, quote
from pumice.cluster.programs import ProgramStream, answer_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pumice.cluster.connection import Answer, Stream
    from pumice.cluster.inventory import Node

__all__ = ["SshConnection"]


class SshConnection:
    """Runs scripts through OpenSSH's client, which reads the user's configuration, agent and known hosts."""

    def __init__(self, node: Node, environment: Mapping[str, str], *, timeout: float) -> None:
        self.node = node
        self._environment = environment
        options = ["-T", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"]
        options += ["-o", f"ConnectTimeout={max(1, int(timeout))}"]
        if node.identity:
            options += ["-o", f"IdentityFile={node.identity}", "-o", "IdentitiesOnly=yes"]
        if node.known_hosts:
            options += ["-o", f"UserKnownHostsFile={node.known_hosts}"]
        if node.address.port:
            options += ["-p", str(node.address.port)]
        if node.address.user:
            options += ["-l", node.address.user]
        self._options = options
        self.run("exit 0", timeout=timeout)

    def run(self, script: str, *, stdin: bytes | Iterable[bytes] = b"", timeout: float = 60.0) -> Answer:
        become = f"sudo -n -H -u {quote(self.node.sudo)} -- " if self.node.sudo else ""
        answer = answer_of(
            ("ssh", *self._options, "--", self.node.address.host, f"exec {become}sh -c {quote(script)}"),
            who=self.node.name,
            environment=self._environment,
            stdin=stdin,
            timeout=timeout,
        )
        if answer.code == 255:
            raise Unreachable(f"{self.node.name}: {answer.errors.decode(errors='replace').strip()}")
        return answer

    def dial(self, host: str, port: int, *, timeout: float = 10.0) -> Stream:
        stream = ProgramStream(
            ("ssh", *self._options, "-W", f"{host}:{port}", "--", self.node.address.host),
            who=self.node.name,
            environment=self._environment,
        )
        stream.settimeout(timeout)
        return stream

    def close(self) -> None:
        """Nothing is open between two runs."""
