"""What a planner may ask about a tree: the disk as it is, or in tests a stand-in."""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object

__all__ = ["DiskView", "TreeView", "walk_files"]


class TreeView(Protocol):
    """Reading access to the files of a tree. Links are never followed below the directory asked for."""

    def kind(self, path: str) -> str | None:
        """ "file" (links included), "directory", or None where nothing is."""

    def read(self, path: str) -> bytes:
        """The bytes of a file. Raises OSError."""

    def walk(self, directory: str) -> tuple[list[str], list[str]]:
        """(files, directories) below, relative, sorted; both empty if it is no directory."""


class DiskView:
    """The disk."""

    def kind(self, path: str) -> str | None:
        """What lies at `path`; a link is a file, whatever it leads to."""
        try:
            mode = os.lstat(path).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return None
        return "directory" if stat.S_ISDIR(mode) else "file"

    def read(self, path: str) -> bytes:
        """The bytes of the file at `path`."""
        with open(path, "rb") as file:
            return file.read()

    def walk(self, directory: str) -> tuple[list[str], list[str]]:
        """Everything below `directory`."""
        return walk_files(directory)


def walk_files(directory: str) -> tuple[list[str], list[str]]:
    """(files, directories) below `directory`, relative, sorted; links count as files. Raises OSError."""
    files: list[str] = []
    directories: list[str] = []
    pending = [""]
    while pending:
        prefix = pending.pop()
        try:
            entries = os.scandir(f"{directory}/{prefix}" if prefix else directory)
        except (FileNotFoundError, NotADirectoryError):
            continue
        with entries:
            for entry in entries:
                path = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    directories.append(path)
                    pending.append(path + "/")
                else:
                    files.append(path)
    return sorted(files), sorted(directories)
