"""Zips that must be refused, and odd ones that must not be: as a zip, as a rock and as a source rock."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from pumice.archive.unpack import unpack
from pumice.errors import ArchiveError
from pumice.rock.rockfile import open_rock, open_source_rock

adversary = pytest.mark.adversary


def _descriptor(data: bytes, *, signature: bytes = b"PK\7\x08", crc: int | None = None) -> bytes:
    return signature + struct.pack("<3L", zlib.crc32(data) if crc is None else crc, len(data), len(data))


def _later(z: Any, name: bytes, data: bytes, descriptor: bytes) -> Any:
    later = {"crc": 0, "compressed": 0, "size": 0}
    return z.member(name, data, flags=8, local=later, descriptor=descriptor)


def _zip64(z: Any, *values: int) -> bytes:
    return z.extra(1, struct.pack(f"<{len(values)}Q", *values))


def _unicode_path(z: Any, header: bytes, other: bytes) -> bytes:
    return z.extra(0x7075, b"\1" + struct.pack("<L", zlib.crc32(header)) + other)


def _as_tar_too(z: Any, tars: Any) -> bytes:
    """A zip whose first member hides a tar's header: the zip's header is the tar member's name."""
    start = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 0x21, zlib.crc32(b""), 0, 0, 1, 4 + 512)
    block = bytearray(tars.header(b"", kind=b"0"))
    block[: len(start) + 5] = start + b"a" + struct.pack("<2H", 0x9999, 512)[:4]
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return z.build(
        [z.member(b"a", b"", local_extra=bytes(block[len(start) + 1 :])[: 4 + 512].ljust(516, b"\0"))]
    )


