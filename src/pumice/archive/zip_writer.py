"""ZIP archives, written so that the same content gives the same bytes: on any machine, at any time.

Names sorted by their bytes, one valid date, modes 0644 and 0755, no owners, no directories but empty ones.
Members are stored uncompressed unless asked otherwise: what deflate gives depends on the zlib of the machine
(zlib-ng, Intel's, the hardware of s390x), and no setting of it is promised to be stable
(docs/decisions/0002-archives.md).
"""

from __future__ import annotations

import struct
import zlib

from pumice.archive.member import Entry, refused
from pumice.archive.names import NameSet
from pumice.base.output import AtomicFile
from pumice.errors import ArchiveError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["sorted_entries", "write_zip"]

_DATE = 0x0021  # 1980-01-01, the first that a zip can say
_UNIX = 3
_DIRECTORY = 0x10  # as DOS marks one
_VERSION = 20
_UTF8 = 0x0800
_MOST_MEMBERS = 0xFFFF
_MOST_BYTES = 0xFFFFFFFF


def write_zip(
    path: str, entries: Iterable[Entry], *, compress: bool = False, directories: Iterable[str] = ()
) -> None:
    """The file at `path` is a zip of `entries` and empty `directories`, in place of any that was there.

    With `compress` members are deflated, and the bytes depend on this machine's zlib. Raises ArchiveError for
    names that no reader should take and for more than a plain zip can hold, DiskError or PermissionDenied,
    and what the entries' own `read` raises; then nothing is left behind.
    """
    ordered = sorted_entries(path, entries, directories)
    if len(ordered) > _MOST_MEMBERS:
        raise refused(path, f"a zip that every tool reads holds {_MOST_MEMBERS} files, not {len(ordered)}")
    directory: list[bytes] = []
    offset = 0
    with AtomicFile(path) as output:
        for entry, name in ordered:
            data = entry.read()
            method, packed = 0, data
            if compress:
                deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
                packed = deflate.compress(data) + deflate.flush()
                method = 8
                if len(packed) >= len(data):
                    method, packed = 0, data
            if offset + len(packed) > _MOST_BYTES:
                raise _too_large(path)
            common = struct.pack(
                "<5H3L2H",
                _VERSION,
                _name_flag(name),
                method,
                0,
                _DATE,
                zlib.crc32(data),
                len(packed),
                len(data),
                len(name),
                0,
            )
            output.write(b"PK\3\4" + common + name)
            output.write(packed)
            mode = (0o100755 if entry.executable else 0o100644) << 16
            if name.endswith(b"/"):
                mode = 0o40755 << 16 | _DIRECTORY
            directory.append(
                b"PK\1\2"
                + struct.pack("<2B", _VERSION, _UNIX)
                + common
                + struct.pack("<3H2L", 0, 0, 0, mode, offset)
                + name
            )
            offset += 4 + len(common) + len(name) + len(packed)
        lines = b"".join(directory)
        if offset + len(lines) > _MOST_BYTES:
            raise _too_large(path)
        output.write(lines)
        count = len(ordered)
        output.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(lines), offset, 0))


def sorted_entries(
    path: str, entries: Iterable[Entry], directories: Iterable[str] = ()
) -> list[tuple[Entry, bytes]]:
    """The entries and their names as bytes, sorted; directories end in `/`.

    Raises ArchiveError for names that readers refuse.
    """
    names = NameSet(path)
    ordered = []
    for entry in entries:
        names.add(entry.name, "file")
        ordered.append((entry, entry.name.encode("utf-8", "surrogateescape")))
    for directory in directories:
        names.add(directory, "directory")
        ordered.append((Entry(f"{directory}/", bytes), f"{directory}/".encode("utf-8", "surrogateescape")))
    ordered.sort(key=lambda pair: pair[1])
    return ordered


def _name_flag(name: bytes) -> int:
    """The flag that says a name is UTF-8: only where it is, and is more than ASCII."""
    if name.isascii():
        return 0
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return 0
    return _UTF8


def _too_large(path: str) -> ArchiveError:
    return refused(path, "a zip that every tool reads holds less than 4 GiB")
