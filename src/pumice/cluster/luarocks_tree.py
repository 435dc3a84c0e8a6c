"""The node's own LuaRocks tree (`layout = "luarocks"`): what is in it, and a change of it as files to place.

Nothing is hashed on the node to plan a change: the tree's manifest and rock_manifests say what is installed,
a listing what else is there, and files that the planner wants to compare are fetched when it asks for them.
The change is journaled on the node (`node/place.sh`); the manifest moves last.
"""

from __future__ import annotations

import hashlib
import posixpath
from typing import TYPE_CHECKING

from pumice.base.value import Value
from pumice.cluster.blobs import tar_members
from pumice.cluster.connection import quote
from pumice.cluster.node_script import node_script
from pumice.cluster.node_tar import END, INCOMING, file_member, link_member
from pumice.errors import TreeError
from pumice.tree.steps import Delete, Move, Prune, Put

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from pumice.cluster.blobs import BlobCache
    from pumice.cluster.connection import Connection
    from pumice.cluster.node_content import BlobSource
    from pumice.tree.steps import Step
    from pumice.tree.store import Blob

__all__ = [
    "ROCKS",
    "PlainChange",
    "PlainPayload",
    "PlainTreeView",
    "made_folders",
    "manifest_digest",
    "plain_change",
    "plain_state",
    "read_plain_tree",
]

ROCKS = "lib/luarocks/rocks-5.1"
"""Where the rocks of a tree say what they are."""
_SHOWN_IN_STATE = ("manifest", "rock_manifest")
_BATCH = 200
_BACKUP = ".pumice/cluster/backup"


class PlainChange(Value):
    """Files of a plain tree that come, are renamed and go; paths are relative to the tree."""

    puts: Mapping[str, tuple[Blob, int]]
    """Content and mode of what comes."""
    renames: Mapping[str, str]
    """New path → the present path of the file that gets it."""
    deletes: tuple[str, ...]
    existing: frozenset[str]
    """Those of the paths above at which a file is now."""
    made: tuple[str, ...]
    """Directories that are not there yet."""
    prunes: tuple[str, ...]
    manifest: str | None
    """The sha256 of the tree's manifest, which it still has to have; None: there is none."""
    checks: Mapping[str, str] = {}
    """The sha256 that more files have to have before anything changes."""
    took: int = 0
    """The number of the kept files of a rollout that is taken back; 0: none is."""


class PlainTreeView:
    """A plain tree as the planner sees it; what it reads is fetched with its neighbours."""

    def __init__(self, connection: Connection, files: Collection[str], known: Mapping[str, bytes]) -> None:
        self._connection = connection
        self.root = connection.node.tree
        self._start = len(self.root) + 1
        self.files = frozenset(files)
        """Every file, relative to the tree."""
        self._known = dict(known)
        self._asked: set[str] = set()
        directories = {self.root: None}
        for path in files:
            parts = path.split("/")
            for count in range(1, len(parts)):
                directories[f"{self.root}/{'/'.join(parts[:count])}"] = None
        self._directories = directories

    def kind(self, path: str) -> str | None:
        """What is at an absolute path."""
        path = path.removesuffix("/.")
        if path in self._directories:
            return "directory"
        return "file" if path[self._start :] in self.files else None

    def read(self, path: str) -> bytes:
        """The bytes of a file. Raises FileNotFoundError, and what `Connection.run` raises."""
        name = path[self._start :]
        if name not in self._known and name in self.files:
            self._fetch(posixpath.dirname(name))
        if name not in self._known:
            raise FileNotFoundError(path)
        return self._known[name]

    def walk(self, directory: str) -> tuple[list[str], list[str]]:
        """Everything below a directory."""
        below = directory[self._start :] + "/"
        inside = directory + "/"
        return (
            sorted(path[len(below) :] for path in self.files if path.startswith(below)),
            sorted(each[len(inside) :] for each in self._directories if each.startswith(inside)),
        )

    def _fetch(self, folder: str) -> None:
        if folder in self._asked:
            return
        self._asked.add(folder)
        names = sorted(
            path for path in self.files if posixpath.dirname(path) == folder and path not in self._known
        )
        for at in range(0, len(names), _BATCH):
            words = " ".join(quote(f"./{name}") for name in names[at : at + _BATCH])
            answer = self._connection.run(f"cd {quote(self.root)} && exec tar -chf - {words}")
            for name, data in tar_members(answer.output).items():
                self._known[name.removeprefix("./")] = data


def read_plain_tree(connection: Connection) -> PlainTreeView:
    """What is in the node's tree, in one run. Raises TreeError when the node does not tell."""
    node = connection.node
    answer = connection.run(node_script("plain", given={"TREE": node.tree}))
    listed, mark, tar = answer.output.partition(b"@@pumice tar\n")
    _, _, listed = listed.partition(b"@@pumice files\n")
    if not mark:
        if answer.ok:  # there is no such tree yet
            return PlainTreeView(connection, (), {})
        raise TreeError(f"{node.name}: {node.tree} cannot be looked at", hint="Look at its owner and mode.")
    known = {
        name.removeprefix("./"): data
        for name, data in tar_members(tar).items()
        if ".." not in name.split("/")
    }
    return PlainTreeView(connection, {*_listed(listed), *known}, known)


def plain_state(metadata: Mapping[str, bytes]) -> str:
    """A digest of what a plain tree says it holds; `metadata`: its files below `rocks-5.1`, by path there."""
    digest = hashlib.sha256()
    for path in sorted(metadata):
        if posixpath.basename(path) in _SHOWN_IN_STATE and path.count("/") in (0, 2):
            told = f"{path}\0{hashlib.sha256(metadata[path]).hexdigest()}\n"
            digest.update(told.encode("utf-8", "replace"))
    return digest.hexdigest()


