"""`mentions`: the dotted names that a Lua source speaks of, and in which phase of a handler it does.

Read from the source alone, so it is no proof: a name that is put together while the program runs is not seen,
and whether a helper is called from a phase is not known.
"""

from __future__ import annotations

from pumice.base.value import Value
from pumice.kong.lua_tokens import tokens
from pumice.kong.plugin import PHASES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pumice.kong.lua_tokens import Token

__all__ = ["Mention", "mentions"]

_OPENING = frozenset(("function", "do", "if", "repeat"))
_CLOSING = frozenset(("end", "until"))
_KEYWORDS = (
    _OPENING | _CLOSING | frozenset(("local", "then", "for", "in", "return", "else", "elseif", "while"))
)


class Mention(Value):
    """A name such as `ngx.timer.at`; `...` for what the whole file was called with."""

    name: str
    line: int
    phase: str | None
    """The phase in whose function it stands; "" outside of all functions; None in a function that is none."""


def mentions(source: bytes) -> Iterator[Mention]:
    """Every dotted name of `source`, in order."""
    # what is open: the phase of a function, None for another function, "-" for a block
    opened: list[str | None] = []
    before: list[str] = ["", ""]
    name, line, end = "", 0, -1
    phase: str | None = ""
    for token in tokens(source):
        is_word = token.kind == "word"
        text = token.text if is_word or token.kind == "sign" else ""
        dots = name in (".", "..") and text == "." and token.start == end
        if dots or (
            name and name[0] != "." and (text == ".") != (name[-1] == ".") and (text == "." or is_word)
        ):
            name += text
        else:
            if name[:1] != "." or (name == "..." and phase == ""):
                yield from _told(name, line, phase)
            goes_on = before[-1] == ":" or (before[-1] == "." and before[-2] != ".")
            name = text if text == "." or (is_word and not goes_on) else ""
            line, phase = token.line, _phase(opened)
        if is_word and text in _OPENING:
            opened.append(_phase_before(before, source, token) if text == "function" else "-")
        elif is_word and text in _CLOSING and opened:
            opened.pop()
        end = token.end
        before = [before[-1], text]
    if name[:1] != ".":
        yield from _told(name, line, phase)


def _told(name: str, line: int, phase: str | None) -> Iterator[Mention]:
    told = name if name == "..." else name.rstrip(".")
    if told and told not in _KEYWORDS:
        yield Mention(told, line, phase)


def _phase(opened: list[str | None]) -> str | None:
    functions = [each for each in opened if each != "-"]
    return next((each for each in functions if each), None) if functions else ""


def _phase_before(before: list[str], source: bytes, token: Token) -> str | None:
    """The phase that a function is: `function X:access(`, `X.access = function(`, `access = function(`."""
    if before[-1] == "=":
        return before[-2] if before[-2] in PHASES else None
    import re

    head = re.match(rb"\s*[A-Za-z_][\w.]*[.:](\w+)\s*\(", source[token.end : token.end + 200])
    named = head[1].decode("ascii", "replace") if head is not None else ""
    return named if named in PHASES else None