REFUSED: list[Any] = [
    pytest.param(lambda z, t: z.of(b"../evil"), marks=adversary(1), id="parent"),
    pytest.param(lambda z, t: z.of(b"a/../../../evil"), marks=adversary(1), id="parent-inside"),
    pytest.param(lambda z, t: z.of(b"a/.."), marks=adversary(1), id="parent-last"),
    pytest.param(lambda z, t: z.of(b"/tmp/evil"), marks=adversary(2), id="absolute"),
    pytest.param(lambda z, t: z.of(b"//host/evil"), marks=adversary(2), id="absolute-twice"),
    pytest.param(lambda z, t: z.of(b"..\\evil"), marks=adversary(3), id="backslash-parent"),
    pytest.param(lambda z, t: z.of(b"a\\b"), marks=adversary(3), id="backslash"),
    pytest.param(lambda z, t: z.of(b"C:/evil"), marks=adversary(3), id="drive"),
    pytest.param(lambda z, t: z.of(b"c:evil"), marks=adversary(3), id="drive-relative"),
    pytest.param(
        lambda z, t: z.build([z.member(b"l", b"/etc", mode=0o120777), z.member(b"l/passwd")]),
        marks=adversary(6, 9),
        id="file-through-symlink",
    ),
    pytest.param(
        lambda z, t: z.build([z.member(b"l", b"../..", mode=0o120777)]),
        marks=adversary(8),
        id="symlink-outside",
    ),
    pytest.param(
        lambda z, t: z.build(
            [
                z.member(b"d/one", b".", mode=0o120777),
                z.member(b"two", b"d/one/../..", mode=0o120777),
            ]
        ),
        marks=adversary(8),
        id="symlink-through-symlink",
    ),
    pytest.param(lambda z, t: z.build([z.member(b"p", mode=0o010644)]), marks=adversary(10), id="pipe"),
    pytest.param(lambda z, t: z.build([z.member(b"s", mode=0o140644)]), marks=adversary(10), id="socket"),
    pytest.param(lambda z, t: z.build([z.member(b"d", mode=0o060644)]), marks=adversary(10), id="device"),
    pytest.param(lambda z, t: z.of(b"a", b"a/b"), marks=adversary(13), id="file-then-directory"),
    pytest.param(lambda z, t: z.of(b"a/b", b"a"), marks=adversary(13), id="directory-then-file"),
    pytest.param(
        lambda z, t: z.build([z.member(b"a/", b"data", mode=0o040755)]),
        marks=adversary(13),
        id="directory-data",
    ),
    pytest.param(
        lambda z, t: z.build([z.member(b"a", b"", mode=0o040755)]),
        marks=adversary(13),
        id="directory-no-slash",
    ),
    pytest.param(
        lambda z, t: z.build([z.member(b"a", b"", host=0, attributes=0x10)]),
        marks=adversary(13),
        id="fat-directory-no-slash",
    ),
    pytest.param(lambda z, t: z.of(b"a", b"a"), marks=adversary(14), id="twice"),
    pytest.param(
        lambda z, t: z.build([z.member(b"a/", b"", mode=0o040755)] * 2),
        marks=adversary(14),
        id="directory-twice",
    ),
    pytest.param(lambda z, t: z.of(b"Read", b"read"), marks=adversary(15), id="case"),
    pytest.param(lambda z, t: z.of(b"Lua/x", b"lua"), marks=adversary(15), id="case-of-directory"),
    pytest.param(lambda z, t: z.of("é".encode(), "e\u0301".encode()), marks=adversary(15), id="nfc-nfd"),
    pytest.param(lambda z, t: z.of("straße".encode(), b"STRASSE"), marks=adversary(15), id="case-folding"),
    pytest.param(lambda z, t: z.of(b"a", b"a."), marks=adversary(15), id="trailing-dot"),
    pytest.param(lambda z, t: z.of(b"a\0b"), marks=adversary(16), id="nul"),
    pytest.param(lambda z, t: z.of(b"a\nb"), marks=adversary(16), id="newline"),
    pytest.param(lambda z, t: z.of(b"a\x1b[2Jb"), marks=adversary(16), id="escape"),
    pytest.param(lambda z, t: z.of("a\u0085b".encode()), marks=adversary(16), id="c1-control"),
    pytest.param(lambda z, t: z.of(b"x" * 256), marks=adversary(16), id="long-part"),
    pytest.param(lambda z, t: z.of("é".encode() * 128), marks=adversary(16), id="long-part-in-bytes"),
    pytest.param(lambda z, t: z.of(b"con"), marks=adversary(17), id="windows-con"),
    pytest.param(lambda z, t: z.of(b"a/NUL.txt"), marks=adversary(17), id="windows-nul"),
    pytest.param(lambda z, t: z.of(b"com1.lua/x"), marks=adversary(17), id="windows-com1"),
    pytest.param(lambda z, t: z.of(b"."), marks=adversary(18), id="dot"),
    pytest.param(lambda z, t: z.of(b""), marks=adversary(18), id="empty"),
    pytest.param(lambda z, t: z.of(b"/"), marks=adversary(18), id="slash"),
    pytest.param(lambda z, t: z.of(b"a/./b"), marks=adversary(18), id="dot-inside"),
    pytest.param(lambda z, t: z.of(b"a//b"), marks=adversary(18), id="empty-part"),
    pytest.param(lambda z, t: z.of(b".../b"), marks=adversary(18), id="dots"),
    pytest.param(
        lambda z, t: z.build([z.member(b"safe", local={"name": b"evil"})]),
        marks=adversary(19),
        id="two-names",
    ),
    pytest.param(
        lambda z, t: z.build([z.member(b"a", local={"size": 2})]), marks=adversary(19), id="two-sizes"
    ),
    pytest.param(
        lambda z, t: z.build([z.member(b"a", local={"compressed": 9})]), marks=adversary(19), id="two-lengths"
    ),
    pytest.param(
        lambda z, t: z.build([z.member(b"a", local={"crc": 1})]), marks=adversary(19), id="two-crcs"
    ),
    pytest.param(
        lambda z, t: z.build([z.member(b"a", local={"method": 8})]), marks=adversary(19), id="two-methods"
    ),
    pytest.param(
        lambda z, t: z.build([z.member(b"a", local={"flags": 0x800})]), marks=adversary(19), id="two-charsets"
    ),
    pytest.param(
        lambda z, t: z.build([z.member(b"a", local={"flags": 1})]),
        marks=adversary(19, 23),
        id="local-encrypted",
    ),
    pytest.param(
        lambda z, t: z.build([z.member(b"a", extra=_unicode_path(z, b"a", b"../b"))]),
        marks=adversary(19),
        id="unicode-path",
    ),
    pytest.param(
        lambda z, t: z.build([z.member(b"a", local_extra=_unicode_path(z, b"a", b"b"))]),
        marks=adversary(19),
        id="local-unicode-path",
    ),
    pytest.param(
        lambda z, t: z.build([_later(z, b"a", b"xy", _descriptor(b"xy", crc=1))]),
        marks=adversary(19),
        id="descriptor-lies",
    ),
    pytest.param(
        lambda z, t: z.build([_later(z, b"a", b"xy", b"")]), marks=adversary(19), id="no-descriptor"
    ),
    pytest.param(lambda z, t: z.of(b"a")[:22] + z.of(b"a"), marks=adversary(20), id="prefix-of-a-zip"),
    pytest.param(lambda z, t: b"#!/bin/sh\n" + z.of(b"a"), marks=adversary(20), id="prefix"),
    pytest.param(
        lambda z, t: z.build([z.member(b"a")], prefix=b"#!/bin/sh\n"),
        marks=adversary(20),
        id="prefix-adjusted",
    ),
    pytest.param(lambda z, t: z.of(b"a") + b"more", marks=adversary(20), id="suffix"),
    pytest.param(lambda z, t: z.of(b"a") + z.of(b"b"), marks=adversary(20), id="two-zips"),
    pytest.param(
        lambda z, t: z.build([z.member(b"a")], comment=z.of(b"b")), marks=adversary(20), id="zip-in-comment"
    ),
    pytest.param(
        lambda z, t: z.build([z.member(b"a")], comment=b"PK\5\6" + bytes(18)),
        marks=adversary(20),
        id="two-ends",
    ),
    pytest.param(
        lambda z, t: z.build([z.member(b"a"), z.member(b"b")], between=b"hidden"),
        marks=adversary(20),
        id="gap",
    ),
    pytest.param(
        lambda z, t: z.build([z.member(b"a")], before_directory=b"hidden"),
        marks=adversary(20),
        id="gap-before-directory",
    ),
    pytest.param(lambda z, t: z.build([], prefix=b"PK\3\4hidden"), marks=adversary(20), id="no-members"),
    pytest.param(lambda z, t: z.of(b"a")[:-1], marks=adversary(20), id="cut-off"),
    pytest.param(lambda z, t: z.of(b"a")[:-30], marks=adversary(20), id="cut-off-directory"),
    pytest.param(
        lambda z, t: z.build([z.member(b"a"), z.member(b"b")], end={"count": 1, "here": 1}),
        marks=adversary(20),
        id="one-member-hidden",
    ),
    pytest.param(
        lambda z, t: z.build([z.member(b"a")], end={"count": 2, "here": 2}), marks=adversary(20), id="too-few"
    ),
    pytest.param(lambda z, t: z.build([z.member(b"a")], end={"disk": 1}), marks=adversary(20), id="disks"),
    pytest.param(
        lambda z, t: z.build([z.member(b"a", central={"size": 0xFFFFFFFF})]),
        marks=adversary(21),
        id="no-zip64",
    ),
    pytest.param(
        lambda z, t: z.build([z.member(b"a", extra=_zip64(z, 5, 5))]),
        marks=adversary(21),
        id="zip64-other-size",
    ),
    pytest.param(
        lambda z, t: z.build([z.member(b"a", central={"size": 0xFFFFFFFF}, extra=_zip64(z, 1, 1, 0, 0))]),
        marks=adversary(21),
        id="zip64-too-long",
    ),
    pytest.param(
        lambda z, t: z.build(
            [z.member(b"a", central={"size": 0xFFFFFFFF, "extra": _zip64(z, 1 << 40)}, local_extra=b"")]
        ),
        marks=adversary(21),
        id="zip64-huge",
    ),
    pytest.param(
        lambda z, t: z.build([z.member(b"a")], end64={"count": 5}),
        marks=adversary(21),
        id="zip64-other-count",
    ),
    pytest.param(
        lambda z, t: z.build([z.member(b"a")], end64={"offset": 1}, end={"offset": 0xFFFFFFFF}),
        marks=adversary(21),
        id="zip64-other-offset",
    ),
    pytest.param(
        lambda z, t: z.build([z.member(b"a")], end64={"at": 3}), marks=adversary(21), id="zip64-elsewhere"
    ),
    pytest.param(
        lambda z, t: z.build([z.member(b"a")], end64={"length": 80}),
        marks=adversary(21),
        id="zip64-longer-record",
    ),
    pytest.param(
        lambda z, t: z.build([z.member(b"a", extra=b"\1\0\x40\0x")]), marks=adversary(21), id="broken-extra"
    ),
    pytest.param(lambda z, t: z.build([z.member(b"a", flags=1)]), marks=adversary(23), id="encrypted"),
    pytest.param(
        lambda z, t: z.build([z.member(b"a", flags=0x41)]), marks=adversary(23), id="strong-encryption"
    ),
    pytest.param(
        lambda z, t: z.build([z.member(b"a", flags=0x2000)]), marks=adversary(23), id="masked-headers"
    ),
    pytest.param(lambda z, t: z.build([z.member(b"a", flags=0x20)]), marks=adversary(23), id="patch"),
    pytest.param(lambda z, t: z.build([z.member(b"a", method=12)]), marks=adversary(23), id="bzip2"),
    pytest.param(lambda z, t: z.build([z.member(b"a", method=99)]), marks=adversary(23), id="aes"),
    pytest.param(lambda z, t: z.build([z.member(b"a", method=1)]), marks=adversary(23), id="shrunk"),
    pytest.param(_as_tar_too, marks=adversary(24), id="also-tar"),
    pytest.param(
        lambda z, t: z.build([z.member(b"a"), z.member(b"b", central={"offset": 0})]),
        marks=adversary(27),
        id="one-header-for-two",
    ),
    pytest.param(lambda z, t: z.build([z.member(b"\xff", flags=0x800)]), id="not-utf-8"),
    pytest.param(lambda z, t: z.of(b"d/" * 4999 + b"f"), marks=adversary(30), id="deep"),
    pytest.param(lambda z, t: z.of(b"d/" * 150 + b"f"), marks=adversary(30), id="rather-deep"),
    pytest.param(lambda z, t: b"", id="empty-file"),
    pytest.param(lambda z, t: b"PK\3\4", id="signature-only"),
    pytest.param(lambda z, t: b"<html>log in</html>", id="web-page"),
]

