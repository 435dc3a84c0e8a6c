"""`explain`: what a gateway's log means: the cause, the paths that Kong did not tell, and the mend.

Takes any text: it may be long, binary or made to be slow. Each known text (`catalogue`) is found by a plain
search, and only the characters around it are matched, so the time grows with the length alone.
"""

from __future__ import annotations

import re

from pumice.base.value import Value
from pumice.kong.catalogue import ROWS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pumice.kong.catalogue import Row

__all__ = ["DEFAULT_PATH", "Explanation", "explain"]

DEFAULT_PATH = (
    "./?.lua;./?/init.lua;/usr/local/share/lua/5.1/?.lua;/usr/local/share/lua/5.1/?/init.lua;"
    "/usr/local/openresty/lualib/?.lua"
)
"""Where a node of the official packages looks, when the log does not tell its lua_package_path."""

_BEFORE, _AFTER = 300, 1200
_TRACE = 4000
"""How far after a text Lua's list of the files that it tried may reach."""
_OFTEN = 20_000
"""So many occurrences of one text are looked at; a log repeats itself."""
_MANY = 200
"""So many problems are told."""

_PATH = re.compile(r"(?i)\b(?:kong_)?lua_package_path\b\s{0,8}[=:]\s{0,8}[\"']?([^\s\"']{1,2000})")
_TRIED = re.compile(r"no file '([^'\n]{1,500})'")


class Explanation(Value):
    """One problem that the log tells of."""

    code: str
    line: int
    """Of the log, where it is told first."""
    text: str
    """What stands there."""
    plugin: str | None
    cause: str
    looked: tuple[str, ...]
    """Where Kong looked for the file, in order."""
    mend: str

    def as_json(self) -> dict[str, object]:
        """The object that `explain --json` prints."""
        return {
            "code": self.code,
            "line": self.line,
            "text": self.text,
            "plugin": self.plugin,
            "cause": self.cause,
            "looked": list(self.looked),
            "mend": self.mend,
        }


def explain(log: str) -> tuple[Explanation, ...]:
    """The problems that a log tells of, each once, in its order; none for a log of other things."""
    # a log that was itself put into JSON has its quotes escaped
    text = log.replace('\\"', '"')
    found: dict[tuple[str, tuple[str | None, ...]], tuple[Row, re.Match[str], int]] = {}
    for row in ROWS:
        for at, match in _matches(row, text):
            key = (row.code, match.groups())
            if key not in found or found[key][2] > at:
                found[key] = (row, match, at)
            if len(found) >= _MANY:
                break
    path = _PATH.search(text)
    search = path[1].removesuffix(";;") + ";" + DEFAULT_PATH if path is not None else DEFAULT_PATH
    told = sorted(found.values(), key=lambda item: item[2])
    absent = {match["plugin"] for row, match, _ in told if row.code == "plugin-not-installed"}
    return tuple(
        _explanation(row, match, at, text, search)
        for row, match, at in told
        if not (row.wraps and _carried(at, told)) and not _told_already(row, match, absent)
    )


def _matches(row: Row, text: str) -> Iterator[tuple[int, re.Match[str]]]:
    """Where a row's text stands, and its match."""
    pattern = re.compile(row.pattern)
    start = 0
    for _ in range(_OFTEN):
        at = text.find(row.needle, start)
        if at < 0:
            return
        start = at + len(row.needle)
        begin = max(text.rfind("\n", max(0, at - _BEFORE), at) + 1, at - _BEFORE, 0)
        for match in pattern.finditer(text[begin : start + _AFTER]):
            # the match of this occurrence, not of an earlier or a later one
            if begin + match.start() <= at < begin + match.end():
                yield at, match
                break


def _carried(at: int, told: list[tuple[Row, re.Match[str], int]]) -> bool:
    """Whether another text, inside this one, says what is wrong."""
    return any(at < other_at < at + _AFTER and not other.wraps for other, _, other_at in told)


def _told_already(row: Row, match: re.Match[str], absent: set[str | None]) -> bool:
    """Whether this is the nested half of `plugin is enabled but not installed`, or of a row of its own."""
    if row.code != "module-not-found":
        return False
    module = match["module"]
    if module == "kong.plugins.base_plugin":
        return True
    return (
        module.startswith("kong.plugins.")
        and module.removeprefix("kong.plugins.").removesuffix(".handler") in absent
    )


def _explanation(row: Row, match: re.Match[str], at: int, text: str, search: str) -> Explanation:
    groups = {name: _shown(value or "") for name, value in match.groupdict().items()}
    begin = max(text.rfind("\n", max(0, at - _BEFORE), at) + 1, at - _BEFORE, 0)
    end = text.find("\n", at, at + _AFTER)
    module = row.module.format(**groups)
    return Explanation(
        code=row.code,
        line=text.count("\n", 0, at) + 1,
        text=_shown(text[begin : end if end >= 0 else at + _AFTER])[:_AFTER],
        plugin=groups.get("plugin") or None,
        cause=row.cause.format(**groups),
        looked=_looked(module, text[at : at + _TRACE], search) if module else (),
        mend=row.mend.format(**groups),
    )


def _looked(module: str, after: str, search: str) -> tuple[str, ...]:
    """The files that Kong tried: those that the log lists, else what the search path makes of the module."""
    place = module.replace(".", "/")
    told = [path for path in _TRIED.findall(after) if place in path]
    made = [entry.replace("?", place) for entry in search.split(";") if "?" in entry]
    return tuple(dict.fromkeys(_shown(path) for path in told or made))


def _shown(text: str) -> str:
    """One line that does nothing to a terminal."""
    return "".join(c if c.isprintable() else " " for c in text).strip()
