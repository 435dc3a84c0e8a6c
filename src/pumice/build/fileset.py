"""`FileSet`: the files of the Rock that a build makes, collected by their path inside the rock."""

from __future__ import annotations

import os

from pumice.errors import BuildError
from pumice.rock.content import Content
from pumice.rock.rock import RockFile
from pumice.rock.rock_manifest import md5_hex

__all__ = ["FileSet"]

_DEPLOYED = ("lua", "lib", "bin")
_KEPT_FILE = 1024 * 1024
"""Files up to this size are kept in memory as they were when they were hashed; larger ones are copied."""
_KEPT_TOTAL = 64 * 1024 * 1024
"""As soon as this much is kept, every further file is copied instead."""


class FileSet:
    """Rock files by path; a later one replaces an earlier one, as a copy over it would.

    A source file may change between the build and the commit. What is deployed must be what was hashed,
    so a file is read once: its bytes are kept, or (large ones) copied to a private place and hashed there.
    """

    def __init__(self, snapshots: str, derived: frozenset[str] = frozenset()) -> None:
        """`snapshots`: a directory for private copies, made when needed. `derived`: names beside the
        rockspec that Pumice writes itself; files that would take them are left out."""
        self._files: dict[str, RockFile] = {}
        self._directories: dict[str, None] = {}
        self._snapshots = snapshots
        self._derived = derived
        self._kept = 0
        self._copied = 0

    def add_file(self, rock_path: str, source: str, executable: bool | None, what: str) -> None:
        """Take the file at `source` (absolute) as `rock_path`; `executable` None: as the source is.

        Raises BuildError if the rock path leaves the rock or the file cannot be read.
        """
        section, path = self._place(rock_path, what)
        try:
            with open(source, "rb") as file:
                status = os.fstat(file.fileno())
                if executable is None:
                    executable = bool(status.st_mode & 0o100)
                if status.st_size <= _KEPT_FILE and self._kept + status.st_size <= _KEPT_TOTAL:
                    data = file.read()
                    self._kept += len(data)
                    made = RockFile(
                        section, path, executable, md5_hex(data), len(data), Content.of_bytes(data)
                    )
                else:
                    made = self._copy(section, path, executable, source)
        except OSError as error:
            raise BuildError(f"Failed copying {source}: {error.strerror}") from error
        self._add(made)

    def add_private(self, rock_path: str, source: str, executable: bool | None, what: str) -> None:
        """Take a file that nobody changes any more (a build product below the work directory)."""
        section, path = self._place(rock_path, what)
        try:
            if executable is None:
                executable = bool(os.stat(source).st_mode & 0o100)
            digest, size = _md5_of_file(source)
        except OSError as error:
            raise BuildError(f"Failed copying {source}: {error.strerror}") from error
        self._add(RockFile(section, path, executable, digest, size, Content.of_path(source)))

    def add_directory(self, rock_path: str, what: str) -> None:
        """Take an empty directory. Raises BuildError if its path leaves the rock."""
        section, path = self._place(rock_path, what)
        self._directories[f"{section}/{path}" if section else path] = None

    def directories(self) -> tuple[str, ...]:
        """Those directories that stay empty, sorted; what is deployed has none."""
        filled = {path[:at] for path in self._files for at, letter in enumerate(path) if letter == "/"}
        return tuple(
            sorted(
                path
                for path in self._directories
                if path not in filled and path not in self._files and path.partition("/")[0] not in _DEPLOYED
            )
        )

    def files(self) -> tuple[RockFile, ...]:
        """All files, sorted by section and path. Raises BuildError if a file is also a directory."""
        for path in self._files:
            parent = path.rpartition("/")[0]
            while parent:
                if parent in self._files:
                    raise BuildError(
                        f"The rock would contain {parent} both as a file and as a directory of {path}",
                        hint="Rename one of them in the rockspec.",
                    )
                parent = parent.rpartition("/")[0]
        return tuple(sorted(self._files.values(), key=lambda file: (file.section, file.path)))

    def _add(self, file: RockFile) -> None:
        if file.section or file.path not in self._derived:
            self._files[file.rock_path] = file

    def _place(self, rock_path: str, what: str) -> tuple[str, str]:
        parts = [part for part in rock_path.split("/") if part and part != "."]
        if not parts or ".." in parts or "\0" in rock_path or rock_path.startswith("/"):
            raise BuildError(
                f"{what} would put {rock_path!r} outside the rock",
                hint="Target paths in a rockspec are relative and contain no '..'.",
            )
        return ("", parts[0]) if len(parts) == 1 else (parts[0], "/".join(parts[1:]))

    def _copy(self, section: str, path: str, executable: bool, source: str) -> RockFile:
        from pumice.base.disk import copy_file

        os.makedirs(self._snapshots, exist_ok=True)
        self._copied += 1
        target = os.path.join(self._snapshots, str(self._copied))
        copy_file(source, target)
        digest, size = _md5_of_file(target)
        return RockFile(section, path, executable, digest, size, Content.of_path(target))


def _md5_of_file(path: str) -> tuple[str, int]:
    import hashlib

    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
        return digest.hexdigest(), file.tell()
