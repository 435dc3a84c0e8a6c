"""`required_modules`: which modules a Lua source asks for by a literal name, without running it."""

from __future__ import annotations

import re

from pumice.base.value import Value

__all__ = ["Requirement", "required_modules"]

_TOKEN = re.compile(
    rb"--\[(?P<comment>=*)\[.*?\](?P=comment)\]"  # a long comment
    rb"|--[^\n]*"
    rb"|\[(?P<level>=*)\[(?P<long>.*?)\](?P=level)\]"  # a long string
    rb"|(?P<quote>[\"'])(?P<text>(?:\\.|(?!(?P=quote))[^\\\n])*)(?P=quote)"
    rb"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"
    rb"|(?P<dots>\.\.+)"
    rb"|(?P<sign>[^\s\w])",
    re.DOTALL,
)


class Requirement(Value):
    """A `require` with a literal name."""

    module: str
    line: int


_MARK = b"with its modules, folded by Pumice."
_FOLDED = re.compile(rb'^folded_*\("([^"\n]*)", function\(\.\.\.\)$', re.MULTILINE)
_ESCAPE = re.compile(rb"\\(\d{1,3})")


def required_modules(source: bytes) -> tuple[Requirement, ...]:
    """Every `require "name"` and `require("name")` of a Lua source, in order.

    A file of `pack --single-file` holds modules itself, and requires them of nobody.
    Strings and comments do not count, nor does `pcall(require, "name")`, which can do without, nor a name
    that is put together while the program runs.
    """
    found = []
    # what stands before: the two last tokens, None for a string
    previous: list[bytes | None] = [b"", b""]
    wanted = False
    pending: tuple[str, int] | None = None
    for match in _TOKEN.finditer(source):
        if (
            match["word"] is None
            and match["dots"] is None
            and match["sign"] is None
            and not _is_string(match)
        ):
            continue
        if pending is not None:
            if match["dots"] is None:
                found.append(Requirement(*pending))
            pending = None
        if _is_string(match):
            if wanted and (previous[1] == b"require" or (previous[1] == b"(" and previous[0] == b"require")):
                text = match["text"] if match["text"] is not None else match["long"]
                pending = (
                    text.decode("utf-8", "surrogateescape"),
                    source.count(b"\n", 0, match.start()) + 1,
                )
            previous = [previous[1], None]
            continue
        token = match["word"] or match["dots"] or match["sign"]
        if token == b"require":
            wanted = previous[1] not in (b".", b":")
        previous = [previous[1], token]
    if pending is not None:
        found.append(Requirement(*pending))
    inside = {_unescaped(match[1]) for match in _FOLDED.finditer(source)} if _MARK in source else ()
    return tuple(item for item in found if item.module not in inside)


def _unescaped(text: bytes) -> str:
    plain = _ESCAPE.sub(lambda match: bytes([int(match[1]) & 255]), text)
    return plain.decode("utf-8", "surrogateescape")


def _is_string(match: re.Match[bytes]) -> bool:
    return match["text"] is not None or match["long"] is not None
