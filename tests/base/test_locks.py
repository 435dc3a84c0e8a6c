"""One process at a time, whatever dies, forks or removes files meanwhile."""

from __future__ import annotations

import os
import time

import pytest

from pumice.base.locks import FileLock, Holder
from pumice.errors import TreeLocked


def test_it_excludes_names_its_holder_and_goes_away(tmp_path):
    path = str(tmp_path / "deep/lock")
    with FileLock(path, command="first") as held:
        assert held.held
        with pytest.raises(TreeLocked, match=f"the cache is in use by `first` .process {os.getpid()},"):
            FileLock(path, timeout=0.05, describe="the cache").acquire()
        assert held.held
    assert not os.path.exists(path)
    with FileLock(path, timeout=0):
        pass


@pytest.mark.adversary(54)
def test_many_processes_never_hold_it_together(tmp_path):
    """Each removes the file on release: who locked the removed one must notice."""
    path, counter = str(tmp_path / "lock"), tmp_path / "counter"
    counter.write_text("0")
    children = []
    for _ in range(8):
        child = os.fork()
        if child == 0:
            try:
                for _ in range(25):
                    with FileLock(path, timeout=30):
                        value = int(counter.read_text())
                        time.sleep(0.0002)
                        counter.write_text(str(value + 1))
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    assert counter.read_text() == "200"
    assert sorted(os.listdir(tmp_path)) == ["counter"]


def test_a_child_does_not_release_the_lock_of_its_parent(tmp_path):
    path = str(tmp_path / "lock")
    with FileLock(path) as lock:
        child = os.fork()
        if child == 0:
            lock.release()
            os._exit(0 if not lock.held else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert lock.held
        assert not FileLock(path).try_acquire()


@pytest.mark.parametrize("text", [b"", b"x", b"1\n2", b"1\nh\nnow\nc", b"\xff\xfe\n\n\n\n"])
def test_a_holder_that_cannot_be_read_is_none(text):
    assert Holder.from_bytes(text) is None


def test_a_holder_reads_what_it_wrote():
    told = Holder.from_bytes(Holder(7, "elsewhere", 0.0, "install a\nb").to_bytes())
    assert told is not None
    assert (told.process, told.host, told.since, told.command) == (7, "elsewhere", 0.0, "install a\nb")
    assert "(process 7 on elsewhere, since 19" in str(told)


def test_a_symlink_in_the_place_of_the_file_is_not_followed(tmp_path):
    (tmp_path / "victim").write_text("victim")
    os.symlink(tmp_path / "victim", tmp_path / "lock")
    with pytest.raises(Exception, match="cannot lock"):
        FileLock(str(tmp_path / "lock"), timeout=0).acquire()
    assert (tmp_path / "victim").read_text() == "victim"
