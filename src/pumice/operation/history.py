"""The generations of a tree: `history` and `rollback` (house.md, 'The promise of a tree')."""

from __future__ import annotations

from pumice.errors import TreeError
from pumice.tree.generations import GenerationTree
from pumice.tree.kinds import open_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.base.config import Config
    from pumice.tree.generations import Generation

__all__ = ["history", "rollback"]


def history(config: Config) -> tuple[tuple[Generation, ...], int]:
    """The generations of the command's tree, the newest last, and the number of the current one.

    Raises TreeError for a plain tree.
    """
    tree = _generations(config)
    return tree.history(), tree.current


def rollback(config: Config, number: int | None) -> int:
    """Generation `number` (None: the one before the current) is current again; gives its number.

    Raises TreeError for a plain tree and for a generation that is not there, TreeLocked, PermissionDenied.
    """
    from pumice.base.signals import Interruptible

    tree = _generations(config)
    Interruptible.change_begins()
    return tree.rollback(number, timeout=config.lock_timeout, force_lock=config.force_lock).number


def _generations(config: Config) -> GenerationTree:
    tree = open_tree(config.tree)
    if not isinstance(tree, GenerationTree):
        raise TreeError(
            f"{config.tree.root} is not a tree of generations",
            hint="The first install into an empty directory makes one, with --layout generations.",
        )
    return tree
