"""`WorkDir`: a private directory for one command, made only if something is put there.

A command that is killed leaves its own behind. The next one that works in the same place removes those of its
user whose process is gone; a day passes first, since a process in another container can look gone from here.
"""

from __future__ import annotations

import os
import time

from pumice.errors import PumiceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from pumice.base.config import Config

__all__ = ["WorkDir"]

_PREFIX = "pumice-"
_LEFT_BEHIND = 86_400.0


class WorkDir:
    """A context manager; `path` does not exist until `make` or its user makes it, and is gone afterwards."""

    def __init__(self, config: Config, purpose: str) -> None:
        parent = os.path.join(config.cwd, config.environment.get("TMPDIR") or "/tmp")
        if not os.path.isdir(parent):  # as every program does that knows TMPDIR; it is not ours to make
            parent = "/tmp"
        name = f"{_PREFIX}{purpose}-{os.getpid()}-{os.urandom(8).hex()}"
        self.path = os.path.join(parent, name)

    def make(self, name: str = "") -> str:
        """The directory, or a new one inside it, readable by this user alone."""
        path = os.path.join(self.path, name) if name else self.path
        if not os.path.isdir(self.path):
            os.mkdir(self.path, 0o700)
        if name:
            os.mkdir(path, 0o700)
        return path

    def __enter__(self) -> WorkDir:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if os.path.lexists(self.path):
            from pumice.base.disk import remove_tree

            remove_tree(self.path)
            _remove_left_behind(os.path.dirname(self.path))


def _remove_left_behind(parent: str) -> None:
    """Removes what killed commands of this user left; what cannot be removed stays."""
    from pumice.base.disk import remove_tree

    try:
        with os.scandir(parent) as entries:
            found = [entry for entry in entries if _is_left_behind(entry)]
        for entry in found:
            remove_tree(entry.path)
    except (OSError, PumiceError):
        return


def _is_left_behind(entry: os.DirEntry[str]) -> bool:
    """Whether this is the work directory of a process of ours that is gone."""
    parts = entry.name.split("-")
    if not entry.name.startswith(_PREFIX) or len(parts) != 4 or not parts[2].isdecimal():
        return False
    state = entry.stat(follow_symlinks=False)
    if not entry.is_dir(follow_symlinks=False) or state.st_uid != os.geteuid():
        return False
    if time.time() - state.st_mtime < _LEFT_BEHIND:
        return False
    try:
        os.kill(int(parts[2]), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
