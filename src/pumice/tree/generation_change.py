"""A change of a generation tree: the next generation is built whole, then one rename makes it the current."""

from __future__ import annotations

import os
import time

from pumice.base.disk import remove_if_empty, sync_all, translate, write_all
from pumice.base.signals import Deferred
from pumice.errors import PumiceError, TreeError
from pumice.rock.content import Content
from pumice.tree.generations import RECORD
from pumice.tree.journal import inside
from pumice.tree.lock import PRIVATE
from pumice.tree.steps import Delete, Make, Move, Prune, Put
from pumice.tree.store import Damaged, Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from pumice.base.config import TreeSpec
    from pumice.base.progress import Progress
    from pumice.tree.generations import GenerationTree
    from pumice.tree.lock import TreeLock
    from pumice.tree.steps import Step
    from pumice.tree.store import Blob

__all__ = ["GenerationChange"]


class GenerationChange:
    """One new generation: filled on entering as the current one is, changed and made current by `commit`."""

    def __init__(self, tree: GenerationTree, lock: TreeLock, command: str, progress: Progress | None) -> None:
        self._tree = tree
        self._lock = lock
        self._command = command
        self._progress = progress
        self._store = Store(tree.store.directory, os.path.join(tree.root, PRIVATE))
        self._number = 0
        self._parent = 0
        self._files: dict[str, Blob] = {}
        self._damaged: dict[str, Blob] = {}
        self._directories: dict[str, None] = {}
        self._wanted: dict[str, None] = {}
        self._open = False

    @property
    def spec(self) -> TreeSpec:
        """The directories of the new generation."""
        return self._tree.spec_of(self._number)

    def __enter__(self) -> GenerationChange:
        self._tree.spec_of(0)
        try:
            self._lock.acquire()
            self._tree.recover()
            self._parent = self._tree.current
            self._open = True
            self._number = self._tree.begin()
            self._build()
            return self
        except OSError as error:
            self._leave()
            raise translate(error, f"make generation {self._number} of {self._tree.root}") from error
        except BaseException:
            self._leave()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def commit(
        self,
        steps: Sequence[Step],
        *,
        before_finish: Callable[[], None] | None = None,
        added: Sequence[tuple[str, str]] = (),
        removed: Sequence[tuple[str, str]] = (),
    ) -> None:
        """As `Change.commit`, once."""
        if not self._open:
            raise TreeError(f"generation {self._number} of {self._tree.root} has been committed already")
        try:
            for step in steps:
                self._carry_out(step)
            if before_finish is not None:
                before_finish()
                self._adopt()
            if self._damaged:
                files = ", ".join(sorted(self._damaged)[:5])
                raise TreeError(
                    f"files of {self._tree.root} were changed or damaged on disk: {files}",
                    hint="run `pumice repair`, or install their rocks again",
                )
            self._write_record(added, removed)
            with Deferred():
                self._make_durable()
                self._tree.swap(self._number)
                self._open = False
        except OSError as error:
            raise translate(error, f"change {self._tree.root}") from error
        try:
            self._tree.end()
            self._tree.drop_old_with_contents()
        except (OSError, PumiceError) as error:  # the change has happened; the next one tidies
            if self._progress is not None:
                self._progress.message("detail", f"could not tidy {self._tree.root}: {error}")

    def _build(self) -> None:
        """The new generation's directory, as the current one is."""
        place = self._tree.place(self._number)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.mkdir(place, 0o755)
        self._directories[place] = None
        if not self._parent:
            return
        parent = self._tree.generation(self._parent)
        for path in parent.directories:
            self._want(self._own(path))
        commands = self._tree.spec_of(self._number).bin_dir[len(place) + 1 :] + "/"
        for path, blob in parent.files.items():
            target = self._own(path)
            self._need(os.path.dirname(target))
            try:
                if path.startswith(commands):
                    blob = self._readdressed(blob)
                self._store.link(blob, target)
            except Damaged:
                self._damaged[path] = blob
            else:
                self._files[path] = blob

    def _own(self, path: str) -> str:
        """Where a path of the parent's record is here. Raises TreeError if it leads outside."""
        place = self._tree.place(self._number)
        target = os.path.join(place, path)
        if not inside(target, (place,)):
            raise TreeError(f"the record of generation {self._parent} names {path}, which is outside of it")
        return target

    def _want(self, directory: str) -> None:
        """The directory is there, and in the record if it stays empty."""
        self._need(directory)
        self._wanted[self._relative(directory)] = None

    def _readdressed(self, blob: Blob) -> Blob:
        """A command's wrapper names its tree; that of a generation names its own."""
        data = self._store.read(blob)
        before = os.fsencode(self._tree.place(self._parent)) + b"/"
        if before not in data:
            return blob
        after = os.fsencode(self._tree.place(self._number)) + b"/"
        content = Content.of_bytes(data.replace(before, after))
        return self._store.add(content, executable=blob.key.endswith("-x"))

    def _carry_out(self, step: Step) -> None:
        match step:
            case Put():
                path = self._relative(step.path)
                blob = self._store.add(step.content, executable=bool(step.mode & 0o100))
                self._vacate(step.path)
                self._store.link(blob, step.path)
                self._damaged.pop(path, None)
                self._files[path] = blob
            case Make():
                self._want(step.path)
            case Move():
                source, target = self._relative(step.source), self._relative(step.target)
                if source in self._damaged:
                    self._damaged[target] = self._damaged.pop(source)
                    return
                self._vacate(step.target)
                os.rename(step.source, step.target)
                self._damaged.pop(target, None)
                self._files[target] = self._files.pop(source)
            case Delete():
                path = self._relative(step.path)
                self._damaged.pop(path, None)
                if self._files.pop(path, None) is not None:
                    os.unlink(step.path)
            case Prune():
                self._prune(step)

    def _relative(self, path: str) -> str:
        place = self._tree.place(self._number)
        if not inside(path, (place,)):
            raise TreeError(f"refusing to write {path}: it is outside of {place}")
        return path[len(place) + 1 :]

    def _vacate(self, path: str) -> None:
        """Nothing is at `path`, in a directory that exists."""
        self._need(os.path.dirname(path))
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        except IsADirectoryError:
            os.rmdir(path)
            self._directories.pop(path, None)

    def _need(self, directory: str) -> None:
        if directory not in self._directories:
            self._need(os.path.dirname(directory))
            os.mkdir(directory, 0o755)
            self._directories[directory] = None

    def _prune(self, step: Prune) -> None:
        at = step.path
        while at != step.stop and inside(at, (step.stop,)) and inside(at, (self._tree.place(self._number),)):
            if not remove_if_empty(at):
                return
            self._directories.pop(at, None)
            at = os.path.dirname(at)

    def _adopt(self) -> None:
        """Files that a hook made in the new generation belong to it."""
        place = self._tree.place(self._number)
        for directory, _, names in os.walk(place):
            self._directories[directory] = None
            for name in names:
                path = os.path.join(directory, name)
                relative = path[len(place) + 1 :]
                if relative in self._files or os.path.islink(path):
                    continue
                executable = bool(os.lstat(path).st_mode & 0o100)
                blob = self._store.add(Content.of_path(path), executable=executable)
                os.unlink(path)
                self._store.link(blob, path)
                self._files[relative] = blob

    def _write_record(self, added: Sequence[tuple[str, str]], removed: Sequence[tuple[str, str]]) -> None:
        import json

        record = {
            "version": 1,
            "time": time.time(),
            "command": self._command,
            "parent": self._parent,
            "added": list(added),
            "removed": list(removed),
            "files": {path: (blob.key, blob.size) for path, blob in sorted(self._files.items())},
            "directories": sorted(path for path in self._wanted if self._is_empty(path)),
        }
        path = os.path.join(self._tree.place(self._number), RECORD)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            write_all(descriptor, json.dumps(record).encode())
        finally:
            os.close(descriptor)

    def _is_empty(self, path: str) -> bool:
        try:
            return not os.listdir(os.path.join(self._tree.place(self._number), path))
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _make_durable(self) -> None:
        """All of the new generation is on the disk, in an order that never names what is not there."""
        place = self._tree.place(self._number)
        sync_all([*self._store.staged(), os.path.join(place, RECORD)], [])
        touched = self._store.settle()
        sync_all([], [*touched, *self._directories, os.path.dirname(place), self._tree.root])

    def _leave(self) -> None:
        """What was not made current is gone, and so is the lock. Never raises."""
        with Deferred():
            try:
                self._open = False
                if self._lock.held:
                    self._tree.recover()
            except (OSError, PumiceError):  # the next change tidies
                pass
            finally:
                self._lock.release()
