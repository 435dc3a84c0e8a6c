"""Signals that stop a command: turned into `Interrupted`, and put off while steps must not be torn apart.

`signal` itself costs more to import than a lock and a commit take (it builds enumerations), so the C module
below it is used.
"""

from __future__ import annotations

from pumice.errors import Interrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from types import FrameType, TracebackType
else:
    try:
        import _signal
    except ImportError:
        import signal as _signal

__all__ = ["Deferred", "Interruptible"]

_STOPPING = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP)


class Deferred:
    """Inside, a stopping signal waits; it is delivered on leaving. May be nested.

    The mask holds for this thread, whatever the signal would do. While other threads live the kernel may give
    them a signal of the process, which Python then handles here: so the handlers wait too.
    """

    __slots__ = ("_arrived", "_handlers", "_mask")

    def __enter__(self) -> Deferred:
        self._mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, _STOPPING)
        self._arrived: list[int] = []
        self._handlers: list[tuple[int, Callable[[int, FrameType | None], object]]] = []
        for number in _STOPPING:
            handler = _signal.getsignal(number)
            if callable(handler):
                try:
                    _signal.signal(number, self._note)
                except ValueError:
                    # Handlers run in the main thread, and this is another one.
                    break
                self._handlers.append((number, handler))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._handlers:
            _signal.signal(number, handler)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, self._mask)
        for number, handler in self._handlers:
            if number in self._arrived:
                handler(number, None)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._arrived.append(number)


class Interruptible:
    """Inside, SIGINT, SIGTERM and SIGHUP raise `Interrupted` in the main thread; for the outermost caller.

    A signal that was ignored from the start (nohup) stays ignored.
    """

    __slots__ = ("_before",)

    _changing = False
    """Of the whole process, as signals and their handlers are."""

    @classmethod
    def change_begins(cls) -> None:
        """From now on, an interruption does not say that the tree was not changed."""
        cls._changing = True

    @classmethod
    def interruption(cls, number: int) -> Interrupted:
        """The error that says what this signal met."""
        error = Interrupted(signal_number=number)
        if cls._changing:
            error.during_change()
        return error

    def __enter__(self) -> Interruptible:
        Interruptible._changing = False
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
    raise Interruptible.interruption(number)
