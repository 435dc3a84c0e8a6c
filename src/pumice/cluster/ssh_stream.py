"""A channel of an ssh connection as an ordinary socket: what HTTP and TLS are written for."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, cast

import asyncssh

if TYPE_CHECKING:
    from typing import Protocol

    class _Writer(Protocol):
        def write(self, data: bytes, /) -> None: ...
        def write_eof(self) -> None: ...
        def pause_reading(self) -> None: ...
        def resume_reading(self) -> None: ...
        def close(self) -> None: ...


__all__ = ["bridge", "bridge_command"]


async def bridge(ssh: asyncssh.SSHClientConnection, host: str, port: int) -> socket.socket:
    """A socket of this machine whose other end is host:port as the node sees it.

    Raises asyncssh.ChannelOpenError when the node does not reach that.
    """
    far = _Far()
    await ssh.create_connection(lambda: far, host, port, encoding=None)
    return await _joined(far)


async def bridge_command(ssh: asyncssh.SSHClientConnection, line: str) -> socket.socket:
    """A socket of this machine whose other end is the input and output of a command on the node.

    Raises asyncssh.ChannelOpenError when the node starts none.
    """
    far = _FarCommand()
    await ssh.create_session(lambda: far, line, encoding=None, request_pty=False, send_env=[])
    return await _joined(far)


async def _joined(far: _Far | _FarCommand) -> socket.socket:
    ours, theirs = socket.socketpair()
    try:
        theirs.setblocking(False)
        near = _Near(far)
        await asyncio.get_running_loop().create_connection(lambda: near, sock=theirs)
    except BaseException:
        ours.close()
        theirs.close()
        far.close()
        raise
    if far.writer is not None:
        far.writer.resume_reading()
    else:
        near.close()
    return ours


class _End:
    """One of two ends that pass on to each other what they get, and stop while the other is full."""

    other: _End | None = None
    writer: _Writer | None = None

    def data(self, data: bytes) -> None:
        if self.other is not None and self.other.writer is not None:
            self.other.writer.write(data)

    def eof(self) -> bool:
        if self.other is not None and self.other.writer is not None:
            try:
                self.other.writer.write_eof()
            except OSError:
                self.other.close()
        # The way back stays open.
        return True

    def lost(self) -> None:
        self.writer = None
        if self.other is not None:
            self.other.close()

    def full(self) -> None:
        if self.other is not None and self.other.writer is not None:
            self.other.writer.pause_reading()

    def drained(self) -> None:
        if self.other is not None and self.other.writer is not None:
            self.other.writer.resume_reading()

    def close(self) -> None:
        """End this end, once it has sent what it holds."""
        writer, self.writer = self.writer, None
        if writer is not None:
            writer.close()


class _FarEnd(_End):
    """What a channel says of itself, whatever kind it is of."""

    def eof_received(self) -> bool:
        return self.eof()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost()

    def pause_writing(self) -> None:
        self.full()

    def resume_writing(self) -> None:
        self.drained()


class _Far(_FarEnd, asyncssh.SSHTCPSession[bytes]):
    """The node's end: a channel."""

    def connection_made(self, chan: asyncssh.SSHTCPChannel[bytes]) -> None:
        self.writer = cast("_Writer", chan)
        # Until the near end is there.
        chan.pause_reading()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self.data(data)


class _FarCommand(_FarEnd, asyncssh.SSHClientSession[bytes]):
    """The node's end: a command; what it writes as errors is dropped."""

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self.writer = cast("_Writer", chan)

    def session_started(self) -> None:
        # Until the near end is there.
        if self.writer is not None and self.other is None:
            self.writer.pause_reading()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if datatype is None:
            self.data(data)


class _Near(_End, asyncio.Protocol):
    """This machine's end: one of a pair of sockets."""

    def __init__(self, far: _End) -> None:
        self.other = far
        far.other = self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.writer = cast("_Writer", transport)

    def data_received(self, data: bytes) -> None:
        self.data(data)

    def eof_received(self) -> bool:
        return self.eof()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost()

    def pause_writing(self) -> None:
        self.full()

    def resume_writing(self) -> None:
        self.drained()
