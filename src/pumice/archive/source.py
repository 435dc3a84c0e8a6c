"""The bytes of an archive by position: in memory when small, by `pread` when not."""

from __future__ import annotations

import os
import stat

from pumice.archive.member import refused
from pumice.errors import ArchiveError, NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class ByPosition(Protocol):
        """Whatever can be read from any position: a file here, or parts of one on a server."""

        path: str
        """What errors call it."""
        size: int

        def at(self, offset: int, length: int) -> bytes:
            """`length` bytes from `offset`; fewer only where the file ends."""


__all__ = ["Source", "open_source"]

_HELD_IN_MEMORY = 4 << 20


class Source:
    """A regular file that is only read, from any position."""

    __slots__ = ("_data", "_fd", "path", "size")

    def __init__(self, path: str, fd: int, size: int) -> None:
        self.path = path
        self.size = size
        self._fd = fd
        self._data: bytes | None = None
        if size <= _HELD_IN_MEMORY:
            data = self.at(0, size)
            self._data = data
            self.size = len(data)
            self.close()

    def at(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`; fewer only where the file ends."""
        if self._data is not None:
            return self._data[offset : offset + length]
        if self._fd < 0:
            raise ValueError("the archive is closed")
        try:
            data = os.pread(self._fd, length, offset)
            while 0 < len(data) < length:
                more = os.pread(self._fd, length - len(data), offset + len(data))
                if not more:
                    break
                data += more
        except OSError as error:
            raise _unreadable(self.path, error) from error
        return data

    def close(self) -> None:
        """Gives the file back; what is held in memory stays readable."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        self.close()


def open_source(path: str) -> Source:
    """Opens the archive at `path`. Raises NotFoundError, ArchiveError if it is no readable regular file."""
    try:
        # Not blocking, so that a named pipe cannot hold us up.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise NotFoundError(f"File not found: {path}", hint="check the path") from error
    except OSError as error:
        raise _unreadable(path, error) from error
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise refused(path, "it is no regular file")
    return Source(path, fd, status.st_size)


def _unreadable(path: str, error: OSError) -> ArchiveError:
    return ArchiveError(f"{path} cannot be read: {error.strerror}", hint="check its permissions and the disk")
