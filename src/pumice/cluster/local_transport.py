"""This machine as a node."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from pumice.cluster.connection import NodeError, TooSlow
from pumice.cluster.programs import answer_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pumice.cluster.connection import Answer, Stream
    from pumice.cluster.inventory import Node

__all__ = ["LocalConnection"]


class LocalConnection:
    """Runs scripts with this machine's `sh`."""

    def __init__(self, node: Node, environment: Mapping[str, str]) -> None:
        self.node = node
        self._environment = environment

    def run(self, script: str, *, stdin: bytes | Iterable[bytes] = b"", timeout: float = 60.0) -> Answer:
        become = ("sudo", "-n", "-H", "-u", self.node.sudo, "--") if self.node.sudo else ()
        return answer_of(
            (*become, "sh", "-c", script),
            who=self.node.name,
            environment=self._environment,
            stdin=stdin,
            timeout=timeout,
        )

    def dial(self, host: str, port: int, *, timeout: float = 10.0) -> Stream:
        try:
            return socket.create_connection((host, port), timeout)
        except TimeoutError as error:
            raise TooSlow(
                f"{self.node.name}: {host}:{port} did not answer in {timeout:g} seconds."
            ) from error
        except OSError as error:
            raise NodeError(f"{self.node.name}: {host}:{port} does not answer: {error.strerror}.") from error

    def close(self) -> None:
        """Nothing is open."""
