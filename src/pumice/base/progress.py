"""What an operation tells while it works. The CLI draws it, the API ignores it, a server streams it."""

from __future__ import annotations

from _thread import allocate_lock

from pumice.errors import Interrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object

__all__ = ["UPLOAD", "Progress", "Shared", "Silent"]

UPLOAD = "upload+"
"""Before the URL that is the id of a task: its bytes go there."""


class Progress(Protocol):
    """Passed into every operation that takes noticeable time or has something to say."""

    def started(self, task: str, label: str, total: int | None = None) -> None:
        """A task begins; `task` is its id, `total` its size if known.

        An id that is a URL counts bytes (after `UPLOAD` those that are sent), any other counts steps. `label`
        is what people see: of a URL the name of the file, else what is being done, as in "Compiling lpeg
        1.1.0-1".
        """

    def advanced(self, task: str, amount: int = 1) -> None:
        """`amount` more of the task is done."""

    def finished(self, task: str) -> None:
        """The task is over."""

    def message(self, level: str, text: str) -> None:
        """A line for people.

        `level` is "info" (stdout; LuaRocks prints it too), "aside" (the same on stderr), "notice" (stderr, as
        it is, with --quiet too), "warning" (stderr, after `Warning: `) or "detail" (only with --verbose).
        """


class Silent:
    """Progress that nobody watches."""

    def started(self, task: str, label: str, total: int | None = None) -> None:
        """Nothing."""

    def advanced(self, task: str, amount: int = 1) -> None:
        """Nothing."""

    def finished(self, task: str) -> None:
        """Nothing."""

    def message(self, level: str, text: str) -> None:
        """Nothing."""


class Shared:
    """Progress told from several threads, one at a time; after `stop` it ends the threads that tell it."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lock = allocate_lock()
        self._stopped = False

    def stop(self) -> None:
        """Nobody is told anything any more."""
        self._stopped = True

    def started(self, task: str, label: str, total: int | None = None) -> None:
        """A task begins."""
        with self._lock:
            self._progress.started(task, label, total)

    def advanced(self, task: str, amount: int = 1) -> None:
        """More of a task is done. Raises Interrupted after `stop`."""
        if self._stopped:
            raise Interrupted("stopped", signal_number=2)
        with self._lock:
            self._progress.advanced(task, amount)

    def finished(self, task: str) -> None:
        """A task is over."""
        with self._lock:
            if not self._stopped:
                self._progress.finished(task)

    def message(self, level: str, text: str) -> None:
        """A line for people."""
        with self._lock:
            self._progress.message(level, text)
