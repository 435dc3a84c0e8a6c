"""The journal of a transaction: what must be undone, or finished, if its process dies (transaction.py).

A file of fields separated by NUL, after one line `pumice-journal 1 <sha256 of the rest>`. Paths are relative
to the tree's root, so that a tree may be moved; paths in directories configured outside of it are absolute.
A journal is data that somebody else may have written: `decode` accepts nothing that leads out of the tree.
"""

from __future__ import annotations

import os

from pumice.base.value import Value
from pumice.errors import TreeError
from pumice.tree.lock import PRIVATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from hashlib import sha256
else:
    try:
        from _sha256 import sha256
    except ImportError:
        from hashlib import sha256

__all__ = ["Deleted", "Journal", "Made", "Operation", "Placed", "Removed", "decode", "encode", "inside"]

_MAGIC = b"pumice-journal "
_VERSION = b"1"


class Placed(Value):
    """The staged file `number` of `area` is renamed to `path`."""

    path: str
    area: int
    number: int
    size: int
    mtime: int
    """In nanoseconds; with the size it tells whether a file at `path` is still the one that was placed."""
    kept: bool
    """A file was at `path` before, and is kept as backup `number` of `area`."""


class Deleted(Value):
    """The file at `path`, kept as backup `number` of `area`, is unlinked."""

    path: str
    area: int
    number: int


class Made(Value):
    """The directory `path` is made."""

    path: str


class Removed(Value):
    """The empty directory `path` is removed, since a file takes its place."""

    path: str
    mode: int


Operation = Placed | Deleted | Made | Removed


class Journal(Value):
    """All of one transaction."""

    areas: tuple[str, ...]
    """Where files are staged: `<root>/.pumice`, and one on every other file system that is written to."""
    operations: tuple[Operation, ...]
    """In the order in which they are carried out; undone in reverse."""
    prunes: tuple[tuple[str, str], ...] = ()
    """(path, stop): directories to remove in the end, if they are empty."""


def inside(path: str, places: Sequence[str]) -> bool:
    """`path` lies below one of `places`, by its text: absolute, no `.` or `..`, nothing doubled."""
    return os.path.normpath(path) == path and any(
        path.startswith(place.rstrip("/") + "/") for place in places
    )


def encode(journal: Journal, root: str) -> bytes:
    """The bytes of a journal for the tree at `root`."""
    fields: list[str] = [str(len(journal.areas))]
    start = len(root.rstrip("/")) + 1

    def relative(path: str) -> str:
        return path[start:] if path.startswith(root.rstrip("/") + "/") else path

    fields += map(relative, journal.areas)
    fields.append(str(len(journal.operations)))
    for operation in journal.operations:
        path = relative(operation.path)
        match operation:
            case Placed():
                kept = "1" if operation.kept else "0"
                numbers = (operation.area, operation.number, operation.size, operation.mtime)
                fields += ("placed", path, *map(str, numbers), kept)
            case Deleted():
                fields += ("deleted", path, str(operation.area), str(operation.number))
            case Made():
                fields += ("made", path)
            case Removed():
                fields += ("removed", path, str(operation.mode))
    fields.append(str(len(journal.prunes)))
    for path, stop in journal.prunes:
        fields += (relative(path), relative(stop) if stop != root else "")
    body = "\0".join(fields).encode("utf-8", "surrogateescape")
    return _MAGIC + _VERSION + b" " + sha256(body).hexdigest().encode() + b"\n" + body


def decode(data: bytes, root: str, directories: Sequence[str]) -> Journal:
    """The journal that `encode` wrote, for the tree that is now at `root`.

    `directories`: the places outside of `root` that the tree may use, too. Raises TreeError when the journal
    is damaged, of another version, or names a path outside of the tree.
    """
    head, newline, body = data.partition(b"\n")
    if not head.startswith(_MAGIC) or not newline:
        raise _damaged(root, "it is not one")
    version, _, digest = head[len(_MAGIC) :].partition(b" ")
    if version != _VERSION:
        raise TreeError(
            f"the unfinished change of {root} was begun by another version of Pumice "
            f"(journal version {version.decode('ascii', 'replace')})",
            hint="run any pumice command that changes this tree with that version first",
        )
    if sha256(body).hexdigest().encode() != digest:
        raise _damaged(root, "its digest does not match")
    try:
        journal = _parse(iter(body.decode("utf-8", "surrogateescape").split("\0")), root)
    except (ValueError, StopIteration):
        raise _damaged(root, "it does not parse") from None
    _validate(journal, root, (root, *directories))
    return journal


def _parse(fields: Iterator[str], root: str) -> Journal:
    def path() -> str:
        return os.path.join(root, next(fields))

    def number() -> int:
        return int(next(fields))

    areas = tuple(path() for _ in range(number()))
    operations: list[Operation] = []
    for _ in range(number()):
        match next(fields):
            case "placed":
                operations.append(Placed(path(), number(), number(), number(), number(), number() == 1))
            case "deleted":
                operations.append(Deleted(path(), number(), number()))
            case "made":
                operations.append(Made(path()))
            case "removed":
                operations.append(Removed(path(), number()))
            case other:
                raise ValueError(other)
    prunes = []
    for _ in range(number()):
        pruned, stop = path(), next(fields)
        prunes.append((pruned, os.path.join(root, stop) if stop else root))
    return Journal(areas, tuple(operations), tuple(prunes))


def _validate(journal: Journal, root: str, places: Sequence[str]) -> None:
    private = os.path.join(root, PRIVATE)
    for area in journal.areas:
        if os.path.basename(area) != PRIVATE or not inside(area, places):
            raise _outside(root, area)
    if journal.areas[:1] != (private,):
        raise _damaged(root, "its first area is not the tree's own")
    for operation in journal.operations:
        if not inside(operation.path, places) or inside(operation.path + "/x", journal.areas):
            raise _outside(root, operation.path)
        if isinstance(operation, Placed | Deleted) and not (
            0 <= operation.area < len(journal.areas) and operation.number >= 0
        ):
            raise _damaged(root, "it names an area that it does not have")
    for pruned, stop in journal.prunes:
        if not inside(pruned, places) or not (stop in places or inside(stop, places)):
            raise _outside(root, pruned)


def _outside(root: str, path: str) -> TreeError:
    return TreeError(
        f"the journal of the unfinished change of {root} names {path}, which is outside of the tree",
        hint=f"if directories of the tree were configured elsewhere before, configure them so again; else "
        f"look at {root}/{PRIVATE}, and remove it to give the change up",
    )


def _damaged(root: str, why: str) -> TreeError:
    return TreeError(
        f"the journal of an unfinished change of {root} is damaged: {why}",
        hint=f"remove {root}/{PRIVATE} to give the change up, then run `pumice verify` and `pumice repair`",
    )
