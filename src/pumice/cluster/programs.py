"""A program of this machine through which a node is reached: fed, read within limits, and ended in time."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING

from pumice.cluster.connection import OUTPUT_LIMIT, Answer, ConnectionCut, NodeError, TooSlow, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

__all__ = ["Programs", "chunks_of"]

_CHUNK = 256 * 1024
_LAST_TIME = 5.0
"""Seconds for ending what runs elsewhere."""


def chunks_of(stdin: bytes | Iterable[bytes]) -> Iterator[memoryview]:
    """What goes to a standard input, in pieces that are never empty."""
    for piece in (stdin,) if isinstance(stdin, bytes) else stdin:
        view = memoryview(piece)
        for start in range(0, len(view), _CHUNK):
            yield view[start : start + _CHUNK]


class Programs:
    """The programs that run for one command; all can be ended at once."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._refusing = False

    def answer_of(
        self,
        command: Sequence[str],
        *,
        who: str,
        stdin: bytes | Iterable[bytes] = b"",
        timeout: float,
        ender: Callable[[bytes], Sequence[str] | None] | None = None,
    ) -> Answer:
        """Run a program to its end.

        `ender` gives, from what was written so far, the program that ends what this one has started where
        signals do not reach; it is run when this one is given up. Raises Unreachable when the program is
        missing, TooSlow after `timeout` seconds, NodeError when it writes more than `OUTPUT_LIMIT`,
        ConnectionCut when `stop` ended it; it and all of its session are dead by then.
        """
        pipe = subprocess.PIPE
        program = self.start(command, who=who, stdin=pipe, stdout=pipe, stderr=pipe)
        written: list[bytes] = []
        ended = False
        try:
            answer = _talk(program, who, stdin, timeout, written)
            ended = not self._refusing
            if self._refusing:
                raise ConnectionCut(f"{who}: the work on the nodes was stopped.")
            return answer
        finally:
            self.end(program)
            last = ender(b"".join(written[:8])) if ender is not None and not ended else None
            if last is not None:
                self._run_last(last)

    def _run_last(self, command: Sequence[str]) -> None:
        """Run a program that ends another, whether new ones are refused or not."""
        nowhere = subprocess.DEVNULL
        try:
            subprocess.run(
                command,
                stdin=nowhere,
                stdout=nowhere,
                stderr=nowhere,
                env=self.environment,
                timeout=_LAST_TIME,
                start_new_session=True,
            )
        except (OSError, subprocess.TimeoutExpired):
            # Nothing more can be done from here.
            return

    def start(
        self, command: Sequence[str], *, who: str, stdin: int, stdout: int, stderr: int
    ) -> subprocess.Popen[bytes]:
        """A program that runs until `end` or `stop`. Raises Unreachable when it cannot be started."""
        with self._lock:
            if self._refusing:
                raise ConnectionCut(f"{who}: the work on the nodes was stopped.")
            try:
                program = subprocess.Popen(
                    command,
                    stdin=stdin,
                    stdout=stdout,
                    stderr=stderr,
                    env=self.environment,
                    start_new_session=True,
                )
            except OSError as error:
                raise Unreachable(
                    f"{who}: {command[0]} cannot be started: {error.strerror}.",
                    hint=f"Install {command[0]} on this machine, or put it on the PATH.",
                ) from error
            self._running.add(program)
        return program

    def end(self, program: subprocess.Popen[bytes]) -> None:
        """End a program and its session, and forget its pipes."""
        with self._lock:
            self._running.discard(program)
        _kill(program)
        program.wait()
        for file in (program.stdin, program.stdout, program.stderr):
            if file is not None:
                try:
                    file.close()
                except BrokenPipeError:
                    pass

    def stop(self) -> None:
        """End all that runs, and start nothing until `serve_again`."""
        with self._lock:
            self._refusing = True
            for program in self._running:
                _kill(program)

    def serve_again(self) -> None:
        """The opposite of `stop`."""
        self._refusing = False


def _talk(
    program: subprocess.Popen[bytes],
    who: str,
    stdin: bytes | Iterable[bytes],
    timeout: float,
    output: list[bytes],
) -> Answer:
    assert program.stdin is not None and program.stdout is not None and program.stderr is not None
    deadline = time.monotonic() + timeout
    errors: list[bytes] = []
    written = {program.stdout.fileno(): output, program.stderr.fileno(): errors}
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
                if sizes[key.fd] > OUTPUT_LIMIT:
                    raise NodeError(f"{who} wrote more than {OUTPUT_LIMIT >> 20} MiB; what ran was ended.")
        try:
            code = program.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise TooSlow(f"{who} did not finish within {timeout:g} seconds.") from None
    return Answer(code if code >= 0 else 128 - code, b"".join(output), b"".join(errors))


def _kill(program: subprocess.Popen[bytes]) -> None:
    if program.poll() is None:
        try:
            os.killpg(program.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
