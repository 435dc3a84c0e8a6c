"""`TreeLock`: one writer at a time in a rocks tree, Pumice or LuaRocks (contract 1.3, 8; settled.md).

Two locks are held together. `<root>/.pumice/lock` is a `flock`: the kernel frees it when its holder dies.
`<root>/lockfile.lfs` is the one that LuaRocks 3.13 makes, as a symlink (with lfs) or a hard link (without),
and which it takes for held as long as anything has that name. Ours is a symlink whose target says that it
is ours: who holds the flock knows that such a symlink was left by a dead process and takes it over. Until
then LuaRocks stays out, which is as it should be while a journal waits to be recovered.
"""

from __future__ import annotations

import errno
import os
import time

from pumice.base.disk import make_directories, translate, write_all
from pumice.base.locks import FileLock, Holder, pauses
from pumice.base.signals import Deferred
from pumice.errors import DiskError, PermissionDenied, TreeError, TreeLocked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["PRIVATE", "TreeLock"]

PRIVATE = ".pumice"
"""Pumice's own directory in a tree: lock, staged files, journal. Gone when nothing is under way."""
_OURS = "pumice lock: "
_STALE = 3600
"""LuaRocks drops a lock of its own kind after so many seconds; nothing else tells that its holder died."""


class TreeLock:
    """The right to change the tree at `root`, which is made if it is missing; a context manager.

    `timeout`: seconds to wait for the holder. `force`: take the lock away from whoever has it first
    (`--force-lock`). `command`: what others read about us while they wait.

    Raises TreeLocked (exit 4), PermissionDenied (exit 2) or DiskError; then nothing is left behind, and no
    directory that this call made.
    """

    __slots__ = ("_command", "_file", "_force", "_made", "_mark", "_timeout", "root")

    def __init__(
        self, root: str, *, timeout: float = 60.0, force: bool = False, command: str = "pumice"
    ) -> None:
        self.root = root
        self._timeout = timeout
        self._force = force
        self._command = command
        self._file = FileLock(os.path.join(root, PRIVATE, "lock"), command=command)
        self._mark = ""
        self._made: list[str] = []

    @property
    def held(self) -> bool:
        """The lock is ours, and nobody has forced it."""
        return self._file.held

    def acquire(self) -> TreeLock:
        """Take both locks, waiting for each. Raises as the class says."""
        try:
            with Deferred():
                self._made = make_directories(self.root)
            private = os.path.join(self.root, PRIVATE)
            if os.path.islink(private):
                raise TreeError(f"{private} is a symlink", hint="look at where it leads, and remove it")
            if self._force:
                self._take_away()
            for pause in pauses(self._timeout):
                if self._try():
                    return self
                time.sleep(pause)
            if self._try():
                return self
            raise self._locked()
        except PermissionDenied as error:
            self.release()
            raise self._denied() from error
        except DiskError as error:
            self.release()
            if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EROFS:
                raise PermissionDenied(error.message, hint=error.hint) from error
            raise
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Give both locks back, with the directories that only served them. Never raises."""
        with Deferred():
            if self._mark and self._file.held and _target(self._lockfile) == self._mark:
                _quietly(os.unlink, self._lockfile)
            self._mark = ""
            self._file.release()
            _quietly(os.rmdir, os.path.join(self.root, PRIVATE))
            for directory in reversed(self._made):
                _quietly(os.rmdir, directory)
            self._made = []

    def __del__(self) -> None:
        if self._mark:  # a signal came between the end of the `with` and `__exit__`
            self.release()

    def __enter__(self) -> TreeLock:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    @property
    def _lockfile(self) -> str:
        return os.path.join(self.root, "lockfile.lfs")

    def _try(self) -> bool:
        with Deferred():
            if not self._file.held and not self._file.try_acquire():
                return False
            return self._mark_for_luarocks()

    def _mark_for_luarocks(self) -> bool:
        """Make `lockfile.lfs`, in place of one whose maker is dead; False while LuaRocks has it."""
        holder = Holder.me(self._command)
        mark = f"{_OURS}process {holder.process} on {holder.host}"
        try:
            for _ in range(3):
                try:
                    _make_mark(mark, self._lockfile)
                except FileExistsError:
                    if not _target(self._lockfile).startswith(_OURS) and _age(self._lockfile) < _STALE:
                        return False
                    _quietly(os.unlink, self._lockfile)
                else:
                    self._mark = mark
                    return True
        except OSError as error:
            raise translate(error, f"lock {self.root}") from error
        return False

    def _take_away(self) -> None:
        self._file.take_away()
        try:
            os.unlink(self._lockfile)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise translate(error, f"remove the lock {self._lockfile}") from error

    def _locked(self) -> TreeLocked:
        if self._file.held:
            who = f"LuaRocks holds {self._lockfile}"
        else:
            who = f"held by {self._file.holder() or 'another process'}"
        return TreeLocked(
            f"command requires exclusive write access to {self.root}: {who}",
            hint="wait for it to finish; if it never will, try --force-lock",
        )

    def _denied(self) -> PermissionDenied:
        at = self.root
        while not os.path.isdir(at) and at != os.path.dirname(at):
            at = os.path.dirname(at)
        missing = "" if at == self.root else f"{self.root} does not exist and "
        return PermissionDenied(
            f"{missing}{'your' if missing else 'Your'} user does not have write permissions in {at}",
            hint="you may want to run as a privileged user or use your local tree with --local",
        )


def _make_mark(mark: str, path: str) -> None:
    """A symlink to `mark`; on a file system without symlinks a file that holds it. Raises OSError."""
    try:
        os.symlink(mark, path)
    except PermissionError as error:
        if error.errno != errno.EPERM:
            raise
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            write_all(descriptor, mark.encode("utf-8", "surrogateescape"))
        finally:
            os.close(descriptor)


def _target(path: str) -> str:
    """The mark that a symlink names or a small file holds; nothing when there is none."""
    try:
        return os.readlink(path)
    except OSError:
        pass
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(descriptor, 4096).decode("utf-8", "surrogateescape")
    except OSError:
        return ""
    finally:
        os.close(descriptor)


def _age(path: str) -> float:
    """Seconds since the file was made, as far as clocks can be trusted; endless when it is gone."""
    try:
        return time.time() - os.lstat(path).st_ctime
    except FileNotFoundError:
        return float("inf")


def _quietly(call: Callable[[str], None], path: str) -> None:
    try:
        call(path)
    except OSError:
        pass
