"""`SortedLines`: one record a line, found by halving: a question costs the record it asks for.

    pumice-lines 1 <kind> <CRC-32 of the rest>
    <name>\\x1f<record>
    …

The lines are sorted by the bytes of the name. This is the local form of manifests and of graphs; it is made
anew whenever it is missing or damaged, so its format may change with its kind.
"""

from __future__ import annotations

import os
from zlib import crc32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from mmap import mmap

__all__ = ["SEPARATOR", "SortedLines", "format_lines", "open_lines", "parse_lines"]

SEPARATOR = b"\x1f"
_MAPPED = 4 << 20
"""From this size on a file is mapped, not read; below, reading is quicker than importing mmap."""


def format_lines(kind: str, records: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The text for these names and records, none of which may hold a line break, nor a name a separator."""
    body = b"".join([name + SEPARATOR + record + b"\n" for name, record in sorted(records)])
    return b"pumice-lines 1 %s %08x\n" % (kind.encode(), crc32(body)) + body


def open_lines(path: str, kind: str) -> SortedLines | None:
    """The lines in the file at `path`, or None if it is not there, of another kind, or damaged."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        size = os.fstat(descriptor).st_size
        data: bytes | mmap
        if size >= _MAPPED:
            import mmap as mapping

            data = mapping.mmap(descriptor, 0, prot=mapping.PROT_READ)
        else:
            data = os.read(descriptor, size)
    except (OSError, ValueError):
        return None
    finally:
        os.close(descriptor)
    return parse_lines(data, kind)


def parse_lines(data: bytes | mmap, kind: str) -> SortedLines | None:
    """The lines in `data`, or None if they are of another kind, or damaged."""
    start = data.find(b"\n") + 1
    head = data[:start].split()
    if len(head) != 4 or head[:3] != [b"pumice-lines", b"1", kind.encode()]:
        return None
    with memoryview(data) as whole, whole[start:] as body:
        if head[3] != b"%08x" % crc32(body):
            return None
    return SortedLines(data, start)


class SortedLines:
    """The records of a text that `format_lines` wrote. Made by `open_lines` and `parse_lines`."""

    __slots__ = ("_data", "_start")

    def __init__(self, data: bytes | mmap, start: int) -> None:
        self._data = data
        self._start = start

    def find(self, name: str) -> bytes | None:
        """The record of that name, or None."""
        wanted = name.encode("utf-8", "surrogateescape")
        data = self._data
        low, high = self._start, len(data)
        while low < high:
            middle = (low + high) // 2
            line = max(data.rfind(b"\n", low, middle) + 1, low)
            mark = data.find(SEPARATOR, line)
            here = data[line:mark]
            if here == wanted:
                return data[mark + 1 : data.find(b"\n", mark)]
            if here < wanted:
                low = data.find(b"\n", mark) + 1
            else:
                high = line
        return None

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """Every name with its record, by the bytes of the names."""
        data = self._data
        place, size = self._start, len(data)
        while place < size:
            mark = data.find(SEPARATOR, place)
            end = data.find(b"\n", mark)
            yield data[place:mark].decode("utf-8", "surrogateescape"), data[mark + 1 : end]
            place = end + 1
