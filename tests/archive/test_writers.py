"""Archives are written byte for byte the same, complete or not at all, never with names that we refuse."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.archive.member import Entry
from pumice.archive.tar_reader import open_tar
from pumice.archive.tar_writer import write_tar_gz
from pumice.archive.zip_reader import open_zip
from pumice.archive.zip_writer import write_zip
from pumice.errors import ArchiveError, DiskError, PermissionDenied

WRITERS: dict[str, tuple[Callable[..., None], Callable[..., Any]]] = {
    "zip": (write_zip, open_zip),
    "tar": (write_tar_gz, open_tar),
}
# Of the same contents on every machine: a change of these is a change of every rock's digest.
DIGESTS = {
    "zip": "cee087cb988ce50cb4960934eef784ddef0ed7320a8cb2d88e5d35fc929d8dd1",
    "tar": "b3a474649cd32798db03c72d85b3a4cc7ee5baa95b286a797e52a7c02cfbd510",
}

WRITE = """
import os, sys
from pumice.archive.member import Entry
from pumice.archive.tar_writer import write_tar_gz
from pumice.archive.zip_writer import write_zip
os.umask(int(sys.argv[3], 8))
contents = {"b/x.lua": b"return 1", "a": b"", "b/run": b"#!/bin/sh", "é": b"e" * 200_000}
contents["n/" + "l" * 150] = b"l"
names = list(contents) if sys.argv[4] == "forward" else list(contents)[::-1]
entries = [Entry(name, lambda name=name: contents[name], name == "b/run") for name in names]
{"zip": write_zip, "tar": write_tar_gz}[sys.argv[1]](sys.argv[2], entries)
"""


@pytest.mark.parametrize("kind", WRITERS)
def test_the_same_content_gives_the_same_bytes_anywhere(kind: str, tmp_path: Path) -> None:
    """Another umask, locale, time zone, time and file order."""
    written = []
    for number, (umask, locale, zone, order) in enumerate(
        (("022", "C", "UTC", "forward"), ("077", "C.UTF-8", "Asia/Tokyo", "backward"))
    ):
        path = tmp_path / str(number)
        environment = {"PATH": os.environ["PATH"], "LC_ALL": locale, "TZ": zone}
        command = [sys.executable, "-c", WRITE, kind, str(path), umask, order]
        subprocess.run(command, env=environment, check=True, timeout=60)
        written.append(path.read_bytes())
        time.sleep(1.1 * (1 - number))
    assert written[0] == written[1]
    assert hashlib.sha256(written[0]).hexdigest() == DIGESTS[kind]


_PART = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=60)
_NAME = st.lists(_PART, min_size=1, max_size=6).map("/".join)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("kind", WRITERS)
@given(contents=st.dictionaries(_NAME, st.tuples(st.binary(max_size=2000), st.booleans()), max_size=6))
@settings(max_examples=60, deadline=None)
def test_whatever_is_written_reads_back_the_same(
    kind: str, compress: bool, contents: dict[str, tuple[bytes, bool]], tmp_path_factory: Any
) -> None:
    """Any names at all: either both writer and reader take them, or the writer refuses."""
    write, read = WRITERS[kind]
    path = tmp_path_factory.mktemp("written") / "archive"
    entries = [
        Entry(name, lambda data=data: data, executable) for name, (data, executable) in contents.items()
    ]
    try:
        write(str(path), entries, compress=compress)
    except ArchiveError:
        assert not path.exists()
        return
    with read(str(path)) as archive:
        found = {member.name: (archive.read(member.name), member.executable) for member in archive.members}
    assert contents == found


@pytest.mark.parametrize("kind", WRITERS)
def test_undecodable_names_are_kept(kind: str, tmp_path: Path) -> None:
    write, read = WRITERS[kind]
    names = {"caf\udce9", "x/" * 60 + "caf\udce9"}
    write(str(tmp_path / "a"), [Entry(name, lambda: b"x") for name in names])
    assert {member.name for member in read(str(tmp_path / "a")).members} == names


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("name", ["../a", "/a", "a//b", "", "nul", "a\nb", "a\\b", "x" * 256])
def test_names_that_are_refused_are_not_written(kind: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError):
        WRITERS[kind][0](str(tmp_path / "a"), [Entry(name, lambda: b"x")])
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", WRITERS)
def test_names_that_collide_are_not_written(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError):
        WRITERS[kind][0](str(tmp_path / "a"), [Entry("a", lambda: b"x"), Entry("A", lambda: b"x")])


@pytest.mark.parametrize("kind", WRITERS)
def test_a_failure_half_way_leaves_the_old_file(kind: str, tmp_path: Path) -> None:
    def fail() -> bytes:
        raise OSError("gone")

    path = tmp_path / "a"
    path.write_bytes(b"old")
    entries = [Entry("a", lambda: bytes(3 << 20)), Entry("b", fail)]
    with pytest.raises(OSError, match="gone"):
        WRITERS[kind][0](str(path), entries)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("kind", WRITERS)
def test_a_full_disk_is_told(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DiskError, match="no space left"):
        WRITERS[kind][0](str(tmp_path / "a"), [Entry("a", lambda: b"x")])
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", WRITERS)
def test_a_missing_directory_is_told(kind: str, tmp_path: Path) -> None:
    with pytest.raises((DiskError, PermissionDenied), match="cannot write"):
        WRITERS[kind][0](str(tmp_path / "none" / "a"), [])


def test_more_files_than_every_tool_reads_are_refused(tmp_path: Path) -> None:
    entries = [Entry(f"f{number}", lambda: b"") for number in range(65_536)]
    with pytest.raises(ArchiveError, match="65535 files"):
        write_zip(str(tmp_path / "a.zip"), entries)
    write_zip(str(tmp_path / "a.zip"), entries[1:])
    assert len(open_zip(str(tmp_path / "a.zip")).members) == 65_535
