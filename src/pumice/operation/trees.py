"""The directories to read a tree from, after an interrupted change of it has been seen to."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.base.config import TreeSpec
    from pumice.base.progress import Progress

__all__ = ["read_spec"]


def read_spec(spec: TreeSpec, progress: Progress) -> TreeSpec:
    """Where the rocks of `spec` are now: of a generation tree, in its current generation.

    A change whose process died is undone or finished first; who may not write is warned and reads on.
    """
    generations = os.path.isdir(f"{spec.root}/generations")
    # An idle plain tree has neither a lock nor a directory of Pumice's; then nothing else has to be loaded.
    if not (
        generations or os.path.isdir(f"{spec.root}/.pumice") or os.path.lexists(f"{spec.root}/lockfile.lfs")
    ):
        return spec
    from pumice.tree.kinds import open_tree

    tree = open_tree(spec)
    tree.settle(progress)
    return tree.read_spec
