"""`Plan`: what a rollout will do to which node, in which order, and what undoes it. A value: nothing happens.

A plan can be printed (`plan_text`), saved and read back (`plan_json`), and run later (`rollout`). It holds no
secret: what has to be sent is named by digest, entities and credentials stay where they are.
"""

from __future__ import annotations

from pumice.base.value import Value

__all__ = ["ACTIONS", "Artifact", "Batch", "Change", "EntityStep", "NodePlan", "Plan", "Step"]

ACTIONS = ("install", "sync", "rollback", "remove")


class Artifact(Value):
    """A rock that the plan puts on nodes, or a rock or plugin that it takes away."""

    name: str
    version: str
    """With its revision; empty where any version goes."""
    origin: str = ""
    """The file or URL that it comes from; empty where the servers are asked, or nothing is sent."""
    sha256: str = ""
    """Of the file at `origin`; a plan whose file has changed is refused."""


class Change(Value):
    """What becomes of one rock or plugin on a node; an empty version means: not there."""

    name: str
    before: str
    after: str

    def __str__(self) -> str:
        if not self.before:
            return f"{self.name} {self.after} is new"
        if not self.after:
            return f"{self.name} {self.before} goes"
        if self.before == self.after:
            return f"{self.name} {self.after}, other files"
        return f"{self.name} {self.before} → {self.after}"


class Step(Value):
    """One step on a node, and what takes it back."""

    name: str
    what: str
    undo: str = ""
    """Empty where there is nothing to take back."""


class NodePlan(Value):
    """What happens to one node."""

    node: str
    address: str
    role: str
    facts: str
    """Digest of what the node was when the plan was made; the plan is not run on a node that has changed."""
    content: str
    """Digest of the files that the node will have."""
    changes: tuple[Change, ...]
    proof: tuple[tuple[str, str], ...]
    """Plugins and versions that the node has to answer with. An empty version: any; `-`: it is not there."""
    steps: tuple[Step, ...]
    target: int = 0
    """The generation to go back to, where the plan is a rollback; 0 makes a new one."""


class Batch(Value):
    """Nodes that go at the same time; the next batch begins when all of them are proved."""

    name: str
    nodes: tuple[str, ...]
    canary: bool = False
    """Any failure here ends the rollout, whatever `max_failures` allows."""
    pause: float = 0.0
    """Seconds to wait before it."""


class EntityStep(Value):
    """An entity of Kong that is created, updated or deleted, through one node's Admin API."""

    plugin: str
    action: str
    """`apply` (create or update, after every node has proved the plugin) or `delete` (before the rest)."""
    file: str = ""
    sha256: str = ""
    """Of `file`: an entity that changed since the plan was made is refused."""


class Plan(Value):
    """A whole rollout."""

    id: str
    action: str
    """One of `ACTIONS`."""
    cluster: str
    made: str
    """When, as YYYY-MM-DDTHH:MM:SSZ."""
    by: str
    artifacts: tuple[Artifact, ...]
    nodes: tuple[NodePlan, ...]
    """Those that change."""
    batches: tuple[Batch, ...]
    unchanged: tuple[str, ...] = ()
    """Nodes that are already as they shall be."""
    missing: tuple[tuple[str, str], ...] = ()
    """Nodes that could not be looked at, and why."""
    max_failures: int = 0
    timeout: float = 60.0
    migrate: tuple[str, tuple[str, ...]] | None = None
    """The node that runs migrations before the rest, and the plugins that have them."""
    entities: tuple[EntityStep, ...] = ()
    warnings: tuple[str, ...] = ()
    exact: bool = False
    """What is not among the artifacts, and not needed by them, goes."""
    force: bool = False
    """Removal goes on although entities use the plugin; they are deleted."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do on any node, nor in the gateway's database."""
        return not self.nodes and not self.entities

    def node(self, name: str) -> NodePlan:
        """The part of one node. Raises KeyError."""
        for each in self.nodes:
            if each.node == name:
                return each
        raise KeyError(name)
