"""One writer at a time in a tree, Pumice or LuaRocks; a dead one keeps nobody out. (No oracle: LuaRocks 3.13.)"""

from __future__ import annotations

import errno
import os
import signal
import time

import pytest

from pumice.errors import PermissionDenied, TreeError, TreeLocked
from pumice.tree.lock import TreeLock


def holding(root: str, *, command: str = "pumice install x", seconds: float = 60.0) -> int:
    """A process that holds the lock of `root` until it is killed."""
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with TreeLock(root, command=command):
                os.write(told, b"x")
                time.sleep(seconds)
        finally:
            os._exit(0)
    os.read(ready, 1)
    os.close(ready)
    os.close(told)
    return child


def end(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def luarocks_locks(root: str) -> bool:
    """What LuaRocks 3.13 does with lfs: a symlink of that name, which must not exist."""
    try:
        os.symlink("lock", f"{root}/lockfile.lfs")
    except FileExistsError:
        return False
    return True


def test_while_it_is_held_luarocks_stays_out_and_afterwards_nothing_is_left(tmp_path):
    root = str(tmp_path / "deep/tree")
    with TreeLock(root) as lock:
        assert lock.held
        assert not luarocks_locks(root)
        (tmp_path / "temp").write_text("")
        with pytest.raises(FileExistsError):  # without lfs LuaRocks makes a hard link
            os.link(tmp_path / "temp", f"{root}/lockfile.lfs")
    assert os.listdir(tmp_path) == ["temp"]


def test_a_second_writer_waits_then_is_told_who_holds_the_tree(tmp_path):
    root = str(tmp_path / "tree")
    child = holding(root)
    try:
        started = time.monotonic()
        with pytest.raises(TreeLocked) as caught:
            TreeLock(root, timeout=0.3).acquire()
        assert 0.3 <= time.monotonic() - started < 3
        assert caught.value.exit_code == 4
        assert f"requires exclusive write access to {root}" in caught.value.message
        assert f"`pumice install x` (process {child}, since " in caught.value.message
        assert "try --force-lock" in caught.value.hint
    finally:
        end(child)


def test_a_second_writer_goes_on_when_the_first_has_finished(tmp_path):
    root = str(tmp_path / "tree")
    child = holding(root, seconds=0.3)
    with TreeLock(root, timeout=20):
        pass
    os.waitpid(child, 0)
    assert not os.path.exists(root) or os.listdir(root) == []


@pytest.mark.adversary(55)
def test_the_lock_of_a_killed_process_is_free_at_once_but_keeps_luarocks_out_until_then(tmp_path):
    root = str(tmp_path / "tree")
    end(holding(root))
    assert os.path.lexists(f"{root}/lockfile.lfs")
    assert not luarocks_locks(root)
    with TreeLock(root, timeout=0):
        pass
    assert luarocks_locks(root)


@pytest.mark.adversary(55)
def test_a_stale_lock_file_that_names_a_living_process_keeps_nobody_out(tmp_path):
    """The process id was used again, by us."""
    root = tmp_path / "tree"
    (root / ".pumice").mkdir(parents=True)
    (root / ".pumice/lock").write_text(f"{os.getpid()}\n{os.uname().nodename}\n1\npumice install\n")
    with TreeLock(str(root), timeout=0):
        pass


@pytest.mark.adversary(56)
def test_a_clock_that_jumps_back_changes_no_waiting(tmp_path, monkeypatch):
    root = str(tmp_path / "tree")
    child = holding(root)
    try:
        now = time.time()
        ticks = iter(range(10_000))
        monkeypatch.setattr(time, "time", lambda: now - 86400 * next(ticks))
        started = time.monotonic()
        with pytest.raises(TreeLocked):
            TreeLock(root, timeout=0.2).acquire()
        assert time.monotonic() - started < 3
    finally:
        end(child)
    with TreeLock(root, timeout=0):
        pass


def test_a_lock_of_luarocks_is_waited_for_and_dropped_when_it_is_stale(tmp_path, monkeypatch):
    root = str(tmp_path)
    assert luarocks_locks(root)
    with pytest.raises(TreeLocked, match="LuaRocks holds") as caught:
        TreeLock(root, timeout=0.1).acquire()
    assert caught.value.exit_code == 4
    assert os.listdir(root) == ["lockfile.lfs"]
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3700)
    with TreeLock(root, timeout=0):
        pass
    assert os.listdir(root) == []


def test_a_symlink_in_the_place_of_our_directory_is_refused(tmp_path):
    (tmp_path / "victim").mkdir()
    (tmp_path / "tree").mkdir()
    os.symlink("../victim", tmp_path / "tree/.pumice")
    with pytest.raises(TreeError, match="is a symlink"):
        TreeLock(str(tmp_path / "tree")).acquire()
    assert os.listdir(tmp_path / "victim") == []


def test_force_takes_the_lock_away_and_its_old_holder_takes_nothing_back(tmp_path):
    root = str(tmp_path / "tree")
    first = TreeLock(root).acquire()
    with TreeLock(root, timeout=0, force=True) as second:
        assert not first.held
        first.release()
        assert second.held
        assert not luarocks_locks(root)
    assert luarocks_locks(root)
    with TreeLock(root, timeout=0, force=True):
        pass


def test_a_forked_child_does_not_keep_the_lock_of_its_dead_parent(tmp_path):
    """The child that evaluates Lua lives a moment longer than a killed command."""
    root = str(tmp_path / "tree")
    ready, told = os.pipe()
    parent = os.fork()
    if parent == 0:
        TreeLock(root).acquire()
        child = os.fork()
        if child == 0:
            time.sleep(30)
            os._exit(0)
        os.write(told, b"%d\n" % child)
        time.sleep(30)
        os._exit(0)
    child = int(os.read(ready, 20))
    end(parent)
    try:
        with TreeLock(root, timeout=1):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.close(ready)
        os.close(told)


def test_without_the_right_to_write_it_is_permission_denied(tmp_path):
    if os.geteuid() == 0:
        os.chmod(tmp_path, 0o755)
    root = tmp_path / "tree"
    root.mkdir(mode=0o555)
    child = os.fork()
    if child == 0:
        code = 99
        try:
            os.umask(0o022)
            for parent in tmp_path.parents if os.geteuid() == 0 else ():
                if str(parent) not in ("/", "/tmp"):
                    os.chmod(parent, os.stat(parent).st_mode | 0o055)
            if os.geteuid() == 0:
                os.setuid(65534)
            for place in (root, root / "new/tree"):
                try:
                    TreeLock(str(place)).acquire()
                except PermissionDenied as error:
                    if "your user does not have write permissions in" not in error.message.lower():
                        os._exit(3)
                    code = error.exit_code
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    assert os.listdir(root) == []


def test_a_read_only_file_system_is_permission_denied(tmp_path, monkeypatch):
    """As with LuaRocks, which asks whether it may write there."""

    def refuse(path, mode=0o777, **_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(PermissionDenied, match="the file system is read-only") as info:
        TreeLock(str(tmp_path / "tree")).acquire()
    assert info.value.exit_code == 2
