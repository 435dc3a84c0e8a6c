"""Every change of a plain tree is one transaction: all of its steps happen, or none (decision 0004)."""

from __future__ import annotations

import os
import stat

from pumice.base.disk import (
    forget,
    make_directories,
    remove_if_empty,
    start_writing,
    sync_all,
    sync_directory,
    sync_file,
    translate,
    write_all,
)
from pumice.base.signals import Deferred
from pumice.errors import DiskError, PumiceError, TreeError
from pumice.tree.directories import Directories, prune
from pumice.tree.effect import Kept, effect_of
from pumice.tree.journal import Deleted, Journal, Made, Placed, Removed, decode, encode, inside
from pumice.tree.lock import PRIVATE
from pumice.tree.staging import AREAS, Areas, keep, write_new

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pumice.base.progress import Progress
    from pumice.tree.effect import Effect
    from pumice.tree.journal import Operation
    from pumice.tree.steps import Step

__all__ = ["commit", "pending", "recover"]

_UNDO = "undo"
_FINISH = "finish"


def commit(
    root: str,
    steps: Sequence[Step],
    *,
    directories: Sequence[str] = (),
    progress: Progress | None = None,
    before_finish: Callable[[], None] | None = None,
) -> None:
    """All of `steps` have happened to the tree at `root`, durably; or an error is raised and nothing has.

    The caller holds the TreeLock and has called `recover`. `directories`: the places outside of `root` that
    the tree may use. `before_finish` runs when everything is in place; what it raises undoes everything, and
    is raised on.

    Raises DiskError, PermissionDenied or TreeError, and whatever reading a content raises.
    """
    if pending(root):
        raise TreeError(f"a change of {root} was not finished", hint="recover the tree before changing it")
    transaction = _Transaction(root, directories)
    try:
        effect = effect_of(steps)
    except OSError as error:
        raise translate(error, f"look at {root}") from error
    if not effect.files and not effect.directories:
        if before_finish is not None:
            before_finish()
        try:
            prune(effect.prunes)
        except OSError as error:
            raise translate(error, f"change {root}") from error
        return
    try:
        transaction.stage(effect)
        with Deferred():
            transaction.prepare()
            transaction.apply()
        if before_finish is not None:
            before_finish()
        with Deferred():
            transaction.record()
    except BaseException as error:
        with Deferred():
            transaction.abandon(error)
        if isinstance(error, OSError):
            raise translate(error, transaction.changing(error)) from error
        raise
    with Deferred():
        try:
            transaction.finish()
        except OSError as error:  # everything is in place: what is left to tidy, the next command tidies
            if progress is not None:
                progress.message("detail", str(translate(error, f"tidy {root}/{PRIVATE}")))


def pending(root: str) -> bool:
    """A change of the tree at `root` is under way, or its process died: what one reads may be a mixture."""
    private = os.path.join(root, PRIVATE)
    return os.path.lexists(os.path.join(private, _UNDO)) or os.path.lexists(os.path.join(private, _FINISH))


def recover(root: str, *, directories: Sequence[str] = ()) -> str | None:
    """The tree at `root` is as before or as after the change whose process died. The caller holds its lock.

    Gives "undone", "finished", or None when nothing had been begun. May itself be killed and called again.
    Raises TreeError when the journal cannot be used, DiskError or PermissionDenied.
    """
    private = os.path.join(root, PRIVATE)
    try:
        names = os.listdir(private)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise translate(error, f"read {private}") from error
    if names == ["lock"] or not names:
        return None
    state = next((name for name in (_FINISH, _UNDO, AREAS) if name in names), None)
    try:
        with Deferred():
            transaction = _Transaction(root, directories)
            if state is not None:
                transaction.resume(os.path.join(private, state))
            if state == _UNDO:
                transaction.undo()
            elif state == _FINISH:
                transaction.finish()
            transaction.tidy()
    except OSError as error:
        raise translate(error, f"recover {root}") from error
    return {_UNDO: "undone", _FINISH: "finished"}.get(state or "")


