"""`RolloutView`: the live table of a rollout (node, step, time, result): fed with events, made into lines."""

from __future__ import annotations

import time
from _thread import allocate_lock

from pumice.cli.bars import columns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cluster.events import Event
    from pumice.cluster.plan import Plan

__all__ = ["RolloutView"]

_ORDER = ("failed", "under way", "proved", "done", "waiting")
_RESULTS = {
    "proved": "proved",
    "done": "done",
    "untouched": "FAILED, nothing changed",
    "back": "FAILED, taken back",
    "reverted": "taken back",
    "stuck": "LOOK AT IT",
    "unfinished": "proved, not finished",
}


class _Row:
    """One node of the table."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.kind = "waiting"
        self.step = ""
        self.result = ""
        self.began = 0.0
        self.took: float | None = None


class RolloutView:
    """The table of one plan. Used by the threads that tell and by the one that draws."""

    def __init__(self, plan: Plan) -> None:
        self._lock = allocate_lock()
        self._rows = {node: _Row(node) for batch in plan.batches for node in batch.nodes}
        self._batch = ""

    def feed(self, event: Event, now: float | None = None) -> None:
        """Takes an event in."""
        now = time.monotonic() if now is None else now
        with self._lock:
            if event.kind == "batch":
                self._batch = event.step
            row = self._rows.get(event.node)
            if row is None:
                return
            if event.kind == "step":
                if row.kind in ("waiting", "proved", "done"):
                    row.kind, row.began, row.took = "under way", now, None
                row.step = event.step
                row.result = "" if event.state == "begun" else event.state
            elif event.kind == "node":
                row.result = _RESULTS.get(event.state, event.state)
                row.kind = event.state if event.state in ("proved", "done") else "failed"
                row.took = event.seconds

    def lines(self, width: int, most: int, unicode: bool, now: float | None = None) -> tuple[str, ...]:
        """The table in at most `most` lines: what failed and what is under way first, the rest counted."""
        now = time.monotonic() if now is None else now
        with self._lock:
            rows = sorted(self._rows.values(), key=lambda row: _ORDER.index(row.kind))
            counts = {kind: sum(row.kind == kind for row in rows) for kind in _ORDER}
            shown = [row for row in rows if row.kind != "waiting"][: max(most - 2, 0)]
            cells = [(row.node, row.step, _time(row, now), row.result) for row in shown]
            batch = self._batch
        summary = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
        head = f"{batch}: {summary}" if batch else summary
        table = [("node", "step", "time", "result"), *cells] if cells else []
        widths = [max((columns(row[place]) for row in table), default=0) for place in range(4)]
        dash = "\u2026" if unicode else "~"
        lines = []
        for node, step, took, result in table:
            line = (
                f"{node}{' ' * (widths[0] - columns(node))}  {step.ljust(widths[1])}  "
                f"{took.rjust(widths[2])}  {result}"
            )
            lines.append(_cut(line.rstrip(), width - 1, dash))
        return (*lines, _cut(head, width - 1, dash))[-max(most, 1) :]


def _time(row: _Row, now: float) -> str:
    seconds = row.took if row.took is not None else now - row.began
    return f"{seconds:.1f} s"


def _cut(line: str, width: int, mark: str) -> str:
    line = "".join(each if each.isprintable() else "?" for each in line)
    while columns(line) > width:
        line = line[:-2] + mark if len(line) > 1 else ""
    return line
