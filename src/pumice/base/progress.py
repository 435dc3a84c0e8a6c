"""What an operation tells while it works. The CLI draws it, the API ignores it, a server streams it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object

__all__ = ["Progress", "Silent"]


class Progress(Protocol):
    """Passed into every operation that takes noticeable time or has something to say."""

    def started(self, task: str, label: str, total: int | None = None) -> None:
        """A task begins; `task` is its id, `total` its size if known.

        An id that is a URL counts bytes, any other counts steps. `label` is what people see: of a URL the
        name of the file, else what is being done, as in "Compiling lpeg 1.1.0-1".
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
