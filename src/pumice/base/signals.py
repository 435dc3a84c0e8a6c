"""Signals that stop a command: turned into `Interrupted`, and put off while steps must not be torn apart.

`signal` itself costs more to import than a lock and a commit take (it builds enumerations), so the C module
below it is used.
"""

from __future__ import annotations

from pumice.errors import Interrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from types import FrameType, TracebackType
else:
    try:
        import _signal
    except ImportError:
        import signal as _signal

__all__ = ["Deferred", "Interruptible"]

_STOPPING = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP)


class Deferred:
    """Inside, a stopping signal to this thread waits; it is delivered on leaving. May be nested."""

    __slots__ = ("_before",)

    def __enter__(self) -> Deferred:
        self._before = _signal.pthread_sigmask(_signal.SIG_BLOCK, _STOPPING)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, self._before)


class Interruptible:
    """Inside, SIGINT, SIGTERM and SIGHUP raise `Interrupted` in the main thread; for the outermost caller.

    A signal that was ignored from the start (nohup) stays ignored.
    """

    __slots__ = ("_before",)

    def __enter__(self) -> Interruptible:
        self._before = [(number, _signal.getsignal(number)) for number in _STOPPING]
        for number, handler in self._before:
            if handler is not _signal.SIG_IGN and handler != int(_signal.SIG_IGN):
                _signal.signal(number, _interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before:
            if handler is not None:
                _signal.signal(number, handler)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    """Raise once: what is being cleaned up after that is not torn apart by a second signal."""
    for each in _STOPPING:
        _signal.signal(each, _signal.SIG_IGN)
    raise Interrupted("interrupted", signal_number=number)
