"""Files written whole or not at all, and errors that say what to do."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from pumice.base import disk
from pumice.errors import DiskError, PermissionDenied


def test_write_atomic_replaces_and_leaves_no_temporary_file(tmp_path):
    path = tmp_path / "f"
    disk.write_atomic(str(path), b"one")
    disk.write_atomic(str(path), b"two" * 100_000, 0o755)
    assert path.read_bytes() == b"two" * 100_000
    assert stat.S_IMODE(path.stat().st_mode) == 0o755 & ~_umask()
    assert os.listdir(tmp_path) == ["f"]


def _umask() -> int:
    before = os.umask(0)
    os.umask(before)
    return before


def test_write_atomic_that_fails_leaves_the_old_file_alone(tmp_path, monkeypatch):
    path = tmp_path / "f"
    path.write_text("old")

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskError, match=r"cannot write .*/f: no space left on the device") as caught:
        disk.write_atomic(str(path), b"new")
    assert "free some space" in caught.value.hint
    assert (path.read_text(), os.listdir(tmp_path)) == ("old", ["f"])


@pytest.mark.adversary(50, 51)
@pytest.mark.parametrize(
    ("code", "kind", "exit_code", "words"),
    [
        (errno.ENOSPC, DiskError, 1, "no space left"),
        (errno.EDQUOT, DiskError, 1, "quota"),
        (errno.EIO, DiskError, 1, "input/output error"),
        (errno.EROFS, DiskError, 1, "read-only"),
        (errno.EMFILE, DiskError, 1, "too many open files"),
        (errno.ENOENT, DiskError, 1, "no such file"),
        (errno.EACCES, PermissionDenied, 2, "permission denied"),
        (errno.EPERM, PermissionDenied, 2, "permission denied"),
    ],
)
def test_translate_names_the_trouble_and_a_way_out(code, kind, exit_code, words):
    told = disk.translate(OSError(code, os.strerror(code)), "write /x/y")
    assert type(told) is kind
    assert told.exit_code == exit_code
    assert told.message.startswith("cannot write /x/y: ")
    assert words in told.message
    assert told.hint or code == errno.ENOENT


def test_make_directories_tells_which_it_made(tmp_path):
    deep = tmp_path / "a/b/c"
    assert disk.make_directories(str(deep)) == [str(tmp_path / "a"), str(tmp_path / "a/b"), str(deep)]
    assert disk.make_directories(str(deep)) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="make the directory"):
        disk.make_directories(str(tmp_path / "file"))
    with pytest.raises(DiskError, match="make the directory"):
        disk.make_directories(str(tmp_path / "file/below"))


@pytest.mark.parametrize("size", [0, 1, 5000, 3 << 20])
def test_copy_file_copies_all_and_overwrites_nothing(tmp_path, size):
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(os.urandom(size))
    disk.copy_file(str(source), str(target), 0o755)
    assert target.read_bytes() == source.read_bytes()
    with pytest.raises(DiskError, match="file exists"):
        disk.copy_file(str(source), str(target))


def test_copy_file_that_fails_removes_what_it_began(tmp_path):
    with pytest.raises(DiskError, match="no such file"):
        disk.copy_file(str(tmp_path / "missing"), str(tmp_path / "target"))
    assert os.listdir(tmp_path) == []


def test_remove_tree_takes_everything_and_follows_no_symlink(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").write_text("kept")
    (tmp_path / "gone/a/b").mkdir(parents=True)
    (tmp_path / "gone/a/file").write_text("")
    os.symlink(tmp_path / "kept", tmp_path / "gone/a/link")
    os.chmod(tmp_path / "gone/a/b", 0o555)
    os.chmod(tmp_path / "gone/a", 0o555)
    disk.remove_tree(str(tmp_path / "gone"))
    disk.remove_tree(str(tmp_path / "never was"))
    assert [str(path) for path in tmp_path.rglob("*")] == [
        str(tmp_path / "kept"),
        str(tmp_path / "kept/file"),
    ]


def test_remove_tree_of_a_symlink_takes_the_link_only(tmp_path):
    (tmp_path / "kept").mkdir()
    os.symlink("kept", tmp_path / "link")
    disk.remove_tree(str(tmp_path / "link"))
    assert os.listdir(tmp_path) == ["kept"]


def test_remove_if_empty(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    assert not disk.remove_if_empty(str(tmp_path / "a"))
    assert disk.remove_if_empty(str(tmp_path / "a/b"))
    assert disk.remove_if_empty(str(tmp_path / "a/b"))


def test_syncing_few_and_many_files(tmp_path):
    paths = [str(tmp_path / str(number)) for number in range(80)]
    for path in paths:
        disk.write_atomic(path, b"x")
    disk.sync_all(paths[:3], [str(tmp_path)])
    disk.sync_all(paths, [str(tmp_path)])
    assert disk.sync_file_system(str(tmp_path))
    with pytest.raises(OSError, match="No such file"):
        disk.sync_all([str(tmp_path / "missing")], [])
