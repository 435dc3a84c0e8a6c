"""`tokens`: the words, strings and signs of a Lua source, with their places; comments are left out."""

from __future__ import annotations

import re

from pumice.base.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Token", "tokens"]

_TOKEN = re.compile(
    rb"(?P<comment>--\[(?P<c>=*)\[.*?\](?P=c)\]|--[^\n]*)"
    rb"|(?P<long>\[(?P<l>=*)\[.*?\](?P=l)\])"
    rb"|(?P<string>\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*')"
    rb"|(?P<number>\d[\w.]*)"
    rb"|(?P<word>[A-Za-z_]\w*)"
    rb"|(?P<sign>[^\s\w])",
    re.DOTALL,
)


class Token(Value):
    """A piece of source. `text` of a string is what stands between the quotes, escapes as written."""

    kind: str
    """`string`, `long`, `number`, `word` or `sign`."""
    text: str
    start: int
    """Of the text, in bytes."""
    end: int
    line: int


def tokens(source: bytes) -> Iterator[Token]:
    """The tokens of `source`, in order; what is no Lua is taken as well as it goes."""
    line, counted = 1, 0
    for match in _TOKEN.finditer(source):
        kind = match.lastgroup or ""
        if match["comment"] is not None:
            continue
        start, end = match.span()
        line += source.count(b"\n", counted, start)
        counted = start
        if match["string"] is not None:
            kind, start, end = "string", start + 1, end - 1
        elif match["long"] is not None:
            width = 2 + len(match["l"])
            kind, start, end = "long", start + width, end - width
        yield Token(kind, source[start:end].decode("utf-8", "surrogateescape"), start, end, line)
