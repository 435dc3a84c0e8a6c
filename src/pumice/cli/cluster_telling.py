"""How a rollout is told: a live table on a terminal, lines elsewhere, a line of JSON an event with --json."""

from __future__ import annotations

import sys

from pumice.cluster.events import event_json, event_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.cluster_view import RolloutView
    from pumice.cli.terminal import Terminal
    from pumice.cluster.events import Event
    from pumice.cluster.plan import Plan

__all__ = ["Teller"]

_LOG_LINES = 12


class Teller:
    """Tells events as they come. Used by several threads at once."""

    def __init__(self, terminal: Terminal, *, json: bool, quiet: bool) -> None:
        self._terminal = terminal
        self._json = json
        self._quiet = quiet
        self._view: RolloutView | None = None
        self._drawn = False

    def begin(self, plan: Plan) -> None:
        """The nodes of a plan are about to go."""
        if self._json or self._quiet:
            return
        from pumice.cli.cluster_view import RolloutView

        self._view = RolloutView(plan)
        self._drawn = self._terminal.draw(self._view.lines)

    def end(self) -> None:
        """Nothing is drawn any more."""
        if self._drawn:
            self._terminal.draw(None)
            self._drawn = False

    def tell(self, event: Event) -> None:
        """One event."""
        if self._view is not None:
            self._view.feed(event)
        if self._json:
            self._terminal.print(event_json(event))
            sys.stdout.flush()  # whoever reads the lines acts on them
            return
        line = event_line(event)
        failed = event.kind == "node" and event.state not in ("proved", "done", "reverted")
        if line is None or (event.kind == "step" and event.state != "failed"):
            return
        if event.kind == "step":
            return  # the node's own line says it too
        if event.kind == "node" and event.state == "proved":
            return  # `done` follows
        if event.kind == "notice" or failed:
            self._terminal.message("notice", line)
            for each in _telling(event.lines):
                self._terminal.message("notice", f"    {each}")
            if failed and event.hint:
                self._terminal.message("notice", f"    next: {event.hint}")
        elif not self._quiet and line:
            self._terminal.message("info", line)
            sys.stdout.flush()


def _telling(lines: tuple[str, ...]) -> tuple[str, ...]:
    """The lines of a node's log that tell why: from the last message of an error on, else the last ones."""
    errors = [number for number, line in enumerate(lines) if "[error]" in line or "[emerg]" in line]
    if errors and errors[-1] < len(lines) - _LOG_LINES:
        return lines[errors[-1] : errors[-1] + _LOG_LINES]
    return lines[-_LOG_LINES:]
