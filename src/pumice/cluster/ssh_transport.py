"""A node behind ssh: scripts and streams are channels of one connection."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from typing import TYPE_CHECKING, TypeVar

import asyncssh

from pumice.cluster.connection import OUTPUT_LIMIT, Answer, ConnectionCut, NodeError, Refused, TooSlow
from pumice.cluster.programs import chunks_of
from pumice.cluster.script_command import script_command
from pumice.cluster.ssh_stream import bridge

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from pumice.cluster.inventory import Node
    from pumice.cluster.reactor import Reactor

__all__ = ["SshConnection"]

T = TypeVar("T")


class SshConnection:
    """Runs scripts and opens streams on a node, for callers in any thread; several at once share it."""

    def __init__(self, node: Node, reactor: Reactor, ssh: asyncssh.SSHClientConnection) -> None:
        self.node = node
        self._reactor = reactor
        self._ssh = ssh

    def run(self, script: str, *, stdin: bytes | Iterable[bytes] = b"", timeout: float = 60.0) -> Answer:
        """As `Connection.run`."""
        command = script_command(script, self.node.sudo)
        deadline = time.monotonic() + timeout
        if isinstance(stdin, bytes):
            answer = self._reactor.call(self._whole(command.line(), stdin, timeout))
        else:
            running = self._reactor.call(self._in_time(self._start(command.line()), timeout, timeout))
            for piece in chunks_of(stdin):
                left = deadline - time.monotonic()
                if not self._reactor.call(self._in_time(running.feed(piece), left, timeout, running)):
                    break
            left = deadline - time.monotonic()
            answer = self._reactor.call(self._in_time(running.finish(), left, timeout, running))
        return command.answer(answer, self.node.name)

    def dial(self, host: str, port: int, *, timeout: float = 10.0) -> socket.socket:
        """As `Connection.dial`."""
        stream = self._reactor.call(self._in_time(self._stream(host, port), timeout, timeout))
        stream.settimeout(timeout)
        return stream

    def close(self) -> None:
        """As `Connection.close`."""
        try:
            self._reactor.call(self._end())
        except ConnectionCut:
            # The reactor is closed: so is this.
            pass

    async def _whole(self, line: str, stdin: bytes, timeout: float) -> Answer:
        running: _Running | None = None
        try:
            async with asyncio.timeout(timeout):
                running = await self._start(line)
                if stdin:
                    await running.feed(memoryview(stdin))
                return await running.finish()
        except TimeoutError:
            raise self._late(timeout) from None
        finally:
            if running is not None:
                running.end()

    async def _in_time(
        self, work: Awaitable[T], left: float, timeout: float, running: _Running | None = None
    ) -> T:
        try:
            async with asyncio.timeout(max(left, 0.001)):
                return await work
        except BaseException as error:
            if running is not None:
                running.end()
            if isinstance(error, TimeoutError):
                raise self._late(timeout) from None
            raise

    async def _start(self, line: str) -> _Running:
        running = _Running(self.node.name)
        try:
            # The user's locale and terminal are not the node's matter.
            await self._ssh.create_session(
                lambda: running, line, encoding=None, request_pty=False, send_env=[], x11_forwarding=False
            )
        except asyncssh.ChannelOpenError as error:
            raise self._refused(f"starts no command: {error.reason}", error) from error
        except (asyncssh.Error, OSError) as error:
            raise self._cut(error) from error
        return running

    async def _stream(self, host: str, port: int) -> socket.socket:
        try:
            return await bridge(self._ssh, host, port)
        except asyncssh.ChannelOpenError as error:
            if error.code == asyncssh.OPEN_CONNECT_FAILED and not self._ssh.is_closed():
                raise Refused(
                    f"{self.node.name}: nothing listens at {host}:{port} ({error.reason})."
                ) from error
            raise self._refused(f"opens no stream to {host}:{port}: {error.reason}", error) from error
        except (asyncssh.Error, OSError) as error:
            raise self._cut(error) from error

    async def _end(self) -> None:
        self._ssh.abort()

    def _refused(self, what: str, error: asyncssh.ChannelOpenError) -> NodeError:
        if self._ssh.is_closed():
            return self._cut(error)
        hint = ""
        if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
            hint = "sshd_config of the node forbids it: AllowTcpForwarding, PermitOpen, MaxSessions."
        return NodeError(f"{self.node.name} {what}.", hint=hint)

    def _cut(self, error: Exception) -> ConnectionCut:
        return ConnectionCut(
            f"{self.node.name}: the connection broke: {getattr(error, 'reason', None) or error}."
        )

    def _late(self, timeout: float) -> TooSlow:
        return TooSlow(f"{self.node.name} did not finish within {timeout:g} seconds.")


class _Running(asyncssh.SSHClientSession[bytes]):
    """A script that runs: what it has written, what it is still to be fed, how it ended."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._output: list[bytes] = []
        self._errors: list[bytes] = []
        self._written = 0
        self._code: int | None = None
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self._channel = chan

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._written += len(data)
        if self._written > OUTPUT_LIMIT:
            self._finished(
                NodeError(f"{self._name} wrote more than {OUTPUT_LIMIT >> 20} MiB; what ran was ended.")
            )
            self.end()
        else:
            (self._output if datatype is None else self._errors).append(data)

    def exit_status_received(self, status: int) -> None:
        self._code = status

    def exit_signal_received(self, name: str, core_dumped: bool, msg: str, lang: str) -> None:
        number = getattr(signal, f"SIG{name}", signal.SIGTERM)
        self._code = 128 + int(number)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._code is None:
            reason = getattr(exc, "reason", None) or exc or "the node closed it"
            self._finished(ConnectionCut(f"{self._name}: the connection broke: {reason}."))
        else:
            self._finished(None)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def feed(self, piece: memoryview) -> bool:
        """Put a piece into the script's standard input; False when it reads no more."""
        for chunk in chunks_of(bytes(piece)):
            writable = asyncio.ensure_future(self._writable.wait())
            await asyncio.wait((writable, self._ended), return_when=asyncio.FIRST_COMPLETED)
            writable.cancel()
            if self._ended.done():
                return False
            try:
                self._channel.write(bytes(chunk))
            except OSError:
                return False
        return True

    async def finish(self) -> Answer:
        """Close the script's standard input, and wait for its end."""
        try:
            self._channel.write_eof()
        except OSError:
            pass
        await asyncio.shield(self._ended)
        assert self._code is not None
        return Answer(self._code, b"".join(self._output), b"".join(self._errors))

    def end(self) -> None:
        """Tell what still runs to end, and forget it."""
        if self._code is None and not self._channel.is_closing():
            self._channel.terminate()
            self._channel.abort()

    def _finished(self, error: NodeError | None) -> None:
        if not self._ended.done():
            if error is None:
                self._ended.set_result(None)
            else:
                self._ended.set_exception(error)
                # Whether anybody still waits for it or not.
                self._ended.exception()
