"""`Screen`: the tasks under way, drawn in place at the bottom of a terminal; loaded when the first begins.

A thread of its own draws ten times a second, so that a task that stands still is seen to do so, and one that
is over at once is never drawn. Whatever else is written goes above the bars, through `write`.
"""

from __future__ import annotations

import os
import time
from _thread import allocate_lock, start_new_thread

from pumice.base.disk import write_all
from pumice.base.signals import Deferred
from pumice.cli.bars import Board, columns, render, speaks_utf8

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TextIO

    Drawing = Callable[[int, int, bool], tuple[str, ...]]

__all__ = ["Screen"]

_PERIOD = 0.1
_MOST_LINES = 8
_NARROWEST = 10
_FALLBACK = (80, 24)


class Screen:
    """The lower end of the terminal that `stream` writes to. Used by several threads at once.

    Signals wait while the main thread draws: what is on the screen is always known. A terminal that is gone
    is no error here.
    """

    def __init__(self, stream: TextIO, environment: Mapping[str, str]) -> None:
        self._stream = stream
        self._environment = environment
        self._unicode = speaks_utf8(environment)
        self._board = Board()
        self._drawn: tuple[str, ...] = ()
        self._drawing: Drawing | None = None
        self._ticking = False
        self._closed = False
        # Two, so that a stopped terminal (Ctrl-S) does not stop the tasks.
        self._state = allocate_lock()
        self._output = allocate_lock()

    def started(self, task: str, label: str, total: int | None) -> None:
        """As in `Progress`."""
        with self._state:
            self._board.started(task, label, total, time.monotonic())
        self._begin_to_tick()

    def draw(self, drawing: Drawing | None) -> None:
        """From now on `drawing` says what is shown instead of the bars; None ends that.

        It is called with the columns, the lines that there are room for, and whether they may be Unicode.
        """
        with self._state:
            self._drawing = drawing
        if drawing is not None:
            self._begin_to_tick()
        elif self._drawn:
            with Deferred(), self._output:
                self._show(())

    def _begin_to_tick(self) -> None:
        with self._state:
            must_tick = not self._ticking and not self._closed
            self._ticking = self._ticking or must_tick
        if must_tick:
            try:
                # The new thread inherits the mask: signals have to reach the main thread, where `Deferred`
                # can make them wait.
                with Deferred():
                    start_new_thread(self._tick, ())
            except RuntimeError:  # no more threads are allowed: then there are no bars
                self._ticking = False

    def advanced(self, task: str, amount: int) -> None:
        """As in `Progress`."""
        with self._state:
            self._board.advanced(task, amount, time.monotonic())

    def finished(self, task: str) -> None:
        """As in `Progress`; after the last task nothing is left on the screen."""
        with self._state:
            self._board.finished(task)
            idle = not self._board.tasks
        if idle and self._drawn:
            with Deferred(), self._output:
                self._show(())

    def write(self, stream: TextIO, text: str) -> None:
        """Whole lines of text, above the bars. `stream` may be another one on the same terminal."""
        with Deferred(), self._output:
            visible = bool(self._drawn)
            self._show(())
            stream.write(text)
            stream.flush()
            if visible:
                self._show(self._lines())

    def close(self) -> None:
        """The bars are gone, for good."""
        with Deferred(), self._output:
            self._show(())
            self._closed = True

    def _tick(self) -> None:
        while True:
            time.sleep(_PERIOD)
            with self._state:
                if self._closed or not (self._board.tasks or self._drawing):
                    self._ticking = False
                    return
            with self._output:
                if not self._closed:
                    self._show(self._lines())

    def _lines(self) -> tuple[str, ...]:
        width, height = self._size()
        with self._state:
            tasks, drawing = self._board.tasks, self._drawing
        if width < _NARROWEST:
            return ()
        if drawing is not None:
            return drawing(width, height - 1, self._unicode)
        most = max(1, min(_MOST_LINES, height - 1))
        return render(tasks, time.monotonic(), width=width, most=most, unicode=self._unicode)

    def _show(self, lines: tuple[str, ...]) -> None:
        """The bars become `lines`; nothing is written if there are and were none."""
        if not self._in_foreground():
            self._drawn = ()  # the terminal is somebody else's now, who has written over them
            return
        if not lines and not self._drawn:
            return
        # Terminals wrap what they show anew when they become narrower.
        width = max(self._size()[0], 1)
        rows = sum(max(1, -(-columns(line) // width)) for line in self._drawn[:-1])
        up = f"\x1b[{rows}A" if rows else ""
        self._drawn = lines
        # The cursor ends where the last line begins: there the `^C` of a Ctrl-C begins no line of its own.
        text = f"\r{up}" + "\x1b[K\n".join(lines) + "\x1b[J\r"
        try:
            write_all(self._stream.fileno(), text.encode("utf-8", "replace"))
        except (OSError, ValueError):
            self._closed = True

    def _in_foreground(self) -> bool:
        """Whether we may draw; after Ctrl-Z and `bg` the shell's prompt is there."""
        try:
            return os.tcgetpgrp(self._stream.fileno()) == os.getpgrp()
        except OSError:  # a terminal, but not the one that controls us
            return True

    def _size(self) -> tuple[int, int]:
        """Columns and lines as they are now; the environment may ask for fewer, or know them alone."""
        try:
            real = tuple(os.get_terminal_size(self._stream.fileno()))
        except OSError:
            real = (0, 0)
        sizes = []
        for here, name, otherwise in zip(real, ("COLUMNS", "LINES"), _FALLBACK, strict=True):
            text = self._environment.get(name, "")
            known = [each for each in (here, int(text) if text.isdecimal() else 0) if each > 0]
            sizes.append(min(known, default=otherwise))
        return sizes[0], sizes[1]
