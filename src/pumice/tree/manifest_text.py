"""The text of a tree manifest, read and changed entry by entry.

A tree has one manifest for all its rocks, and LuaRocks loads, recomputes, sorts and writes all of it for each
rock. Here only the entries that a command asks for are parsed, and only those that it changes are written;
all others are copied as they stand. That works on the text that LuaRocks and Pumice write: one global at
the margin, its entries at three blanks, one entry a line, sorted by their bytes. `CanonicalText` refuses
any other text with `NotCanonical`, and then the Lua of `pumice.lua.data` has to read it.
"""

from __future__ import annotations

from pumice.tree.manifest_table import NotCanonical, is_plain, read_string

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SECTIONS", "CanonicalText", "Section"]

SECTIONS = ("commands", "dependencies", "modules", "repository")
"""The globals of a tree manifest, in the order of the text."""

_CLOSE = b"\n   }"
_SEARCHED_MISSES = 20
_LINEAR = 4000
_WALKED_AT_ONCE = 300_000


class CanonicalText:
    """The four sections of a manifest. Raises NotCanonical."""

    __slots__ = ("sections",)

    def __init__(self, data: bytes, *, checked: bool = False) -> None:
        if not checked:
            _check_layout(data)
        self.sections: dict[str, Section] = {}
        place = 0
        for name in SECTIONS:
            head = name.encode() + b" = {"
            if not data.startswith(head, place):
                # LuaRocks leaves this one out when it rebuilds the manifest of a tree without rocks.
                if name != "dependencies":
                    raise NotCanonical
                self.sections[name] = Section(b"")
                continue
            place += len(head)
            if data.startswith(b"}\n", place):
                self.sections[name] = Section(b"")
                place += 2
                continue
            end = data.find(b"\n}\n", place)
            if end < 0 or data[place : place + 1] != b"\n":
                raise NotCanonical
            self.sections[name] = Section(data[place + 1 : end])
            place = end + 3
        if place != len(data):
            raise NotCanonical
        # In a large manifest, entries are looked at when they are asked for.
        if len(data) < _WALKED_AT_ONCE and not checked:
            for section in self.sections.values():
                section.walk()

    def render(self) -> bytes:
        """The whole text, with every change made to the sections."""
        parts = []
        for name in SECTIONS:
            body = self.sections[name].render()
            parts.append(name.encode() + (b" = {\n" + body + b"\n}\n" if body else b" = {}\n"))
        return b"".join(parts)


def _check_layout(data: bytes) -> None:
    """Raise NotCanonical unless every line is indented by threes and nothing spans lines."""
    if b"\t" in data or b"\r" in data or b"[[" in data or b"[=" in data or b"--" in data:
        raise NotCanonical
    # With every three blanks made one tab, a blank after a tab or a line break is one too many.
    folded = data.replace(b"   ", b"\t")
    for sign in (b"\t ", b"\n ", b"{ ", b"\\\n", b";\n"):
        if sign in folded:
            raise NotCanonical


