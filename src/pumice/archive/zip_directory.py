"""The lines of a zip's central directory, each judged for itself."""

from __future__ import annotations

import struct

from pumice.archive.member import Limits, Member, refused, shown
from pumice.archive.names import LONGEST_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.archive.member import Kind

__all__ = ["Record", "extra_fields", "read_directory", "with_zip64"]

ENCRYPTED = 0x0001 | 0x0040 | 0x2000
DESCRIPTOR = 0x0008
PATCH = 0x0020
UTF8 = 0x0800
STORED, DEFLATED = 0, 8

_CENTRAL = struct.Struct("<4s4B4H3L5H2L")
_UNIX_HOSTS = (3, 19)
_ZIP64_EXTRA = 0x0001
_UNICODE_PATH_EXTRA = 0x7075


class Record:
    """One line of the central directory, and where its data lie."""

    __slots__ = ("compressed", "crc", "flags", "member", "method", "offset", "raw_name", "size", "start")

    flags: int
    method: int
    crc: int
    compressed: int
    size: int
    offset: int
    """Where the local header is."""
    start: int
    """Where the data are; known once the local header has been read."""
    raw_name: bytes
    member: Member


def read_directory(path: str, directory: bytes, count: int, end: int, limits: Limits) -> list[Record]:
    """The `count` members that the central directory lists, which ends at `end`; their sum is judged, too.

    Raises ArchiveError. Names are not judged here, and the places of the data are unknown yet.
    """
    records: list[Record] = []
    at = 0
    total = 0
    for _ in range(count):
        if at + _CENTRAL.size > len(directory):
            raise refused(path, "its directory holds fewer members than its end record says")
        fields = _CENTRAL.unpack_from(directory, at)
        signature, _, host, _, _, flags, method, _, _, crc, compressed, size = fields[:12]
        name_length, extra_length, comment_length, disk, _, attributes, offset = fields[12:]
        name_at = at + _CENTRAL.size
        extra_at = name_at + name_length
        at = extra_at + extra_length + comment_length
        if signature != b"PK\1\2" or at > len(directory):
            raise refused(path, "its directory is broken")
        raw_name = directory[name_at:extra_at]
        name = _name(path, raw_name, flags)
        extra = extra_fields(path, raw_name, directory[extra_at : extra_at + extra_length])
        size, compressed, offset, disk = with_zip64(path, name, extra, (size, compressed, offset, disk))
        if flags & ENCRYPTED:
            raise refused(path, f"the member {shown(name)} is encrypted")
        if flags & PATCH or method not in (STORED, DEFLATED):
            raise refused(
                path, f"the member {shown(name)} is compressed with method {method}, which few can read"
            )
        if disk != 0 or offset >= end:
            raise refused(path, f"the member {shown(name)} lies outside the file")
        if method == STORED and compressed != size:
            raise refused(path, f"the member {shown(name)} is stored with two sizes")
        if size > limits.member:
            raise refused(path, f"the member {shown(name)} has {size} bytes, more than {limits.member}")
        total += size
        if total > limits.total:
            raise refused(path, f"its members have more than {limits.total} bytes together")
        record = Record()
        record.flags, record.method, record.crc = flags, method, crc
        record.compressed, record.size, record.offset = compressed, size, offset
        record.raw_name = raw_name
        kind, executable = _kind(path, name, host, attributes)
        if kind == "directory" and size:
            raise refused(path, f"the directory {shown(name)} has contents of its own")
        if kind == "symlink" and size > LONGEST_NAME:
            raise refused(path, f"the symlink {shown(name)} leads too far")
        record.member = Member(name.removesuffix("/"), kind, size if kind == "file" else 0, executable)
        records.append(record)
    if at != len(directory):
        raise refused(path, "its directory holds more than its end record says")
    return records


def _name(path: str, raw: bytes, flags: int) -> str:
    try:
        return raw.decode("utf-8", "strict" if flags & UTF8 else "surrogateescape")
    except UnicodeDecodeError:
        raise refused(path, f"the member {_shown_raw(raw)} says that its name is UTF-8, which it is not")


def _shown_raw(name: bytes) -> str:
    return shown(name.decode("utf-8", "surrogateescape"))


def extra_fields(path: str, raw_name: bytes, extra: bytes) -> dict[int, bytes]:
    """The extra fields of one header by their kind. Raises ArchiveError, also for a second name."""
    fields: dict[int, bytes] = {}
    at = 0
    broken = False
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        data = extra[at + 4 : at + 4 + length]
        at += 4 + length
        broken = broken or at > len(extra) or (kind in fields and kind in (_ZIP64_EXTRA, _UNICODE_PATH_EXTRA))
        fields[kind] = data
    if broken or extra[at:].strip(b"\0"):
        raise refused(path, f"the extra fields of the member {_shown_raw(raw_name)} are broken")
    if _UNICODE_PATH_EXTRA in fields and fields[_UNICODE_PATH_EXTRA][5:] != raw_name:
        raise refused(path, f"the member {_shown_raw(raw_name)} has a second name")
    return fields


def with_zip64(
    path: str, name: str, extra: dict[int, bytes], short: tuple[int, int, int, int]
) -> tuple[int, int, int, int]:
    """Size, compressed size, offset and disk: `short`, and the zip64 field for what that leaves open.

    Raises ArchiveError when the field is missing, or tells something else than `short` does.
    """
    unset = (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFF)
    missing = [index for index in range(4) if short[index] == unset[index]]
    data = extra.get(_ZIP64_EXTRA)
    if data is None:
        if missing:
            raise refused(path, f"the member {shown(name)} lacks its zip64 sizes")
        return short
    # Tools write either just the missing fields, or all in order from the first.
    for present in (missing, [0, 1], [0, 1, 2], [0, 1, 2, 3]):
        if not set(missing) <= set(present) or len(data) != sum(4 if index == 3 else 8 for index in present):
            continue
        values = struct.unpack("<" + "".join("L" if index == 3 else "Q" for index in present), data)
        full = list(short)
        for index, value in zip(present, values, strict=True):
            if index not in missing and value != short[index]:
                break
            full[index] = value
        else:
            return full[0], full[1], full[2], full[3]
    raise refused(path, f"the zip64 sizes of the member {shown(name)} contradict the others")


def _kind(path: str, name: str, host: int, attributes: int) -> tuple[Kind, bool]:
    """What a member is, and whether it has an x bit: by its name, its system and its attributes."""
    unix = attributes >> 16
    kind_bits = unix & 0o170000
    is_directory = name.endswith("/")
    if kind_bits == 0o120000:
        if is_directory or host not in _UNIX_HOSTS:
            raise refused(path, f"the member {shown(name)} is a symlink and something else, too")
        return "symlink", False
    if kind_bits not in (0, 0o100000, 0o040000):
        raise refused(path, f"the member {shown(name)} is neither file nor directory nor symlink")
    says_directory = kind_bits == 0o040000 or bool(
        kind_bits == 0 and host not in _UNIX_HOSTS and attributes & 0x10
    )
    if says_directory != is_directory and (kind_bits or says_directory):
        raise refused(path, f"the member {shown(name)} is a directory and something else, too")
    if is_directory:
        return "directory", False
    # LuaRocks's own writer says FAT and 0755 without a kind for every file: that tells nothing.
    return "file", bool(unix & 0o111) and (host in _UNIX_HOSTS or kind_bits != 0)
