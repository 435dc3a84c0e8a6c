"""Unpacking: by the file's name, into a directory and nowhere else, all or nothing."""

from __future__ import annotations

import errno
import gzip
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from pumice.archive.destination import Destination
from pumice.archive.member import Limits
from pumice.archive.unpack import unpack, unpack_members
from pumice.archive.zip_reader import open_zip
from pumice.errors import ArchiveError, DiskError, NotFoundError, PumiceError


def test_the_name_tells_the_kind(zips: Any, tars: Any, archive: Any, tmp_path: Path) -> None:
    zipped, tar = zips.of(b"a/b"), tars.build(tars.file(b"a/b"))
    for number, (name, data) in enumerate(
        [
            ("x.zip", zipped),
            ("x-1-1.all.rock", zipped),
            ("X.ZIP", zipped),
            ("x.tar", tar),
            ("x.tar.gz", gzip.compress(tar)),
            ("x.tgz", gzip.compress(tar)),
        ]
    ):
        into = tmp_path / f"out{number}"
        assert unpack(archive(name, data), str(into)) == ("a/b",)
        assert (into / "a/b").read_bytes() == b"x"


def test_the_name_can_be_given(zips: Any, archive: Any, tmp_path: Path) -> None:
    path = archive("download", zips.of(b"a"))
    assert unpack(path, str(tmp_path / "out"), file_name="a.zip") == ("a",)


def test_single_files(archive: Any, tmp_path: Path) -> None:
    into = str(tmp_path / "out")
    assert unpack(archive("a.lua", b"return 1"), into) == ("a.lua",)
    assert unpack(archive("b.c", b"int b;"), into) == ("b.c",)
    assert unpack(archive("c.lua.gz", gzip.compress(b"return 3")), into) == ("c.lua",)
    assert (tmp_path / "out/c.lua").read_bytes() == b"return 3"
    with pytest.raises(ArchiveError, match="no gzip"):
        unpack(archive("d.lua.gz", b"return 4"), into)
    with pytest.raises(ArchiveError, match="more than 3 bytes"):
        unpack(archive("e.lua", b"return 5"), into, limits=Limits(member=3))
    assert sorted(os.listdir(into)) == ["a.lua", "b.c", "c.lua"]


