"""The store of a generation tree: every content once, under its sha256, read-only, linked into generations.

A file is `store/ab/cdef…`, with `-x` after the digest when it may be executed (links share their mode).
Every file has the same modification time, so an edit through one of its links shows without reading it;
damage that leaves time and size alone is found by `verify`. What is damaged is never linked again.
"""

from __future__ import annotations

import errno
import os
import stat

from pumice.base.disk import copy_file, start_writing, sync_all, write_all
from pumice.base.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from pumice.rock.content import Content

__all__ = ["Blob", "Damaged", "Store"]

_TIME = 946_684_800_000_000_000
"""2000-01-01: what every file of a store says of its last change, in nanoseconds."""
_NO_LINK = (errno.EMLINK, errno.EPERM, errno.EXDEV, errno.EOPNOTSUPP)


class Damaged(Exception):
    """The store's file does not hold what its name says, or is gone."""


class Blob(Value):
    """One content of a store."""

    key: str
    """The sha256, in hex; with `-x` when executable."""
    size: int


class Store:
    """The store in `directory`. `staging`, on the same file system, takes files until they are synced.

    All methods raise OSError. Only one process at a time may write (the tree's lock sees to it).
    """

    __slots__ = ("_staged", "_staging", "directory")

    def __init__(self, directory: str, staging: str) -> None:
        self.directory = directory
        self._staging = staging
        self._staged: dict[str, str] = {}

    def add(self, content: Content, *, executable: bool) -> Blob:
        """The store will hold the content after `settle`; until then it can be linked already."""
        from hashlib import sha256

        data = content.read()
        key = sha256(data).hexdigest() + ("-x" if executable else "")
        blob = Blob(key, len(data))
        if key in self._staged or self._looks_right(self.path(key), blob):
            return blob
        staged = os.path.join(self._staging, f"b{len(self._staged)}")
        mode = 0o555 if executable else 0o444
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            write_all(descriptor, data)
            os.utime(descriptor, ns=(_TIME, _TIME))
            start_writing(descriptor)
        finally:
            os.close(descriptor)
        self._staged[key] = staged
        return blob

    def link(self, blob: Blob, target: str) -> None:
        """`target`, which does not exist, is the content: a hard link, or a copy where that is not possible.

        Raises Damaged when the store does not have the content whole.
        """
        source = self._staged.get(blob.key)
        if source is None:
            source = self.path(blob.key)
            if not self._looks_right(source, blob) and not self._is_right(source, blob):
                raise Damaged(blob.key)
        try:
            os.link(source, target)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            copy_file(source, target, 0o555 if blob.key.endswith("-x") else 0o444)

    def read(self, blob: Blob) -> bytes:
        """The bytes of a content. Raises Damaged when the store does not have it whole."""
        source = self._staged.get(blob.key) or self.path(blob.key)
        if not self._is_right(source, blob):
            raise Damaged(blob.key)
        with open(source, "rb") as file:
            return file.read()

    def staged(self) -> list[str]:
        """The files that have to be synced before `settle`."""
        return list(self._staged.values())

    def settle(self) -> list[str]:
        """What was added, and was synced by the caller, has its place; gives the directories to sync."""
        touched: dict[str, None] = {}
        for key, staged in self._staged.items():
            path = self.path(key)
            for directory in (self.directory, os.path.dirname(path)):
                if directory not in touched:
                    try:
                        os.mkdir(directory, 0o755)
                    except FileExistsError:
                        pass
                    touched[directory] = None
            os.rename(staged, path)
        self._staged = {}
        return list(touched)

    def keys(self) -> Iterator[str]:
        """Everything in the store, in no order."""
        try:
            groups = os.listdir(self.directory)
        except FileNotFoundError:
            return
        for group in groups:
            if len(group) == 2:
                for rest in os.listdir(os.path.join(self.directory, group)):
                    yield group + rest

    def damaged(self) -> list[str]:
        """The keys whose files do not hold what they should: read and hashed, all of them."""
        return [key for key in self.keys() if not self._is_right(self.path(key), Blob(key, -1))]

    def set_aside(self, keys: Iterable[str]) -> None:
        """Damaged files are under `store/damaged/` now: they are never linked again."""
        aside = os.path.join(self.directory, "damaged")
        for key in keys:
            os.makedirs(aside, exist_ok=True)
            os.rename(self.path(key), os.path.join(aside, key))
        if os.path.isdir(aside):
            sync_all([], [self.directory, aside])

    def collect(self, candidates: Iterable[str], referenced: Container[str]) -> int:
        """Remove those candidates that nothing refers to, by name or by link; gives how many."""
        removed = 0
        for key in candidates:
            path = self.path(key)
            try:
                if key in referenced or os.lstat(path).st_nlink > 1:
                    continue
                os.unlink(path)
            except FileNotFoundError:
                continue
            removed += 1
            try:
                os.rmdir(os.path.dirname(path))
            except OSError:  # it holds others
                pass
        return removed

    def path(self, key: str) -> str:
        """Where the content of that key lies in the store."""
        return f"{self.directory}/{key[:2]}/{key[2:]}"

    def _looks_right(self, path: str, blob: Blob) -> bool:
        """Nobody has written to the file since it came into the store, as far as its inode tells."""
        try:
            status = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return (
            status.st_mtime_ns == _TIME
            and status.st_size == blob.size
            and stat.S_ISREG(status.st_mode)
            and status.st_mode == _right_mode(status.st_mode, blob)
        )

    def _is_right(self, path: str, blob: Blob) -> bool:
        """The file holds what its key says; its time and mode are set right again if it does."""
        from hashlib import sha256

        digest = sha256()
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            while data := os.read(descriptor, 1 << 20):
                digest.update(data)
            if digest.hexdigest() != blob.key.partition("-")[0]:
                return False
            status = os.fstat(descriptor)
            if status.st_mode != _right_mode(status.st_mode, blob) or status.st_mtime_ns != _TIME:
                os.fchmod(descriptor, stat.S_IMODE(_right_mode(status.st_mode, blob)))
                os.utime(descriptor, ns=(_TIME, _TIME))
        except PermissionError:  # another user's file: he sets it right
            return True
        finally:
            os.close(descriptor)
        return True


def _right_mode(mode: int, blob: Blob) -> int:
    """The mode without w bits, and with an x bit beside each r bit or none at all, as the key says."""
    mode &= ~0o333
    return mode | (mode & 0o444) >> 2 if blob.key.endswith("-x") else mode
