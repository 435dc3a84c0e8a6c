"""Where the CLI's text goes: information on stdout, warnings and progress on stderr (contract 1.1).

On a terminal, progress is bars that are drawn in place (`screen`); elsewhere it is a line for every task that
begins. Neither is loaded before there is a task.
"""

from __future__ import annotations

import sys
from _thread import allocate_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

    from pumice.cli.screen import Drawing, Screen

__all__ = ["Terminal", "error_text", "harmless"]


def error_text(message: str, hint: str) -> str:
    """An error as people see it: LuaRocks's line, then what to do next."""
    return f"\nError: {message}\n" + (f"Hint: {hint}\n" if hint else "")


def harmless(text: str, stream: TextIO) -> str:
    """The text as `stream` may have it: on a terminal, what could steer it (a name can be hostile) is `?`."""
    if text.isprintable() or not stream.isatty():
        return text
    return "".join("?" if _steers(each) else each for each in text)


def _steers(character: str) -> bool:
    """Control characters but newline and tab, marks that turn the direction of writing, invalid bytes."""
    code = ord(character)
    return (
        (code < 32 and character not in "\n\t")
        or 127 <= code < 160
        or code in (0x200E, 0x200F)
        or 0x202A <= code <= 0x202E
        or 0x2066 <= code <= 0x2069
        or 0xD800 <= code < 0xE000
    )


class Terminal:
    """The `Progress` of the CLI. Used by several threads at once."""

    def __init__(
        self, *, quiet: bool = False, verbose: bool = False, environment: Mapping[str, str] | None = None
    ) -> None:
        self.quiet = quiet
        self.verbose = verbose
        self._environment = environment or {}
        self._screen: Screen | None = None
        self._making = allocate_lock()

    def print(self, text: str = "") -> None:
        """A line of the command's answer, on stdout."""
        self._write(sys.stdout, text + "\n")

    def started(self, task: str, label: str, total: int | None = None) -> None:
        """A task begins."""
        if self.quiet:
            return
        with self._making:
            if self._screen is None and self._can_draw():
                from pumice.cli.screen import Screen

                self._screen = Screen(sys.stderr, self._environment)
        if self._screen is not None:
            self._screen.started(task, label, total)
        else:
            from pumice.cli.bars import told, worth_a_line

            if not worth_a_line(task, total):
                return
            self._write(sys.stderr, told(task, label, total) + "\n")

    def advanced(self, task: str, amount: int = 1) -> None:
        """More of a task is done."""
        if self._screen is not None:
            self._screen.advanced(task, amount)

    def finished(self, task: str) -> None:
        """A task is over: its bar goes; the command says when it is done."""
        if self._screen is not None:
            self._screen.finished(task)

    def message(self, level: str, text: str) -> None:
        """A line for people."""
        if level == "warning":
            self._write(sys.stderr, f"Warning: {text}\n")
        elif level == "notice" or (level == "aside" and not self.quiet):
            self._write(sys.stderr, f"{text}\n")
        elif level == "detail":
            if self.verbose:
                self.print(text)
        elif level == "info" and not self.quiet:
            self.print(text)

    def draw(self, drawing: Drawing | None) -> bool:
        """Lets `drawing` say what is shown below the text, on a terminal that can; whether it is one.

        None ends that.
        """
        if self.quiet:
            return False
        with self._making:
            if self._screen is None and drawing is not None and self._can_draw():
                from pumice.cli.screen import Screen

                self._screen = Screen(sys.stderr, self._environment)
        if self._screen is not None:
            self._screen.draw(drawing)
        return self._screen is not None

    def close(self) -> None:
        """Nothing is drawn any more; what is on the screen but no text is gone."""
        if self._screen is not None:
            self._screen.close()

    def _can_draw(self) -> bool:
        """Both streams are a terminal that obeys: a file or pipe gets lines, and so does a dumb or CI one.

        With stdout in a pipe, what its reader writes to the same terminal would run into the bars.
        """
        term = self._environment.get("TERM", "")
        return (
            sys.stderr.isatty()
            and sys.stdout.isatty()
            and term not in ("", "dumb", "unknown")
            and self._environment.get("CI", "") in ("", "0", "false")
        )

    def _write(self, stream: TextIO, text: str) -> None:
        text = harmless(text, stream)
        if self._screen is not None:
            self._screen.write(stream, text)
            return
        if stream is sys.stderr:
            sys.stdout.flush()
        stream.write(text)
