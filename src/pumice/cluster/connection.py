"""What the rest of the room knows of a node that is reached: run a script there, open a stream from there.

    NodeError               something about one node; never ends the work on the others
    ├── Unreachable         no connection was made
    ├── ConnectionCut       there was one, and it broke: what ran last may or may not have happened
    ├── TooSlow             the time limit passed; what ran has been told to end
    └── Refused             nothing listens where a stream was to go

Nothing is asked of the node but `sh`. Everything that is put into a script goes through `quote`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pumice.base.value import Value
from pumice.errors import PumiceError

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

    from pumice.cluster.inventory import Node

__all__ = [
    "OUTPUT_LIMIT",
    "Answer",
    "Connection",
    "ConnectionCut",
    "NodeError",
    "Refused",
    "TooSlow",
    "Unreachable",
    "quote",
]

OUTPUT_LIMIT = 16 * 1024 * 1024
"""Bytes that are kept of each of a script's outputs; a script that writes more is ended."""


class NodeError(PumiceError):
    """Something about one node, named in the message."""

    default_hint = "The other nodes went on; run the command again when this one is well."


class Unreachable(NodeError):
    """No connection to the node was made: name, network, host key, credentials, or program missing."""

    default_hint = "Check the address in cluster.toml, and that `ssh` to it works by hand."


class ConnectionCut(NodeError):
    """The connection broke while something ran: it may have happened on the node or not."""

    default_hint = "The node is on the old or the new version, whole; `pumice cluster status` tells which."


class TooSlow(NodeError):
    """The node did not answer within the time limit."""

    default_hint = "Look at the load of the node; `timeout` in cluster.toml is the limit."


class Refused(NodeError):
    """Nothing listens at the host and port to which a stream was to be opened."""

    default_hint = "Is the gateway running, and is the URL in cluster.toml the one that the node itself sees?"


class Answer(Value):
    """How a script ended on a node."""

    code: int
    """Its exit code; 128 + the number of the signal that ended it."""
    output: bytes
    errors: bytes

    @property
    def ok(self) -> bool:
        """Whether it ended with exit code 0."""
        return self.code == 0


class Connection(Protocol):
    """A node that is reached. One connection serves any number of runs and streams, also at once."""

    @property
    def node(self) -> Node: ...

    def run(self, script: str, *, stdin: bytes | Iterable[bytes] = b"", timeout: float = 60.0) -> Answer:
        """Let the node's `sh` run a script, as `node.sudo` if that is set, with `stdin` as its input.

        A script's exit code is no error. Raises ConnectionCut when the connection broke, TooSlow after
        `timeout` seconds, NodeError when it wrote more than `OUTPUT_LIMIT`.
        """
        ...

    def dial(self, host: str, port: int, *, timeout: float = 10.0) -> socket.socket:
        """Open a TCP stream from the node to host:port, through this connection.

        Raises Refused when nothing listens there, NodeError when the node forbids it, ConnectionCut, TooSlow.
        """
        ...

    def close(self) -> None:
        """End the connection; never raises, may be called twice."""
        ...


def quote(word: str) -> str:
    """A word for a POSIX shell that means exactly itself, whatever it holds.

    Raises ValueError for a NUL, which no argument can carry.
    """
    if "\0" in word:
        raise ValueError("a word for a shell cannot hold a NUL")
    if word and word.isascii() and all(letter.isalnum() or letter in "@%+=:,./-_" for letter in word):
        return word
    return "'" + word.replace("'", "'\\''") + "'"
