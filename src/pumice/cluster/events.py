"""`Event`: what a rollout tells while it runs: for the live table, plain lines, --json and the record."""

from __future__ import annotations

import json
import time

from pumice.base.value import Value

__all__ = ["Event", "event_json", "event_line", "moment"]


class Event(Value):
    """Something that happened, to one node or to all of it."""

    kind: str
    """`plan`, `batch`, `pause`, `step`, `node`, `entity`, `notice` or `result`."""
    node: str = ""
    step: str = ""
    state: str = ""
    """Of a step: `begun`, `ok`, `failed`; of a node one of `rollout_state`; of a result `ok` or `failed`."""
    text: str = ""
    hint: str = ""
    seconds: float | None = None
    lines: tuple[str, ...] = ()
    """The node's own log lines, where they tell why."""
    time: float = 0.0
    """Seconds since 1970, by the clock of the controller."""


def event_json(event: Event) -> str:
    """The event as one line of JSON; what it does not have is left out."""
    data: dict[str, object] = {"event": event.kind, "time": moment(event.time)}
    for field in ("node", "step", "state", "text", "hint", "seconds", "lines"):
        value = getattr(event, field)
        if value or field == "seconds":
            data[field] = list(value) if isinstance(value, tuple) else value
    if event.seconds is None:
        del data["seconds"]
    else:
        data["seconds"] = round(event.seconds, 3)
    return json.dumps(data)


def event_line(event: Event) -> str | None:
    """The event as a line for people, or None for one that only a live table shows."""
    if event.kind == "step":
        return None if event.state != "failed" else f"{event.node}: {event.step} failed: {event.text}"
    if event.kind == "node":
        took = f" in {event.seconds:.1f} s" if event.seconds is not None else ""
        return f"{event.node}: {event.text}{took}"
    if event.kind == "entity":
        return f"entity: {event.text}"
    return event.text


def moment(seconds: float) -> str:
    """A time as YYYY-MM-DDTHH:MM:SSZ."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
