"""Which directories a change needs, and which are in the way of its files."""

from __future__ import annotations

import os
import stat

from pumice.base.disk import remove_if_empty
from pumice.errors import TreeError
from pumice.tree.journal import Removed, inside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.tree.effect import Effect

__all__ = ["Directories", "prune"]


class Directories:
    """The directories of an effect, on the disk as it is now. Raises TreeError where files are in the way."""

    __slots__ = ("_effect", "missing", "replaced")

    def __init__(self, effect: Effect) -> None:
        self._effect = effect
        self.missing: list[str] = []
        """Those to be made, outermost first."""
        self.replaced: set[str] = set()
        """Files that are deleted to make place for a directory."""
        known: set[str] = set()
        for path, file in effect.files.items():
            if file is not None:
                self._need(os.path.dirname(path), known)
        for directory in effect.directories:
            self._need(directory, known)

    def _need(self, directory: str, known: set[str]) -> None:
        if directory in known:
            return
        known.add(directory)
        try:
            there: int | None = os.stat(directory).st_mode
        except (FileNotFoundError, NotADirectoryError):
            there = None
        if there is not None and stat.S_ISDIR(there) and directory not in self._effect.files:
            return
        if os.path.lexists(directory):
            if directory not in self._effect.files or self._effect.files[directory] is not None:
                raise TreeError(f"cannot make the directory {directory}: a file is in the way")
            self.replaced.add(directory)
        self._need(os.path.dirname(directory), known)
        self.missing.append(directory)

    def emptied(self, path: str) -> list[Removed]:
        """The removals, innermost first, that make place for a file at `path`. Raises TreeError."""
        found: list[Removed] = []
        pending = [path]
        while pending:
            directory = pending.pop()
            found.append(Removed(directory, stat.S_IMODE(os.lstat(directory).st_mode)))
            with os.scandir(directory) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    elif self._effect.files.get(entry.path, entry) is not None:
                        raise TreeError(f"cannot write {path}: a directory with other files is in the way")
        return found[::-1]


def prune(prunes: Sequence[tuple[str, str]]) -> list[str]:
    """What is empty is gone, up to each stop; gives the directories that lost a name. Raises OSError."""
    touched: dict[str, None] = {}
    for path, stop in prunes:
        at = path
        while at != stop and inside(at, (stop,)) and remove_if_empty(at):
            touched.pop(at, None)
            at = os.path.dirname(at)
            touched[at] = None
    return [directory for directory in touched if os.path.isdir(directory)]
