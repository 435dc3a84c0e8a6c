"""Files in parts: only what is needed comes, and a part that cannot be believed is none."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pumice.archive.member import Limits
from pumice.archive.zip_reader import read_member
from pumice.errors import ArchiveError, FetchError, NotFoundError
from pumice.net.cache import Cache
from pumice.net.downloader import Downloader, Wanted
from pumice.net.ranges import Ranges, WholeOnly, open_ranges
from pumice.net.session import Session

ETAG = '"one"'
BYTES = random.Random(5).randbytes(1 << 20)


class Parts:
    """An honest server of one file in parts; what a test sets makes it lie."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.etag = ETAG
        self.sent = 0
        self.asked: list[str] = []
        self.conditions: list[str] = []
        self.content_range: Callable[[int, int, int], str] = lambda a, b, size: f"bytes {a}-{b - 1}/{size}"
        self.body: Callable[[bytes], bytes] = lambda data: data
        self.extra: dict[str, str] = {}

    def __call__(self, handler: Any) -> None:
        wanted = handler.headers.get("Range", "")
        self.asked.append(wanted)
        self.conditions.append(handler.headers.get("If-Range", ""))
        size = len(self.data)
        headers = {"ETag": self.etag, **self.extra} if self.etag else self.extra
        if not wanted or self.conditions[-1] not in ("", self.etag):
            self.sent += size
            handler.reply(200, self.data, **headers)
            return
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start, end = (int(first), int(last) + 1) if first else (max(0, size - int(last)), size)
        body = self.body(self.data[start:end])
        self.sent += len(body)
        handler.reply(206, body, Content_Range=self.content_range(start, end, size), **headers)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    session = Session(Cache(str(tmp_path / "cache")), timeout=2.0, stall=1.0, tries=1)
    yield session
    session.close()


@pytest.fixture
def opened(server: Any, session: Session) -> Callable[[Parts], Ranges]:
    """The server's file, opened."""

    def open_it(parts: Parts) -> Ranges:
        server.routes["/file"] = parts
        return open_ranges(server.url("/file"), session)

    return open_it


def zipped(*names: str, size: int = 200_000) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for number, name in enumerate(names):
            text = f"contents of {name}".encode()
            archive.writestr(name, text if name.endswith(".rockspec") else BYTES[number : number + size])
    return target.getvalue()


def test_any_position_gives_the_bytes_of_the_file(opened: Any) -> None:
    ranges = opened(Parts(BYTES))
    chance = random.Random(1)
    assert ranges.size == len(BYTES)
    for _ in range(40):
        offset, length = chance.randrange(len(BYTES)), chance.randrange(60_000)
        assert ranges.at(offset, length) == BYTES[offset : offset + length]
    assert ranges.at(len(BYTES), 5) == b""
    assert ranges.whole is None


def test_nothing_comes_twice_and_every_request_is_bound_to_the_first_answer(opened: Any) -> None:
    parts = Parts(BYTES)
    ranges = opened(parts)
    for offset in (0, 100, 10_000, 16_000, 3, len(BYTES) - 9, len(BYTES) - 70_000):
        ranges.at(offset, 1000)
    assert parts.sent <= (66 << 10) + 4 * (16 << 10)
    assert parts.conditions == ["", *[ETAG] * (len(parts.asked) - 1)]


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_member_of_a_large_zip_costs_its_end_and_the_member(opened: Any, place: str) -> None:
    names = [f"lua/{letter}.lua" for letter in "abcdefgh"]
    names.insert({"first": 0, "middle": 4, "last": 8}[place], "x-1.rockspec")
    parts = Parts(zipped(*names))
    assert len(parts.data) > 1_600_000
    assert read_member(opened(parts), "x-1.rockspec", Limits()) == b"contents of x-1.rockspec"
    assert parts.sent < 110_000
    assert len(parts.asked) <= 3


def test_a_small_file_comes_with_the_first_answer(opened: Any) -> None:
    parts = Parts(zipped("x-1.rockspec"))
    ranges = opened(parts)
    assert ranges.whole == parts.data
    assert read_member(ranges, "x-1.rockspec", Limits()) == b"contents of x-1.rockspec"
    assert len(parts.asked) == 1


def test_a_member_that_is_not_there_is_not_found(opened: Any) -> None:
    with pytest.raises(NotFoundError, match="has no file"):
        read_member(opened(Parts(zipped("a.lua"))), "x-1.rockspec", Limits())


def test_a_server_that_ignores_ranges_is_not_listened_to_for_long(server: Any, session: Session) -> None:
    sent = []

    def whole(handler: Any) -> None:
        handler.start(Content_Length=str(200 << 20), ETag=ETAG)
        for _ in range(200):
            handler.wfile.write(bytes(1 << 20))
            sent.append(1)

    server.routes["/file"] = whole
    with pytest.raises(WholeOnly):
        open_ranges(server.url("/file"), session)
    assert len(sent) < 100


@pytest.mark.parametrize(
    "content_range",
    [
        "",
        "bytes",
        "bytes */1048576",
        "bytes 0-1/2",
        "bytes 0-1048575/1048576",
        "bytes 980992-1048575/*",
        "bytes 980992-1048574/1048576",
        "bytes 980992-1048575/1048577",
        "bytes -980992-1048575/1048576",
        "lines 980992-1048575/1048576",
        "bytes ٩80992-1048575/1048576",
        "bytes 9" + "9" * 30 + "-1/1048576",
        "bytes 999999999932416-999999999999999/1000000000000000",
    ],
)
def test_an_answer_that_names_another_part_is_refused(opened: Any, content_range: str) -> None:
    parts = Parts(BYTES)
    parts.content_range = lambda *_: content_range.encode().decode("latin-1")
    with pytest.raises(WholeOnly):
        opened(parts)


