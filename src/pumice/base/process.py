"""Other programs: started, listened to, and never left behind.

Every program runs in a session of its own, so that a time-out or an interrupt ends all that it
started and not only the program itself.
"""

from __future__ import annotations

import os

from pumice.base.value import Value
from pumice.errors import BuildError, Interrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping, Sequence

    from pumice.errors import PumiceError

__all__ = ["Finished", "find_program", "run"]

_GRACE = 0.5
"""Seconds between the request to end and the kill."""
_LAST_WAIT = 5.0
"""Seconds that a killed program may take to vanish (it can hang in the kernel)."""
_KEPT_OUTPUT = 16 * 1024 * 1024
"""Of a program that writes without end, only the last bytes are kept."""
_LONGEST_LINE = 1024 * 1024


class Finished(Value):
    """How a program ended."""

    returncode: int
    """As in a shell's view of `subprocess`: negative is the signal that ended it."""
    output: str
    """What it wrote (standard output, and errors unless they were dropped); empty if it was not captured."""

    @property
    def ok(self) -> bool:
        """Whether it ended with exit code 0."""
        return self.returncode == 0


def find_program(name: str, path: str) -> str | None:
    """Where a program is, or None: `name` itself if it has a slash, else the first match on `path`."""
    if "/" in name:
        return name if os.path.isfile(name) and os.access(name, os.X_OK) else None
    for directory in path.split(os.pathsep):
        if directory:
            candidate = os.path.join(directory, name)
            if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
                return candidate
    return None


def run(
    command: Sequence[str] | str,
    *,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    capture: bool = True,
    on_line: Callable[[str], None] | None = None,
    keep_errors: bool = True,
    unwanted: Callable[[], bool] | None = None,
    failure: type[PumiceError] = BuildError,
    hint: str = "",
) -> Finished:
    """Run a program to its end and say how it ended; a non-zero exit code is no error here.

    `command` is an argument list, or a text for `/bin/sh`. `env` replaces the environment. `on_line`
    gets every line as it is written (errors among them). With neither `capture` nor `on_line` the
    program writes to our own output. `keep_errors=False` drops its standard error. In a thread, where
    signals do not arrive, a captured program is ended when `unwanted` says so.

    Raises `failure` (with `hint`) if the program is missing or cannot be started, and when it is not
    done after `timeout` seconds; Interrupted when it is unwanted. The whole group of the program is
    dead by then, as it is when a signal interrupts the wait.
    """
    import subprocess

    words = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
    listening = capture or on_line is not None
    try:
        process = subprocess.Popen(
            words,
            cwd=cwd,
            env=None if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if listening else None,
            stderr=subprocess.DEVNULL if not keep_errors else subprocess.STDOUT if listening else None,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise _not_started(words, cwd, error, failure, hint) from error
    heard = _Listener(on_line)
    try:
        in_time = _wait(process, heard, timeout, unwanted)
    except BaseException:
        _end(process)
        raise
    if not in_time:
        _end(process)
        raise failure(
            f"{_name(words, command)} did not finish within {timeout:g} seconds and was stopped",
            hint=hint or "Run it by hand to see what it waits for.",
        )
    if process.stdout is not None:
        process.stdout.close()
    heard.close()
    return Finished(process.returncode, heard.text())


def _wait(
    process: subprocess.Popen[bytes],
    heard: _Listener,
    timeout: float | None,
    unwanted: Callable[[], bool] | None,
) -> bool:
    """Whether the program ended in time; what it writes goes to `heard` meanwhile."""
    import select
    import time

    end = None if timeout is None else time.monotonic() + timeout
    if process.stdout is not None:
        pipe = process.stdout.fileno()
        os.set_blocking(pipe, False)
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        ended = False
        while True:
            left = 0.1 if end is None else min(0.1, end - time.monotonic())
            if left <= 0:
                return False
            if unwanted is not None and unwanted():
                raise Interrupted("stopped", signal_number=2)
            if poll.poll(left * 1000):
                try:
                    data = os.read(pipe, 65536)
                except BlockingIOError:
                    continue
                if not data:
                    break
                heard.feed(data)
            elif ended:
                break  # it left a child behind that keeps the pipe open: do not wait for that one
            else:
                ended = process.poll() is not None
    import subprocess

    try:
        process.wait(None if end is None else max(end - time.monotonic(), 0.01))
    except subprocess.TimeoutExpired:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program and everything in its group: politely, then for certain. Leaves no zombie."""
    import signal
    import subprocess

    for number, patience in ((signal.SIGTERM, _GRACE), (signal.SIGKILL, _LAST_WAIT)):
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):
            pass  # nobody is left, or it is not ours to end (a setuid program)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            continue
    if process.stdout is not None:
        process.stdout.close()


class _Listener:
    """Collects output, hands out whole lines, and keeps a bounded tail."""

    def __init__(self, on_line: Callable[[str], None] | None) -> None:
        self._on_line = on_line
        self._kept = bytearray()
        self._line = bytearray()

    def feed(self, data: bytes) -> None:
        self._kept += data
        if len(self._kept) > 2 * _KEPT_OUTPUT:
            del self._kept[:-_KEPT_OUTPUT]
        if self._on_line is None:
            return
        self._line += data
        *lines, rest = self._line.split(b"\n")
        self._line = bytearray() if len(rest) > _LONGEST_LINE else rest
        for line in [*lines, rest] if len(rest) > _LONGEST_LINE else lines:
            self._on_line(_text(line).rstrip("\r"))

    def close(self) -> None:
        if self._line and self._on_line is not None:
            self._on_line(_text(self._line).rstrip("\r"))
            self._line = bytearray()

    def text(self) -> str:
        return _text(self._kept[-_KEPT_OUTPUT:])


def _text(data: bytes | bytearray) -> str:
    return data.decode("utf-8", "surrogateescape")


def _name(words: Sequence[str], command: Sequence[str] | str) -> str:
    """The program for a message: its name, or the start of a shell text."""
    if isinstance(command, str):
        return f"`{command if len(command) <= 60 else command[:57] + '...'}`"
    return f"'{os.path.basename(words[0]) if words else ''}'"


def _not_started(
    words: Sequence[str], cwd: str | None, error: Exception, failure: type[PumiceError], hint: str
) -> PumiceError:
    """The error that says why a program did not start."""
    program = words[0] if words else ""
    if cwd is not None and not os.path.isdir(cwd):
        return failure(f"cannot run '{program}' in {cwd}: there is no such directory", hint=hint)
    if isinstance(error, FileNotFoundError):
        return failure(
            f"cannot run '{program}': there is no such program",
            hint=hint or f"Install {os.path.basename(program)}, or add its directory to PATH.",
        )
    if isinstance(error, PermissionError):
        return failure(
            f"cannot run '{program}': permission denied", hint=hint or f"Make {program} executable."
        )
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return failure(f"cannot run '{program}': {reason[:1].lower()}{reason[1:]}", hint=hint)
