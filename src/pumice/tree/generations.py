"""A tree of generations: a change makes a new directory of links, and one rename makes it the current one.

    <tree>/generations/N/{bin,share,lib}   a plain tree of links into the store, and `generation.json`
    <tree>/store/                          every content once (store.py)
    <tree>/current                         a symlink to `generations/N`

A number is never used again while a higher one is there, and what is in a generation never changes.
"""

from __future__ import annotations

import errno
import os

from pumice.base.disk import remove_tree, sync_directory, translate, write_all, write_atomic
from pumice.base.signals import Deferred
from pumice.base.value import Value
from pumice.errors import PermissionDenied, PumiceError, TreeError
from pumice.tree.journal import inside
from pumice.tree.lock import PRIVATE, TreeLock
from pumice.tree.store import Blob, Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pumice.base.config import TreeSpec
    from pumice.base.progress import Progress
    from pumice.tree.generation_change import GenerationChange

__all__ = ["RECORD", "Collected", "Damage", "Generation", "GenerationTree"]

RECORD = "generation.json"
"""The record in a generation's directory; a generation without it is not complete."""
_MARKER = "building"
_LONGEST_REASON = 300
_REJECTED = "rejected"
"""A file in a generation's directory that says why it was left again; the record itself never changes."""


class Generation(Value):
    """What is written about one generation."""

    number: int
    time: float
    """When it was made, by the clock of that machine."""
    command: str
    parent: int
    """The generation that it was made from; 0 is the empty tree."""
    added: tuple[tuple[str, str], ...]
    removed: tuple[tuple[str, str], ...]
    files: Mapping[str, Blob]
    """Every file, by its path in the generation."""
    directories: tuple[str, ...] = ()
    """Those without a file in them that a rock wants all the same."""
    rejected: str = ""
    """Why the tree was taken back from it by the command that made it; empty for a sound one."""


class Damage(Value):
    """A file of a generation whose content is not what was installed."""

    generation: int
    path: str
    """Relative to the generation."""
    key: str


class Collected(Value):
    """What a garbage collection removed."""

    generations: tuple[int, ...]
    files: int