# The reason that each is refused for, so that none is refused for another's fault.
REASONS: dict[str, str] = {
    "parent": "leads outside with",
    "parent-inside": "leads outside with",
    "parent-last": "leads outside with",
    "absolute": "has an absolute path",
    "absolute-twice": "has an absolute path",
    "backslash-parent": "has a backslash in its name",
    "backslash": "has a backslash in its name",
    "drive": "names a drive",
    "drive-relative": "names a drive",
    "file-through-symlink": "is a directory and something else, too",
    "file-then-directory": "is a directory and something else, too",
    "directory-then-file": "is a directory and something else, too",
    "directory-no-slash": "is a directory and something else, too",
    "fat-directory-no-slash": "is a directory and something else, too",
    "slash": "is a directory and something else, too",
    "symlink-outside": "leads outside",
    "symlink-through-symlink": "leads through another symlink",
    "pipe": "is neither file nor directory nor symlink",
    "socket": "is neither file nor directory nor symlink",
    "device": "is neither file nor directory nor symlink",
    "directory-data": "has contents of its own",
    "twice": "it has two members named 'a'",
    "directory-twice": "it has two members named 'a'",
    "case": "are one where case or accents do not count",
    "case-of-directory": "are one where case or accents do not count",
    "nfc-nfd": "are one where case or accents do not count",
    "case-folding": "are one where case or accents do not count",
    "trailing-dot": "are one where case or accents do not count",
    "nul": "has a control character in its name",
    "newline": "has a control character in its name",
    "escape": "has a control character in its name",
    "c1-control": "has a control character in its name",
    "long-part": "has a part of more than 255 bytes",
    "long-part-in-bytes": "has a part of more than 255 bytes",
    "windows-con": "is a device on Windows",
    "windows-nul": "is a device on Windows",
    "windows-com1": "is a device on Windows",
    "dot": "has an empty part",
    "dot-inside": "has an empty part",
    "empty-part": "has an empty part",
    "dots": "has an empty part",
    "empty": "a member without a name",
    "two-names": "has another name in its own header",
    "two-sizes": "is described in two ways",
    "two-lengths": "is described in two ways",
    "two-crcs": "is described in two ways",
    "two-methods": "is described in two ways",
    "two-charsets": "is described in two ways",
    "local-encrypted": "is described in two ways",
    "unicode-path": "has a second name",
    "local-unicode-path": "has a second name",
    "descriptor-lies": "belong to no member",
    "no-descriptor": "belong to no member",
    "gap": "belong to no member",
    "gap-before-directory": "belong to no member",
    "one-header-for-two": "its members overlap",
    "prefix-of-a-zip": "its directory is not where its end record says",
    "two-zips": "its directory is not where its end record says",
    "zip64-other-offset": "its directory is not where its end record says",
    "prefix": "it is no zip archive, or something stands before it",
    "prefix-adjusted": "it is no zip archive, or something stands before it",
    "empty-file": "it is no zip archive, or something stands before it",
    "web-page": "it is no zip archive, or something stands before it",
    "suffix": "it is cut off, or something follows its end",
    "cut-off": "it is cut off, or something follows its end",
    "cut-off-directory": "it is cut off, or something follows its end",
    "signature-only": "it is cut off, or something follows its end",
    "zip-in-comment": "it has two ends",
    "two-ends": "it has two ends",
    "no-members": "it holds bytes that belong to no member",
    "one-member-hidden": "its directory holds more than its end record says",
    "too-few": "its directory holds fewer members than its end record says",
    "disks": "it is a part of an archive on several disks",
    "no-zip64": "lacks its zip64 sizes",
    "zip64-other-size": "contradict the others",
    "zip64-too-long": "contradict the others",
    "zip64-huge": "is stored with two sizes",
    "zip64-other-count": "its zip64 end record contradicts the other",
    "zip64-longer-record": "its zip64 end record contradicts the other",
    "zip64-elsewhere": "its zip64 end record is not where it should be",
    "broken-extra": "are broken",
    "encrypted": "is encrypted",
    "strong-encryption": "is encrypted",
    "masked-headers": "is encrypted",
    "patch": "is compressed with method 0, which few can read",
    "bzip2": "is compressed with method 12, which few can read",
    "aes": "is compressed with method 99, which few can read",
    "shrunk": "is compressed with method 1, which few can read",
    "also-tar": "it is a zip and a tar archive at once",
    "not-utf-8": "says that its name is UTF-8, which it is not",
    "deep": "has a path of more than 1024 bytes",
    "rather-deep": "lies more than 100 directories deep",
}

