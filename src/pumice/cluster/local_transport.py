"""This machine as a node."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from pumice.cluster.connection import NodeError, Refused, TooSlow
from pumice.cluster.script_command import script_command

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pumice.cluster.connection import Answer
    from pumice.cluster.inventory import Node
    from pumice.cluster.programs import Programs

__all__ = ["LocalConnection"]


class LocalConnection:
    """Runs scripts with this machine's `sh`."""

    def __init__(self, node: Node, programs: Programs) -> None:
        self.node = node
        self._programs = programs

    def run(self, script: str, *, stdin: bytes | Iterable[bytes] = b"", timeout: float = 60.0) -> Answer:
        """As `Connection.run`."""
        command = script_command(script, self.node.sudo)

        def ender(output: bytes) -> tuple[str, ...] | None:
            # Ours are killed with their session; another user's are not ours to kill.
            last = command.ender(output) if self.node.sudo is not None else None
            return last.words if last is not None else None

        answer = self._programs.answer_of(
            command.words, who=self.node.name, stdin=stdin, timeout=timeout, ender=ender
        )
        return command.answer(answer, self.node.name)

    def dial(self, host: str, port: int, *, timeout: float = 10.0) -> socket.socket:
        """As `Connection.dial`."""
        return dial_from_here(self.node.name, host, port, timeout)

    def close(self) -> None:
        """Nothing is open."""


def dial_from_here(name: str, host: str, port: int, timeout: float) -> socket.socket:
    """A TCP stream from this machine. Raises as `Connection.dial`, naming the node."""
    try:
        return socket.create_connection((host, port), timeout)
    except TimeoutError as error:
        raise TooSlow(f"{name}: {host}:{port} did not answer within {timeout:g} seconds.") from error
    except ConnectionRefusedError as error:
        raise Refused(f"{name}: nothing listens at {host}:{port}.") from error
    except OSError as error:
        raise NodeError(f"{name}: {host}:{port} is not reached: {error.strerror or error}.") from error