@pytest.mark.parametrize("name", ["a.txt", "a", "a.7z", "a.tar.zst", "a.zip.exe"])
def test_other_names_are_refused_in_luarocks_words(name: str, archive: Any, tmp_path: Path) -> None:
    with pytest.raises(
        ArchiveError, match=f"Couldn't extract archive {name}: unrecognized filename extension"
    ):
        unpack(archive(name, b"x"), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_missing_archive_is_told(tmp_path: Path) -> None:
    for name in ("a.zip", "a.tar", "a.gz", "a.lua"):
        with pytest.raises(NotFoundError, match="File not found"):
            unpack(str(tmp_path / name), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.gz", "a.lua"])
def test_what_is_no_file_is_refused(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(ArchiveError, match="no regular file"):
        unpack(str(tmp_path / name), str(tmp_path / "out"))


def test_some_members_alone(zips: Any, archive: Any, tmp_path: Path) -> None:
    with open_zip(archive("a.zip", zips.of(b"a", b"b/c", b"b/d"))) as opened:
        assert unpack_members(opened, str(tmp_path / "out"), {"b/c"}) == ("b/c",)
    assert [str(path.name) for path in (tmp_path / "out").rglob("*")] == ["b", "c"]


def test_nothing_is_overwritten_and_nothing_else_stays(zips: Any, archive: Any, canary: Any) -> None:
    (canary.inside / "d").mkdir()
    (canary.inside / "d" / "b").write_bytes(b"mine")
    with pytest.raises(DiskError, match="something else is there already"):
        unpack(archive("a.zip", zips.of(b"a", b"d/a", b"d/b", b"e/c")), str(canary.inside))
    assert [path.name for path in canary.inside.rglob("*")] == ["d", "b"]
    assert (canary.inside / "d" / "b").read_bytes() == b"mine"


@pytest.mark.adversary(6)
@pytest.mark.parametrize("target", ["..", "../secret", "/etc", "nowhere"])
def test_links_that_lie_in_wait_are_not_followed(
    target: str, zips: Any, tars: Any, archive: Any, canary: Any
) -> None:
    """A symlink is already where a directory or a file of the archive should go."""
    for name, data in (
        ("a.zip", zips.of(b"l/evil")),
        ("a.tar", tars.build(tars.header(b"l", kind=b"5"))),
        ("b.zip", zips.of(b"l")),
        ("c.tar", tars.build(tars.header(b"l", kind=b"2", target=b"x"))),
    ):
        (canary.inside / "l").symlink_to(target)
        with pytest.raises(DiskError):
            unpack(archive(name, data), str(canary.inside))
        assert os.readlink(canary.inside / "l") == target
        (canary.inside / "l").unlink()
        assert canary.is_untouched


@pytest.mark.adversary(6, 8)
def test_a_link_put_there_meanwhile_is_not_followed(canary: Any) -> None:
    """Somebody swaps a directory for a symlink to the outside, over and over, while files are written."""
    swapping = threading.Event()
    directory, away = canary.inside / "d", canary.inside / "away"

    def swap() -> None:
        while not swapping.is_set():
            try:
                directory.rename(away)
                directory.symlink_to("../..")
                directory.unlink()
                away.rename(directory)
            except OSError:
                pass

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        refused = 0
        for number in range(400):
            try:
                with Destination(str(canary.inside)) as destination:
                    destination.file(f"d/f{number}", [b"x"])
            except PumiceError:
                refused += 1
    finally:
        swapping.set()
        thread.join()
    assert refused < 400
    assert sorted(os.listdir(canary.parent)) == ["a", "secret"]
    assert sorted(os.listdir(canary.parent / "a")) == ["b", "link"]
    assert os.listdir(canary.parent / "a" / "b") == ["inside"]


def test_a_destination_through_a_link_of_the_users_is_fine(zips: Any, archive: Any, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    unpack(archive("a.zip", zips.of(b"a")), str(tmp_path / "link"))
    assert (tmp_path / "real/a").exists()


def test_files_are_readable_for_all_and_the_umask_counts(zips: Any, archive: Any, tmp_path: Path) -> None:
    path = archive(
        "a.zip", zips.build([zips.member(b"d/a", mode=0o100600), zips.member(b"x", mode=0o100700)])
    )
    old = os.umask(0o027)
    try:
        unpack(path, str(tmp_path / "out"))
    finally:
        os.umask(old)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "out").rglob("*")}
    assert modes == {"d": 0o750, "a": 0o640, "x": 0o750}


def test_many_directories_need_few_descriptors(zips: Any, archive: Any, tmp_path: Path) -> None:
    names = [b"/".join(b"%d" % (number % (2 + depth)) for depth in range(40)) + b"/f" for number in range(50)]
    unpack(archive("a.zip", zips.of(*dict.fromkeys(names))), str(tmp_path / "out"))
    before = len(os.listdir("/proc/self/fd"))
    unpack(archive("b.zip", zips.of(*dict.fromkeys(names))), str(tmp_path / "out2"))
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_full_disk_leaves_nothing(
    zips: Any, archive: Any, canary: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write

    def full(descriptor: int, data: bytes) -> int:
        if data == b"last":
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data)

    path = archive("a.zip", zips.build([zips.member(b"d/a"), zips.member(b"d/e/b", b"last")]))
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DiskError, match="no space left"):
        unpack(path, str(canary.inside / "new" / "er"))
    monkeypatch.undo()
    assert canary.is_untouched


@pytest.mark.adversary(50, 51)
@pytest.mark.parametrize("code", ["ENOSPC", "EIO", "EROFS", "EMFILE", "EACCES"])
@pytest.mark.parametrize("call", ["open", "write", "mkdir", "symlink"])
def test_every_failing_call_is_told_and_leaves_nothing(
    call: str, code: str, tars: Any, archive: Any, canary: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first call fails, then the second, and so on until none of them fails any more."""
    data = tars.build(
        tars.file(b"d/a"), tars.file(b"d/e/b"), tars.header(b"d/l", kind=b"2", target=b"a"), tars.file(b"f")
    )
    path = archive("a.tar", data)
    real = getattr(os, call)
    left = 0

    def failing(*arguments: Any, **options: Any) -> Any:
        nonlocal left
        # Reading the archive is not what is tested here.
        if path not in arguments:
            left -= 1
            if left == 0:
                raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)))
        return real(*arguments, **options)

    monkeypatch.setattr(os, call, failing)
    for number in range(1, 100):
        left = number
        try:
            unpack(path, str(canary.inside / "new"))
        except PumiceError as error:
            assert error.message.startswith("cannot ")
            assert canary.is_untouched
        else:
            break
    assert number > 1
    assert (canary.inside / "new" / "d" / "e" / "b").read_bytes() == b"x"
