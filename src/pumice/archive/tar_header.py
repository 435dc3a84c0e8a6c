"""One header block of a tar archive, and the extended headers (pax, GNU) that stand before it."""

from __future__ import annotations

from pumice.archive.member import refused, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BLOCK", "Header", "pax_records", "read_header"]

BLOCK = 512


class Header:
    """The fields of a header block that matter here."""

    __slots__ = ("kind", "mode", "name", "size", "target")

    def __init__(self, name: str, mode: int, size: int, kind: str, target: str) -> None:
        self.name = name
        self.mode = mode
        self.size = size
        self.kind = kind
        """The type flag: "0" a file, "5" a directory, "x" extended, …"""
        self.target = target


def read_header(path: str, block: bytes) -> Header:
    """The header in a block of 512 bytes: v7, ustar or GNU. Raises ArchiveError (`path` is the archive's)."""
    try:
        stated = _number(block[148:156])
    except ValueError:
        stated = -1
    blank = block[:148] + b" " * 8 + block[156:]
    # Some old tools summed signed bytes.
    if stated != sum(blank) and stated != sum(byte - 256 if byte > 127 else byte for byte in blank):
        raise refused(path, "it is no tar archive, or a header in it is broken")
    name = _text(block[:100])
    if block[257:263] == b"ustar\0" and block[345]:
        name = f"{_text(block[345:500])}/{name}"
    try:
        mode, size = _number(block[100:108]), _number(block[124:136])
    except ValueError:
        raise refused(path, f"the header of the member {shown(name)} is broken")
    if size < 0:
        raise refused(path, f"the member {shown(name)} has a negative size")
    kind = chr(block[156]) if block[156] else "0"
    if kind == "7":
        kind = "0"
    return Header(name, mode, size, kind, _text(block[157:257]))


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _number(field: bytes) -> int:
    """A number in octal digits, or GNU's base 256."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big")
        bits = 8 * len(field)
        # The first bit marks the encoding; the second is the sign.
        return (value & ~(1 << (bits - 1))) if not field[0] & 0x40 else value - (1 << bits)
    digits = field.split(b"\0", 1)[0].strip()
    if not digits:
        return 0
    if digits.strip(b"01234567"):
        raise ValueError(digits)
    return int(digits, 8)


def pax_records(path: str, data: bytes) -> Iterator[tuple[str, str]]:
    """The records `length key=value` of a pax header. Raises ArchiveError."""
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 12)
        digits = data[at:space] if space > 0 else b""
        end = at + int(digits) if digits.isdigit() else 0
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not at < space < end <= len(data) or not equals or data[end - 1 : end] != b"\n":
            raise refused(path, "an extended header in it is broken")
        yield key.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape")
        at = end
