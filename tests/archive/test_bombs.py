"""Archives that would fill memory or disk: refused early, in time and memory."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from pumice.archive.member import Limits
from pumice.archive.zip_reader import open_zip
from pumice.errors import ArchiveError

adversary = pytest.mark.adversary

MIB = 1 << 20

# Runs in a process of its own: what memory it took at most is then the archive's doing.
UNPACK = """
import resource, sys, time
from pumice.archive.unpack import unpack
from pumice.errors import ArchiveError
import bz2, lzma, zlib, unicodedata
before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
try:
    unpack(sys.argv[1], sys.argv[2])
except ArchiveError as error:
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(seconds, after - before, error.message)
"""


def _repeated(block: bytes, times: int) -> bytes:
    """Raw deflate data of `block` again and again, made in no time; without an end."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    once = deflate.compress(block) + deflate.flush(zlib.Z_FULL_FLUSH)
    return once * times


def _gzip(body: bytes) -> bytes:
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + body


def _refused(path: str, canary: Any) -> str:
    """Why the archive is refused; within ten times the promised second, and the promised 64 MiB."""
    done = subprocess.run(
        [sys.executable, "-c", UNPACK, path, str(canary.inside)], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    seconds, kilobytes, message = done.stdout.split(" ", 2)
    assert float(seconds) < 10
    assert int(kilobytes) < 64 * 1024
    assert canary.is_untouched
    return message


@adversary(26)
def test_a_zip_that_declares_10_gib_is_refused_by_that(zips: Any, archive: Any, canary: Any) -> None:
    packed = _repeated(bytes(MIB), 10 * 1024)
    size = {"size": 0xFFFFFFFF}
    extra = zips.extra(1, struct.pack("<Q", 10 << 30))
    bomb = zips.member(b"bomb", b"", method=8, packed=packed, local=size, central=size, extra=extra)
    assert "more than 268435456" in _refused(archive("a.zip", zips.build([bomb])), canary)


@adversary(26)
def test_a_zip_that_declares_little_stops_there(zips: Any, archive: Any, canary: Any) -> None:
    packed = _repeated(bytes(MIB), 10 * 1024)
    size = {"size": 100 * MIB}
    bomb = zips.member(b"bomb", b"", method=8, packed=packed, local=size, central=size)
    assert "holds more than it declares" in _refused(archive("a.rock", zips.build([bomb])), canary)


@adversary(26)
def test_a_zip_of_many_honest_members_is_refused_by_their_sum(zips: Any, archive: Any, canary: Any) -> None:
    size = {"size": 200 * MIB}
    bombs = [
        zips.member(b"bomb%d" % number, b"", method=8, packed=b"\3\0", local=size, central=size)
        for number in range(3)
    ]
    assert "together" in _refused(archive("a.zip", zips.build(bombs)), canary)


@adversary(26)
@pytest.mark.parametrize("file_name", ["a.tar.gz", "a.tgz"])
def test_a_compressed_tar_bomb_is_refused_by_its_header(
    file_name: str, tars: Any, archive: Any, canary: Any
) -> None:
    header = tars.header(b"bomb", size_field=b"\x80" + (10 << 30).to_bytes(11, "big"))
    path = archive(file_name, _gzip(_repeated(header, 1) + _repeated(bytes(MIB), 10 * 1024)))
    assert "more than 268435456" in _refused(path, canary)


@adversary(26)
def test_a_compressed_tar_of_many_large_members_stops_at_their_sum(
    tars: Any, archive: Any, canary: Any
) -> None:
    body = b"".join(
        _repeated(tars.header(b"bomb%d" % number, size=200 * MIB), 1) + _repeated(bytes(MIB), 200)
        for number in range(50)
    )
    assert "together" in _refused(archive("a.tar.gz", _gzip(body)), canary)


@adversary(26)
def test_a_tar_with_endless_padding_is_refused(tars: Any, archive: Any, canary: Any) -> None:
    path = archive("a.tar.gz", _gzip(_repeated(bytes(MIB), 10 * 1024)))
    assert "follows its end" in _refused(path, canary)


@adversary(27)
def test_overlapping_members_are_refused_before_any_is_read(zips: Any, archive: Any, canary: Any) -> None:
    """As in the successors of 42.zip: every line of the directory names the same large data."""
    data = bytes(100 * MIB)
    first = zips.member(b"x", data, method=8)
    again = [zips.member(b"x", data, method=8, packed=b"", central={"offset": 0}) for _ in range(4)]
    for number, member in enumerate(again):
        member["central"]["name"] = b"x%d" % number
        member["central"]["compressed"] = first["central"]["compressed"]
    assert "overlap" in _refused(archive("a.zip", zips.build([first, *again])), canary)


@adversary(28)
def test_a_million_members_are_refused_by_their_number(zips: Any, archive: Any, canary: Any) -> None:
    count = {"count": 1_000_000, "here": 1_000_000}
    sentinel = {"count": 0xFFFF, "here": 0xFFFF}
    data = zips.build([zips.member(b"a", b"")], end64=count, end=sentinel)
    assert "1000000 members" in _refused(archive("a.zip", data), canary)


@adversary(28)
def test_a_million_members_in_a_tar_are_refused_at_100_000(tars: Any, archive: Any, canary: Any) -> None:
    headers = _repeated(tars.header(b"d/", kind=b"5") * 2048, 500)
    assert "more than 100000 members" in _refused(archive("a.tar.gz", _gzip(headers)), canary)


@adversary(28)
def test_a_directory_longer_than_its_number_of_members_is_refused(zips: Any, archive: Any) -> None:
    data = zips.build(
        [zips.member(b"a%d" % number, b"") for number in range(2000)], end={"count": 10, "here": 10}
    )
    with pytest.raises(ArchiveError, match="more than its end record says"):
        open_zip(archive("a.zip", data))


@adversary(28)
def test_members_are_counted_against_the_limit(zips: Any, archive: Any) -> None:
    path = archive("a.zip", zips.build([zips.member(b"a%d" % number, b"") for number in range(20)]))
    assert len(open_zip(path, Limits(count=20)).members) == 20
    with pytest.raises(ArchiveError, match="20 members, more than 19"):
        open_zip(path, Limits(count=19))


@adversary(29)
def test_a_gzip_that_never_ends_stops_at_the_limit(archive: Any, canary: Any) -> None:
    path = archive("a.lua.gz", _gzip(_repeated(bytes(MIB), 10 * 1024)))
    assert "more than 268435456 bytes" in _refused(path, canary)


@adversary(29)
def test_a_million_empty_gzip_streams_are_refused(archive: Any, canary: Any) -> None:
    empty = _gzip(b"\3\0" + bytes(8))
    path = archive("a.tar.gz", empty * 1_000_000)
    assert "streams" in _refused(path, canary)


def test_an_xz_that_wants_much_memory_is_refused(archive: Any, canary: Any, tars: Any) -> None:
    import lzma

    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 256 * MIB}]
    data = lzma.compress(tars.build(tars.file(b"a")), filters=filters)
    assert "broken" in _refused(archive("a.tar.xz", data), canary)


def test_the_bombs_are_bombs(tmp_path: Path) -> None:
    """What the tests above build does inflate to what they say."""
    inflate = zlib.decompressobj(-15)
    assert len(inflate.decompress(_repeated(bytes(MIB), 7))) == 7 * MIB