@pytest.mark.parametrize("body", [lambda data: data[:-1], lambda data: data + b"x", lambda data: b""])
def test_a_part_of_another_length_is_refused(opened: Any, body: Callable[[bytes], bytes]) -> None:
    parts = Parts(BYTES)
    ranges = opened(parts)
    parts.body = body
    with pytest.raises(WholeOnly):
        ranges.at(0, 10)


def test_a_compressed_part_is_refused(opened: Any) -> None:
    parts = Parts(BYTES)
    parts.extra = {"Content_Encoding": "gzip"}
    with pytest.raises(WholeOnly):
        opened(parts)


def _grow(parts: Parts) -> None:
    parts.data += b"more"


def _other_tag(parts: Parts) -> None:
    parts.etag = '"two"'


def _no_tag(parts: Parts) -> None:
    parts.etag = ""


@pytest.mark.parametrize("change", [_grow, _other_tag, _no_tag])
def test_a_file_that_changes_between_requests_is_not_mixed(
    opened: Any, change: Callable[[Parts], None]
) -> None:
    parts = Parts(BYTES)
    ranges = opened(parts)
    change(parts)
    with pytest.raises(WholeOnly):
        ranges.at(0, 10)


def test_a_weak_tag_is_compared_but_not_sent(opened: Any) -> None:
    parts = Parts(BYTES)
    parts.etag = 'W/"one"'
    ranges = opened(parts)
    assert ranges.at(0, 10) == BYTES[:10]
    assert parts.conditions == ["", ""]
    parts.etag = 'W/"two"'
    with pytest.raises(WholeOnly):
        ranges.at(500_000, 10)


def test_a_file_without_validators_is_read_in_one_answer_or_not_at_all(opened: Any) -> None:
    parts = Parts(BYTES)
    parts.etag = ""
    ranges = opened(parts)
    assert ranges.at(len(BYTES) - 10, 10) == BYTES[-10:]
    with pytest.raises(WholeOnly):
        ranges.at(0, 10)
    assert len(parts.asked) == 1


def test_a_directory_that_claims_gigabytes_is_not_fetched(opened: Any) -> None:
    """The bound is on what comes, whatever the archive says of itself."""
    parts = Parts(bytes(40 << 20))
    ranges = opened(parts)
    with pytest.raises(WholeOnly):
        ranges.at(1 << 20, 30 << 20)
    assert parts.sent < 100_000


def test_a_hostile_directory_in_parts_is_refused_as_in_a_file(opened: Any) -> None:
    data = bytearray(zipped("x-1.rockspec", "a.lua"))
    at = data.index(b"PK\1\2")
    data[at + 42 : at + 46] = (100).to_bytes(4, "little")
    with pytest.raises(ArchiveError, match="not where the directory says"):
        read_member(opened(Parts(bytes(data))), "x-1.rockspec", Limits())


def test_an_empty_file_comes_whole(server: Any, session: Session) -> None:
    server.routes["/file"] = lambda handler: handler.reply(416, b"", Content_Range="bytes */0")
    with pytest.raises(WholeOnly):
        open_ranges(server.url("/file"), session)


def test_a_server_that_fails_is_no_server_without_ranges(server: Any, session: Session) -> None:
    server.routes["/file"] = lambda handler: handler.reply(503)
    with pytest.raises(FetchError, match="503") as caught:
        open_ranges(server.url("/file"), session)
    assert not isinstance(caught.value, WholeOnly)


@pytest.fixture
def downloader(tmp_path: Path) -> Iterator[Downloader]:
    with Downloader(Cache(str(tmp_path / "cache")), timeout=2.0, stall=1.0, tries=1) as downloader:
        yield downloader


def test_a_server_without_ranges_is_asked_for_parts_once_a_command(
    server: Any, downloader: Downloader, tmp_path: Path
) -> None:
    for name in ("/a", "/b"):
        server.routes[name] = lambda handler: handler.reply(200, bytes(100_000))
        assert downloader.parts(Wanted((server.url(name),), str(tmp_path / "x"))) is None
    assert [path for path, _ in server.requests] == ["/a"]


def test_what_came_at_once_is_not_fetched_again(server: Any, downloader: Downloader, tmp_path: Path) -> None:
    parts = Parts(zipped("x-1.rockspec"))
    server.routes["/x.rock"] = parts
    wanted = Wanted((server.url("/x.rock"),), str(tmp_path / "x"))
    assert downloader.parts(wanted) is not None
    assert downloader.parts(wanted) is None
    downloader.fetch(wanted)
    assert (tmp_path / "x").read_bytes() == parts.data
    assert len(parts.asked) == 1


def test_what_must_have_a_digest_or_is_local_comes_whole(
    server: Any, downloader: Downloader, tmp_path: Path
) -> None:
    server.routes["/x"] = Parts(BYTES)
    assert downloader.parts(Wanted((server.url("/x"),), str(tmp_path / "x"), sha256="0" * 64)) is None
    assert downloader.parts(Wanted((str(tmp_path),), str(tmp_path / "x"))) is None
    assert server.requests == []


def test_a_released_file_that_changed_is_not_read_in_parts(
    server: Any, downloader: Downloader, tmp_path: Path
) -> None:
    server.routes["/x"] = Parts(b"first")
    wanted = Wanted((server.url("/x"),), str(tmp_path / "x"))
    downloader.fetch(wanted)
    downloader.cache.clean()
    server.routes["/x"] = Parts(b"second")
    assert downloader.parts(wanted) is None
    with pytest.raises(FetchError, match="is not the file that it was"):
        downloader.fetch(wanted)
