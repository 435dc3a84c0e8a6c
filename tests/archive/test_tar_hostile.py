"""Tars that must be refused, and odd ones that must not be: plain and compressed."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from typing import Any

import pytest

from pumice.archive.member import Limits
from pumice.archive.tar_reader import open_tar
from pumice.archive.unpack import unpack
from pumice.errors import ArchiveError

adversary = pytest.mark.adversary

COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "a.tar": lambda data: data,
    "a.tar.gz": lambda data: gzip.compress(data, mtime=0),
    "a.tgz": lambda data: gzip.compress(data[:700], mtime=0) + gzip.compress(data[700:], mtime=0),
    "a.tar.bz2": bz2.compress,
    "a.tar.xz": lzma.compress,
}

REFUSED: list[Any] = [
    pytest.param(
        lambda t: t.build(t.file(b"top/a"), t.file(b"top/../../evil")),
        "leads outside",
        marks=adversary(4),
        id="parent",
    ),
    pytest.param(
        lambda t: t.build(t.file(b"../evil")), "leads outside", marks=adversary(4), id="parent-first"
    ),
    pytest.param(
        lambda t: t.build(t.file(b"evil", prefix=b"..")),
        "leads outside",
        marks=adversary(4),
        id="parent-in-prefix",
    ),
    pytest.param(
        lambda t: t.build(t.pax(path=b"../evil"), t.file(b"a")),
        "leads outside",
        marks=adversary(4),
        id="parent-pax",
    ),
    pytest.param(
        lambda t: t.build(t.file(b"x", b"../evil\0", kind=b"L"), t.file(b"a")),
        "leads outside",
        marks=adversary(4),
        id="parent-gnu",
    ),
    pytest.param(lambda t: t.build(t.file(b"/tmp/evil")), "absolute", marks=adversary(5), id="absolute"),
    pytest.param(
        lambda t: t.build(t.file(b".//tmp/evil")), "absolute", marks=adversary(5), id="dot-absolute"
    ),
    pytest.param(
        lambda t: t.build(t.header(b"l", kind=b"2", target=b"../.."), t.file(b"l/evil")),
        "something else",
        marks=adversary(6),
        id="file-through-symlink",
    ),
    pytest.param(
        lambda t: t.build(t.file(b"l/evil"), t.header(b"l", kind=b"2", target=b"../..")),
        "something else",
        marks=adversary(6),
        id="symlink-over-directory",
    ),
    pytest.param(
        lambda t: t.build(t.header(b"l", kind=b"2", target=b"d"), t.file(b"L/evil")),
        "case or accents",
        marks=adversary(6, 15),
        id="file-through-symlink-by-case",
    ),
    pytest.param(
        lambda t: t.build(t.header(b"h", kind=b"1", target=b"/etc/passwd")),
        "no file before it",
        marks=adversary(7),
        id="hardlink-absolute",
    ),
    pytest.param(
        lambda t: t.build(t.header(b"h", kind=b"1", target=b"../secret")),
        "no file before it",
        marks=adversary(7),
        id="hardlink-outside",
    ),
    pytest.param(
        lambda t: t.build(
            t.header(b"s", kind=b"2", target=b"a"), t.file(b"a"), t.header(b"h", kind=b"1", target=b"s")
        ),
        "no file before it",
        marks=adversary(7),
        id="hardlink-to-symlink",
    ),
    pytest.param(
        lambda t: t.build(
            t.header(b"a", kind=b"2", target=b"."),
            t.header(b"b", kind=b"2", target=b"a/.."),
            t.header(b"c", kind=b"2", target=b"b/.."),
        ),
        "through another symlink",
        marks=adversary(8),
        id="symlink-chain",
    ),
    pytest.param(
        lambda t: t.build(
            t.header(b"d/A", kind=b"2", target=b"."), t.header(b"b", kind=b"2", target=b"d/a/../..")
        ),
        "through another symlink",
        marks=adversary(8),
        id="symlink-chain-by-case",
    ),
    pytest.param(
        lambda t: t.build(t.header(b"etc", kind=b"2", target=b"/etc")),
        "leads to '/etc'",
        marks=adversary(9),
        id="symlink-to-etc",
    ),
    pytest.param(
        lambda t: t.build(
            t.header(b"etc", kind=b"2", target=b"/etc"), t.header(b"etc", kind=b"5", mode=0o777)
        ),
        "two members",
        marks=adversary(9),
        id="symlink-to-etc-then-chmod",
    ),
    pytest.param(
        lambda t: t.build(t.header(b"l", kind=b"2", target=b"a\\..\\..")),
        "leads to",
        marks=adversary(8),
        id="symlink-backslash",
    ),
    pytest.param(
        lambda t: t.build(t.header(b"l", kind=b"2", target=b"")),
        "leads to",
        marks=adversary(8),
        id="symlink-empty",
    ),
    *(
        pytest.param(
            lambda t, kind=kind: t.build(t.header(b"dev", kind=kind)),
            reason,
            marks=adversary(10),
            id=f"kind-{name}",
        )
        for kind, reason, name in (
            (b"3", "a device", "character"),
            (b"4", "a device", "block"),
            (b"6", "a named pipe", "pipe"),
            (b"s", "no known kind", "socket"),
            (b"A", "no known kind", "door"),
        )
    ),
    pytest.param(
        lambda t: t.build(t.header(b"s", kind=b"S")), "sparse", marks=adversary(11), id="sparse-gnu"
    ),
    pytest.param(
        lambda t: t.build(t.pax(GNU__sparse__major=b"1", GNU__sparse__name=b"../evil"), t.file(b"s")),
        "sparse",
        marks=adversary(11),
        id="sparse-pax",
    ),
    pytest.param(
        lambda t: t.build(t.file(b"a"), t.file(b"a/b")),
        "something else",
        marks=adversary(13),
        id="file-then-directory",
    ),
    pytest.param(
        lambda t: t.build(t.header(b"a", kind=b"5"), t.file(b"a")),
        "two members",
        marks=adversary(13),
        id="directory-then-file",
    ),
    pytest.param(
        lambda t: t.build(t.file(b"a", kind=b"5")),
        "must not have",
        marks=adversary(13),
        id="directory-with-data",
    ),
    pytest.param(
        lambda t: t.build(t.file(b"a"), t.file(b"./a")), "two members", marks=adversary(14), id="twice"
    ),
    pytest.param(
        lambda t: t.build(t.file(b"a"), t.file(b"A")), "case or accents", marks=adversary(15), id="case"
    ),
    pytest.param(
        lambda t: t.build(t.file("é".encode()), t.file("e\u0301".encode())),
        "case or accents",
        marks=adversary(15),
        id="nfc-nfd",
    ),
    pytest.param(
        lambda t: t.build(t.pax(path=b"a\0b"), t.file(b"a")),
        "control character",
        marks=adversary(16),
        id="nul",
    ),
    pytest.param(lambda t: t.build(t.file(b"a\nb")), "control character", marks=adversary(16), id="newline"),
    pytest.param(
        lambda t: t.build(t.pax(path=b"x" * 256), t.file(b"a")),
        "more than 255",
        marks=adversary(16),
        id="long-part",
    ),
    pytest.param(
        lambda t: t.build(t.file(b"nul.lua")), "Windows", marks=adversary(17), id="device-on-windows"
    ),
    pytest.param(lambda t: t.build(t.file(b"a\\b")), "backslash", marks=adversary(17), id="backslash"),
    pytest.param(lambda t: t.build(t.file(b"")), "without a name", marks=adversary(18), id="no-name"),
    pytest.param(lambda t: t.build(t.file(b".")), "'.'", marks=adversary(18), id="dot"),
    pytest.param(lambda t: t.build(t.file(b"./")), "must not have", marks=adversary(18), id="dot-slash"),
    pytest.param(lambda t: t.build(t.file(b"a/./b")), "'.'", marks=adversary(18), id="dot-inside"),
    pytest.param(lambda t: t.build(t.file(b"././a")), "'.'", marks=adversary(18), id="dot-twice"),
    pytest.param(
        lambda t: t.build(t.pax(size=b"0"), t.file(b"a", b"x" * 600)),
        "gives a size",
        marks=adversary(19),
        id="pax-size",
    ),
    pytest.param(
        lambda t: t.build(t.pax(b"g", path=b"b"), t.file(b"a")),
        "gives a path",
        marks=adversary(19),
        id="global-path",
    ),
    pytest.param(
        lambda t: t.build(t.pax(path=b"b"), t.file(b"x", b"c\0", kind=b"L"), t.file(b"a")),
        "two long names",
        marks=adversary(19),
        id="two-long-names",
    ),
    pytest.param(
        lambda t: t.build(t.file(b"a"), t.pax(path=b"b")), "no member", marks=adversary(20), id="dangling"
    ),
    pytest.param(
        lambda t: t.build(t.file(b"a")) + t.build(t.file(b"../evil")),
        "follows its end",
        marks=adversary(20),
        id="second-tar",
    ),
    pytest.param(
        lambda t: t.build(t.file(b"a"), end=bytes(2 << 20)),
        "follows its end",
        marks=adversary(20),
        id="endless-zeros",
    ),
    pytest.param(lambda t: t.build(t.file(b"a"), end=b""), "cut off", marks=adversary(20), id="no-end"),
    pytest.param(lambda t: t.file(b"a", b"x" * 600)[:700], "cut off", marks=adversary(20), id="cut-off"),
    pytest.param(
        lambda t: t.build(t.header(b"a", size_field=b"\x80" + bytes(4) + b"\xff" * 7)),
        "bytes, more than",
        marks=adversary(21),
        id="huge",
    ),
    pytest.param(
        lambda t: t.build(t.header(b"a", size_field=b"\xff" * 12)),
        "negative",
        marks=adversary(21),
        id="negative",
    ),
    pytest.param(
        lambda t: t.build(t.header(b"a", size_field=b"99999999999\0")),
        "is broken",
        marks=adversary(21),
        id="no-octal",
    ),
    pytest.param(lambda t: t.build(t.header(b"a", checksum=1)), "broken", marks=adversary(22), id="checksum"),
    pytest.param(
        lambda t: t.build(t.file(b"PaxHeader", b"999 path=x\n", kind=b"x"), t.file(b"a")),
        "extended header",
        id="pax-length",
    ),
    pytest.param(
        lambda t: t.build(t.header(b"PaxHeader", kind=b"x", size=2 << 20)), "extended header", id="pax-huge"
    ),
    pytest.param(
        lambda t: t.build(t.pax(path=b"d/" * 4999 + b"f"), t.file(b"y")),
        "more than 1024",
        marks=adversary(30),
        id="deep",
    ),
    pytest.param(lambda t: b"", "no tar", id="empty"),
    pytest.param(lambda t: b"<html>" * 200, "no tar", id="web-page"),
]

ACCEPTED: list[Any] = [
    pytest.param(lambda t: t.build(t.file(b"a")), {"a": b"x"}, id="plain"),
    pytest.param(lambda t: t.build(), {}, id="no-members"),
    pytest.param(lambda t: t.build(t.header(b"./", kind=b"5"), t.file(b"./a")), {"a": b"x"}, id="dot"),
    pytest.param(lambda t: t.build(t.header(b".", kind=b"5"), t.file(b"a")), {"a": b"x"}, id="dot-alone"),
    pytest.param(lambda t: t.build(t.file(b"a", magic=b"")), {"a": b"x"}, id="v7"),
    pytest.param(lambda t: t.build(t.file(b"a", magic=b"ustar  \0")), {"a": b"x"}, id="gnu"),
    pytest.param(lambda t: t.build(t.file(b"a", kind=b"\0")), {"a": b"x"}, id="old-kind"),
    pytest.param(lambda t: t.build(t.file(b"a", kind=b"7")), {"a": b"x"}, id="contiguous"),
    pytest.param(
        lambda t: t.build(t.header(b"d/", kind=b"0"), t.file(b"d/a")), {"d/a": b"x"}, id="v7-directory"
    ),
    pytest.param(lambda t: t.build(t.file(b"b", prefix=b"a")), {"a/b": b"x"}, id="prefix"),
    pytest.param(
        lambda t: t.build(t.pax(b"g", comment=b"2f7c1"), t.pax(path=b"b" * 120, mtime=b"1.5"), t.file(b"a")),
        {"b" * 120: b"x"},
        id="pax",
    ),
    pytest.param(
        lambda t: t.build(t.file(b"././@LongLink", b"c" * 120 + b"\0", kind=b"L"), t.file(b"a")),
        {"c" * 120: b"x"},
        id="gnu-long-name",
    ),
    pytest.param(
        lambda t: t.build(t.file(b"./a", b"xyz"), t.header(b"./b", kind=b"1", target=b"./a")),
        {"a": b"xyz", "b": b"xyz"},
        marks=adversary(7),
        id="hardlink-inside",
    ),
    pytest.param(
        lambda t: t.build(t.header(b"d", kind=b"5"), t.header(b"d", kind=b"5"), t.file(b"d/a")),
        {"d/a": b"x"},
        id="directory-twice",
    ),
    pytest.param(
        lambda t: t.build(t.file(b"a"), t.header(b"d/l", kind=b"2", target=b"../a")),
        {"a": b"x", "d/l": b"x"},
        marks=adversary(6),
        id="symlink-inside",
    ),
    pytest.param(
        lambda t: t.build(t.header(b"l", kind=b"2", target=b"."), t.file(b"a")),
        {"a": b"x"},
        id="symlink-to-here",
    ),
    pytest.param(lambda t: t.build(t.file(b"a"), end=bytes(10240 - 1024)), {"a": b"x"}, id="record-padding"),
]


@pytest.mark.parametrize("file_name", COMPRESSIONS)
@pytest.mark.parametrize(("make", "reason"), REFUSED)
def test_a_hostile_tar_is_refused_and_nothing_is_written(
    make: Callable[[Any], bytes], reason: str, file_name: str, tars: Any, canary: Any, archive: Any
) -> None:
    path = archive(file_name, COMPRESSIONS[file_name](make(tars)))
    with pytest.raises(ArchiveError) as caught:
        unpack(path, str(canary.inside))
    assert reason in caught.value.message
    assert canary.is_untouched


@pytest.mark.parametrize("file_name", COMPRESSIONS)
@pytest.mark.parametrize(("make", "contents"), ACCEPTED)
def test_an_odd_but_honest_tar_is_accepted(
    make: Callable[[Any], bytes],
    contents: dict[str, bytes],
    file_name: str,
    tars: Any,
    canary: Any,
    archive: Any,
) -> None:
    unpack(archive(file_name, COMPRESSIONS[file_name](make(tars))), str(canary.inside))
    found = {
        str(path.relative_to(canary.inside)): path.read_bytes()
        for path in canary.inside.rglob("*")
        if path.is_file()
    }
    assert contents == found
    assert canary.written_outside == 0


@adversary(12)
def test_special_mode_bits_are_stripped(tars: Any, zips: Any, canary: Any, archive: Any) -> None:
    tar = tars.build(
        tars.header(b"d", kind=b"5", mode=0o7777),
        tars.file(b"d/suid", mode=0o7755),
        tars.file(b"d/plain", mode=0o4644),
    )
    unpack(archive("a.tar", tar), str(canary.inside))
    zipped = zips.build([zips.member(b"e/suid", mode=0o107755), zips.member(b"e/world", mode=0o100666)])
    unpack(archive("a.zip", zipped), str(canary.inside))
    modes = {
        str(path.relative_to(canary.inside)): path.stat().st_mode & 0o7777
        for path in canary.inside.rglob("*")
    }
    assert modes == {
        "d": 0o755,
        "d/suid": 0o755,
        "d/plain": 0o644,
        "e": 0o755,
        "e/suid": 0o755,
        "e/world": 0o644,
    }


@adversary(24)
@pytest.mark.parametrize("file_name", ["a.tar", "a.tar.gz", "a.gz"])
def test_a_zip_behind_another_archive_is_seen(
    file_name: str, zips: Any, tars: Any, canary: Any, archive: Any
) -> None:
    hidden = zips.of(b"a")
    front = COMPRESSIONS.get(file_name, COMPRESSIONS["a.tar.gz"])(tars.build(tars.file(b"b")))
    with pytest.raises(ArchiveError, match="zip"):
        unpack(archive(file_name, front + hidden), str(canary.inside))
    assert canary.is_untouched


@adversary(24)
def test_a_zip_named_tar_is_refused(zips: Any, canary: Any, archive: Any) -> None:
    with pytest.raises(ArchiveError, match="zip"):
        unpack(archive("a.tar.gz", zips.of(b"a")), str(canary.inside))
    assert canary.is_untouched


@pytest.mark.parametrize("garbage", [b"more", gzip.compress(b"", mtime=0)[:-3], b"\x1f\x8b\x08"])
@adversary(20)
def test_what_follows_a_gzip_stream_is_refused(garbage: bytes, tars: Any, canary: Any, archive: Any) -> None:
    data = gzip.compress(tars.build(tars.file(b"a"))) + garbage
    with pytest.raises(ArchiveError):
        unpack(archive("a.tar.gz", data), str(canary.inside))
    assert canary.is_untouched


@adversary(22)
@pytest.mark.parametrize("file_name", ["a.tar.gz", "a.tar.bz2", "a.tar.xz"])
def test_a_wrong_checksum_of_the_stream_is_refused(
    file_name: str, tars: Any, canary: Any, archive: Any
) -> None:
    data = bytearray(COMPRESSIONS[file_name](tars.build(tars.file(b"a", bytes(range(256)) * 8))))
    data[-6 if file_name.endswith("gz") else len(data) // 2] ^= 1
    with pytest.raises(ArchiveError):
        unpack(archive(file_name, bytes(data)), str(canary.inside))
    assert canary.is_untouched


def test_compressed_members_are_read_in_any_order(tars: Any, archive: Any) -> None:
    contents = {f"f{number}": bytes([number]) * 300_000 for number in range(5)}
    data = tars.build(*(tars.file(name.encode(), data) for name, data in contents.items()))
    with open_tar(archive("a.tar.gz", gzip.compress(data))) as tar:
        for name in ("f3", "f1", "f4", "f0", "f2"):
            assert contents[name] == tar.read(name)


def test_limits_are_the_callers(tars: Any, zips: Any, archive: Any) -> None:
    path = archive("a.tar", tars.build(tars.file(b"a", b"xx"), tars.file(b"b", b"xx")))
    assert len(open_tar(path, Limits(2, 4, 2)).members) == 2
    for limits in (Limits(1, 9, 9), Limits(9, 3, 9), Limits(9, 9, 1)):
        with pytest.raises(ArchiveError, match="more than"):
            open_tar(path, limits)