BROKEN_INSIDE: list[Any] = [
    pytest.param(
        lambda z: z.member(b"a", local={"crc": 7}, central={"crc": 7}), marks=adversary(22), id="crc"
    ),
    pytest.param(
        lambda z: z.member(b"a", b"x" * 99, method=8, local={"size": 9}, central={"size": 9}),
        marks=adversary(26),
        id="longer-than-declared",
    ),
    pytest.param(
        lambda z: z.member(b"a", b"x" * 99, method=8, local={"size": 999}, central={"size": 999}),
        id="shorter-than-declared",
    ),
    pytest.param(lambda z: z.member(b"a", b"x" * 99, method=8, packed=b"\xff" * 20), id="no-deflate"),
    pytest.param(
        lambda z: z.member(b"a", b"", method=8, packed=b"\3\0" + b"hidden"),
        marks=adversary(20),
        id="after-deflate",
    ),
    pytest.param(lambda z: z.member(b"a", b"x" * 99, method=8, packed=b"\x4b"), id="cut-off-deflate"),
]

ACCEPTED: list[Any] = [
    pytest.param(lambda z: z.of(b"a"), {"a": b"x"}, id="plain"),
    pytest.param(lambda z: z.build([]), {}, id="no-members"),
    pytest.param(lambda z: z.build([z.member(b"a", b"", method=8)]), {"a": b""}, id="empty-deflated"),
    pytest.param(
        lambda z: z.build([z.member(b"d/", b"", mode=0o040755), z.member(b"d/a")]),
        {"d/a": b"x"},
        id="directory",
    ),
    pytest.param(lambda z: z.build([z.member(b"d/", b"", host=0, attributes=0x10)]), {}, id="fat-directory"),
    pytest.param(
        lambda z: z.build([_later(z, b"a", b"xy", _descriptor(b"xy"))]), {"a": b"xy"}, id="descriptor"
    ),
    pytest.param(
        lambda z: z.build([_later(z, b"a", b"xy", _descriptor(b"xy", signature=b""))]),
        {"a": b"xy"},
        id="descriptor-without-signature",
    ),
    pytest.param(
        lambda z: z.build(
            [_later(z, b"a", b"xy", b"PK\7\x08" + struct.pack("<L2Q", zlib.crc32(b"xy"), 2, 2))]
        ),
        {"a": b"xy"},
        id="descriptor-64",
    ),
    pytest.param(
        # LuaRocks's own writer: other flags in the two headers, a descriptor without its flag, FAT and 0755.
        lambda z: z.build(
            [
                z.member(
                    b"a.lua",
                    b"xy",
                    local={"flags": 4},
                    host=0,
                    attributes=0o755 << 16,
                    descriptor=_descriptor(b"xy"),
                ),
                z.member(b"b.lua", b"z", local={"flags": 4}, host=0, descriptor=_descriptor(b"z")),
            ]
        ),
        {"a.lua": b"xy", "b.lua": b"z"},
        id="luarocks-writer",
    ),
    pytest.param(lambda z: z.build([z.member(b"a")], comment=b"2f7c1" * 8), {"a": b"x"}, id="comment"),
    pytest.param(
        lambda z: z.build([z.member(b"a")], end64={}, end={"count": 0xFFFF, "here": 0xFFFF}),
        {"a": b"x"},
        id="zip64-end",
    ),
    pytest.param(
        lambda z: z.build(
            [
                z.member(
                    b"a",
                    extra=_zip64(z, 1, 1),
                    local={"size": 0xFFFFFFFF, "compressed": 0xFFFFFFFF},
                    central={"size": 0xFFFFFFFF, "compressed": 0xFFFFFFFF},
                )
            ]
        ),
        {"a": b"x"},
        id="zip64-member",
    ),
    pytest.param(
        lambda z: z.build([z.member(b"a", extra=z.extra(0x5455, b"\1" + bytes(4)))]),
        {"a": b"x"},
        id="time-extra",
    ),
    pytest.param(lambda z: z.build([z.member("é".encode(), flags=0x800)]), {"é": b"x"}, id="utf-8"),
    pytest.param(lambda z: z.of(b"\xe9"), {"\udce9": b"x"}, id="latin-1"),
    pytest.param(
        lambda z: z.build([z.member(b"a", extra=_unicode_path(z, b"a", b"a"))]),
        {"a": b"x"},
        id="same-unicode-path",
    ),
    pytest.param(
        lambda z: z.of(b"resty/openssl/aux/ctypes.lua"), {"resty/openssl/aux/ctypes.lua": b"x"}, id="aux"
    ),
    pytest.param(
        lambda z: z.of(b"Foo/a", b"foo/b"), {"Foo/a": b"x", "foo/b": b"x"}, id="directories-by-case"
    ),
    pytest.param(lambda z: z.build([z.member(b"a", z.of(b"inner"))]), None, id="a-stored-zip-inside"),
    pytest.param(
        lambda z: z.build([z.member(b"a"), z.member(b"b"), z.member(b"c")][::-1]),
        {"a": b"x", "b": b"x", "c": b"x"},
        id="any-order",
    ),
]


