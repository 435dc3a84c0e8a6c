"""A file appears under its name only when it is complete."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pumice.base.output import AtomicFile
from pumice.errors import DiskError


def test_a_complete_file_takes_its_name(tmp_path: Path) -> None:
    with AtomicFile(str(tmp_path / "a")) as output:
        for _ in range(5):
            output.write(b"x" * 700_000)
        assert not (tmp_path / "a").exists()
    assert (tmp_path / "a").read_bytes() == b"x" * 3_500_000
    assert os.listdir(tmp_path) == ["a"]


def test_the_old_file_stays_until_then_and_after_a_failure(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), AtomicFile(str(tmp_path / "a")) as output:
        output.write(b"new" * 1_000_000)
        assert (tmp_path / "a").read_bytes() == b"old"
        raise KeyboardInterrupt
    assert (tmp_path / "a").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_the_umask_counts(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        with AtomicFile(str(tmp_path / "a"), 0o755):
            pass
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o750


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DiskError, match="no space left"), AtomicFile(str(tmp_path / "a")) as output:
        output.write(b"x")
    assert os.listdir(tmp_path) == []


def test_a_directory_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(DiskError, match="cannot write"), AtomicFile(str(tmp_path / "a")) as output:
        output.write(b"x")
    assert os.listdir(tmp_path) == ["a"]
