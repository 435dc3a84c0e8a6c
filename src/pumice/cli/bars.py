"""What the tasks under way look like as lines of text: sizes, rates and bars, at any width. Nothing is drawn.

A `Board` remembers the tasks; `render` turns them into lines. Both are told the time.
"""

from __future__ import annotations

from pumice.base.progress import UPLOAD
from pumice.base.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Board", "Task", "columns", "human_size", "render", "speaks_utf8", "told", "worth_a_line"]

_SETTLED = 0.2
"""A task younger than this many seconds is not shown: most are over before one could read their names."""
_WINDOW = 3.0
"""Rates are those of the last seconds."""
_MARK_EVERY = 0.25
_LEAST_LABEL = 16
_LEAST_BAR = 8
_WIDEST_BAR = 30
_GAP = "  "
_SMALL = 65536
"""Bytes up to which a download gets no line of its own in a log."""
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


class Task(Value):
    """A task under way. Times are seconds of one monotonic clock."""

    label: str
    total: int | None
    is_bytes: bool
    """It counts bytes, not steps."""
    began: float
    done: int = 0
    marks: tuple[tuple[float, int], ...] = ()
    """When how much was done, over the last seconds."""

    def advanced(self, amount: int, now: float) -> Task:
        """The task after `amount` more."""
        marks = self.marks
        if not marks or now - marks[-1][0] >= _MARK_EVERY:
            # One mark from before the window stays, so that it is always covered.
            while len(marks) > 1 and marks[1][0] <= now - _WINDOW:
                marks = marks[1:]
            marks = (*(marks or ((self.began, 0),)), (now, self.done + amount))
        return self.replace(done=self.done + amount, marks=marks)

    def rate(self, now: float) -> float:
        """How much is done per second, of late."""
        since, before = self.began, 0
        for when, done in self.marks:
            if when > now - _WINDOW:
                break
            since, before = when, done
        return (self.done - before) / max(now - since, 0.001)