@adversary(25)
@pytest.mark.parametrize("file_name", ["a.zip", "a-1.0-1.all.rock", "a-1.0-1.src.rock"])
@pytest.mark.parametrize("make", REFUSED)
def test_a_hostile_zip_is_refused_and_nothing_is_written(
    request: pytest.FixtureRequest,
    make: Callable[..., bytes],
    file_name: str,
    zips: Any,
    tars: Any,
    canary: Any,
    archive: Any,
) -> None:
    path = archive(file_name, make(zips, tars))
    with pytest.raises(ArchiveError) as caught:
        unpack(path, str(canary.inside))
    case = request.node.callspec.id.removesuffix(f"-{file_name}").removeprefix(f"{file_name}-")
    assert REASONS[case] in caught.value.message
    assert caught.value.message.isprintable()
    assert caught.value.hint
    assert canary.is_untouched
    if file_name.endswith(".rock"):
        opens = open_source_rock if ".src." in file_name else open_rock
        with pytest.raises(ArchiveError):
            opens(path, platforms=("linux", "unix"))


@adversary(25)
@pytest.mark.parametrize("make", BROKEN_INSIDE)
def test_broken_contents_are_found_while_they_are_read_and_nothing_stays(
    make: Callable[[Any], Any], zips: Any, canary: Any, archive: Any
) -> None:
    data = zips.build([zips.member(b"first/good"), make(zips)])
    with pytest.raises(ArchiveError):
        unpack(archive("a.zip", data), str(canary.inside))
    assert canary.is_untouched


@adversary(25)
@pytest.mark.parametrize(("make", "contents"), ACCEPTED)
def test_an_odd_but_honest_zip_is_accepted(
    make: Callable[[Any], bytes], contents: dict[str, bytes] | None, zips: Any, canary: Any, archive: Any
) -> None:
    unpack(archive("a.zip", make(zips)), str(canary.inside))
    found = {
        str(path.relative_to(canary.inside)): path.read_bytes()
        for path in canary.inside.rglob("*")
        if path.is_file()
    }
    if contents is not None:
        assert contents == found
    assert canary.written_outside == 0


@adversary(25)
def test_the_set_of_odd_zips_is_as_large_as_promised() -> None:
    assert len(REFUSED) >= 35
    assert len(ACCEPTED) >= 10
