"""What a sequence of steps comes to: for each path the one file that is there in the end.

The transaction then touches every path once, whatever the steps did in between (a module may be put, moved
aside and deleted within one command).
"""

from __future__ import annotations

import os
import stat

from pumice.base.value import Value
from pumice.errors import TreeError
from pumice.tree.steps import Delete, Make, Move, Prune, Put

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pumice.tree.steps import Step

__all__ = ["Effect", "Kept", "effect_of"]


class Kept(Value):
    """The file that was at `origin` before the steps."""

    origin: str


class Effect(Value):
    """The end of the steps."""

    files: Mapping[str, Put | Kept | None]
    """What each path that changes holds in the end; None is nothing. In the order of the steps."""
    before: Mapping[str, os.stat_result]
    """What is at these paths now, without those where nothing is."""
    prunes: tuple[tuple[str, str], ...]
    directories: tuple[str, ...] = ()
    """What is to exist besides those of the files."""


def effect_of(steps: Sequence[Step]) -> Effect:
    """The effect of the steps on the disk as it is now. Raises TreeError when they cannot be, and OSError."""
    files: dict[str, Put | Kept | None] = {}
    prunes: dict[tuple[str, str], None] = {}
    directories: dict[str, None] = {}
    for step in steps:
        match step:
            case Put():
                files.pop(step.path, None)
                files[step.path] = step
            case Make():
                directories[step.path] = None
            case Move():
                moved = files.get(step.source, Kept(step.source))
                if moved is None:
                    raise TreeError(f"cannot move {step.source}: it is deleted by the same change")
                files.pop(step.target, None)
                files[step.target] = moved
                files[step.source] = None
            case Delete():
                files[step.path] = None
            case Prune():
                prunes[step.path, step.stop] = None
    before: dict[str, os.stat_result] = {}
    for path, file in list(files.items()):
        try:
            status = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            if file is None or file == Kept(path):
                del files[path]
            continue
        if file == Kept(path):
            del files[path]
            continue
        if file is None and stat.S_ISDIR(status.st_mode):
            raise TreeError(f"cannot delete {path}: it is a directory")
        before[path] = status
    return Effect(files, before, tuple(prunes), tuple(directories))
