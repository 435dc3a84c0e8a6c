"""A program of this machine through which a node is reached: fed, read within limits, and ended in time."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

from pumice.cluster.connection import OUTPUT_LIMIT, Answer, NodeError, TooSlow, Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["ProgramStream", "answer_of", "chunks_of"]

_CHUNK = 256 * 1024


def chunks_of(stdin: bytes | Iterable[bytes]) -> Iterator[memoryview]:
    """What goes to a standard input, in pieces that are never empty."""
    for piece in (stdin,) if isinstance(stdin, bytes) else stdin:
        view = memoryview(piece)
        for start in range(0, len(view), _CHUNK):
            yield view[start : start + _CHUNK]


def answer_of(
    command: Sequence[str],
    *,
    who: str,
    environment: Mapping[str, str],
    stdin: bytes | Iterable[bytes],
    timeout: float,
    limit: int = OUTPUT_LIMIT,
) -> Answer:
    """Run a program to its end.

    Raises Unreachable when it is missing, TooSlow after `timeout` seconds, NodeError when it writes more
    than `limit` bytes; it and all that it started are dead by then.
    """
    try:
        program = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise Unreachable(f"{who}: {command[0]} cannot be started: {error.strerror}.") from error
    try:
        return _talk(program, who, stdin, timeout, limit)
    finally:
        end(program)


def _talk(
    program: subprocess.Popen[bytes], who: str, stdin: bytes | Iterable[bytes], timeout: float, limit: int
) -> Answer:
    assert program.stdin is not None and program.stdout is not None and program.stderr is not None
    deadline = time.monotonic() + timeout
    written: dict[int, list[bytes]] = {program.stdout.fileno(): [], program.stderr.fileno(): []}
    sizes = dict.fromkeys(written, 0)
    pieces = chunks_of(stdin)
    piece = next(pieces, None)
    with selectors.DefaultSelector() as selector:
        for file in (program.stdout, program.stderr):
            selector.register(file, selectors.EVENT_READ)
        os.set_blocking(program.stdin.fileno(), False)
        if piece is None:
            program.stdin.close()
        else:
            selector.register(program.stdin, selectors.EVENT_WRITE)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                raise TooSlow(f"{who} did not finish within {timeout:g} seconds.")
            for key, _events in selector.select(left):
                if key.fileobj is program.stdin:
                    try:
                        sent = os.write(key.fd, piece or b"")
                        piece = (
                            piece[sent:] if piece is not None and sent < len(piece) else next(pieces, None)
                        )
                    except BlockingIOError:
                        continue
                    except BrokenPipeError:
                        piece = None
                    if piece is None:
                        selector.unregister(program.stdin)
                        program.stdin.close()
                    continue
                data = os.read(key.fd, _CHUNK)
                if not data:
                    selector.unregister(key.fileobj)
                    continue
                written[key.fd].append(data)
                sizes[key.fd] += len(data)
                if sizes[key.fd] > limit:
                    raise NodeError(f"{who} wrote more than {limit >> 20} MiB; what ran was ended.")
        output, errors = written.values()
        try:
            code = program.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise TooSlow(f"{who} did not finish within {timeout:g} seconds.") from None
    return Answer(code if code >= 0 else 128 - code, b"".join(output), b"".join(errors))


def end(program: subprocess.Popen[bytes]) -> None:
    """End a program and its session, and forget its pipes."""
    if program.poll() is None:
        try:
            os.killpg(program.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        program.wait()
    for file in (program.stdin, program.stdout, program.stderr):
        if file is not None:
            try:
                file.close()
            except BrokenPipeError:
                pass


class ProgramStream:
    """A stream whose other end is a program's standard input and output."""

    def __init__(self, command: Sequence[str], *, who: str, environment: Mapping[str, str]) -> None:
        self._ours, theirs = socket.socketpair()
        try:
            self._program: subprocess.Popen[bytes] = subprocess.Popen(
                command,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            self._ours.close()
            raise Unreachable(f"{who}: {command[0]} cannot be started: {error.strerror}.") from error
        finally:
            theirs.close()

    def sendall(self, data: bytes, /) -> None:
        self._ours.sendall(data)

    def recv(self, size: int, /) -> bytes:
        return self._ours.recv(size)

    def settimeout(self, seconds: float | None, /) -> None:
        self._ours.settimeout(seconds)

    def close(self) -> None:
        self._ours.close()
        end(self._program)
