"""Lua patterns, matched without a Lua: a schema's pattern may be hostile, so every match has a budget."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PatternError", "lua_match"]

_STEPS = 100_000
_DEPTH = 150
_CLASSES: dict[str, Callable[[str], bool]] = {
    "a": lambda c: c.isascii() and c.isalpha(),
    "c": lambda c: ord(c) < 32 or ord(c) == 127,
    "d": lambda c: c.isascii() and c.isdigit(),
    "l": lambda c: "a" <= c <= "z",
    "p": lambda c: c.isascii() and c.isprintable() and not c.isalnum() and c != " ",
    "s": lambda c: c in " \t\n\r\v\f",
    "u": lambda c: "A" <= c <= "Z",
    "w": lambda c: c.isascii() and c.isalnum(),
    "x": lambda c: c in "0123456789abcdefABCDEF",
    "z": lambda c: c == "\0",
}


class PatternError(Exception):
    """A pattern that Lua itself refuses, in Lua's words."""


def lua_match(text: str, pattern: str) -> bool:
    """Whether `string.match(text, pattern)` of Lua 5.1 finds anything.

    A match that needs more steps than a sane pattern ever does counts as found. Raises PatternError for a
    malformed pattern.
    """
    # Lua sees bytes; one character a byte keeps classes and '.' right
    subject = text.encode("utf-8", "surrogateescape").decode("latin-1")
    machine = _Machine(subject, pattern.encode("utf-8", "surrogateescape").decode("latin-1"))
    try:
        return machine.search()
    except _Tired:
        return True


class _Tired(Exception):
    """The budget is used up."""


class _Machine:
    def __init__(self, subject: str, pattern: str) -> None:
        self._s, self._p = subject, pattern
        self._steps = _STEPS
        self._captures: list[tuple[int, int | None]] = []

    def search(self) -> bool:
        anchored = self._p.startswith("^")
        for start in range(1 if anchored else len(self._s) + 1):
            self._captures = []
            if self._match(start, 1 if anchored else 0, 0) is not None:
                return True
        return False

    def _match(self, s: int, p: int, depth: int) -> int | None:
        if depth > _DEPTH:
            raise _Tired
        while True:
            self._steps -= 1
            if self._steps < 0:
                raise _Tired
            if p == len(self._p):
                return s
            char = self._p[p]
            if char == "(":
                position = self._p[p + 1 : p + 2] == ")"
                self._captures.append((s, s if position else None))
                found = self._match(s, p + 2 if position else p + 1, depth + 1)
                if found is None:
                    self._captures.pop()
                return found
            if char == ")":
                return self._close(s, p, depth)
            if char == "$" and p + 1 == len(self._p):
                return s if s == len(self._s) else None
            if char == "%" and p + 1 < len(self._p):
                following = self._p[p + 1]
                if following == "b":
                    balanced = self._balance(s, p + 2)
                    if balanced is None:
                        return None
                    s, p = balanced, p + 4
                    continue
                if following == "f":
                    end = self._class_end(p + 2)
                    if self._p[p + 2 : p + 3] != "[":
                        raise PatternError("missing '[' after '%f' in pattern")
                    before = self._s[s - 1] if s else "\0"
                    after = self._s[s] if s < len(self._s) else "\0"
                    if self._in_set(before, p + 2, end) or not self._in_set(after, p + 2, end):
                        return None
                    p = end
                    continue
                if following.isdigit():
                    number = int(following) - 1
                    if not 0 <= number < len(self._captures) or self._captures[number][1] is None:
                        raise PatternError("invalid capture index")
                    start, stop = self._captures[number]
                    part = self._s[start:stop]
                    if not self._s.startswith(part, s):
                        return None
                    s, p = s + len(part), p + 2
                    continue
            end = self._class_end(p)
            repeat = self._p[end : end + 1]
            if repeat == "?":
                if self._single(s, p, end):
                    found = self._match(s + 1, end + 1, depth + 1)
                    if found is not None:
                        return found
                p = end + 1
            elif repeat in ("*", "+"):
                return self._greedy(s, p, end, depth, 1 if repeat == "+" else 0)
            elif repeat == "-":
                return self._lazy(s, p, end, depth)
            elif self._single(s, p, end):
                s, p = s + 1, end
            else:
                return None

    def _close(self, s: int, p: int, depth: int) -> int | None:
        for number in range(len(self._captures) - 1, -1, -1):
            start, stop = self._captures[number]
            if stop is None:
                self._captures[number] = (start, s)
                found = self._match(s, p + 1, depth + 1)
                if found is None:
                    self._captures[number] = (start, None)
                return found
        raise PatternError("invalid pattern capture")

    def _greedy(self, s: int, p: int, end: int, depth: int, least: int) -> int | None:
        count = 0
        while self._single(s + count, p, end):
            count += 1
            self._steps -= 1
        while count >= least:
            found = self._match(s + count, end + 1, depth + 1)
            if found is not None:
                return found
            count -= 1
        return None

    def _lazy(self, s: int, p: int, end: int, depth: int) -> int | None:
        while True:
            found = self._match(s, end + 1, depth + 1)
            if found is not None:
                return found
            if not self._single(s, p, end):
                return None
            s += 1

    def _balance(self, s: int, p: int) -> int | None:
        if p + 1 >= len(self._p):
            raise PatternError("unbalanced pattern")
        opening, closing = self._p[p], self._p[p + 1]
        if self._s[s : s + 1] != opening:
            return None
        level = 1
        for index in range(s + 1, len(self._s)):
            char = self._s[index]
            if char == closing:
                level -= 1
                if not level:
                    return index + 1
            elif char == opening:
                level += 1
        return None

    def _class_end(self, p: int) -> int:
        if p >= len(self._p):
            raise PatternError("malformed pattern (missing '[' after '%f')")
        char = self._p[p]
        p += 1
        if char == "%":
            if p >= len(self._p):
                raise PatternError("malformed pattern (ends with '%')")
            return p + 1
        if char == "[":
            if self._p[p : p + 1] == "^":
                p += 1
            first = True
            while first or self._p[p : p + 1] != "]":
                if p >= len(self._p):
                    raise PatternError("malformed pattern (missing ']')")
                p += 2 if self._p[p] == "%" else 1
                first = False
            return p + 1
        return p

    def _single(self, s: int, p: int, end: int) -> bool:
        if s >= len(self._s):
            return False
        char = self._s[s]
        kind = self._p[p]
        if kind == ".":
            return True
        if kind == "%":
            return _in_class(char, self._p[p + 1])
        if kind == "[":
            return self._in_set(char, p, end)
        return kind == char

    def _in_set(self, char: str, p: int, end: int) -> bool:
        p += 1
        negated = self._p[p] == "^"
        if negated:
            p += 1
        last = end - 1
        while p < last:
            if self._p[p] == "%":
                if _in_class(char, self._p[p + 1]):
                    return not negated
                p += 2
            elif self._p[p + 1] == "-" and p + 2 < last:
                if self._p[p] <= char <= self._p[p + 2]:
                    return not negated
                p += 3
            else:
                if self._p[p] == char:
                    return not negated
                p += 1
        return negated


def _in_class(char: str, letter: str) -> bool:
    inside = _CLASSES.get(letter.lower())
    if inside is None:
        return letter == char
    return inside(char) != letter.isupper()
