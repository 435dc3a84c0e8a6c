"""ZIP archives, read as hostile: everything is validated before anything is used.

A zip says most things twice (local headers and central directory), and tools differ in which they believe.
This reader takes only archives in which nothing can be believed in two ways: both headers agree, members lie
one after the other from the first byte to the directory, the directory reaches to the one end record, and
that reaches to the last byte. What Info-ZIP, Python, git and LuaRocks write passes: data descriptors, zip64,
archive comments, LuaRocks's dates of month 0 and descriptors without their flag.
"""

from __future__ import annotations

import struct
import zlib

from pumice.archive.member import Limits, refused, shown
from pumice.archive.names import NameSet
from pumice.archive.source import Source, open_source
from pumice.archive.zip_directory import (
    DEFLATED,
    DESCRIPTOR,
    ENCRYPTED,
    PATCH,
    UTF8,
    Record,
    extra_fields,
    read_directory,
    with_zip64,
)
from pumice.archive.zip_end import find_directory
from pumice.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pumice.archive.source import ByPosition

__all__ = ["ZipArchive", "open_zip", "read_member"]

_LOCAL = struct.Struct("<4s5H3L2H")
_CHUNK = 1 << 18


class ZipArchive:
    """A validated zip: its members, and their bytes. Made by `open_zip`."""

    __slots__ = ("_records", "_source", "members", "path")

    def __init__(self, source: Source, records: list[Record]) -> None:
        self.path = source.path
        self.members = tuple(record.member for record in records)
        self._source = source
        self._records = {record.member.name: record for record in records}

    def read(self, name: str) -> bytes:
        """The bytes of the file `name`, with size and CRC checked. Raises ArchiveError, NotFoundError."""
        return b"".join(self.chunks(name))

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of the file `name` piece by piece; only when the last has come have they been checked."""
        record = self._records.get(name)
        if record is None or record.member.kind != "file":
            raise NotFoundError(f"{self.path} has no file {shown(name)}")
        return _contents(self._source, record)

    def close(self) -> None:
        """Gives the file back. A small archive stays readable."""
        self._source.close()

    def __enter__(self) -> ZipArchive:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


def open_zip(path: str, limits: Limits = Limits()) -> ZipArchive:  # noqa: B008 - a frozen value
    """Opens the zip at `path`, all of its structure validated; the contents are checked as they are read.

    Raises ArchiveError if it is broken, hostile or over the limits, NotFoundError if it is not there.
    """
    source = open_source(path)
    try:
        return ZipArchive(source, _validated(source, limits))
    except BaseException:
        source.close()
        raise


def read_member(source: ByPosition, name: str, limits: Limits) -> bytes:
    """The bytes of the file `name`, with as little as possible read of the rest.

    What is read is judged as by `open_zip`, so that wherever that takes the whole, both give the same bytes;
    the places of other members are not looked at. Raises ArchiveError, NotFoundError, and what `source` does.
    """
    records, directory_at = _directory(source, limits)
    names = NameSet(source.path)
    found = None
    for record in records:
        names.add(record.member.name, record.member.kind)
        if record.member.name == name and record.member.kind == "file":
            found = record
    if found is None:
        raise NotFoundError(f"{source.path} has no file {shown(name)}")
    if found.compressed > directory_at or _check_local(source, found) > directory_at:
        raise refused(source.path, f"its members overlap, at {shown(name)}")
    return b"".join(_contents(source, found))


def _directory(source: ByPosition, limits: Limits) -> tuple[list[Record], int]:
    """The lines of the central directory, and where it begins."""
    count, directory_at, directory_end = find_directory(source)
    if count > limits.count:
        raise refused(source.path, f"it has {count} members, more than {limits.count}")
    directory = source.at(directory_at, directory_end - directory_at)
    return read_directory(source.path, directory, count, directory_end, limits), directory_at


def _validated(source: Source, limits: Limits) -> list[Record]:
    records, directory_at = _directory(source, limits)
    _check_places(source, records, directory_at)
    _check_names(source, records)
    return records


def _check_places(source: ByPosition, records: list[Record], directory_at: int) -> None:
    """Members must lie one after the other, without overlap or gap, each under a local header that agrees."""
    ordered = sorted(records, key=lambda record: record.offset)
    starts = [record.offset for record in ordered] + [directory_at]
    if starts[0] != 0:
        raise refused(source.path, "it holds bytes that belong to no member")
    for record, following in zip(ordered, starts[1:], strict=True):
        end = _check_local(source, record)
        if end > following:
            raise refused(source.path, f"its members overlap, at {shown(record.member.name)}")
        if not _is_descriptor(source, record, end, following - end):
            raise refused(
                source.path, f"the bytes after the member {shown(record.member.name)} belong to no member"
            )


def _check_local(source: ByPosition, record: Record) -> int:
    """Compares a local header with the directory; sets where the data start, and gives where they end."""
    name_length = len(record.raw_name)
    header = source.at(record.offset, _LOCAL.size + name_length)
    shown_name = shown(record.member.name)
    if len(header) < _LOCAL.size + name_length or header[:4] != b"PK\3\4":
        raise refused(source.path, f"the member {shown_name} is not where the directory says")
    _, _, flags, method, _, _, crc, compressed, size, local_name_length, extra_length = _LOCAL.unpack_from(
        header
    )
    extra_at = record.offset + _LOCAL.size + name_length
    if local_name_length != name_length or header[_LOCAL.size :] != record.raw_name:
        raise refused(source.path, f"the member {shown_name} has another name in its own header")
    raw_extra = source.at(extra_at, extra_length) if extra_length else b""
    extra = extra_fields(source.path, record.raw_name, raw_extra)
    relevant = ENCRYPTED | PATCH | DESCRIPTOR | UTF8
    agrees = (flags ^ record.flags) & relevant == 0 and method == record.method
    size, compressed, _, _ = with_zip64(source.path, record.member.name, extra, (size, compressed, 0, 0))
    told_later = (0,) if flags & DESCRIPTOR else ()
    if (
        not agrees
        or crc not in (record.crc, *told_later)
        or compressed not in (record.compressed, *told_later)
        or size not in (record.size, *told_later)
    ):
        raise refused(source.path, f"the member {shown_name} is described in two ways")
    record.start = extra_at + extra_length
    return record.start + record.compressed


def _is_descriptor(source: ByPosition, record: Record, at: int, length: int) -> bool:
    """Whether the `length` bytes after a member's data may be there: none, or its data descriptor."""
    if length == 0:
        return not record.flags & DESCRIPTOR
    short = struct.pack("<3L", record.crc, record.compressed & 0xFFFFFFFF, record.size & 0xFFFFFFFF)
    long = struct.pack("<L2Q", record.crc, record.compressed, record.size)
    signed = b"PK\7\x08"
    # LuaRocks's own writer adds one with a signature and does not say so in the flags.
    allowed = (short, long, signed + short, signed + long) if record.flags & DESCRIPTOR else (signed + short,)
    return length <= len(signed + long) and source.at(at, length) in allowed


