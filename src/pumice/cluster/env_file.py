"""Files of NAME=VALUE lines, as systemd's EnvironmentFile and shells read them: read, and edited in place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pumice.cluster.kong_conf import Splice

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["drop_in", "edit_variables", "read_drop_in", "read_variables"]

_VARIABLE = re.compile(r"[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>[^\r\n]*)")
_BARE = re.compile(r"[A-Za-z0-9_@%+=:,./-]*")
_ENVIRONMENT = re.compile(r'Environment="(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>(?:[^"\\]|\\.)*)"')


def read_variables(text: str) -> dict[str, str]:
    """Every variable of the file; the last line of a name counts."""
    return {name: _unquoted(value) for name, value, _, _ in _variables(text)}


def edit_variables(text: str, values: Mapping[str, str]) -> tuple[str, tuple[Splice, ...]]:
    """The text with these variables, and what was replaced, for `kong_conf.undo_splices`."""
    last = {name: (value, start, end) for name, value, start, end in _variables(text)}
    replaced: list[tuple[int, int, str]] = []
    added = ""
    for name, value in values.items():
        if "\n" in value or "\r" in value or "\0" in value:
            raise ValueError(f"{name} cannot have a value of several lines")
        if name in last:
            current, start, end = last[name]
            if _unquoted(current) != value:
                replaced.append((start, end, _quoted(value)))
        else:
            added += f"{name}={_quoted(value)}\n"
    if added:
        gap = "\n" if text and not text.endswith("\n") else ""
        replaced.append((len(text), len(text), gap + added))
    splices = []
    shift = 0
    for start, end, new in sorted(replaced):
        splices.append(Splice(start + shift, text[start + shift : end + shift], new))
        text = text[: start + shift] + new + text[end + shift :]
        shift += len(new) - (end - start)
    return text, tuple(splices)


def drop_in(values: Mapping[str, str]) -> str:
    """A systemd drop-in that gives a service these variables."""

    def escaped(value: str) -> str:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")

    lines = [f'Environment="{name}={escaped(value)}"\n' for name, value in values.items()]
    return "# Written by Pumice; removed again with the last plugin.\n[Service]\n" + "".join(lines)


def read_drop_in(text: str) -> dict[str, str]:
    """The variables of such a drop-in."""
    return {
        found["name"]: re.sub(r"\\(.)", r"\1", found["value"]).replace("%%", "%")
        for found in _ENVIRONMENT.finditer(text)
    }


def _variables(text: str) -> Iterator[tuple[str, str, int, int]]:
    at = 0
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end + 1
        found = _VARIABLE.match(text, at, end)
        if found is not None:
            value = found["value"].rstrip()
            start = found.start("value")
            yield found["name"], value, start, start + len(value)
        at = end


def _unquoted(value: str) -> str:
    """A value without its quotes; a comment after it, as shells know them, is not part of it."""
    if value[:1] in ("'", '"'):
        end = value.find(value[0], 1)
        while value[0] == '"' and end > 0 and value[end - 1] == "\\":
            end = value.find('"', end + 1)
        if end > 0:
            inside = value[1:end]
            return inside if value[0] == "'" else re.sub(r'\\(["\\$`])', r"\1", inside)
    return value


def _quoted(value: str) -> str:
    """A value that systemd and shells both read as it is."""
    if _BARE.fullmatch(value):
        return value
    if "'" not in value:
        return f"'{value}'"
    return '"' + re.sub(r'(["\\$`])', r"\\\1", value) + '"'
