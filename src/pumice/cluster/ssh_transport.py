"""A node behind ssh: scripts and streams are channels of one connection."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from typing import TYPE_CHECKING, TypeVar

import asyncssh

from pumice.cluster.connection import OUTPUT_LIMIT, Answer, ConnectionCut, NodeError, Refused, TooSlow
from pumice.cluster.pipe_stream import PIPES, greeted, pipe_command
from pumice.cluster.programs import chunks_of
from pumice.cluster.script_command import ScriptCommand, script_command
from pumice.cluster.ssh_stream import bridge, bridge_command

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from pumice.cluster.inventory import Node
    from pumice.cluster.reactor import Reactor

__all__ = ["SshConnection"]

T = TypeVar("T")

_KILL_TIME = 2.0
"""Seconds for telling a script on the node to end."""


class _Forbidden(NodeError):
    """sshd's configuration forbids streams."""


class SshConnection:
    """Runs scripts and opens streams on a node, for callers in any thread; several at once share it."""

    def __init__(self, node: Node, reactor: Reactor, ssh: asyncssh.SSHClientConnection) -> None:
        self.node = node
        self._reactor = reactor
        self._ssh = ssh
        self._forwards = True

    def run(self, script: str, *, stdin: bytes | Iterable[bytes] = b"", timeout: float = 60.0) -> Answer:
        """As `Connection.run`."""
        command = script_command(script, self.node.sudo)
        deadline = time.monotonic() + timeout
        if isinstance(stdin, bytes):
            answer = self._reactor.call(self._whole(command, stdin, timeout))
        else:
            running = self._reactor.call(self._in_time(self._start(command), timeout, timeout))
            try:
                for piece in chunks_of(stdin):
                    left = deadline - time.monotonic()
                    if not self._reactor.call(self._in_time(running.feed(piece), left, timeout)):
                        break
                left = deadline - time.monotonic()
                answer = self._reactor.call(self._in_time(running.finish(), left, timeout))
            finally:
                self._reactor.post(lambda: self._end(running, command))
        return command.answer(answer, self.node.name)

    def dial(self, host: str, port: int, *, timeout: float = 10.0) -> socket.socket:
        """As `Connection.dial`."""
        if self._forwards:
            try:
                stream = self._reactor.call(self._in_time(self._stream(host, port), timeout, timeout))
                stream.settimeout(timeout)
                return stream
            except _Forbidden:
                self._forwards = False
        command = pipe_command(host, port)
        stream = self._reactor.call(self._in_time(self._piped(command.line()), timeout, timeout))
        if greeted(stream, command, self.node.name, host, port, timeout):
            return stream
        raise NodeError(
            f"{self.node.name} opens no stream to {host}:{port}: sshd forwards no ports, and neither {PIPES} "
            "is there.",
            hint="In sshd_config of the node: AllowTcpForwarding local, PermitOpen for the gateway's APIs.",
        )

    def close(self) -> None:
        """As `Connection.close`."""
        self._reactor.post(self._ssh.abort)

    async def _whole(self, command: ScriptCommand, stdin: bytes, timeout: float) -> Answer:
        running: _Running | None = None
        try:
            async with asyncio.timeout(timeout):
                running = await self._start(command)
                for piece in chunks_of(stdin):
                    if not await running.feed(piece):
                        break
                return await running.finish()
        except TimeoutError:
            raise self._late(timeout) from None
        finally:
            if running is not None:
                self._end(running, command)

    async def _in_time(self, work: Awaitable[T], left: float, timeout: float) -> T:
        try:
            async with asyncio.timeout(max(left, 0.001)):
                return await work
        except TimeoutError:
            raise self._late(timeout) from None

    async def _start(self, command: ScriptCommand) -> _Running:
        running = _Running(self.node.name)
        try:
            # The user's locale and terminal are not the node's matter.
            await self._ssh.create_session(
                lambda: running,
                command.line(),
                encoding=None,
                request_pty=False,
                send_env=[],
                x11_forwarding=False,
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
            if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED and not self._ssh.is_closed():
                raise _Forbidden(f"{self.node.name} forwards no ports.") from error
            raise self._refused(f"opens no stream to {host}:{port}: {error.reason}", error) from error
        except (asyncssh.Error, OSError) as error:
            raise self._cut(error) from error

    async def _piped(self, line: str) -> socket.socket:
        try:
            return await bridge_command(self._ssh, line)
        except asyncssh.ChannelOpenError as error:
            raise self._refused(f"starts no command: {error.reason}", error) from error
        except (asyncssh.Error, OSError) as error:
            raise self._cut(error) from error

    async def _kill(self, line: str) -> None:
        killer = _Running(self.node.name)
        try:
            async with asyncio.timeout(_KILL_TIME):
                await self._ssh.create_session(lambda: killer, line, encoding=None, request_pty=False)
                await killer.finish()
        except (TimeoutError, NodeError, asyncssh.Error, OSError):
            # The connection is gone, or the node does not answer: nothing more can be done from here.
            return

    def _end(self, running: _Running, command: ScriptCommand) -> None:
        """Tell what still runs to end, and forget it."""
        ender = command.ender(running.written())
        if running.abandon() and ender is not None:
            self._reactor.start_last(self._kill(ender.line()))

    def _refused(self, what: str, error: asyncssh.ChannelOpenError) -> NodeError:
        if self._ssh.is_closed():
            return self._cut(error)
        return NodeError(
            f"{self.node.name} {what}.",
            hint="Look at MaxSessions and ForceCommand in sshd_config of the node.",
        )

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
        self._lost = False
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
        else:
            (self._output if datatype is None else self._errors).append(data)

    def exit_status_received(self, status: int) -> None:
        self._code = status

    def exit_signal_received(self, name: str, core_dumped: bool, msg: str, lang: str) -> None:
        number = getattr(signal, f"SIG{name}", signal.SIGTERM)
        self._code = 128 + int(number)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
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
        if not self._writable.is_set():
            writable = asyncio.ensure_future(self._writable.wait())
            await asyncio.wait((writable, self._ended), return_when=asyncio.FIRST_COMPLETED)
            writable.cancel()
        if self._ended.done():
            return False
        try:
            self._channel.write(bytes(piece))
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

    def written(self) -> bytes:
        """The beginning of what it has written so far."""
        return b"".join(self._output[:8])

    def abandon(self) -> bool:
        """Close the channel; whether the script may still run."""
        if self._code is not None or self._lost:
            return False
        self._channel.abort()
        return True

    def _finished(self, error: NodeError | None) -> None:
        if not self._ended.done():
            if error is None:
                self._ended.set_result(None)
            else:
                self._ended.set_exception(error)
                # Whether anybody still waits for it or not.
                self._ended.exception()
