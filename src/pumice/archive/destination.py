"""A directory that archives are unpacked into: nothing is written outside of it, whatever happens meanwhile.

Every step down is taken from the directory above, by descriptor and without following symlinks, so that
neither a link that was there nor one that somebody puts there at this moment can lead a file elsewhere.
"""

from __future__ import annotations

import errno
import os

from pumice.archive.member import shown
from pumice.base.disk import make_directories, translate, write_all
from pumice.errors import DiskError, PumiceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Destination"]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Destination:
    """A context manager: members are written below `path`; if the block fails, they are removed again.

    Names must have been validated (`names.NameSet`). Files never replace anything. All methods raise
    DiskError or PermissionDenied.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        # The directories from the destination down to the last one used, each with its open descriptor.
        self._stack: list[tuple[str, int]] = []
        self._made: list[tuple[str, bool]] = []
        self._outside: list[str] = []

    def __enter__(self) -> Destination:
        self._outside = make_directories(self.path)
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            self._undo()
            raise translate(error, f"unpack into {self.path}") from error
        self._stack.append(("", descriptor))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_exception: object) -> None:
        if kind is not None:
            self._undo()
        while self._stack:
            os.close(self._stack.pop()[1])

    def directory(self, name: str) -> None:
        """The directory `name` is there."""
        try:
            self._enter(name)
        except OSError as error:
            raise self._failure(error, name) from error

    def file(self, name: str, pieces: Iterable[bytes], *, executable: bool = False) -> None:
        """The new file `name` holds `pieces`; mode 0644 or 0755 less the umask."""
        directory, _, last = name.rpartition("/")
        try:
            parent = self._enter(directory)
            descriptor = os.open(last, _NEW_FILE, 0o755 if executable else 0o644, dir_fd=parent)
            self._made.append((name, False))
            try:
                for piece in pieces:
                    write_all(descriptor, piece)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self._failure(error, name) from error

    def symlink(self, name: str, target: str) -> None:
        """The new symlink `name` leads to `target`."""
        directory, _, last = name.rpartition("/")
        try:
            os.symlink(target, last, dir_fd=self._enter(directory))
            self._made.append((name, False))
        except OSError as error:
            raise self._failure(error, name) from error

    def _enter(self, directory: str) -> int:
        """The descriptor of `directory`, made where it is missing. Raises OSError."""
        while self._stack[-1][0] != directory:
            top, descriptor = self._stack[-1]
            if top == "" or directory.startswith(f"{top}/"):
                part = directory[len(top) + 1 if top else 0 :].split("/", 1)[0]
                below = f"{top}/{part}" if top else part
                try:
                    os.mkdir(part, 0o755, dir_fd=descriptor)
                    self._made.append((below, True))
                except FileExistsError:
                    pass
                self._stack.append((below, os.open(part, _DIRECTORY, dir_fd=descriptor)))
            else:
                os.close(self._stack.pop()[1])
        return self._stack[-1][1]

    def _failure(self, error: OSError, name: str) -> PumiceError:
        if isinstance(error, FileExistsError | NotADirectoryError) or error.errno == errno.ELOOP:
            return DiskError(
                f"cannot unpack {shown(name)} into {self.path}: something else is there already",
                hint="unpack into an empty directory",
            )
        return translate(error, f"unpack {shown(name)} into {self.path}")

    def _undo(self) -> None:
        """Removes what was made, as far as that can be done."""
        for name, is_directory in reversed(self._made):
            directory, _, last = name.rpartition("/")
            try:
                parent = self._enter(directory)
                if is_directory:
                    os.rmdir(last, dir_fd=parent)
                else:
                    os.unlink(last, dir_fd=parent)
            except OSError:
                continue
        for path in reversed(self._outside):
            try:
                os.rmdir(path)
            except OSError:
                break