class _Transaction:
    """One change of a tree. Its state is what lies in `<root>/.pumice`, so that it survives its process:

        nothing, or files without a journal     nothing has happened to the tree           → drop them
        `undo`     a synced journal             any of its operations may have happened    → undo all
        `finish`   the same journal, renamed    all have happened, and are synced          → tidy

        stage ──► prepare ──► apply ──► (before_finish) ──► record ──► finish
          └──────────┴──────────┴───────────────┴─────────────┘
                          abandon: undo, drop

    1. `stage`    New contents are written as `.pumice/n<k>`. What will be replaced or deleted is hard-linked
                  as `.pumice/o<k>`: it cannot be lost any more. A file that only moves is linked as `n<k>`.
    2. `prepare`  New contents and the journal are synced; the journal is renamed to `undo`; the names in
                  `.pumice` are synced. From here on a crash means undo.
    3. `apply`    Only rename, unlink, mkdir and rmdir, in the journal's order; then every directory that
                  was touched is synced.
    4. `record`   `undo` is renamed to `finish`, and that is synced: the commit point. Before it every way
                  leads back, after it every way leads forward.
    5. `finish`   Empty directories are pruned, backups dropped, `finish` last of all.

    Undoing goes through the operations backwards and is idempotent: a backup that exists is renamed over
    what was placed (a rename makes it vanish, so it is done once); a file without backup is unlinked if it is
    still the one that was placed, by size and time; made directories go if they are empty. What somebody
    else put there since is left alone. Undone names are synced before `undo` goes away.

    Where hard links are not possible (the file system has none, the file is another user's) a synced copy
    takes their place. A directory of the tree on another file system has a `.pumice` of its own for its
    files; the journal names them, and `areas` names them while there is no journal yet.
    """

    __slots__ = ("_areas", "_places", "_private", "_synced", "journal", "root")

    def __init__(self, root: str, directories: Sequence[str]) -> None:
        self.root = root
        self._private = os.path.join(root, PRIVATE)
        self._places = (
            root,
            *(place for place in directories if not inside(place, (root,)) and place != root),
        )
        self._areas = Areas(root, self._places)
        self._synced: list[str] = []
        self.journal = Journal((self._private,), ())

    def stage(self, effect: Effect) -> None:
        """State 1. Raises OSError, TreeError, and what reading a content raises."""
        for path in (*effect.files, *effect.directories):
            if not inside(path, self._places) or inside(path + "/x", (self._private,)):
                raise TreeError(f"refusing to write {path}: it is outside of the tree {self.root}")
        if not os.path.isdir(self._private):
            make_directories(self._private)
        areas = {path: self._areas.of(path) for path in effect.files}
        directories = Directories(effect)
        early: list[Operation] = []
        late: list[Operation] = []
        placed: list[Operation] = []
        removed: list[Operation] = []
        for number, (path, file) in enumerate(effect.files.items()):
            area = areas[path]
            before = effect.before.get(path)
            kept = before is not None and not stat.S_ISDIR(before.st_mode)
            if kept:
                self._keep(path, f"{self._areas.paths[area]}/o{number}")
            if file is None:
                (early if path in directories.replaced else late).append(Deleted(path, area, number))
                continue
            target = f"{self._areas.paths[area]}/n{number}"
            if isinstance(file, Kept):
                self._keep(file.origin, target)
                status = os.lstat(target)
            else:
                self._synced.append(target)
                status = write_new(file, target)
            placed.append(Placed(path, area, number, status.st_size, status.st_mtime_ns, kept))
            if before is not None and not kept:
                removed += directories.emptied(path)
                early += [late.pop(late.index(each)) for each in late[:] if inside(each.path, (path,))]
        made = [Made(path) for path in directories.missing]
        self.journal = Journal(
            tuple(self._areas.paths), (*early, *removed, *made, *placed, *late), effect.prunes
        )

    def prepare(self) -> None:
        """State 2. Raises OSError."""
        draft = os.path.join(self._private, "draft")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            write_all(descriptor, encode(self.journal, self.root))
            start_writing(descriptor)
        finally:
            os.close(descriptor)
        if self._areas.several:
            for path in (*self._synced, draft):
                sync_file(path)
        else:
            sync_all([*self._synced, draft], [])
        for area in self._areas.paths[1:]:
            sync_directory(area)
            sync_directory(os.path.dirname(area))
        os.rename(draft, os.path.join(self._private, _UNDO))
        sync_directory(self._private)
        sync_directory(self.root)

    def apply(self) -> None:
        """State 3. Raises OSError."""
        for operation in self.journal.operations:
            match operation:
                case Placed():
                    os.rename(self._file("n", operation), operation.path)
                case Deleted():
                    os.unlink(operation.path)
                case Made():
                    os.mkdir(operation.path, 0o755)
                case Removed():
                    os.rmdir(operation.path)
        self._sync_directories()

    def record(self) -> None:
        """State 4. Raises OSError."""
        os.rename(os.path.join(self._private, _UNDO), os.path.join(self._private, _FINISH))
        sync_directory(self._private)

    def finish(self) -> None:
        """State 5: what `record` promised. Raises OSError."""
        for directory in prune(self.journal.prunes):
            sync_directory(directory)
        for operation in self.journal.operations:
            if isinstance(operation, Deleted) or (isinstance(operation, Placed) and operation.kept):
                forget(self._file("o", operation))
        self._areas.leave()
        forget(os.path.join(self._private, _UNDO))
        forget(os.path.join(self._private, _FINISH))

    def abandon(self, error: BaseException) -> None:
        """Back to the beginning after `error`, from any state before 5. Raises DiskError if that fails."""
        undo = os.path.join(self._private, _UNDO)
        try:
            try:
                os.rename(os.path.join(self._private, _FINISH), undo)
            except FileNotFoundError:
                pass
            if os.path.lexists(undo):
                self.undo()
            self.tidy()
        except OSError as second:
            why = error.message if isinstance(error, PumiceError) else str(error)
            if isinstance(error, OSError):
                why = translate(error, self.changing(error)).message
            raise DiskError(
                f"{why}; and undoing the change failed: {translate(second, 'undo it').message}",
                hint=f"mend the disk; the next pumice command that changes {self.root} undoes the rest",
            ) from error

    def undo(self) -> None:
        """From `undo` to the tree as before. Raises OSError."""
        for operation in reversed(self.journal.operations):
            match operation:
                case Placed(kept=True) | Deleted():
                    self._restore(operation)
                case Placed():
                    if _is_placed(operation):
                        os.unlink(operation.path)
                case Made():
                    remove_if_empty(operation.path)
                case Removed():
                    if not os.path.lexists(operation.path):
                        os.mkdir(operation.path, 0o700)
                    if os.path.isdir(operation.path):
                        os.chmod(operation.path, operation.mode)
        self._sync_directories()
        forget(os.path.join(self._private, _UNDO))

    def tidy(self) -> None:
        """No staged file, draft or area is left; only without journal. Raises OSError."""
        self._areas.leave()
        for directory in reversed(self._areas.made):
            remove_if_empty(directory)
        try:
            names = os.listdir(self._private)
        except FileNotFoundError:
            return
        for name in names:
            if name in ("draft", AREAS) or (name[:1] in "no" and name[1:].isdigit()):
                forget(os.path.join(self._private, name))

    def resume(self, path: str) -> None:
        """Take up the transaction whose journal is at `path`. Raises TreeError and OSError."""
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            owner = os.fstat(descriptor).st_uid
            self.journal = decode(file.read(), self.root, self._places)
        self._areas.paths = list(self.journal.areas)
        if owner not in (0, os.geteuid()):
            self._distrust(owner)

    def changing(self, error: OSError) -> str:
        """What was being done, for a message: with the file, where it says more than the tree."""
        at = error.filename2 or error.filename
        if isinstance(at, str) and inside(at, self._places) and not inside(at, self._areas.paths):
            return f"change {at}"
        return f"change {self.root}"

    def _distrust(self, owner: int) -> None:
        """A journal of another user may lead outside through his symlinks. Raises TreeError."""
        real = tuple(os.path.realpath(place) for place in self._places)
        for operation in self.journal.operations:
            parent = os.path.realpath(os.path.dirname(operation.path))
            if parent not in real and not inside(parent, real):
                raise TreeError(
                    f"the unfinished change of {self.root} was begun by user {owner}, and {operation.path} "
                    f"leads out of the tree to {parent}",
                    hint="have that user run any pumice command that changes the tree",
                )

    def _keep(self, path: str, name: str) -> None:
        if keep(path, name):
            self._synced.append(name)

    def _restore(self, operation: Placed | Deleted) -> None:
        """The backup is at its path again, unless something else was put there since."""
        backup = self._file("o", operation)
        try:
            kept = os.lstat(backup)
        except FileNotFoundError:  # restored already, or nothing had happened yet
            return
        try:
            there = os.lstat(operation.path)
        except (FileNotFoundError, NotADirectoryError):
            pass
        else:
            if (there.st_ino, there.st_dev) == (kept.st_ino, kept.st_dev):
                return
            if isinstance(operation, Deleted) or not _is_placed(operation):
                return
        os.rename(backup, operation.path)

    def _file(self, kind: str, operation: Placed | Deleted) -> str:
        return f"{self._areas.paths[operation.area]}/{kind}{operation.number}"

    def _sync_directories(self) -> None:
        """The names that the operations changed are on the disk."""
        touched: dict[str, None] = {}
        for operation in self.journal.operations:
            touched[os.path.dirname(operation.path)] = None
            if isinstance(operation, Made | Removed):
                touched[operation.path] = None
        present = [path for path in touched if os.path.isdir(path)]
        if self._areas.several:
            for path in present:
                sync_directory(path)
        else:
            sync_all([], present)


def _is_placed(operation: Placed) -> bool:
    """The file at the operation's path is the one that it placed there."""
    try:
        there = os.lstat(operation.path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return (there.st_size, there.st_mtime_ns) == (operation.size, operation.mtime)
