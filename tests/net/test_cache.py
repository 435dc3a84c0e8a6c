"""The cache keeps what it is given, gives nothing that is damaged, and never stands in the way."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest

from pumice.errors import PermissionDenied
from pumice.net.cache import ABSENT, Answer, Cache, sha256_hex

CONTENT = b"content" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
ANSWER = Answer("http://host/file", DIGEST, '"tag"', "Mon, 01 Jan 2024 00:00:00 GMT", 1000.5)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(str(tmp_path / "cache"))


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    path = tmp_path / "origin"
    path.write_bytes(CONTENT)
    return path


def kept_file(cache: Cache) -> Path:
    return Path(cache.directory, "files", DIGEST[:1], DIGEST)


def test_a_kept_file_is_taken_by_its_digest(cache: Cache, origin: Path, tmp_path: Path) -> None:
    cache.keep(str(origin), DIGEST)
    assert len(CONTENT) == cache.take(DIGEST, str(tmp_path / "target"))
    assert (tmp_path / "target").read_bytes() == CONTENT
    assert cache.read(DIGEST) == CONTENT


def test_what_is_not_there_is_not_taken(cache: Cache, tmp_path: Path) -> None:
    assert cache.take(DIGEST, str(tmp_path / "target")) is None
    assert cache.read(DIGEST) is None
    assert cache.answer(DIGEST) is None
    assert os.listdir(tmp_path) == []


def test_a_target_is_replaced_only_by_a_whole_file(cache: Cache, origin: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("old")
    assert cache.take(DIGEST, str(target)) is None
    assert target.read_text() == "old"
    cache.keep(str(origin), DIGEST)
    cache.take(DIGEST, str(target))
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("damage", [CONTENT[:-1], CONTENT[:-1] + b"!", b""])
def test_a_damaged_file_is_found_and_dropped(cache: Cache, tmp_path: Path, damage: bytes) -> None:
    for take in (lambda: cache.read(DIGEST), lambda: cache.take(DIGEST, str(tmp_path / "target"))):
        cache.keep_bytes(CONTENT, DIGEST)
        kept_file(cache).write_bytes(damage)
        assert take() is None
        assert not cache.has(DIGEST)
    assert not (tmp_path / "target").exists()


def test_an_edit_of_what_was_taken_never_comes_back(cache: Cache, origin: Path, tmp_path: Path) -> None:
    cache.keep(str(origin), DIGEST)
    cache.take(DIGEST, str(tmp_path / "target"))
    (tmp_path / "target").write_bytes(b"edited")
    assert cache.take(DIGEST, str(tmp_path / "second")) in (None, len(CONTENT))
    assert not (tmp_path / "second").exists() or (tmp_path / "second").read_bytes() == CONTENT


def test_answers_come_back_as_they_were(cache: Cache) -> None:
    cache.remember(DIGEST, ANSWER)
    assert cache.answer(DIGEST) == ANSWER
    absent = ANSWER.replace(sha256=ABSENT)
    cache.remember(DIGEST, absent)
    found = cache.answer(DIGEST)
    assert found is not None
    assert found.absent


def test_any_cut_of_an_answer_is_no_answer() -> None:
    whole = ANSWER.to_bytes()
    assert Answer.from_bytes(whole) == ANSWER
    assert [cut for cut in range(len(whole)) if Answer.from_bytes(whole[:cut]) is not None] == []


def test_a_header_with_line_breaks_cannot_forge_an_answer() -> None:
    forged = ANSWER.replace(etag="a\nb\r\nc")
    assert Answer.from_bytes(forged.to_bytes()) == ANSWER.replace(etag="a b c")


def test_an_answer_is_fresh_for_its_time_and_never_from_the_future() -> None:
    assert ANSWER.is_fresh(1000.5, 60)
    assert ANSWER.is_fresh(1060.4, 60)
    assert not ANSWER.is_fresh(1060.6, 60)
    assert not ANSWER.is_fresh(900.0, 60)


def test_the_first_digest_seen_stays(cache: Cache) -> None:
    cache.mark_seen("ab" * 32, DIGEST, "http://host/file")
    cache.mark_seen("ab" * 32, "0" * 64, "http://host/file")
    assert cache.seen("ab" * 32) == DIGEST
    cache.forget_seen("ab" * 32)
    assert cache.seen("ab" * 32) is None


def test_clean_removes_what_can_be_had_again_and_keeps_seen_digests(cache: Cache) -> None:
    cache.keep_bytes(CONTENT, DIGEST)
    cache.remember(DIGEST, ANSWER)
    cache.keep_derived("x", b"derived")
    cache.mark_seen(DIGEST, DIGEST, "url")
    assert [(use.part, use.files) for use in cache.use()] == [
        ("files", 1),
        ("answers", 1),
        ("derived", 1),
        ("seen", 1),
    ]
    assert cache.clean().files == 3
    assert not cache.has(DIGEST)
    assert cache.seen(DIGEST) == DIGEST
    assert cache.clean(everything=True).files == 1
    assert cache.seen(DIGEST) is None


@pytest.mark.adversary(59)
def test_clean_beside_users_takes_nothing_from_them(cache: Cache, origin: Path, tmp_path: Path) -> None:
    """Each take gives nothing or the whole file, whatever is removed meanwhile; what was taken stays."""
    stop = threading.Event()

    def clean() -> None:
        while not stop.is_set():
            cache.clean()

    cleaner = threading.Thread(target=clean)
    cleaner.start()
    taken = 0
    try:
        for number in range(300):
            own = Cache(cache.directory)
            own.keep(str(origin), DIGEST)
            target = tmp_path / f"target{number}"
            if own.take(DIGEST, str(target)) is not None:
                taken += 1
                assert target.read_bytes() == CONTENT
            else:
                assert not target.exists()
    finally:
        stop.set()
        cleaner.join()
    assert sum(1 for path in tmp_path.iterdir() if path.name.startswith("target")) == taken


@pytest.mark.adversary(54)
def test_many_processes_fill_one_cache(cache: Cache, tmp_path: Path) -> None:
    """32 of them, all with the same files: each finds every file whole, and nothing else is left."""
    contents = [bytes([number]) * 5000 for number in range(20)]
    children = []
    for _ in range(32):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                own = Cache(cache.directory)
                for data in contents:
                    own.keep_bytes(data, sha256_hex(data))
                status = 0 if all(own.read(sha256_hex(data)) == data for data in contents) else 2
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 32
    assert [use.files for use in cache.use()] == [20, 0, 0, 0]


def test_a_cache_that_cannot_be_written_is_none(tmp_path: Path, origin: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for cache in (Cache(str(tmp_path / "file" / "cache")), Cache("")):
        cache.keep(str(origin), DIGEST)
        cache.keep_bytes(CONTENT, DIGEST)
        cache.remember(DIGEST, ANSWER)
        cache.keep_derived("x", b"")
        cache.mark_seen(DIGEST, DIGEST, "url")
        assert cache.read(DIGEST) is None
        assert cache.answer(DIGEST) is None
        assert cache.clean().files == 0
    assert (tmp_path / "file").read_text() == "in the way"
    assert not Path("/files").exists()


def test_a_full_disk_ends_the_keeping_not_the_command(
    cache: Cache, origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pumice.net.cache.write_all", full)
    cache.keep_bytes(CONTENT, DIGEST)
    assert [use.files for use in cache.use()] == [0, 0, 0, 0]
    monkeypatch.undo()
    # The disk has failed once; the command does not try again.
    cache.keep_bytes(CONTENT, DIGEST)
    assert not cache.has(DIGEST)


def test_a_target_that_cannot_be_written_is_told(cache: Cache, origin: Path, tmp_path: Path) -> None:
    """Root may write into any directory but the kernel's own."""
    cache.keep(str(origin), DIGEST)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    if os.geteuid() == 0:
        closed = Path("/sys")
    with pytest.raises(PermissionDenied):
        cache.take(DIGEST, str(closed / "target"))
