"""Where a zip's central directory is: the end records, which must leave one answer only."""

from __future__ import annotations

import struct

from pumice.archive.member import refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pumice.archive.source import ByPosition

__all__ = ["find_directory", "is_also_zip"]

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_LONGEST_COMMENT = 0xFFFF


def is_also_zip(source: ByPosition) -> bool:
    """Whether a zip's end record closes this file: then it is a zip, too, whatever else it may be."""
    tail = _tail(source)
    return any(True for _ in _end_records(tail))


def _tail(source: ByPosition) -> bytes:
    start = max(0, source.size - _END.size - _LONGEST_COMMENT)
    return source.at(start, source.size - start)


def _end_records(tail: bytes) -> Iterator[int]:
    """Positions in `tail` of end records whose comment reaches exactly to the end."""
    at = tail.rfind(b"PK\5\6")
    while at >= 0:
        if len(tail) - at >= _END.size and at + _END.size + _END.unpack_from(tail, at)[7] == len(tail):
            yield at
        at = tail.rfind(b"PK\5\6", 0, at)


def find_directory(source: ByPosition) -> tuple[int, int, int]:
    """How many members, and from where to where the central directory lies. Raises ArchiveError."""
    head = source.at(0, 512)
    if head[:4] != b"PK\3\4" and head[:4] != b"PK\5\6":
        raise refused(source.path, "it is no zip archive, or something stands before it")
    if _is_tar_header(head):
        raise refused(source.path, "it is a zip and a tar archive at once")
    tail = _tail(source)
    ends = list(_end_records(tail))
    if not ends:
        raise refused(source.path, "it is cut off, or something follows its end")
    at = ends[0]
    if len(ends) > 1 or b"PK\1\2" in tail[at + 4 :] or b"PK\5\6" in tail[at + 4 :]:
        raise refused(source.path, "it has two ends")
    _, disk, first_disk, count_here, count, size, offset, _ = _END.unpack_from(tail, at)
    end_at = source.size - len(tail) + at
    directory_end = end_at
    if end_at >= _LOCATOR64.size and source.at(end_at - _LOCATOR64.size, 4) == b"PK\6\7":
        directory_end = end_at - _LOCATOR64.size - _END64.size
        _, locator_disk, end64_at, disks = _LOCATOR64.unpack(
            source.at(end_at - _LOCATOR64.size, _LOCATOR64.size)
        )
        if directory_end < 0 or end64_at != directory_end or locator_disk != 0 or disks != 1:
            raise refused(source.path, "its zip64 end record is not where it should be")
        signature, length, _, _, disk64, first64, count_here64, count64, size64, offset64 = _END64.unpack(
            source.at(end64_at, _END64.size)
        )
        short = (disk, first_disk, count_here, count, size, offset)
        long = (disk64, first64, count_here64, count64, size64, offset64)
        unset = (0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
        if (
            signature != b"PK\6\6"
            or length != _END64.size - 12
            or any(a not in (b, none) for a, b, none in zip(short, long, unset, strict=True))
        ):
            raise refused(source.path, "its zip64 end record contradicts the other")
        disk, first_disk, count_here, count, size, offset = long
    if disk != 0 or first_disk != 0 or count_here != count:
        raise refused(source.path, "it is a part of an archive on several disks")
    if offset + size != directory_end:
        raise refused(source.path, "its directory is not where its end record says")
    return count, offset, directory_end


def _is_tar_header(block: bytes) -> bool:
    """Whether tar would take this first block for a header: its checksum is right."""
    if len(block) < 512:
        return False
    try:
        stated = int(block[148:156].strip(b" \0"), 8)
    except ValueError:
        return False
    return stated == sum(block[:148]) + 8 * 32 + sum(block[156:])
