"""A node's tree as a planner sees it, without the node: paths from its record, bytes by their digests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pumice.cluster.blobs import BlobCache
    from pumice.tree.steps import Step
    from pumice.tree.store import Blob

from pumice.tree.steps import Delete, Move, Put

__all__ = ["NodeView", "after_steps"]


class NodeView:
    """`files` by their paths below `root`, as a `tree.view.TreeView`."""

    def __init__(self, root: str, files: Mapping[str, Blob], blobs: BlobCache) -> None:
        self._start = len(root) + 1
        self._files = files
        self._blobs = blobs
        self._directories: dict[str, None] = {root: None}
        for path in files:
            parts = path.split("/")
            for count in range(1, len(parts)):
                self._directories[f"{root}/{'/'.join(parts[:count])}"] = None

    def kind(self, path: str) -> str | None:
        """What is at an absolute path."""
        path = path.removesuffix("/.")
        if path in self._directories:
            return "directory"
        return "file" if path[self._start :] in self._files else None

    def read(self, path: str) -> bytes:
        """The bytes of a file. Raises FileNotFoundError, too where the node has them no longer."""
        blob = self._files.get(path[self._start :])
        data = self._blobs.find(blob.key) if blob is not None else None
        if data is None:
            raise FileNotFoundError(path)
        return data

    def walk(self, directory: str) -> tuple[list[str], list[str]]:
        """Everything below a directory."""
        below = directory[self._start :] + "/"
        files = sorted(path[len(below) :] for path in self._files if path.startswith(below))
        inside = directory + "/"
        folders = sorted(each[len(inside) :] for each in self._directories if each.startswith(inside))
        return files, folders


def after_steps(
    root: str, files: Mapping[str, Blob], steps: Sequence[Step], blobs: BlobCache
) -> dict[str, Blob]:
    """The files of the tree at `root` once the steps are carried out."""
    start = len(root) + 1
    now = dict(files)
    for step in steps:
        match step:
            case Put():
                now[step.path[start:]] = blobs.add(step.content.read(), executable=bool(step.mode & 0o100))
            case Move():
                now[step.target[start:]] = now.pop(step.source[start:])
            case Delete():
                now.pop(step.path[start:], None)
    return now