class GenerationTree:
    """The tree at `spec.root`, which may not exist yet. `keep`: how many generations a change leaves.

    Methods that write take the TreeLock and raise TreeLocked, PermissionDenied, DiskError or TreeError.
    """

    kind = "generations"

    def __init__(self, spec: TreeSpec, *, keep: int = 10) -> None:
        self.root = spec.root
        self.store = Store(os.path.join(spec.root, "store"), os.path.join(spec.root, PRIVATE))
        self._spec = spec
        self._keep = max(keep, 1)

    @property
    def current(self) -> int:
        """The number of the current generation; 0 when there is none yet. Raises TreeError."""
        link = os.path.join(self.root, "current")
        try:
            target = os.readlink(link)
        except FileNotFoundError:
            return 0
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise translate(error, f"read {link}") from error
            raise TreeError(
                f"{link} is not a symlink", hint=f"move it away, then choose one of {self.root}/generations"
            ) from error
        folder, _, number = target.rpartition("/")
        if folder != "generations" or not number.isdigit():
            raise TreeError(f"{link} names {target}, which is not a generation", hint="see `pumice history`")
        return int(number)

    @property
    def read_spec(self) -> TreeSpec:
        """The directories of the generation that is current now; read everything through one such value."""
        return self.spec_of(self.current)

    def spec_of(self, number: int) -> TreeSpec:
        """The directories of one generation. Raises TreeError when the tree has directories elsewhere."""
        place = self.place(number)

        def moved(directory: str) -> str:
            if not inside(directory, (self.root,)):
                raise TreeError(
                    f"a tree of generations cannot have {directory} outside of it",
                    hint="leave bin_dir, lua_dir, lib_dir and rocks_dir as they are, or use a plain tree",
                )
            return place + directory[len(self.root) :]

        spec = self._spec
        return spec.replace(
            root=place,
            bin_dir=moved(spec.bin_dir),
            lua_dir=moved(spec.lua_dir),
            lib_dir=moved(spec.lib_dir),
            rocks_dir=moved(spec.rocks_dir),
        )

    def place(self, number: int) -> str:
        """The directory of one generation."""
        return os.path.join(self.root, "generations", str(number))

    def settle(self, progress: Progress | None = None) -> None:
        """Nothing: the current generation is whole, whatever died; the next change tidies."""

    def change(
        self,
        *,
        command: str = "pumice",
        timeout: float = 60.0,
        force_lock: bool = False,
        progress: Progress | None = None,
    ) -> GenerationChange:
        """A change, to be used with `with`: `spec` names the new generation, filled as the current one is."""
        from pumice.tree.generation_change import GenerationChange

        return GenerationChange(self, self.lock(command, timeout, force_lock), command, progress)

    def history(self) -> tuple[Generation, ...]:
        """Every complete generation, the oldest first."""
        found = []
        for number in self._numbers():
            try:
                found.append(self.generation(number))
            except TreeError:
                continue
        return tuple(found)

    def generation(self, number: int) -> Generation:
        """The record of one generation. Raises TreeError when it is not there, or not readable."""
        import json

        path = os.path.join(self.place(number), RECORD)
        try:
            with open(path, "rb") as file:
                data = json.loads(file.read())
            if data["version"] != 1:
                raise TreeError(f"{path} is of another version of Pumice ({data['version']})")
            return Generation(
                number,
                float(data["time"]),
                str(data["command"]),
                int(data["parent"]),
                tuple((str(name), str(version)) for name, version in data["added"]),
                tuple((str(name), str(version)) for name, version in data["removed"]),
                {str(file): Blob(str(key), int(size)) for file, (key, size) in data["files"].items()},
                # generations of before had none
                tuple(str(directory) for directory in data.get("directories", ())),
                self._why_rejected(number),
            )
        except FileNotFoundError:
            raise TreeError(
                f"{self.root} has no generation {number}", hint="see `pumice history` for those that it has"
            ) from None
        except OSError as error:
            raise translate(error, f"read {path}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TreeError(
                f"{path} is damaged", hint="choose another generation with `pumice rollback N`"
            ) from error

    def _why_rejected(self, number: int) -> str:
        try:
            with open(
                os.path.join(self.place(number), _REJECTED), encoding="utf-8", errors="replace"
            ) as file:
                return file.read().strip() or "rejected"
        except FileNotFoundError:
            return ""

    def reject(self, why: str, before: int, *, timeout: float = 60.0) -> None:
        """The current generation is left for `before` (0: none), and marked with the reason, in one line."""
        with self.lock("pumice rollback", timeout, False):
            self.recover()
            rejected = self.current
            try:
                with Deferred():
                    self._go_back(before)
                    if rejected:
                        path = os.path.join(self.place(rejected), _REJECTED)
                        line = " ".join(why.split())[:_LONGEST_REASON]
                        write_atomic(path, line.encode("utf-8", "replace") + b"\n")
            except OSError as error:
                raise translate(error, f"roll {self.root} back") from error

    def _go_back(self, number: int) -> None:
        link = os.path.join(self.root, "current")
        if number:
            self.swap(number)
        elif os.path.islink(link):
            os.unlink(link)
            sync_directory(self.root)

    def rollback(
        self, number: int | None = None, *, timeout: float = 60.0, force_lock: bool = False
    ) -> Generation:
        """The tree is as in generation `number` (without it: the one before the current); by one rename."""
        with self.lock("pumice rollback", timeout, force_lock):
            self.recover()
            if number is None:
                number = self._before_current()
            generation = self.generation(number)
            try:
                with Deferred():
                    self.swap(number)
            except OSError as error:
                raise translate(error, f"roll {self.root} back") from error
        return generation

    def collect(
        self, *, keep: int | None = None, timeout: float = 60.0, force_lock: bool = False
    ) -> Collected:
        """Generations beyond the newest `keep` are gone, and every content that none refers to any more.

        The current one and the one that it was made from stay in any case.
        """
        with self.lock("pumice collect", timeout, force_lock):
            self.recover()
            try:
                gone = self.drop_old(keep)
                return Collected(tuple(gone), self._collect(self.store.keys()))
            except OSError as error:
                raise translate(error, f"collect garbage in {self.root}") from error

    def verify(self) -> tuple[Damage, ...]:
        """Every content of the store is read; the files of generations whose content is damaged or missing.

        What is damaged is set aside and never linked again, unless the user may not write to the tree.
        """
        try:
            with self.lock("pumice verify", 60.0, False):
                self.recover()
                damaged = self.store.damaged()
                self.store.set_aside(damaged)
                return self._damage(damaged)
        except PermissionDenied:
            return self._damage(self.store.damaged())
        except OSError as error:
            raise translate(error, f"verify {self.root}") from error

    def _damage(self, damaged: Iterable[str]) -> tuple[Damage, ...]:
        """The files of generations whose content is among the damaged keys, or not in the store at all."""
        sound = set(self.store.keys()).difference(damaged)
        return tuple(
            Damage(generation.number, path, blob.key)
            for generation in self.history()
            for path, blob in generation.files.items()
            if blob.key not in sound
        )

    def recover(self) -> None:
        """What a killed change or collection left is gone. The caller holds the lock. Raises DiskError."""
        private = os.path.join(self.root, PRIVATE)
        try:
            names = os.listdir(private)
            if names == ["lock"]:
                return
            marker = os.path.join(private, _MARKER)
            if _MARKER in names:
                with open(marker, "rb") as file:
                    number = file.read().strip()
                if number.isdigit() and int(number) != self.current:
                    remove_tree(self.place(int(number)))
            for name in names:
                if name.startswith("trash-") or name == "current" or (name[:1] == "b" and name[1:].isdigit()):
                    remove_tree(os.path.join(private, name))
            if _MARKER in names:
                os.unlink(marker)
        except FileNotFoundError:
            return
        except OSError as error:
            raise translate(error, f"recover {self.root}") from error

    def begin(self) -> int:
        """The number of the generation to build; recovery removes it unless it is current. Raises OSError."""
        number = max((*self._numbers(), self.current)) + 1
        marker = os.path.join(self.root, PRIVATE, _MARKER)
        descriptor = os.open(marker, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            write_all(descriptor, b"%d\n" % number)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_directory(os.path.dirname(marker))
        sync_directory(self.root)
        return number

    def end(self) -> None:
        """Nothing is being built any more. Raises OSError."""
        os.unlink(os.path.join(self.root, PRIVATE, _MARKER))

    def swap(self, number: int) -> None:
        """Generation `number` is the current one, durably; or OSError is raised and it is not."""
        link = os.path.join(self.root, "current")
        before = self.current if os.path.islink(link) else 0
        self._point(number, link)
        try:
            sync_directory(self.root)
        except OSError:
            if before:
                self._point(before, link)
            else:
                os.unlink(link)
            raise

    def _point(self, number: int, link: str) -> None:
        fresh = os.path.join(self.root, PRIVATE, "current")
        os.symlink(f"generations/{number}", fresh)
        os.rename(fresh, link)

    def drop_old(self, keep: int | None = None) -> list[int]:
        """Generations that need not be kept are gone; the caller has the lock. Raises OSError, DiskError."""
        numbers = self._numbers()
        current = self.current
        kept = {current, *numbers[-(self._keep if keep is None else max(keep, 1)) :]}
        try:
            kept.add(self.generation(current).parent)
        except TreeError:
            return []
        gone = [number for number in numbers if number not in kept]
        for number in gone:
            trash = os.path.join(self.root, PRIVATE, f"trash-{number}")
            os.rename(self.place(number), trash)
            remove_tree(trash)
        return gone

    def _collect(self, candidates: Iterable[str]) -> int:
        referenced: set[str] = set()
        for number in self._numbers():
            try:
                referenced.update(blob.key for blob in self.generation(number).files.values())
            except PumiceError:  # what it refers to cannot be known
                return 0
        return self.store.collect(candidates, referenced)

    def drop_old_with_contents(self) -> None:
        """After a change: as `drop_old`, and the contents that only they had. Raises OSError, PumiceError."""
        if len(self._numbers()) <= self._keep:
            return
        had: set[str] = set()
        for generation in self.history()[: -self._keep]:
            had.update(blob.key for blob in generation.files.values())
        if self.drop_old():
            self._collect(had)

    def _before_current(self) -> int:
        current = self.current
        older = [each.number for each in self.history() if each.number < current and not each.rejected]
        if not older:
            raise TreeError(f"{self.root} has no generation before {current}", hint="see `pumice history`")
        parent = self.generation(current).parent
        return parent if parent in older else older[-1]

    def _numbers(self) -> list[int]:
        try:
            names = os.listdir(os.path.join(self.root, "generations"))
        except FileNotFoundError:
            return []
        return sorted(int(name) for name in names if name.isdigit())

    def lock(self, command: str, timeout: float, force: bool) -> TreeLock:
        """The lock of the whole tree, not yet taken."""
        return TreeLock(self.root, timeout=timeout, force=force, command=command)
