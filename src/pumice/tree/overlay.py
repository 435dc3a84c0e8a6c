"""A tree's files as they will be: changes are made here first, and come out as the fewest steps.

A file that is renamed and renamed back, or put and taken away again, leaves no step; so several rocks can
be planned one after the other, each seeing the earlier ones, and still one transaction carries them out.
"""

from __future__ import annotations

from posixpath import dirname

from pumice.base.value import Value
from pumice.errors import TreeError
from pumice.rock.content import Content
from pumice.tree.steps import Delete, Make, Move, Prune, Put

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pumice.tree.steps import Step
    from pumice.tree.view import TreeView

__all__ = ["Overlay"]


class _Kept(Value):
    """A file that is on the disk already, at `origin`."""

    origin: str


class _New(Value):
    """A file that is to be written."""

    content: Content
    mode: int


class Overlay:
    """The files below a tree as the plan leaves them so far."""

    def __init__(self, view: TreeView) -> None:
        self._view = view
        self._now: dict[str, _Kept | _New | None] = {}
        self._directories: dict[str, bool] = {}
        self._emptied: list[str] = []
        self._made: dict[str, None] = {}

    def exists(self, path: str) -> bool:
        """Whether a file (or link) will be at `path`."""
        if path in self._now:
            return self._now[path] is not None
        return self._view.kind(path) == "file"

    def is_new(self, path: str) -> bool:
        """Whether the file at `path` is one of the plan's own."""
        return isinstance(self._now.get(path), _New)

    def read(self, path: str) -> bytes:
        """The bytes that will be at `path`."""
        file = self._now.get(path)
        if isinstance(file, _New):
            return file.content.read()
        return self._view.read(file.origin if file is not None else path)

    def put(self, path: str, content: Content, mode: int) -> None:
        """A file comes to be at `path`, in place of any other. Raises TreeError if there is no place."""
        self._check_place(path)
        self._now[path] = _New(content, mode)

    def make(self, path: str) -> None:
        """The directory `path` comes to be. Raises TreeError if a file is in its place."""
        if self.exists(path):
            raise TreeError(
                f"{path} is a file, and a directory of that name is to be installed",
                hint="Remove the rock or the file that is in the way.",
            )
        self._check_above(path)
        self._made[path] = None

    def move(self, source: str, target: str) -> None:
        """The file at `source` gets another name."""
        self._check_place(target)
        self._now[target] = self._now[source] if source in self._now else _Kept(source)
        self._now[source] = None

    def delete(self, path: str) -> None:
        """The file at `path` goes away, if there is one."""
        if self.exists(path) or path in self._now:
            self._now[path] = None

    def delete_directory(self, path: str) -> None:
        """Everything below `path` goes away, files of this plan included; links are not followed."""
        files, directories = self._view.walk(path)
        for file in files:
            full = f"{path}/{file}"
            if full not in self._now:
                self._now[full] = None
        for full in [each for each in self._now if each.startswith(path + "/")]:
            self._now[full] = None
        for full in [each for each in self._made if each.startswith(path + "/")]:
            del self._made[full]
        if self._view.kind(path) == "directory":
            self._emptied += [path, *(f"{path}/{directory}" for directory in directories)]

    def free_backup(self, path: str) -> str:
        """`path` with as many `~` as it takes until no file has that name."""
        backup = path + "~"
        while self.exists(backup) or self._view.kind(backup) is not None:
            backup += "~"
        return backup

    def steps(self, stop: Callable[[str], str]) -> tuple[Step, ...]:
        """What leads from the disk to these files; `stop` gives the directory that pruning must not reach."""
        moves: dict[str, str] = {}
        puts: list[Put] = []
        for path, file in self._now.items():
            if isinstance(file, _New):
                puts.append(Put(path, file.content, file.mode))
            elif file is not None and file.origin != path:
                moves[file.origin] = path
        on_disk = [path for path in self._now if self._view.kind(path) == "file"]
        vanished = {
            path for path in on_disk if path not in moves and not isinstance(self._now[path], _New | _Kept)
        }
        overwritten = [
            path
            for path in on_disk
            if path not in moves and isinstance(file := self._now[path], _Kept) and file.origin != path
        ]
        left = [*vanished, *moves]
        final = {dirname(path) for path, file in self._now.items() if file is not None}.union(self._made)
        made = tuple(Make(path) for path in self._made if self._view.kind(path) != "directory")
        emptied = {directory for path in left if (directory := dirname(path)) not in final}
        empty = sorted(emptied.union(self._emptied) - final, key=lambda each: (-each.count("/"), each))
        prunes = [Prune(each, end) for each in empty if (end := self._made_above(each) or stop(each)) != each]
        deletes = [Delete(path) for path in sorted(vanished)]
        before = [Delete(path) for path in overwritten]
        ordered_moves = _in_order(moves, self.free_backup)
        if self._in_the_way(puts, ordered_moves, {*left}):
            return (*before, *deletes, *ordered_moves, *prunes, *puts, *made)
        return (*before, *ordered_moves, *puts, *made, *deletes, *prunes)

    def _made_above(self, path: str) -> str | None:
        """The nearest directory above that is to stay, though nothing is in it."""
        while path := dirname(path) if path != "/" else "":
            if path in self._made:
                return path
        return None

    def _in_the_way(self, puts: list[Put], moves: list[Move], left: set[str]) -> bool:
        """Whether a file must go before a directory can take its name, or the reverse."""
        if not left:
            return False
        targets = [put.path for put in puts] + [move.target for move in moves]
        targets += [f"{path}/" for path in self._made]
        for directory in {dirname(path) for path in targets}:
            while len(directory) > 1:
                if directory in left:
                    return True
                directory = dirname(directory)
        return any(self._view.kind(path) == "directory" for path in targets if not path.endswith("/"))

    def _check_place(self, path: str) -> None:
        if path not in self._now and self._view.kind(path) == "directory":
            files, _ = self._view.walk(path)
            stays = next((file for file in files if self._now.get(f"{path}/{file}", file) is not None), None)
            if stays is not None or not files:
                raise TreeError(
                    f"{path} is a directory, and a file of that name is to be installed",
                    hint="Remove the rock or the directory that is in the way.",
                )
        self._check_above(path)

    def _check_above(self, path: str) -> None:
        directory = dirname(path)
        if self._directories.get(directory):
            return
        above = directory
        while len(above) > 1 and above not in self._directories:
            if self.exists(above) and self._leads_nowhere(above):
                raise TreeError(
                    f"{above} is a file, and {path} is to be installed below it",
                    hint="Remove the rock or the file that is in the way.",
                )
            above = dirname(above)
        self._directories[directory] = True

    def _leads_nowhere(self, path: str) -> bool:
        """Whether what has the name of a directory is a file; a link to a directory is as good as one."""
        return path in self._now or self._view.kind(path + "/.") != "directory"


def _in_order(moves: dict[str, str], free: Callable[[str], str]) -> list[Move]:
    """The renames, none onto a file that has yet to be renamed itself; a ring goes by a third name."""
    ordered: list[Move] = []
    pending = dict(moves)
    while pending:
        source = next(iter(pending))
        chain = [source]
        while pending[chain[-1]] in pending and pending[chain[-1]] != source:
            chain.append(pending[chain[-1]])
        if pending[chain[-1]] == source:
            aside = free(source)
            ordered.append(Move(source, aside))
            target = pending.pop(source)
            ordered += [Move(each, pending.pop(each)) for each in reversed(chain[1:])]
            ordered.append(Move(aside, target))
        else:
            ordered += [Move(each, pending.pop(each)) for each in reversed(chain)]
    return ordered
