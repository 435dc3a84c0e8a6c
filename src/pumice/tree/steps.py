"""The steps of which every change of a tree is made: decided by pure code, carried out by the transaction.

All paths are absolute, and inside the tree's root (or one of the tree's configured directories).
Steps are meant in order; the transaction makes them all happen, or none.
"""

from __future__ import annotations

from pumice.base.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.rock.content import Content

__all__ = ["Delete", "Make", "Move", "Prune", "Put", "Step"]


class Put(Value):
    """A file comes to be at `path`, in place of any that is there; missing directories are made (0755)."""

    path: str
    content: Content
    mode: int
    """0o644 or 0o755; the process's umask is applied."""


class Make(Value):
    """The directory `path` exists (0755), though no file may be in it; missing ones above it are made."""

    path: str


class Move(Value):
    """The file at `source`, which exists, is renamed to `target`; missing directories are made."""

    source: str
    target: str


class Delete(Value):
    """The file (or symlink) at `path` goes away; no error when it is gone already."""

    path: str


class Prune(Value):
    """The directory `path` goes away if empty, then its parents while they are empty, never `stop` itself."""

    path: str
    stop: str


Step = Put | Make | Move | Delete | Prune
