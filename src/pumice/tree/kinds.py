"""The two kinds of tree behind one small interface (house.md, 'The promise of a tree').

tree = open_tree(config.tree)
tree.settle(progress)                        a change that died is undone or finished; readers may call it
read(tree.read_spec)                         the directories to read from
with tree.change(command="install x") as change:
    steps = plan(change.spec)                the directories to plan against, which hold what is there now
    change.commit(steps)                     all of it, or nothing
"""

from __future__ import annotations

import os

from pumice.errors import PermissionDenied, TreeError, TreeLocked
from pumice.tree.lock import PRIVATE, TreeLock
from pumice.tree.transaction import commit, pending, recover

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Protocol

    from pumice.base.config import TreeSpec
    from pumice.base.progress import Progress
    from pumice.tree.steps import Step
else:
    Protocol = object

__all__ = ["Change", "PlainTree", "Tree", "open_tree"]


class Change(Protocol):
    """The right to change a tree, from entering to leaving. What was not committed has not happened."""

    @property
    def spec(self) -> TreeSpec:
        """The directories to plan against: they hold the tree as it is, and steps name paths in them."""

    def commit(
        self,
        steps: Sequence[Step],
        *,
        before_finish: Callable[[], None] | None = None,
        added: Sequence[tuple[str, str]] = (),
        removed: Sequence[tuple[str, str]] = (),
    ) -> None:
        """All of `steps` happen, or none. `before_finish` runs when all is in place; if it raises, none has.

        `added` and `removed`: rocks (name, version), for the history. Raises DiskError, PermissionDenied,
        TreeError.
        """

    def __enter__(self) -> Change:
        """Take the lock, recover. Raises TreeLocked, PermissionDenied, DiskError."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the lock back."""


class Tree(Protocol):
    """A tree on disk, of either kind."""

    kind: str
    """`plain` or `generations`."""
    root: str
    """The tree's own directory, whatever is read from."""

    @property
    def read_spec(self) -> TreeSpec:
        """The directories to read from. Of a generation tree: those of the generation that is current now."""

    def settle(self, progress: Progress | None = None) -> None:
        """Undo or finish a change whose process died. Never waits; who may not write is warned, no more."""

    def change(
        self,
        *,
        command: str = "pumice",
        timeout: float = 60.0,
        force_lock: bool = False,
        progress: Progress | None = None,
    ) -> Change:
        """A change, to be used with `with`. `command` names us to those who wait, and in the history."""


class PlainTree:
    """LuaRocks's own layout, changed in place by transactions."""

    kind = "plain"

    def __init__(self, spec: TreeSpec) -> None:
        self.root = spec.root
        self._spec = spec

    @property
    def read_spec(self) -> TreeSpec:
        """The directories as configured."""
        return self._spec

    def settle(self, progress: Progress | None = None) -> None:
        """As `Tree.settle`."""
        if not _something_left(self._spec.root):
            return
        interrupted = pending(self._spec.root)
        try:
            with self.change(timeout=0.0, progress=progress):
                pass
        except TreeLocked:  # its process lives
            pass
        except PermissionDenied:
            if progress is not None and interrupted:
                progress.message(
                    "warning",
                    f"a change of {self._spec.root} was interrupted; what is shown may be half changed. "
                    "Any pumice command of a user who may write there puts it right.",
                )

    def change(
        self,
        *,
        command: str = "pumice",
        timeout: float = 60.0,
        force_lock: bool = False,
        progress: Progress | None = None,
    ) -> _PlainChange:
        """As `Tree.change`."""
        if _is_generation(self._spec.root):
            raise TreeError(
                f"{self._spec.root} is one generation of a tree, and generations never change",
                hint="name the tree itself, the directory that holds `generations`",
            )
        lock = TreeLock(self._spec.root, timeout=timeout, force=force_lock, command=command)
        return _PlainChange(self._spec, lock, progress)


def _something_left(root: str) -> bool:
    """Whether a change is under way or has left its lock or staged files; what is kept for people is not."""
    if os.path.lexists(os.path.join(root, "lockfile.lfs")):
        return True
    try:
        return bool({"kept"}.symmetric_difference(os.listdir(os.path.join(root, PRIVATE))))
    except OSError:
        return False


class _PlainChange:
    """May commit several times; each commit is a transaction of its own."""

    def __init__(self, spec: TreeSpec, lock: TreeLock, progress: Progress | None) -> None:
        self.spec = spec
        self._lock = lock
        self._progress = progress
        self._directories = (spec.bin_dir, spec.lua_dir, spec.lib_dir, spec.rocks_dir)

    def commit(
        self,
        steps: Sequence[Step],
        *,
        before_finish: Callable[[], None] | None = None,
        added: Sequence[tuple[str, str]] = (),
        removed: Sequence[tuple[str, str]] = (),
    ) -> None:
        """As `Change.commit`; a plain tree keeps no history."""
        commit(
            self.spec.root,
            steps,
            directories=self._directories,
            progress=self._progress,
            before_finish=before_finish,
        )

    def __enter__(self) -> _PlainChange:
        try:
            self._lock.acquire()
            done = recover(self.spec.root, directories=self._directories)
            if done is not None and self._progress is not None:
                self._progress.message("warning", f"an interrupted change of {self.spec.root} was {done}")
            return self
        except BaseException:
            self._lock.release()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()


def _is_generation(root: str) -> bool:
    """`root` is a directory of a generation tree, or the symlink to one: to be read, never changed."""
    return os.path.lexists(os.path.join(root, "generation.json"))


def open_tree(spec: TreeSpec, *, layout: str | None = None, keep: int = 10) -> Tree:
    """The tree at `spec.root`, of the kind that it is on disk.

    `layout`: "plain" or "generations" for a tree that is not there yet; of one that is there, it must agree.
    `keep`: how many generations to keep. Raises TreeError when the kinds differ.
    """
    if os.path.isdir(os.path.join(spec.root, "generations")):
        from pumice.tree.generations import GenerationTree

        if layout == "plain":
            raise TreeError(f"{spec.root} is a tree of generations", hint="leave --layout away")
        return GenerationTree(spec, keep=keep)
    if layout == "generations":
        from pumice.tree.generations import GenerationTree

        if os.path.isdir(spec.rocks_dir) or os.path.isdir(spec.lua_dir):
            raise TreeError(
                f"{spec.root} is a plain tree already",
                hint="choose an empty directory for a tree of generations",
            )
        return GenerationTree(spec, keep=keep)
    return PlainTree(spec)
