"""Lua files that only assign plain values, read without starting a Lua.

Nearly every LuaRocks configuration is of this kind (Debian's own is), and a Lua costs more to load than
such a file takes to read. What is read here has one meaning in every Lua; at the first thing that might
have another one the answer is None, and the file goes to the real Lua.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    Plain: TypeAlias = "bool | int | float | str | dict[int | str, Plain]"

__all__ = ["plain_assignments"]

# fmt: off
_KEYWORDS = frozenset((
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "global", "goto", "if", "in",
    "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
))
# fmt: on
"""Of every Lua, 5.5 included; kept here since starting counts, and nothing else of `lua` is loaded yet."""
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_DIGITS = frozenset("0123456789")
_DEEPEST = 20


class _NotPlain(Exception):
    """Something that only Lua itself can judge."""


def plain_assignments(source: bytes, given: Mapping[str, str]) -> dict[str, Plain] | None:
    """The globals that the file assigns, or None if it is more than plain assignments.

    Plain are strings without escapes, decimal numbers, booleans, `nil`, tables of plain values with
    positions or names as keys, names in `given`, and `..` between strings.
    """
    try:
        return _Reader(source.decode("utf-8"), given).assignments()
    except (_NotPlain, UnicodeDecodeError):
        return None


class _Reader:
    def __init__(self, text: str, given: Mapping[str, str]) -> None:
        if "\r" in text or "\0" in text or text.startswith("#"):
            raise _NotPlain
        self.text = text + "\n"
        self.at = 0
        self.known: dict[str, str] = dict(given)

    def assignments(self) -> dict[str, Plain]:
        assigned: dict[str, Plain] = {}
        while self.peek() != "":
            name = self.name()
            if not self.take("=") or self.text[self.at] == "=":
                raise _NotPlain
            value = self.value(0)
            assigned.pop(name, None)
            self.known.pop(name, None)
            if value is not None:
                assigned[name] = value
            if isinstance(value, str):
                self.known[name] = value
            self.take(";")
        return assigned

    def peek(self) -> str:
        """The next character that is neither white space nor comment; "" at the end."""
        text, at = self.text, self.at
        while at < len(text):
            character = text[at]
            if character in " \t\n":
                at += 1
            elif text.startswith("--", at):
                if text.startswith("--[", at):
                    raise _NotPlain
                at = text.index("\n", at)
            else:
                self.at = at
                return character
        self.at = at
        return ""

    def take(self, character: str) -> bool:
        if self.peek() != character:
            return False
        self.at += 1
        return True

    def word(self) -> str:
        """A name or keyword."""
        if self.peek() not in _LETTERS:
            raise _NotPlain
        start = self.at
        while self.text[self.at] in _LETTERS or self.text[self.at] in _DIGITS:
            self.at += 1
        return self.text[start : self.at]

    def name(self) -> str:
        word = self.word()
        if word in _KEYWORDS:
            raise _NotPlain
        return word

    def value(self, depth: int) -> Plain | None:
        if depth > _DEEPEST:
            raise _NotPlain
        value = self.operand(depth)
        while self.peek() == ".":
            if not self.text.startswith("..", self.at) or self.text.startswith("...", self.at):
                raise _NotPlain
            self.at += 2
            right = self.operand(depth)
            if not (isinstance(value, str) and isinstance(right, str)):
                raise _NotPlain
            value += right
        return value

    def operand(self, depth: int) -> Plain | None:
        first = self.peek()
        if first == "{":
            return self.table(depth)
        if first == "[" or first in "\"'":
            return self.string(first)
        if first in _DIGITS:
            return self.number()
        word = self.word()
        if word in ("true", "false"):
            return word == "true"
        if word == "nil":
            return None
        if word not in self.known:
            raise _NotPlain
        return self.known[word]

    def string(self, quote: str) -> str:
        opening, closing = ("[[", "]]") if quote == "[" else (quote, quote)
        if not self.text.startswith(opening, self.at):
            raise _NotPlain
        start = self.at + len(opening)
        end = self.text.find(closing, start)
        if end < 0:
            raise _NotPlain
        found = self.text[start:end]
        if opening == "[[":
            found = found.removeprefix("\n")
            if "[[" in found:
                raise _NotPlain  # an error in Lua 5.1
        elif "\n" in found or "\\" in found:
            raise _NotPlain
        self.at = end + len(closing)
        return found

    def number(self) -> int | float:
        start = self.at
        while self.text[self.at] in _DIGITS or self.text[self.at] == ".":
            self.at += 1
        digits = self.text[start : self.at]
        if self.text[self.at] in _LETTERS or len(digits) > 15 or digits.count(".") > 1 or digits[-1] == ".":
            raise _NotPlain
        return float(digits) if "." in digits else int(digits)

    def table(self, depth: int) -> dict[int | str, Plain]:
        self.at += 1
        fields: dict[int | str, Plain] = {}
        position = 0
        while not self.take("}"):
            key: int | str = position + 1
            if self.peek() in _LETTERS:
                start = self.at
                name = self.word()
                if self.take("=") and self.text[self.at] != "=":
                    if name in _KEYWORDS:
                        raise _NotPlain
                    key = name
                else:
                    self.at = start
            value = self.value(depth + 1)
            if key == position + 1:
                position += 1
            fields.pop(key, None)
            if value is not None:
                fields[key] = value
            if not (self.take(",") or self.take(";")) and self.peek() != "}":
                raise _NotPlain
        return fields
