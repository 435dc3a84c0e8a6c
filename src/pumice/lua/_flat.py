"""The flat text that the sandbox's Lua half writes, read back: strings, numbers, booleans, dicts, lists.

It is Python's `marshal` form, so that one C call reads nearly all of it. What that call cannot give (text
that is not UTF-8, functions) is read here, slowly: `marshal` knows no `surrogateescape`, and would take
the bytes of a lone surrogate for a character.
"""

from __future__ import annotations

from marshal import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["read_flat"]


def read_flat(text: bytes, function: object, *, functions: bool) -> Any:
    """The value that `text` stands for, with `function` for every Lua function in it."""
    if not functions and not _has_surrogates(text):
        try:
            return loads(text)
        except UnicodeDecodeError:
            pass
    return _Reader(text, function).value()


def _has_surrogates(text: bytes) -> bool:
    at = text.find(b"\xed")
    while at >= 0:
        if text[at + 1 : at + 2] >= b"\xa0":
            return True
        at = text.find(b"\xed", at + 1)
    return False


_END = object()


class _Reader:
    """Reads one text from front to back."""

    __slots__ = ("_at", "_function", "_text")

    def __init__(self, text: bytes, function: object) -> None:
        self._text = text
        self._at = 0
        self._function = function

    def value(self) -> Any:
        kind = self._take(1)
        if kind == b"u":
            return self._take(self._int(4)).decode("utf-8", "surrogateescape")
        if kind == b"i":
            return self._int(4)
        if kind == b"{":
            return self._dict()
        if kind == b"[":
            return [self.value() for _ in range(self._int(4))]
        if kind == b"g":
            from struct import unpack

            return unpack("<d", self._take(8))[0]
        if kind == b"l":
            return self._wide()
        return {b"T": True, b"F": False, b"N": None, b".": self._function, b"0": _END}[kind]

    def _take(self, size: int) -> bytes:
        start = self._at
        self._at = start + size
        return self._text[start : self._at]

    def _int(self, size: int) -> int:
        return int.from_bytes(self._take(size), "little", signed=True)

    def _dict(self) -> dict[Any, Any]:
        found = {}
        while (key := self.value()) is not _END:
            found[key] = self.value()
        return found

    def _wide(self) -> int:
        digits = self._int(4)
        value = 0
        for place in range(abs(digits)):
            value |= int.from_bytes(self._take(2), "little") << (15 * place)
        return -value if digits < 0 else value
