"""`AtomicFile`: a file written piece by piece, which appears under its name only when it is complete."""

from __future__ import annotations

import os

from pumice.base.disk import random_name, translate, write_all

__all__ = ["AtomicFile"]

_BUFFERED = 1 << 20


class AtomicFile:
    """A context manager: what was written gets the name `path` when the block ends well, else it is gone.

    For files that can be made again (packed rocks, downloads): nothing is synced, so that after a power cut
    the new file may be incomplete. `mode` is subject to the umask.
    All methods raise DiskError or PermissionDenied.
    """

    __slots__ = ("_buffer", "_descriptor", "_held", "_mode", "_temporary", "path")

    def __init__(self, path: str, mode: int = 0o644) -> None:
        self.path = path
        self._mode = mode
        self._temporary = os.path.join(os.path.dirname(path), random_name("part"))
        self._descriptor = -1
        self._buffer: list[bytes] = []
        self._held = 0

    def __enter__(self) -> AtomicFile:
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._descriptor = os.open(self._temporary, flags, self._mode)
        except OSError as error:
            raise translate(error, f"write {self.path}") from error
        return self

    def write(self, data: bytes) -> None:
        """`data` comes next."""
        self._buffer.append(data)
        self._held += len(data)
        if self._held >= _BUFFERED:
            self._flush()

    def _flush(self) -> None:
        try:
            write_all(self._descriptor, b"".join(self._buffer))
        except OSError as error:
            raise translate(error, f"write {self.path}") from error
        self._buffer = []
        self._held = 0

    def __exit__(self, kind: type[BaseException] | None, *_exception: object) -> None:
        complete = False
        try:
            if kind is None:
                self._flush()
                os.rename(self._temporary, self.path)
                complete = True
        except OSError as error:
            raise translate(error, f"write {self.path}") from error
        finally:
            os.close(self._descriptor)
            if not complete:
                try:
                    os.unlink(self._temporary)
                except OSError:
                    pass
