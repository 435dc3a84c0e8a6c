"""kong.conf: read as the gateway reads it, and edited so that every other byte stays (Kong contract 1.5).

A line is `key = value`, with a comment after an unescaped `#`; a `\\` at its end goes on in the next line.
The last line of a key counts. What is not there yet is added at the end.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pumice.base.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["DEFAULTS", "Splice", "edit_settings", "read_settings", "role_of", "undo_splices"]

DEFAULTS = {"plugins": "bundled", "lua_package_path": "./?.lua;./?/init.lua;", "lua_package_cpath": ""}
"""What the gateway takes where nothing is set."""

_SETTING = re.compile(r"[ \t]*(?P<key>[A-Za-z0-9_]+)[ \t]*=[ \t]*(?P<value>.*)", re.DOTALL)
_COMMENT = re.compile(r"(?<!\\)#.*", re.DOTALL)


class Splice(Value):
    """A piece of a text that was replaced; `at` counts in the new text."""

    at: int
    before: str
    after: str


def read_settings(text: str) -> dict[str, str]:
    """Every setting of a kong.conf, or of the `.kong_env` that the gateway makes of one."""
    return {key: _plain(value) for key, value, _, _ in _settings(text)}


def edit_settings(text: str, values: Mapping[str, str]) -> tuple[str, tuple[Splice, ...]]:
    """The text with these settings, and what was replaced, for `undo_splices`.

    A key that has the value already is left as it is. Raises ValueError for a value of several lines.
    """
    last = {key: (value, start, end) for key, value, start, end in _settings(text)}
    replaced: list[tuple[int, int, str]] = []
    added = ""
    newline = "\r\n" if "\r\n" in text else "\n"
    for key, value in values.items():
        if "\n" in value or "\r" in value or "\0" in value:
            raise ValueError(f"{key} cannot have a value of several lines")
        escaped = value.replace("#", "\\#")
        if escaped.endswith("\\"):
            raise ValueError(f"{key} cannot end with a backslash")
        if key in last:
            current, start, end = last[key]
            if _plain(current) != value:
                replaced.append((start, end, escaped))
        elif DEFAULTS.get(key) != value:
            added += f"{key} = {escaped}{newline}"
    if added:
        gap = newline if text and not text.endswith("\n") else ""
        if text.rstrip("\r\n").endswith("\\") and not text.endswith(("\n\n", "\n\r\n")):
            gap += newline  # the last line would go on into ours
        replaced.append((len(text), len(text), gap + added))
    return _spliced(text, sorted(replaced))


def undo_splices(text: str, splices: tuple[Splice, ...]) -> str:
    """The text from before an edit, of the one after it."""
    for splice in reversed(splices):
        text = text[: splice.at] + splice.before + text[splice.at + len(splice.after) :]
    return text


def role_of(settings: Mapping[str, str]) -> str:
    """What a node with these settings is: `traditional`, `control_plane`, `data_plane` or `dbless`."""
    role = settings.get("role", "traditional")
    if role in ("control_plane", "data_plane"):
        return role
    return "dbless" if settings.get("database") == "off" else "traditional"


def _plain(value: str) -> str:
    """A value as the gateway takes it: joined, without escapes."""
    return re.sub(r"\\\r?\n", "", value).strip().replace("\\#", "#")


def _settings(text: str) -> Iterator[tuple[str, str, int, int]]:
    """(key, value, start, end) of every setting; text[start:end] is what a new value replaces."""
    at = 0
    while at < len(text):
        last, end = at, _end_of_line(text, at)
        comment = text[at:end].lstrip().startswith("#")
        while not comment and end < len(text) and _goes_on(text[last:end]):
            last, end = end, _end_of_line(text, end)
        line = text[at:end]
        found = _SETTING.match(line)
        if found is not None:
            body = found["value"].rstrip("\r\n")
            remark = _COMMENT.search(body)
            value = (body[: remark.start()] if remark else body).rstrip()
            start = at + found.start("value")
            # Of several lines all are replaced: what is a remark there would else become a line of its own.
            yield found["key"], value, start, start + len(body if "\n" in body else value)
        at = end


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1


def _goes_on(line: str) -> bool:
    return line.removesuffix("\n").removesuffix("\r").endswith("\\")


def _spliced(text: str, replaced: list[tuple[int, int, str]]) -> tuple[str, tuple[Splice, ...]]:
    parts: list[str] = []
    splices: list[Splice] = []
    at = length = 0
    for start, end, new in replaced:
        parts += [text[at:start], new]
        length += start - at
        splices.append(Splice(length, text[start:end], new))
        length += len(new)
        at = end
    return "".join([*parts, text[at:]]), tuple(splices)
