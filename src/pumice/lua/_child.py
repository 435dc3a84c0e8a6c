"""`GuardedChild`: one forked process for the chunks that need all string methods, killed at its limit.

A C pattern match can take years and no hook sees it, so such a chunk runs where the kernel can stop it:
the child sets an alarm before each chunk and dies of it. The child starts at the first need, is used
again, closes every file it inherited (a lock must die with its holder), may open none, and ends when its
parent does: the pipe it reads from ends, or the alarm rings.
"""

from __future__ import annotations

import os
from marshal import dumps, loads

from pumice.lua._sandbox import Request, Sandbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["GuardedChild"]

_HEAD = 8  # bytes of a length
_GRACE = 2.0  # seconds that the parent waits beyond the alarm of the child


class GuardedChild:
    """Runs requests in a child process. One thread at a time; a forked copy forgets its parent's child."""

    def __init__(self) -> None:
        self._process = 0
        self._requests = -1
        self._answers = -1
        self._stops_at_exit = False

    def run(self, request: Request) -> tuple[bytes, bytes] | None:
        """A status and a text, as `Sandbox.run`; None when the child was killed at its limit."""
        message = dumps(tuple(getattr(request, name) for name in Request.__slots__))
        if not self._process:
            self._start()
        try:
            try:
                _send(self._requests, message)
            except BrokenPipeError:
                # Something else ended the child between two requests: a new one answers.
                self.stop()
                self._start()
                _send(self._requests, message)
            answer = _receive(self._answers, request.seconds + _GRACE)
        except BaseException:
            # An interrupted exchange would leave its answer for the next request.
            self.stop()
            raise
        if answer is None:
            self.stop()
            return None
        status, _, text = answer.partition(b"\n")
        return status, text

    def stop(self) -> None:
        """Kill the child and wait for it; nothing when there is none."""
        process = self._process
        self.forget()
        if process:
            try:
                os.kill(process, 9)
                os.waitpid(process, 0)
            except (ProcessLookupError, ChildProcessError):
                pass

    def forget(self) -> None:
        """Let go of the child without touching it: what a forked copy of this process must do."""
        if self._process:
            os.close(self._requests)
            os.close(self._answers)
        self._process, self._requests, self._answers = 0, -1, -1

    def _start(self) -> None:
        # Imported before the fork: an import in the child could wait for a lock that nobody holds there.
        import atexit
        import gc
        import resource
        import signal
        import warnings

        sandbox = Sandbox(guarded=True)
        their_requests, self._requests = os.pipe()
        self._answers, their_answers = os.pipe()
        with warnings.catch_warnings():
            # Python 3.12 warns about forks beside threads; this child touches no lock of theirs.
            warnings.simplefilter("ignore", DeprecationWarning)
            process = os.fork()
        if process == 0:
            try:
                gc.disable()
                for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
                    signal.signal(number, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_SETMASK, ())
                signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt ends
                _keep_only(their_requests, their_answers)
                for kind in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
                    resource.setrlimit(kind, (0, 0))
                resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
                _serve(sandbox)
            finally:
                os._exit(1)
        os.close(their_requests)
        os.close(their_answers)
        self._process = process
        if not self._stops_at_exit:
            self._stops_at_exit = True
            atexit.register(self.stop)


def _keep_only(requests: int, answers: int) -> None:
    """Make these two files the standard input and output, and close every other."""
    first, second = os.dup(requests), os.dup(answers)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(first, 0)
    os.dup2(second, 1)
    os.dup2(nothing, 2)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))


def _serve(sandbox: Sandbox) -> NoReturn:
    from signal import ITIMER_REAL, setitimer

    while True:
        message = _receive(0, None)
        if message is None:
            os._exit(0)
        request = Request(**dict(zip(Request.__slots__, loads(message), strict=True)))
        setitimer(ITIMER_REAL, request.seconds)
        status, text = sandbox.run(request)
        setitimer(ITIMER_REAL, 0)
        _send(1, status + b"\n" + text)


def _send(pipe: int, message: bytes) -> None:
    rest = memoryview(len(message).to_bytes(_HEAD, "little") + message)
    while rest:
        rest = rest[os.write(pipe, rest) :]


def _receive(pipe: int, seconds: float | None) -> bytes | None:
    """The next message; None at the end of the pipe, or when it does not come in time."""
    deadline = None
    if seconds is not None:
        from time import monotonic

        deadline = monotonic() + seconds
    head = _read(pipe, _HEAD, deadline)
    return None if head is None else _read(pipe, int.from_bytes(head, "little"), deadline)


def _read(pipe: int, size: int, deadline: float | None) -> bytes | None:
    parts = []
    while size > 0:
        if deadline is not None:
            from select import select
            from time import monotonic

            if not select((pipe,), (), (), max(0.0, deadline - monotonic()))[0]:
                return None
        part = os.read(pipe, min(size, 1 << 20))
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
