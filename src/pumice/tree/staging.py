"""Where the contents of a change wait: `.pumice` of the tree, and one more on every other file system."""

from __future__ import annotations

import errno
import os
import stat

from pumice.base.disk import (
    copy_into,
    forget,
    make_directories,
    remove_if_empty,
    start_writing,
    sync_file,
    write_all,
)
from pumice.errors import TreeError
from pumice.tree.journal import Journal, encode, inside
from pumice.tree.lock import PRIVATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.tree.steps import Put

__all__ = ["AREAS", "Areas", "keep", "write_new"]

AREAS = "areas"
"""In the tree's `.pumice`: names the areas elsewhere while there is no journal."""
_NO_LINKS = (errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV, errno.EACCES)


class Areas:
    """The areas of a tree at `root` with its `places`; the first is the tree's own. Methods raise OSError."""

    __slots__ = ("_devices", "_places", "_root", "made", "paths")

    def __init__(self, root: str, places: tuple[str, ...]) -> None:
        self._root = root
        self._places = places
        self._devices: dict[str, int] = {}
        self.paths = [os.path.join(root, PRIVATE)]
        self.made: list[str] = []
        """Directories that came with the areas."""

    @property
    def several(self) -> bool:
        """Whether the change is on more than one file system."""
        return len(self.paths) > 1

    def of(self, path: str) -> int:
        """The number of the area on the file system of `path`; made if there is none yet. Raises OSError."""
        place = next(place for place in self._places if inside(path, (place,)))
        if place != self._root:
            at = place
        else:
            device = self._device(self._root)
            at = os.path.dirname(path)
            while self._device(at) < 0:
                at = os.path.dirname(at)
            if self._device(at) == device:
                return 0
            while self._device(os.path.dirname(at)) == self._device(at):
                at = os.path.dirname(at)
        area = os.path.join(at, PRIVATE)
        if area not in self.paths:
            self.paths.append(area)
            self._announce()
            self.made += make_directories(area)
        return self.paths.index(area)

    def _device(self, directory: str) -> int:
        """The file system that a directory is on; -1 when it is not there."""
        device = self._devices.get(directory)
        if device is None:
            try:
                device = os.stat(directory).st_dev
            except (FileNotFoundError, NotADirectoryError):
                device = -1
            self._devices[directory] = device
        return device

    def _announce(self) -> None:
        """`areas` names the areas elsewhere, before there is anything in them."""
        draft = os.path.join(self.paths[0], "draft")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            write_all(descriptor, encode(Journal(tuple(self.paths), ()), self._root))
        finally:
            os.close(descriptor)
        sync_file(draft)
        os.rename(draft, os.path.join(self.paths[0], AREAS))

    def leave(self) -> None:
        """Nothing of ours is in the areas elsewhere. Raises OSError."""
        for area in self.paths[1:]:
            try:
                names = os.listdir(area)
            except FileNotFoundError:
                continue
            for name in names:
                if name[:1] in "no" and name[1:].isdigit():
                    forget(os.path.join(area, name))
            remove_if_empty(area)
        if len(self.paths) > 1:
            forget(os.path.join(self.paths[0], AREAS))


def write_new(file: Put, target: str) -> os.stat_result:
    """The new file is at `target`, on its way to the disk. Raises OSError, and what reading it raises."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, file.mode & 0o777)
    try:
        if file.content.path is not None:
            copy_into(descriptor, file.content.path)
        else:
            write_all(descriptor, file.content.read())
        start_writing(descriptor)
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def keep(path: str, name: str) -> bool:
    """What is at `path` has a second name, which no change of `path` touches.

    Gives whether that is a copy, which has to be synced. Raises OSError, TreeError for what is no file.
    """
    try:
        os.link(path, name, follow_symlinks=False)
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(path), name)
        return False
    if stat.S_ISREG(status.st_mode):
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            copy_into(descriptor, path)
            os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
            os.utime(descriptor, ns=(status.st_atime_ns, status.st_mtime_ns))
        finally:
            os.close(descriptor)
        return True
    raise TreeError(f"{path} is in the way: it is not a file")
