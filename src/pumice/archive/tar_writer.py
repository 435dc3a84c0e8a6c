"""Gzipped tar archives, written so that the same content gives the same bytes: on any machine, at any time.

ustar, with a pax header only where a name does not fit; names sorted by their bytes; owner 0 without a name;
one date; modes 0644 and 0755; no directory entries; a gzip header without name or time. The gzip data are
stored unless asked otherwise, for the reason told in `zip_writer`.
"""

from __future__ import annotations

import struct
import zlib

from pumice.archive.zip_writer import sorted_entries
from pumice.base.output import AtomicFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Protocol

    from pumice.archive.member import Entry

    class _Output(Protocol):
        def write(self, data: bytes, /) -> object: ...


__all__ = ["tar_gz_bytes", "write_tar_gz"]

_BLOCK = 512
_RECORD = 20 * _BLOCK
# 1980-01-01 as in our zips; GNU tar warns of anything in 1970.
_TIME = 315_532_800
_LONGEST_STORED = 0xFFFF


def write_tar_gz(
    path: str, entries: Iterable[Entry], *, compress: bool = False, first: str | None = None
) -> None:
    """The file at `path` is a gzipped tar of `entries`, in place of any that was there.

    `first`: the name of the entry that stands before all others, which are sorted. With `compress` it is
    deflated, and the bytes depend on this machine's zlib. Raises ArchiveError for names that no reader should
    take, DiskError or PermissionDenied, and what the entries' own `read` raises; then nothing is left behind.
    """
    ordered = sorted_entries(path, entries)
    ordered.sort(key=lambda pair: pair[0].name != first)
    with AtomicFile(path) as output:
        _write(ordered, output, compress)


def tar_gz_bytes(name: str, entries: Iterable[Entry]) -> bytes:
    """The same archive, stored, in memory; `name` is what errors call it. Raises ArchiveError."""
    from io import BytesIO

    output = BytesIO()
    _write(sorted_entries(name, entries), output, False)
    return output.getvalue()


def _write(ordered: Iterable[tuple[Entry, bytes]], output: _Output, compress: bool) -> None:
    gzip = _Gzip(output, compress)
    for entry, name in ordered:
        data = entry.read()
        gzip.write(_headers(name, len(data), 0o755 if entry.executable else 0o644))
        gzip.write(data)
        gzip.write(bytes(-len(data) % _BLOCK))
    gzip.write(bytes(2 * _BLOCK))
    gzip.write(bytes(-gzip.size % _RECORD))
    gzip.finish()


class _Gzip:
    """A gzip stream on its way to its output: stored in blocks of a fixed size, or deflated."""

    def __init__(self, output: _Output, compress: bool) -> None:
        self.size = 0
        self._output = output
        self._crc = 0
        self._pending = b""
        self._deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS) if compress else None
        output.write(b"\x1f\x8b\x08\0\0\0\0\0\0\xff")

    def write(self, data: bytes) -> None:
        self.size += len(data)
        self._crc = zlib.crc32(data, self._crc)
        if self._deflate:
            self._output.write(self._deflate.compress(data))
            return
        data = self._pending + data
        at = 0
        while len(data) - at > _LONGEST_STORED:
            self._block(data[at : at + _LONGEST_STORED], last=False)
            at += _LONGEST_STORED
        self._pending = data[at:]

    def finish(self) -> None:
        if self._deflate:
            self._output.write(self._deflate.flush())
        else:
            self._block(self._pending, last=True)
        self._output.write(struct.pack("<2L", self._crc, self.size & 0xFFFFFFFF))

    def _block(self, data: bytes, *, last: bool) -> None:
        self._output.write(struct.pack("<B2H", last, len(data), len(data) ^ 0xFFFF))
        self._output.write(data)


def _headers(name: bytes, size: int, mode: int) -> bytes:
    """The header of a file, after a pax header where ustar has no room for the name."""
    prefix, rest = _split(name)
    if len(rest) <= 100:
        return _header(rest, prefix, size, mode, b"0")
    records = b"" if _is_utf8(name) else _record(b"hdrcharset", b"BINARY")
    records += _record(b"path", name)
    extended = _header(b"PaxHeader", b"", len(records), 0o644, b"x") + records + bytes(-len(records) % _BLOCK)
    return extended + _header(b"long-name", b"", size, mode, b"0")


def _split(name: bytes) -> tuple[bytes, bytes]:
    """The name in ustar's two fields; the second is longer than 100 bytes when that cannot be."""
    if len(name) <= 100:
        return b"", name
    cut = name.find(b"/", len(name) - 101)
    if 0 < cut <= 155:
        return name[:cut], name[cut + 1 :]
    return b"", name


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _record(key: bytes, value: bytes) -> bytes:
    """A pax record, whose length counts its own digits."""
    length = len(key) + len(value) + 3
    total = length + len(str(length))
    total = length + len(str(total))
    return b"%d %s=%s\n" % (total, key, value)


def _header(name: bytes, prefix: bytes, size: int, mode: int, kind: bytes) -> bytes:
    fields = (
        name.ljust(100, b"\0")
        + b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, 0, 0, size, _TIME)
        + b" " * 8
        + kind
        + bytes(100)
        + b"ustar\0"
        + b"00"
        + bytes(64)
        + b"%07o\0%07o\0" % (0, 0)
        + prefix.ljust(155, b"\0")
        + bytes(12)
    )
    return fields[:148] + b"%06o\0 " % sum(fields) + fields[156:]
