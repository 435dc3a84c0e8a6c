"""`Version`: a version text and its place in LuaRocks's order (LuaRocks contract 3.1, 3.2).

The order is not a total one and `==` is no equivalence: `1.0` and `1.0.0` are neither equal nor less than
one another, and a missing revision equals every revision. Why it is copied all the same, and what sorting
makes of it: docs/decisions/0003-versions.md.
"""

from __future__ import annotations

from pumice.base.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Version", "is_changing", "newest_first", "parse_version", "sort_key"]

_WEIGHTS = {
    "dev": 120000000,
    "scm": 110000000,
    "cvs": 100000000,
    "rc": -1000,
    "pre": -10000,
    "beta": -100000,
    "alpha": -1000000,
}
_DIGITS = "0123456789"
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LUA_SPACE = " \t\n\v\f\r"
_LARGEST_INTEGER = 2**63 - 1
_REMEMBERED = 100_000
_UNRELEASED = ("scm", "dev", "cvs")


class Version(Value):
    """A parsed version; `<`, `<=`, `>`, `>=`, `==` are LuaRocks's.

    Use `text` as a key of mappings and for identity: versions of different text can be equal.
    """

    text: str
    """As written, without leading blanks."""
    components: tuple[int | float, ...]
    revision: int | float | None = None
    """The number after the last `-`; of a rock always there."""
    unparsed: str = ""
    """The rest that LuaRocks could not parse and warns of; a 0 stands for it in `components`."""

    def __init__(
        self,
        text: str,
        components: tuple[int | float, ...],
        revision: int | float | None = None,
        unparsed: str = "",
    ) -> None:
        put = object.__setattr__
        put(self, "text", text)
        put(self, "components", components)
        put(self, "revision", revision)
        put(self, "unparsed", unparsed)

    @property
    def warning(self) -> str | None:
        """What LuaRocks prints as a warning when it parses this text."""
        return f"version number '{self.unparsed}' could not be parsed." if self.unparsed else None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Version):
            return NotImplemented
        if self.components != other.components:
            return False
        return self.revision is None or other.revision is None or self.revision == other.revision

    def __hash__(self) -> int:
        return hash(self.components)

    def __lt__(self, other: Version) -> bool:
        mine, theirs = self.components, other.components
        if mine != theirs:
            for a, b in zip(mine, theirs, strict=False):
                if a != b:
                    return a < b
            # One is the beginning of the other: what is missing counts as 0.
            shared = min(len(mine), len(theirs))
            for a in mine[shared:]:
                if a:
                    return a < 0
            for b in theirs[shared:]:
                if b:
                    return b > 0
        if self.revision is None or other.revision is None:
            return False
        return self.revision < other.revision

    def __le__(self, other: Version) -> bool:
        return not other < self

    def __gt__(self, other: Version) -> bool:
        return other < self

    def __ge__(self, other: Version) -> bool:
        return not self < other

    def __str__(self) -> str:
        return self.text

    def starts_with(self, prefix: Version) -> bool:
        """LuaRocks's `~>`: every component of `prefix` equals this one's, and its revision, if it has one."""
        mine = self.components
        wanted = prefix.components
        if mine[: len(wanted)] != wanted:
            count = len(mine)
            for place, component in enumerate(wanted):
                if component != (mine[place] if place < count else 0):
                    return False
        return prefix.revision is None or prefix.revision == self.revision


_parsed: dict[str, Version] = {}


def parse_version(text: str) -> Version:
    """The version that `text` writes, by LuaRocks's rules; every text is one, so this never fails."""
    known = _parsed.get(text)
    if known is not None:
        return known
    if len(_parsed) >= _REMEMBERED:
        _parsed.clear()
    version = _parsed[text] = _parse(text)
    return version


def _parse(text: str) -> Version:
    trimmed = text.lstrip(_LUA_SPACE)
    main, dash, tail = trimmed.rpartition("-")
    revision: int | float | None = None
    if dash and tail.isdigit() and tail.isascii():
        revision = _number(tail)
    else:
        main = trimmed
    if main.isascii():
        parts = main.split(".")
        for part in parts:
            if not part.isdigit():
                break
        else:
            return Version(trimmed, tuple([_number(part) for part in parts]), revision)
    components, unparsed = _components(main)
    return Version(trimmed, components, revision, unparsed)


def _components(main: str) -> tuple[tuple[int | float, ...], str]:
    """The weights of the numbers and words of `main`, and the rest from where neither follows."""
    components: list[int | float] = []
    word: int | float | None = None
    place, end = 0, len(main)
    while place < end:
        start = place
        if main[place] in _DIGITS:
            while place < end and main[place] in _DIGITS:
                place += 1
            number = _number(main[start:place])
            components.append(number if word is None else word + float(number) / 100000)
            word = None
        elif main[place] in _LETTERS:
            while place < end and main[place] in _LETTERS:
                place += 1
            # Of words in a row the last one counts, and the number that follows joins it.
            word = _WEIGHTS.get(main[start:place], ord(main[start]) / 1000)
        else:
            components.append(0)
            return tuple(components), main[place:]
        while place < end and main[place] in "._-":
            place += 1
    if word is not None:
        components.append(word)
    return tuple(components), ""


def _number(digits: str) -> int | float:
    """What Lua 5.3 and later make of decimal digits: an integer of 64 bits, or else a float."""
    if len(digits) < 19:
        return int(digits)
    digits = digits.lstrip("0") or "0"
    if len(digits) <= 19 and int(digits) <= _LARGEST_INTEGER:
        return int(digits)
    return float(digits)


def sort_key(version: Version) -> tuple[int | float, ...]:
    """A key that sorts ascending as LuaRocks's `<` does; versions that it does not order get equal keys.

    Only where some have revisions and others have none is `<` no order at all: there, none sorts first.
    """
    key: list[int | float] = []
    sign = 0
    # A 0 says on which side the next other component lies, so that an early end compares as zeros do.
    for component in reversed(version.components):
        if component:
            sign = 1 if component > 0 else -1
            key += (0, component)
        elif sign:
            key += (sign, 0)
    key.reverse()
    key += (0, 0, -1 if version.revision is None else version.revision)
    return tuple(key)


def newest_first(texts: Iterable[str]) -> list[str]:
    """Version texts sorted as LuaRocks lists them; those that it does not order stay as they were given."""
    return sorted(texts, key=lambda text: sort_key(parse_version(text)), reverse=True)


def is_changing(version: str) -> bool:
    """Whether the version names a line of development, whose files are published over and over."""
    return version.startswith(_UNRELEASED)
