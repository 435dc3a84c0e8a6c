"""`FileLock`: one process at a time, waiting with a time-out, and freed by the kernel when its holder dies.

The lock is `flock` on a file; the text in the file (who holds it) is for people and decides nothing, so a
stale file, a re-used process id or a clock that jumps cannot keep anybody out.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time

from pumice.base.disk import make_directories, translate, write_all
from pumice.errors import DiskError, TreeLocked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["FileLock", "Holder", "pauses"]

_held: set[int] = set()
"""Descriptors of the locks of this process; a forked child closes them, so as not to hold them longer."""
_registered = False


class Holder:
    """Who holds a lock, as far as the lock's file tells; `str()` gives text for a message."""

    __slots__ = ("command", "host", "process", "since")

    def __init__(self, process: int, host: str, since: float, command: str) -> None:
        self.process = process
        self.host = host
        self.since = since
        self.command = command

    def __str__(self) -> str:
        here = "" if self.host == os.uname().nodename else f" on {self.host}"
        clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"`{self.command}` (process {self.process}{here}, since {clock})"

    def to_bytes(self) -> bytes:
        """One line for each field; the command last, since it may hold anything."""
        text = f"{self.process}\n{self.host}\n{self.since:.0f}\n{self.command}\n"
        return text.encode("utf-8", "surrogateescape")

    @classmethod
    def from_bytes(cls, data: bytes) -> Holder | None:
        """The holder, or None when the text is not one (cut short, or somebody else's)."""
        fields = data.decode("utf-8", "replace").split("\n", 3)
        try:
            return cls(int(fields[0]), fields[1], float(fields[2]), fields[3].rstrip("\n"))
        except (IndexError, ValueError):
            return None

    @classmethod
    def me(cls, command: str) -> Holder:
        """This process, now."""
        return cls(os.getpid(), os.uname().nodename, time.time(), command)


class FileLock:
    """The lock in the file at `path`; a context manager. Not for several threads at once.

    `timeout`: how many seconds to wait, by the monotonic clock. `describe`: what is locked, for the message.
    `command`: what the holder does, for the message that others get.

    The file is removed by its holder on release; whoever waited then finds that what he locked is no longer
    the file of that name, and begins again.
    """

    __slots__ = ("_command", "_describe", "_descriptor", "_process", "_timeout", "path")

    def __init__(
        self, path: str, *, timeout: float = 60.0, describe: str = "", command: str = "pumice"
    ) -> None:
        self.path = path
        self._timeout = timeout
        self._describe = describe or path
        self._command = command
        self._descriptor = -1
        self._process = 0

    @property
    def held(self) -> bool:
        """This object holds the lock, and its file is still the one of that name (nobody forced it)."""
        if self._descriptor < 0 or self._process != os.getpid():
            return False
        try:
            return _names(self.path, self._descriptor)
        except OSError:
            return False

    def try_acquire(self) -> bool:
        """Take the lock if it is free. Raises DiskError or PermissionDenied when it cannot be asked."""
        try:
            while True:
                descriptor, writable = _open(self.path)
                if not _flock(descriptor, self.path):
                    return False
                self._descriptor, self._process = descriptor, os.getpid()
                _remember(descriptor)
                if _names(self.path, descriptor):
                    break
                self.release()
        except OSError as error:
            self.release()
            raise translate(error, f"lock {self.path}") from error
        if writable:
            try:
                os.ftruncate(descriptor, 0)
                write_all(descriptor, Holder.me(self._command).to_bytes())
            except OSError:  # the text is for people: a full disk must not keep anybody from removing rocks
                pass
        return True

    def acquire(self) -> FileLock:
        """Take the lock, waiting for its holder. Raises TreeLocked, DiskError or PermissionDenied."""
        for pause in pauses(self._timeout):
            if self.try_acquire():
                return self
            time.sleep(pause)
        if self.try_acquire():
            return self
        holder = self.holder()
        raise TreeLocked(
            f"{self._describe} is in use by {holder or 'another process'}",
            hint="wait for it to finish, then repeat",
        )

    def release(self) -> None:
        """Give the lock back, if it is held; its file goes away."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0 or self._process != os.getpid():
            return
        _held.discard(descriptor)
        try:
            if _names(self.path, descriptor):
                os.unlink(self.path)
        except OSError:  # the lock is free all the same once it is closed
            pass
        finally:
            os.close(descriptor)

    def holder(self) -> Holder | None:
        """Who wrote the lock's file last; he holds the lock if somebody does."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return Holder.from_bytes(os.read(descriptor, 4096))
        except OSError:
            return None
        finally:
            os.close(descriptor)

    def take_away(self) -> None:
        """Take the name away from whoever holds the lock. Raises DiskError or PermissionDenied."""
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise translate(error, f"remove the lock {self.path}") from error

    def __enter__(self) -> FileLock:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class pauses:  # noqa: N801
    """Sleeps for a waiter: short at first, then up to 50 ms, ending when `timeout` seconds have passed."""

    __slots__ = ("_deadline", "_pause")

    def __init__(self, timeout: float) -> None:
        self._deadline = time.monotonic() + timeout
        self._pause = 0.001

    def __iter__(self) -> pauses:
        return self

    def __next__(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise StopIteration
        self._pause = min(self._pause * 1.5, 0.05)
        return min(self._pause, left)


def _open(path: str) -> tuple[int, bool]:
    """The lock's file, made with its directory if need be, and whether it may be written. Raises OSError."""
    flags = os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        try:
            return os.open(path, os.O_RDWR | flags, 0o644), True
        except FileNotFoundError:  # its last holder removed the directory as well
            make_directories(os.path.dirname(path))
        except PermissionError:  # left by another user, who died; the right to lock needs no right to write
            return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), False


def _flock(descriptor: int, path: str) -> bool:
    """Whether the open file is locked now; it is closed if not. Raises DiskError and OSError."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EINTR):
            return False
        if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise DiskError(
                f"cannot lock {path}: this file system has no locks",
                hint="mount it with lock support, or use a tree on another file system",
            ) from error
        raise
    return True


def _names(path: str, descriptor: int) -> bool:
    """The file open as `descriptor` is (still) the one at `path`. Raises OSError."""
    try:
        there = os.lstat(path)
    except FileNotFoundError:
        return False
    here = os.fstat(descriptor)
    return (there.st_ino, there.st_dev) == (here.st_ino, here.st_dev)


def _remember(descriptor: int) -> None:
    global _registered  # noqa: PLW0603
    _held.add(descriptor)
    if not _registered:
        os.register_at_fork(after_in_child=_close_in_child)
        _registered = True


def _close_in_child() -> None:
    for descriptor in _held:
        try:
            os.close(descriptor)
        except OSError:
            pass
    _held.clear()
