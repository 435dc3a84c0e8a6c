"""`ContentMaker`: what nodes shall hold next, made here with Pumice's own planner, once for all equal nodes.

A node's present tree is known by its record; of its bytes only what is not at hand is fetched, from one node
of each state. Rocks are found, solved, fetched and built for the node's Lua, machine and C library; what does
not fit them is refused before anything is sent.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from pumice.base.config import TreeSpec
from pumice.cluster.blobs import BlobCache, fetch_blobs
from pumice.cluster.node_content import NodeContent
from pumice.cluster.node_view import NodeView, after_steps
from pumice.cluster.plain_content import plain_content
from pumice.cluster.plugin_content import plugins_of
from pumice.cluster.rock_source import RockSource, Wish
from pumice.cluster.target import LUA, Target, target_of
from pumice.cluster.tree_plan import plan_wish, read_manifest
from pumice.cluster.tree_record import state_of
from pumice.errors import PumiceError
from pumice.operation.work_dir import WorkDir

if TYPE_CHECKING:
    from types import TracebackType

    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.cluster.connection import Connection
    from pumice.cluster.facts import NodeFacts

__all__ = ["ContentMaker", "Wish"]


class ContentMaker:
    """Makes contents; a context manager that keeps what was built and fetched until it ends. Thread-safe."""

    def __init__(self, config: Config, progress: Progress, *, offline: bool = False) -> None:
        self._config = config
        self._progress = progress
        self._work = WorkDir(config, "cluster")
        self._blobs = BlobCache(os.path.join(config.cache_dir, "blobs"))
        self._lock = threading.Lock()
        self._locks: dict[object, threading.Lock] = {}
        self._made: dict[object, NodeContent | PumiceError] = {}
        self._source = RockSource(self._work, offline=offline)

    def __enter__(self) -> ContentMaker:
        self._work.__enter__()
        self._work.make()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._work.__exit__(kind, error, trace)

    def content(self, connection: Connection, facts: NodeFacts, wish: Wish) -> NodeContent:
        """What the node's tree shall hold when the wish is fulfilled; equal nodes share one.

        Raises PumiceError: what cannot be found, solved or built, and what the node could not run.
        """
        target = target_of(facts)
        key: tuple[object, ...] = (facts.state, target, wish)
        if connection.node.layout == "luarocks":  # what else lies in such a tree is nobody's record
            key = (*key, facts.node)
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            made = self._made.get(key)
            if made is None:
                try:
                    made = self._make(connection, facts, target, wish)
                except PumiceError as error:
                    made = error
                self._made[key] = made
        if isinstance(made, PumiceError):
            raise made
        return made

    def _make(self, connection: Connection, facts: NodeFacts, target: Target, wish: Wish) -> NodeContent:
        # Nothing is there: what is looked up in trees of this machine is not that of the node.
        tree = TreeSpec.at(os.path.join(self._work.path, "tree"), LUA, facts.node)
        if connection.node.layout == "luarocks":
            return plain_content(
                connection,
                facts,
                target,
                wish,
                self._config,
                self._source,
                self._blobs,
                self._progress,
                elsewhere=tree,
            )
        files = dict(facts.record.files) if facts.record is not None else {}
        fetch_blobs(connection, files.values(), self._blobs)
        view = NodeView(tree.root, files, self._blobs)
        before = plugins_of(files, read_manifest(view, tree, facts), self._blobs)
        planned = plan_wish(
            tree,
            view,
            facts,
            target,
            wish,
            self._config,
            self._source,
            self._progress,
            # What a gateway's machine has on its path is not known; its own LuaJIT is named so.
            lua="luajit",
            relocatable=True,
            elsewhere=tree,
        )
        new = after_steps(tree.root, files, planned.steps, self._blobs)
        return NodeContent(
            new,
            self._blobs,
            planned.added,
            planned.removed,
            planned.all_rocks,
            plugins_of(new, planned.manifest, self._blobs) if new != files else before,
            before,
            facts.state,
            state_of(new),
            tuple((level, text.replace(tree.root, facts.node)) for level, text in planned.said),
            asked=planned.asked,
        )