class Section:
    """The entries of one global: texts like `   key = {…}`, joined by a comma and a line break.

    An entry is found by halving; after some look-ups, or when all are asked for, one walk makes an index.
    """

    __slots__ = ("_absent", "_body", "_changes", "_index", "_order")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._changes: dict[bytes, bytes | None] = {}
        self._index: dict[bytes, tuple[int, int]] | None = None
        self._order: list[bytes] = []
        self._absent: set[bytes] = set()

    def get(self, key: str) -> bytes | None:
        """The value of an entry as text, from `{` to `}`, or None."""
        raw = key.encode("utf-8", "surrogateescape")
        if raw in self._changes:
            return self._changes[raw]
        span = self._find(raw)
        return None if span is None else self._value(span)

    def set(self, key: str, value: bytes | None) -> None:
        """Give an entry another value, laid out as it will stand, or with None take it away."""
        self._changes[key.encode("utf-8", "surrogateescape")] = value

    def keys(self) -> list[str]:
        """The keys of all entries, sorted by their bytes."""
        found = self._walked()
        if not self._changes:
            return [key.decode("utf-8", "surrogateescape") for key in found]
        return [
            key.decode("utf-8", "surrogateescape")
            for key in sorted({*found, *self._changes})
            if self._changes.get(key, b"") is not None
        ]

    def items(self) -> Iterator[tuple[str, bytes]]:
        """Every key with the text of its value, sorted."""
        for key in self.keys():
            yield key, self.get(key) or b"{}"

    def keys_with(self, needle: bytes) -> list[str]:
        """The keys of the entries in whose text `needle` stands: a search, not a walk."""
        found = []
        place = self._body.find(needle)
        while place >= 0:
            start = self._entry_start(place)
            key, end, _ = self._entry(start)
            if key not in self._changes:
                found.append(key)
            place = self._body.find(needle, end)
        found += [key for key, value in self._changes.items() if value is not None and needle in value]
        return [key.decode("utf-8", "surrogateescape") for key in found]

    def walk(self) -> None:
        """Make the index. Raises NotCanonical if an entry is not laid out as LuaRocks does it."""
        self._walked()

    def render(self) -> bytes:
        """The entries as text, changed ones in their sorted places, the others copied in long runs."""
        if not self._changes:
            return self._body
        # The first look-ups may put the body in order, so places are asked for after all of them.
        spans = {key: self._find(key) for key in self._changes}
        spans = {key: self._find(key) for key in spans}
        body = self._body
        parts: list[bytes] = []
        copied = 0
        for key in sorted(self._changes):
            value = self._changes[key]
            span = spans[key]
            start, end = span if span is not None else (self._place_for(key),) * 2
            if start > copied:
                run = body[copied:start]
                parts.append(run[:-2] if run.endswith(b",\n") else run)
            if value is not None:
                parts.append(b"   " + _format_key(key) + b" = " + value)
            copied = end if span is None else end + 2
        if copied < len(body):
            parts.append(body[copied:])
        return b",\n".join(part for part in parts if part)

    def _value(self, span: tuple[int, int]) -> bytes:
        start, end = span
        return self._body[self._entry(start)[2] : end]

    def _find(self, key: bytes) -> tuple[int, int] | None:
        """(start, end) of the entry of `key` in the body, its comma not included."""
        if self._index is not None:
            return self._index.get(key)
        place = self._place_for(key)
        if place < len(self._body):
            found, end, _ = self._entry(place)
            if found == key:
                return place, end
        if key in self._absent:
            return None
        # Halving saw some neighbours only, and would miss an entry that is out of order: look through all.
        self._absent.add(key)
        head = b"   " + _format_key(key) + b" = {"
        seen = self._body.startswith(head) or self._body.find(b"\n" + head) >= 0
        return self._walked().get(key) if seen or len(self._absent) > _SEARCHED_MISSES else None

    def _place_for(self, key: bytes) -> int:
        """Where the first entry whose key is not below `key` begins, or the end of the body."""
        if self._index is not None:
            from bisect import bisect_left

            number = bisect_left(self._order, key)
            return self._index[self._order[number]][0] if number < len(self._order) else len(self._body)
        low, high = 0, len(self._body)
        while high - low > _LINEAR:
            start = self._entry_after((low + high) // 2)
            if start >= high:
                break
            if self._entry(start)[0] <= key:
                low = start
            else:
                high = start
        while low < len(self._body):
            found, end, _ = self._entry(low)
            if found >= key:
                return low
            low = end + 2
        return len(self._body)

    def _entry_after(self, place: int) -> int:
        """Where an entry begins, at `place` or later; the end of the body if there is none."""
        close = self._body.find(_CLOSE, place)
        end = self._body.find(b"\n", close + 1) if close >= 0 else -1
        return end + 1 if end >= 0 else len(self._body)

    def _entry_start(self, place: int) -> int:
        """Where the entry begins in which `place` lies."""
        start = self._body.rfind(_CLOSE, 0, place)
        start = self._body.find(b"\n", start + 1) + 1 if start >= 0 else 0
        while True:
            end = self._entry(start)[1]
            if place < end:
                return start
            start = end + 2

    def _entry(self, start: int) -> tuple[bytes, int, int]:
        """(key, end, start of the value) of the entry that begins at `start`. Raises NotCanonical."""
        body = self._body
        if body[start : start + 5] == b'   ["':
            head = body.find(b'"] = {', start + 5) + 2
            key = body[start + 5 : head - 2]
            if b"\\" in key or b"\n" in key or head < 2:
                key, head = _read_key(body, start)
        else:
            head = body.find(b" = {", start)
            key = body[start + 3 : head]
            if head < 0 or body[start : start + 3] != b"   " or not is_plain(key):
                raise NotCanonical
        if body[head + 4 : head + 5] == b"}":
            end = head + 5
        else:
            end = body.find(_CLOSE, head) + 5
            if end < 5 or body[head + 4 : head + 5] != b"\n":
                raise NotCanonical
        if body[end : end + 2] not in (b",\n", b""):
            raise NotCanonical
        return key, end, head + 3

    def _walked(self) -> dict[bytes, tuple[int, int]]:
        """The index: key → (start, end), in order. Of doubled keys the last one counts, as in Lua."""
        if self._index is None:
            body, entry, find = self._body, self._entry, self._body.find
            index: dict[bytes, tuple[int, int]] = {}
            place, end_of_body = 0, len(body)
            previous = b""
            in_order = True
            while place < end_of_body:
                # The usual entry, taken apart without a call; anything else is for `_entry` to judge.
                head = find(b" = {\n", place)
                key = body[place + 3 : head]
                plain = key[:1] != b"["
                if not plain:
                    key = key[2:-2]
                end = find(_CLOSE, head) + 5
                if (
                    head < 0
                    or body[place : place + 3] != b"   "
                    or not (plain or (body.startswith(b'["', place + 3) and body.startswith(b'"]', head - 2)))
                    or b" " in key
                    or b'"' in key
                    or b"\\" in key
                    or b"\n" in key
                    or end < 5
                    or (body[end : end + 2] != b",\n" and end != end_of_body)
                ):
                    key, end, _ = entry(place)
                in_order = in_order and (previous < key or not index)
                previous = key
                index[key] = (place, end)
                place = end + 2
            if not in_order:
                self._body = b",\n".join(body[slice(*index[key])] for key in sorted(index))
                return self._walked()
            self._index, self._order = index, list(index)
        return self._index


def _format_key(key: bytes) -> bytes:
    if is_plain(key):
        return key
    return b'["' + key.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"]'


def _read_key(body: bytes, start: int) -> tuple[bytes, int]:
    """The key in brackets of the entry at `start`, and where ` = {` stands behind it."""
    end = body.find(b"\n", start)
    line = body[start : end if end >= 0 else len(body)].decode("utf-8", "surrogateescape")
    key, place = read_string(line, 4)
    if not line.startswith("] = {", place):
        raise NotCanonical
    return key.encode("utf-8", "surrogateescape"), start + len(
        line[: place + 1].encode("utf-8", "surrogateescape")
    )