def _check_names(source: ByPosition, records: list[Record]) -> None:
    """All names, and the symlinks' targets, which are small contents of their own."""
    names = NameSet(source.path)
    links: dict[str, str] = {}
    for record in records:
        member = record.member
        names.add(member.name, member.kind)
        if member.kind == "symlink":
            target = b"".join(_contents(source, record)).decode("utf-8", "surrogateescape")
            links[member.name] = target
            record.member = member.replace(target=target)
    if links:
        names.check_links(links)


def _contents(source: ByPosition, record: Record) -> Iterator[bytes]:
    """The data of one member, inflated piece by piece, never more than it declares."""
    name = shown(record.member.name)
    inflate = zlib.decompressobj(-zlib.MAX_WBITS) if record.method == DEFLATED else None
    at, end = record.start, record.start + record.compressed
    left = record.size
    crc = 0
    pending = b""
    while True:
        if not pending and at < end:
            pending = source.at(at, min(_CHUNK, end - at))
            if not pending:
                raise refused(source.path, f"the member {name} is cut off")
            at += len(pending)
        if inflate is None:
            piece, pending = pending, b""
            done = at == end
        else:
            try:
                piece = inflate.decompress(pending, _CHUNK)
            except zlib.error:
                raise refused(source.path, f"the contents of the member {name} are broken")
            pending = inflate.unconsumed_tail
            done = inflate.eof
            if not done and not pending and not piece and at == end:
                raise refused(source.path, f"the member {name} is cut off")
        left -= len(piece)
        if left < 0:
            raise refused(source.path, f"the member {name} holds more than it declares")
        crc = zlib.crc32(piece, crc)
        if done:
            break
        if piece:
            yield piece
    if left or at != end or (inflate is not None and inflate.unused_data):
        raise refused(source.path, f"the member {name} holds less than it declares")
    if crc != record.crc:
        raise refused(source.path, f"the contents of the member {name} do not match their checksum")
    yield piece