class Board:
    """The tasks under way, in the order in which they began."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}

    @property
    def tasks(self) -> tuple[Task, ...]:
        """All of them."""
        return tuple(self._tasks.values())

    def started(self, task: str, label: str, total: int | None, now: float) -> None:
        """A task begins, or begins anew."""
        self._tasks[task] = Task(_readable(label), total, counts_bytes(task), now)

    def advanced(self, task: str, amount: int, now: float) -> None:
        """More of a task is done; one that is not there (any more) is passed over."""
        if task in self._tasks:
            self._tasks[task] = self._tasks[task].advanced(amount, now)

    def finished(self, task: str) -> None:
        """A task is over."""
        self._tasks.pop(task, None)


def counts_bytes(task: str) -> bool:
    """Whether the task with this id counts bytes (the convention of `Progress.started`)."""
    return "://" in task


def told(task: str, label: str, total: int | None) -> str:
    """A task that begins as one plain line, for logs and whatever else cannot draw."""
    if not counts_bytes(task):
        return _readable(label)
    doing = "Uploading" if task.startswith(UPLOAD) else "Downloading"
    return f"{doing} {_readable(label)}" + ("" if total is None else f" ({human_size(total)})")


def worth_a_line(task: str, total: int | None) -> bool:
    """Whether a log should have a line for it: small files are over before anybody wonders what goes on."""
    return total is None or not counts_bytes(task) or total >= _SMALL


def human_size(size: float) -> str:
    """A number of bytes in at most 7 columns, in powers of 1000: `999 B`, `1.2 kB`, `34.5 MB`, `120 MB`."""
    size = max(size, 0)
    unit = 0
    # 999.5 would be shown as 1000.
    while size >= 999.5 and unit < len(_UNITS) - 1:
        size /= 1000
        unit += 1
    digits = 0 if unit == 0 or size >= 99.95 else 1
    return f"{size:.{digits}f} {_UNITS[unit]}"


def speaks_utf8(environment: Mapping[str, str]) -> bool:
    """Whether the locale that the environment names writes UTF-8 (POSIX: the first of three that is set).

    Python puts LC_CTYPE=C.UTF-8 into the environment where it finds no usable locale (PEP 538): there LANG,
    if it names a language, knows better.
    """
    everything, characters, language = (environment.get(each, "") for each in ("LC_ALL", "LC_CTYPE", "LANG"))
    if characters == "C.UTF-8" and language not in ("", "C", "POSIX"):
        characters = language
    return "utf8" in (everything or characters or language).lower().replace("-", "")


def render(
    tasks: Sequence[Task], now: float, *, width: int, most: int = 8, unicode: bool = True
) -> tuple[str, ...]:
    """The tasks as at most `most` lines of fewer than `width` columns: name, bar, amount, rate.

    What does not fit is left out, the bar first. Tasks that have just begun are not shown yet; those beyond
    `most` are summed up in the last line.
    """
    shown = [task for task in tasks if now - task.began >= _SETTLED]
    room = width - 1  # the last column is never used: terminals differ in what they do then
    if not shown or room < 1 or most < 1:
        return ()
    rest: list[Task] = []
    if len(shown) > most:
        shown, rest = shown[: most - 1], shown[most - 1 :]
    rows = [(task.label, _share(task), _amount(task), _rate(task, now)) for task in shown]
    if rest:
        rate = sum(task.rate(now) for task in rest if task.is_bytes)
        rows.append((_summary(len(rest), bool(shown)), None, "", _speed(rate) if rate else ""))
    label, bar, amounts, rates = _widths(rows, room)
    lines = []
    for name, share, amount, rate_text in rows:
        parts = [_padded(name, label, unicode)]
        if bar:
            parts.append(_bar(share, bar, unicode))
        if amounts:
            parts.append(amount.rjust(amounts))
        if rates:
            parts.append(rate_text.rjust(rates))
        lines.append(_GAP.join(parts).rstrip())
    return tuple(lines)


_Row = tuple[str, "float | None", str, str]


def _widths(rows: Sequence[_Row], room: int) -> tuple[int, int, int, int]:
    """The columns for label, bar, amount and rate; 0 for what does not fit."""
    label = max(columns(row[0]) for row in rows)
    amounts, rates = max(len(row[2]) for row in rows), max(len(row[3]) for row in rows)
    has_bar = any(row[1] is not None for row in rows)
    gap = len(_GAP)
    for bar, amount, rate in (
        (_LEAST_BAR if has_bar else 0, amounts, rates),
        (0, amounts, rates),
        (0, amounts, 0),
        (0, 0, 0),
    ):
        left = room - sum(gap + each for each in (bar, amount, rate) if each)
        if left >= min(label, _LEAST_LABEL):
            label = min(label, left)
            return label, min(bar + left - label, _WIDEST_BAR) if bar else 0, amount, rate
    return room, 0, 0, 0


def _summary(count: int, more: bool) -> str:
    return f"and {count} more" if more else f"{count} tasks"


def _share(task: Task) -> float | None:
    """How much of the task is done; None if nobody knows. A server may announce less than it sends."""
    if task.total is None or task.done > task.total:
        return None
    return task.done / task.total if task.total else 1.0


def _amount(task: Task) -> str:
    known = task.total is not None and task.done <= task.total
    if task.is_bytes:
        done = human_size(task.done).rjust(7)
        return f"{done} / {human_size(task.total or 0):>7}" if known else done
    return f"{task.done}/{task.total}" if known else ""


def _rate(task: Task, now: float) -> str:
    if task.is_bytes:
        return _speed(task.rate(now))
    minutes, seconds = divmod(int(now - task.began), 60)
    return f"{minutes}:{seconds:02}" if minutes else f"{seconds} s"


def _speed(rate: float) -> str:
    """Always as wide, so that nothing trembles."""
    return f"{human_size(rate)}/s".rjust(9)


def _bar(share: float | None, width: int, unicode: bool) -> str:
    if share is None:
        return " " * width
    full = int(share * width)
    return ("\u2501" * full + "\u2500" * (width - full)) if unicode else "#" * full + "-" * (width - full)


def _readable(text: str) -> str:
    """The text without anything that could steer a terminal: servers choose names, too."""
    return "".join(each if each.isprintable() else "?" for each in text)


def columns(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    return sum(_column(each) for each in text)


def _column(character: str) -> int:
    from unicodedata import combining, east_asian_width

    if combining(character):
        return 0
    return 2 if east_asian_width(character) in "WF" else 1


def _padded(text: str, width: int, unicode: bool) -> str:
    """The text in exactly `width` columns, its end cut off if it must."""
    if not unicode:
        text = text.encode("ascii", "replace").decode("ascii")
    if columns(text) > width:
        mark = "\u2026" if unicode else ".." if width > 2 else ""
        kept, room = "", width - columns(mark)
        for each in text:
            room -= columns(each)
            if room < 0:
                break
            kept += each
        text = kept + mark
    return text + " " * (width - columns(text))
