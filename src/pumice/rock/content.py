"""`Content`: the bytes of one file, wherever they lie."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Content"]


class Content:
    """Bytes that can be read again and again; `path` names the plain file that holds exactly them, if any.

    A writer may copy, reflink or (in a generation tree, from its own store) link `path` instead of reading.
    """

    __slots__ = ("_read", "path")

    def __init__(self, read: Callable[[], bytes], path: str | None = None) -> None:
        self._read = read
        self.path = path

    def read(self) -> bytes:
        """All the bytes. Raises OSError, or ArchiveError when they lie in an archive that is broken there."""
        return self._read()

    @classmethod
    def of_bytes(cls, data: bytes) -> Content:
        """Bytes that are already here."""
        return cls(lambda: data)

    @classmethod
    def of_path(cls, path: str) -> Content:
        """The bytes of the file at `path`, read when asked for."""

        def read() -> bytes:
            with open(path, "rb") as file:
                return file.read()

        return cls(read, path)
