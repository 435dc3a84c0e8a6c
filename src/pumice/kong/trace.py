"""`trace_plugins` and `Trace`: what a plugin does to requests and answers, seen by two plugins around it.

In each phase one of the two runs before every other plugin and one after them; what lies between what they
tell is what the plugin did. They need nothing of a gateway but phases and `io`.
"""

from __future__ import annotations

import os

from pumice.base.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["NAMES", "Answered", "Asked", "Passed", "Trace", "trace_plugins"]

NAMES = ("pumice-try-first", "pumice-try-last")
"""Of the two plugins."""
_RANK = 1_000_000
_SCHEMA = """\
return {{
  name = "{name}",
  fields = {{
    {{ config = {{ type = "record", fields = {{ {{ file = {{ type = "string", required = true }} }} }} }} }},
  }},
}}
"""
_OPEN = 1000
"""So many requests may be under way at once; of more the oldest are forgotten."""


class Asked(Value):
    """A request came."""

    id: str
    method: str
    uri: str


class Passed(Value):
    """A phase is over."""

    id: str
    phase: str
    milliseconds: float
    changes: tuple[str, ...]
    """What is different afterwards, such as `request header x-a: 1`."""
    returned: bool = True
    """False: the phase did not come to its end, because the plugin answered itself or failed."""


class Answered(Value):
    """The answer has gone out."""

    id: str
    status: int
    headers: Mapping[str, str]
    body: str
    """Its first 64 KiB."""
    milliseconds: float


def trace_plugins() -> dict[str, bytes]:
    """The modules of the two plugins: a path below the directory of the Lua modules, and the text."""
    with open(
        os.path.join(os.path.dirname(os.path.abspath(__file__)), "trace.lua.template"), encoding="utf-8"
    ) as file:
        handler = file.read()
    files = {}
    for name, side, rank in zip(NAMES, ("first", "last"), (_RANK, -_RANK), strict=True):
        own = handler.replace("@SIDE@", side).replace("@RANK@", str(rank))
        files[f"kong/plugins/{name}/handler.lua"] = own.encode()
        files[f"kong/plugins/{name}/schema.lua"] = _SCHEMA.format(name=name).encode()
    return files


class Trace:
    """Reads what the two plugins wrote, line by line."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[str, float, object]] = {}
        """By request: the phase that began, when, and what there was."""

    def feed(self, line: bytes) -> Iterator[Asked | Passed | Answered]:
        """What a line tells, with what went before; nothing when it is not one of theirs."""
        import json

        try:
            told = json.loads(line)
            yield from self._told(told)
        except (ValueError, KeyError, TypeError, AttributeError):
            return

    def _told(self, told: Mapping[str, object]) -> Iterator[Asked | Passed | Answered]:
        number, phase, at = str(told["id"]), str(told["phase"]), _number(told["at"])
        seen = told.get("request") or told.get("response")
        if phase == "request":
            if len(self._open) >= _OPEN:
                del self._open[next(iter(self._open))]
            yield Asked(number, str(told["method"]), str(told["uri"]))
            return
        before = self._open.pop(number, None)
        if told["side"] == "first":
            if before is not None:
                # the phase before has no end
                yield Passed(number, before[0], at - before[1], (), returned=False)
            self._open[number] = (phase, at, seen)
            return
        if before is not None and before[0] == phase and phase != "log":
            yield Passed(number, phase, at - before[1], tuple(_changes(phase, before[2], seen)))
        if phase == "log" and isinstance(seen, dict):
            headers = {name: _text(value) for name, value in _table(seen.get("headers")).items()}
            took = at - _number(told["began"])
            yield Answered(number, int(_number(seen["status"])), headers, str(seen.get("body") or ""), took)


def _changes(phase: str, before: object, after: object) -> Iterator[str]:
    """What is different after a phase, in words."""
    old, new = _table(before), _table(after)
    what = "response" if phase == "header_filter" else "request"
    for name in ("method", "path", "status"):
        if old.get(name) != new.get(name):
            yield f"{what} {name} {old.get(name)} → {new.get(name)}"
    for kind in ("query", "headers"):
        was, now = _table(old.get(kind)), _table(new.get(kind))
        noun = f"{what} header" if kind == "headers" else "query"
        for name in sorted({*was, *now}):
            if name not in now:
                yield f"{noun} {name} removed"
            elif was.get(name) != now[name]:
                yield f"{noun} {name}: {_text(now[name])}"


def _table(value: object) -> dict[str, object]:
    """An object; what Lua wrote as an empty list is an empty one."""
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)


def _number(value: object) -> float:
    if not isinstance(value, int | float):
        raise TypeError("a number was expected")
    return float(value)