def plain_change(root: str, view: PlainTreeView, steps: Sequence[Step], blobs: BlobCache) -> PlainChange:
    """What planned steps come to, whatever their order."""
    start = len(root) + 1
    now: dict[str, str | tuple[Blob, int]] = {path: path for path in view.files}
    prunes: dict[str, None] = {}
    for step in steps:
        match step:
            case Put():
                blob = blobs.add(step.content.read(), executable=False)
                now[step.path[start:]] = (blob, step.mode)
            case Move():
                now[step.target[start:]] = now.pop(step.source[start:])
            case Delete():
                now.pop(step.path[start:], None)
            case Prune():
                at = step.path
                while at != step.stop and at.startswith(step.stop + "/"):
                    prunes[at[start:]] = None
                    at = posixpath.dirname(at)
    puts = {path: origin for path, origin in now.items() if not isinstance(origin, str)}
    renames = {path: origin for path, origin in now.items() if isinstance(origin, str) and origin != path}
    deletes = tuple(sorted(path for path in view.files if path not in now))
    return PlainChange(
        puts,
        renames,
        deletes,
        frozenset(path for path in [*puts, *renames, *deletes] if path in view.files),
        made_folders(view, [*puts, *renames]),
        tuple(sorted(prunes, key=lambda each: -each.count("/"))),
        manifest_digest(view),
    )


def made_folders(view: PlainTreeView, paths: Iterable[str]) -> tuple[str, ...]:
    """The directories that files of these paths need and that are not there, from the top."""
    made: dict[str, None] = {}
    for path in sorted(paths):
        parts = path.split("/")[:-1]
        for count in range(1, len(parts) + 1):
            folder = "/".join(parts[:count])
            if view.kind(f"{view.root}/{folder}") is None:
                made[folder] = None
    return tuple(made)


def manifest_digest(view: PlainTreeView) -> str | None:
    """The sha256 of the tree's manifest; None where there is none."""
    manifest = f"{ROCKS}/manifest"
    if manifest not in view.files:
        return None
    return hashlib.sha256(view.read(f"{view.root}/{manifest}")).hexdigest()


class PlainPayload:
    """What is sent so that a plain tree changes. Nothing of it changes once it is made."""

    generation = 0

    def __init__(self, change: PlainChange, source: BlobSource | None, digest: str) -> None:
        """`source`: of the contents of `change.puts`; None where there are none."""
        self.keys = tuple(sorted(change.puts))
        """The paths of what travels."""
        self.size = sum(blob.size for blob, _ in change.puts.values())
        self.digest = digest
        self._change = change
        self._source = source
        links = b"".join(self._links())
        plan = "".join(f"{chr(9).join(line)}\n" for line in self._plan()).encode("utf-8", "surrogateescape")
        sums = [f"{blob.key[:64]}  {INCOMING}/files/{path}\n" for path, (blob, _) in change.puts.items()]
        sums += [
            f"{hashlib.sha256(data).hexdigest()}  {INCOMING}/{name}\n"
            for name, data in (("links.tar", links), ("plan", plan))
        ]
        sums += [f"{digest}  {path}\n" for path, digest in sorted(change.checks.items())]
        if change.manifest is not None:
            sums.append(f"{change.manifest}  {ROCKS}/manifest\n")
        self.sums = "".join(sums).encode("utf-8", "surrogateescape")
        self._head = (*file_member("links.tar", links, 0o600), *file_member("plan", plan, 0o600))

    def stream(self) -> Iterator[bytes]:
        """The members of the tar but for `sums`, without its end."""
        yield from self._head
        if self._source is None:
            return
        for path, (blob, mode) in sorted(self._change.puts.items()):
            yield from file_member(f"files/{path}", self._source.read(blob.key), mode)

    def with_damaged(self, damaged: Collection[str]) -> PlainPayload:
        """The same: a plain tree has no store whose contents could be damaged."""
        return self

    def _links(self) -> Iterator[bytes]:
        """What was there is kept, and files that get another name have it already, among what came in."""
        for path in sorted(self._change.existing):
            yield link_member(f"{_BACKUP}/files/{path}", path)
        for path, origin in sorted(self._change.renames.items()):
            yield link_member(f"{INCOMING}/files/{path}", origin)
        yield END

    def _plan(self) -> Iterator[tuple[str, ...]]:
        change = self._change
        if change.took:
            yield "took", str(change.took)
        for folder in change.made:
            yield "made", folder
        manifest = f"{ROCKS}/manifest"
        coming = sorted([*change.puts, *change.renames], key=lambda path: (path == manifest, path))
        # All of a folder together: they are moved by one command.
        for path in sorted(coming, key=lambda path: (path == manifest, posixpath.dirname(path))):
            folder, name = posixpath.split(path)
            yield "put", folder, name, "1" if path in change.existing else "0"
        for path in change.deletes:
            yield "del", *posixpath.split(path)
        for folder in change.prunes:
            yield "prune", folder


def _listed(data: bytes) -> set[str]:
    """The files in what `ls -ARp ./FOLDER` printed for several folders."""
    found: set[str] = set()
    directory: str | None = None
    for line in data.decode("utf-8", "surrogateescape").split("\n"):
        if not line:
            directory = None
        elif directory is None and line.startswith("./") and line.endswith(":"):
            directory = line[2:-1]
        elif directory is not None and not line.endswith("/"):
            found.add(f"{directory}/{line}")
    return found
