"""A node of an inventory to be, as another inventory or the user names it."""

from __future__ import annotations

import re

from pumice.base.value import Value

__all__ = ["NodeDraft", "node_name"]


class NodeDraft(Value):
    """What cluster.toml will say of one node; checked only when that is read back."""

    name: str
    address: str
    settings: tuple[tuple[str, str | bool], ...] = ()
    """Further keys of the node, in order."""


def node_name(text: str, taken: set[str]) -> str:
    """A name for a node like `text` that no other node has; it is put into `taken`."""
    base = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:90] or "node"
    name, number = base, 2
    while name in taken:
        name, number = f"{base}-{number}", number + 1
    taken.add(name)
    return name
