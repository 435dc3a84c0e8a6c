"""Archives made byte by byte, so that anything in them can be wrong; and a canary that sees what gets out."""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest


class RawZip:
    """Writes zips in which every field can be overridden."""

    @staticmethod
    def extra(kind: int, data: bytes) -> bytes:
        """One extra field."""
        return struct.pack("<2H", kind, len(data)) + data

    @staticmethod
    def member(
        name: bytes,
        data: bytes = b"x",
        *,
        method: int = 0,
        flags: int = 0,
        mode: int = 0o100644,
        host: int = 3,
        attributes: int | None = None,
        extra: bytes = b"",
        local_extra: bytes | None = None,
        descriptor: bytes = b"",
        packed: bytes | None = None,
        local: dict[str, Any] | None = None,
        central: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """A member; `local` and `central` override what one of its two headers says."""
        if packed is None:
            deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
            packed = deflate.compress(data) + deflate.flush() if method == 8 else data
        fields = {
            "name": name,
            "flags": flags,
            "method": method,
            "crc": zlib.crc32(data),
            "compressed": len(packed),
            "size": len(data),
        }
        own = {"attributes": mode << 16 if attributes is None else attributes, "host": host, "disk": 0}
        return {
            "packed": packed,
            "descriptor": descriptor,
            "local": fields | {"extra": extra if local_extra is None else local_extra} | (local or {}),
            "central": fields | own | {"extra": extra} | (central or {}),
        }

    @staticmethod
    def build(
        members: Sequence[dict[str, Any]],
        *,
        prefix: bytes = b"",
        between: bytes = b"",
        before_directory: bytes = b"",
        comment: bytes = b"",
        suffix: bytes = b"",
        end: dict[str, Any] | None = None,
        end64: dict[str, Any] | None = None,
    ) -> bytes:
        """The bytes of a whole zip; `end` and `end64` override the end records (`end64` asks for one)."""
        body = bytearray(prefix)
        directory = bytearray()
        for member in members:
            offset = len(body)
            one, two = member["local"], member["central"]
            body += struct.pack(
                "<4s5H3L2H",
                b"PK\3\4",
                20,
                one["flags"],
                one["method"],
                0,
                0x21,
                one["crc"],
                one["compressed"],
                one["size"],
                len(one["name"]),
                len(one["extra"]),
            )
            body += one["name"] + one["extra"] + member["packed"] + member["descriptor"]
            if member is not members[-1]:
                body += between
            directory += struct.pack(
                "<4s4B4H3L5H2L",
                b"PK\1\2",
                20,
                two["host"],
                20,
                0,
                two["flags"],
                two["method"],
                0,
                0x21,
                two["crc"],
                two["compressed"],
                two["size"],
                len(two["name"]),
                len(two["extra"]),
                0,
                two["disk"],
                0,
                two["attributes"],
                two.get("offset", offset),
            )
            directory += two["name"] + two["extra"]
        body += before_directory
        offset = len(body)
        body += directory
        says = {"count": len(members), "here": len(members), "size": len(directory), "offset": offset}
        says |= {"disk": 0, "first": 0}
        if end64 is not None:
            more = says | end64
            at = len(body)
            body += struct.pack(
                "<4sQ2H2L4Q",
                b"PK\6\6",
                more.get("length", 44),
                45,
                45,
                more["disk"],
                more["first"],
                more["here"],
                more["count"],
                more["size"],
                more["offset"],
            )
            body += struct.pack("<4sLQL", b"PK\6\7", 0, more.get("at", at), 1)
        says |= end or {}
        body += struct.pack(
            "<4s4H2LH",
            b"PK\5\6",
            says["disk"],
            says["first"],
            says["here"],
            says["count"],
            says["size"],
            says["offset"],
            says.get("comment", len(comment)),
        )
        return bytes(body + comment + suffix)

    def of(self, *names: bytes) -> bytes:
        """A sound zip of files with these names, if the names were sound."""
        return self.build([self.member(name) for name in names])


class RawTar:
    """Writes tars in which every field can be overridden."""

    @staticmethod
    def header(
        name: bytes,
        *,
        size: int = 0,
        kind: bytes = b"0",
        mode: int = 0o644,
        target: bytes = b"",
        magic: bytes = b"ustar\x0000",
        prefix: bytes = b"",
        size_field: bytes | None = None,
        checksum: int | None = None,
    ) -> bytes:
        """One header block."""
        fields = name.ljust(100, b"\0") + b"%07o\0%07o\0%07o\0" % (mode, 0, 0)
        fields += (size_field or b"%011o\0" % size) + b"%011o\0" % 0 + b" " * 8 + kind
        fields += (
            target.ljust(100, b"\0")
            + magic.ljust(8, b"\0")
            + bytes(80)
            + prefix.ljust(155, b"\0")
            + bytes(12)
        )
        total = sum(fields) if checksum is None else checksum
        return fields[:148] + b"%06o\0 " % total + fields[156:]

    def file(self, name: bytes, data: bytes = b"x", **fields: Any) -> bytes:
        """A header and its contents, padded."""
        return self.header(name, size=len(data), **fields) + data + bytes(-len(data) % 512)

    def pax(self, kind: bytes = b"x", **records: bytes) -> bytes:
        """A pax header, before the member that it is about."""
        data = b""
        for key, value in records.items():
            body = b" " + key.replace("__", ".").encode() + b"=" + value + b"\n"
            length = len(body) + 1
            while len(str(length)) + len(body) != length:
                length = len(str(length)) + len(body)
            data += str(length).encode() + body
        return self.file(b"PaxHeader", data, kind=kind)

    @staticmethod
    def build(*parts: bytes, end: bytes = bytes(1024)) -> bytes:
        """A whole tar."""
        return b"".join(parts) + end


@pytest.fixture(scope="session")
def zips() -> RawZip:
    """Zips made byte by byte."""
    return RawZip()


@pytest.fixture(scope="session")
def tars() -> RawTar:
    """Tars made byte by byte."""
    return RawTar()


def tree_hash(folder: Path) -> str:
    """Every path, kind, mode and content below `folder`, as one digest."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        digest.update(
            f"{path.relative_to(folder)!s}\0{status.st_mode:o}\0".encode("utf-8", "surrogateescape")
        )
        if path.is_symlink():
            digest.update(os.readlink(path).encode())
        elif path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


class Canary:
    """A directory deep inside another one, whose surroundings must stay as they are."""

    def __init__(self, folder: Path) -> None:
        self.parent = folder / "parent"
        self.inside = self.parent / "a" / "b" / "inside"
        self.inside.mkdir(parents=True)
        (self.parent / "secret").write_text("untouched")
        (self.parent / "a" / "link").symlink_to("../secret")
        self._before = tree_hash(self.parent)

    @property
    def is_untouched(self) -> bool:
        """Whether nothing at all has changed, inside or outside."""
        return tree_hash(self.parent) == self._before

    @property
    def written_outside(self) -> int:
        """How many bytes of names and contents differ outside of `inside`: 0 or 1 for 'any'."""
        for path in sorted(self.inside.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        return 0 if self.is_untouched else 1


@pytest.fixture
def canary(tmp_path: Path) -> Canary:
    """Where hostile archives are unpacked."""
    return Canary(tmp_path / "canary")


@pytest.fixture
def archive(tmp_path: Path) -> Callable[[str, bytes], str]:
    """Writes an archive and gives its path."""

    def write(name: str, data: bytes) -> str:
        path = tmp_path / name
        path.write_bytes(data)
        return str(path)

    return write
