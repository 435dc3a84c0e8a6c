"""`verify`: every installed file against what was installed, every store file against its digest."""

from __future__ import annotations

import os

from pumice.errors import NotFoundError
from pumice.tree.kinds import open_tree
from pumice.tree.manifest import read_tree_manifest
from pumice.tree.verify import Problem, Report, verify_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.base.config import Config
    from pumice.base.progress import Progress

__all__ = ["Problem", "Report", "verify"]


def verify(config: Config, progress: Progress) -> Report:
    """The report on the command's tree; nothing of the tree changes.

    Of a generation tree the current generation is looked at as any tree, and every content of the store
    against its digest, whichever generation uses it.
    """
    if not os.path.isdir(config.tree.root):
        raise NotFoundError(
            f"there is no tree in {config.tree.root}", hint="Check --tree; the first install makes a tree."
        )
    tree = open_tree(config.tree)
    tree.settle(progress)
    spec = tree.read_spec
    report = verify_tree(spec, read_tree_manifest(spec, progress, platforms=config.platforms))
    if tree.kind != "generations":
        return report
    from pumice.tree.generations import GenerationTree

    assert isinstance(tree, GenerationTree)
    if tree.current and not os.path.isdir(spec.root):
        lost = Problem(
            "error", os.path.join(tree.root, "current"), "", f"names {spec.root}, which is missing"
        )
        report = report.replace(problems=(lost, *report.problems))
    damaged = tuple(
        Problem(
            "error",
            f"{tree.place(damage.generation)}/{damage.path}",
            "",
            f"is not what was installed (store file {damage.key[:16]})",
        )
        for damage in tree.verify()
    )
    known = {problem.path for problem in report.problems}
    return report.replace(
        problems=report.problems + tuple(each for each in damaged if each.path not in known)
    )
