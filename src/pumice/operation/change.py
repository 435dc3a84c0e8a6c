"""`TreeChange`: the right to change the tree of a command, what is in it, and the commit (house.md)."""

from __future__ import annotations

import os

from pumice.errors import PermissionDenied
from pumice.operation.trees import read_spec
from pumice.tree.dependencies import Installed, lua_provides, missing_report, searched_trees
from pumice.tree.kinds import open_tree
from pumice.tree.manifest import read_tree_manifest
from pumice.tree.planner import Planner
from pumice.tree.view import DiskView
from pumice.tree.wrapper import Wrapping, wrapper_trees

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType

    from pumice.base.config import Config, TreeSpec
    from pumice.base.progress import Progress
    from pumice.tree.manifest import TreeManifest
    from pumice.tree.planner import Plan

__all__ = ["TreeChange", "installed_rocks", "provided_rocks", "refuse_unwritable"]

_NAMES_OF_LUAJIT = frozenset(("luajit", "luabitop"))


def provided_rocks(config: Config, asked: frozenset[str] = _NAMES_OF_LUAJIT) -> dict[str, str]:
    """What the Lua and the configuration provide (contract 5.6); `asked` are the names that may be asked for.

    The interpreter is looked for only when the answer depends on it.
    """
    luajit = None
    if config.lua_version == "5.1" and not asked.isdisjoint(_NAMES_OF_LUAJIT):
        from pumice.lua.interpreter import find_interpreter

        interpreter = find_interpreter(config)
        luajit = interpreter.luajit_version if interpreter else None
    return lua_provides(config.lua_version, luajit, config.rocks_provided)


def refuse_unwritable(tree: TreeSpec) -> None:
    """Raises PermissionDenied at once where a change could only fail in the end (contract 1.3)."""
    at = tree.root
    while not os.path.isdir(at) and at != os.path.dirname(at):
        at = os.path.dirname(at)
    if not os.access(at, os.W_OK | os.X_OK):
        missing = "" if at == tree.root else f"{tree.root} does not exist and "
        raise PermissionDenied(
            f"{missing}{'your' if missing else 'Your'} user does not have write permissions in {at}",
            hint="you may want to run as a privileged user or use your local tree with --local",
        )


def installed_rocks(
    config: Config, progress: Progress, asked: frozenset[str] = _NAMES_OF_LUAJIT
) -> Installed:
    """What may fulfil a dependency in the configured trees, for a look without a change."""
    specs = [
        read_spec(tree, progress) for tree in searched_trees(config.deps_mode, config.tree, config.trees)
    ]
    return Installed(
        [(spec, read_tree_manifest(spec, progress)) for spec in specs], provided_rocks(config, asked)
    )


class TreeChange:
    """A context manager; on entering, the lock is taken and an interrupted change recovered.

    `spec`: the directories to plan against. `config`: the command's settings with them in place.
    Raises TreeLocked (exit 4), PermissionDenied (exit 2), DiskError.
    """

    def __init__(
        self,
        config: Config,
        command: str,
        progress: Progress,
        *,
        layout: str | None = None,
        private: bool = False,
    ) -> None:
        """`private`: the tree is the command's own, and no change that anybody is told of."""
        self._private = private
        self._tree = open_tree(config.tree, layout=layout)
        self._change = self._tree.change(
            command=command, timeout=config.lock_timeout, force_lock=config.force_lock, progress=progress
        )
        self._outer = config
        self._progress = progress
        self._command = command

    def __enter__(self) -> TreeChange:
        change = self._change.__enter__()
        try:
            self.spec = change.spec
            outer = self._outer
            trees = tuple(self.spec if tree == outer.tree else tree for tree in outer.trees)
            self.config = outer.replace(tree=self.spec, trees=trees)
            self.manifest = read_tree_manifest(self.spec, self._progress, platforms=outer.platforms)
            if self._tree.kind == "generations" and not os.path.isdir(self.spec.rocks_dir):
                # LuaRocks tells of a missing manifest in every new tree; here nothing is missing.
                self.manifest.rebuilt = False
        except BaseException as error:
            self._change.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._change.__exit__(kind, error, trace)

    def planner(
        self, *, commands: bool = True, asked: frozenset[str] = _NAMES_OF_LUAJIT, no_manifest: bool = False
    ) -> Planner:
        """Plans on this tree. `commands`: rocks with commands may come, so the Lua has to be known."""
        config = self.config
        return Planner(
            self.spec,
            self.manifest,
            DiskView(),
            self.wrapping(commands=commands),
            others=self._others(),
            provided=provided_rocks(config, asked),
            no_manifest=no_manifest,
            lib_extension=config.lib_extension,
            platforms=config.platforms,
        )

    def commit(
        self,
        plan: Plan,
        *,
        before_finish: Callable[[], None] | None = None,
        added: Sequence[tuple[str, str]] = (),
        removed: Sequence[tuple[str, str]] = (),
    ) -> None:
        """All of the plan happens, or none of it; then what there is to say is said."""
        from pumice.base.signals import Interruptible

        if not self._private:
            Interruptible.change_begins()
        self._change.commit(plan.steps, before_finish=before_finish, added=added, removed=removed)
        for level, text in plan.messages:
            # People know a generation tree by its root, not by the generation of the moment.
            self._progress.message(level, text.replace(self.spec.root, self._outer.tree.root))

    def report_missing(self, names: Iterable[str], installed: Installed) -> None:
        """LuaRocks's lines on what is missing, for the rocks of these names and those that need them.

        LuaRocks goes through the whole tree each time; only these rocks can have come to miss something.
        """
        affected = set(names)
        for name in tuple(affected):
            affected |= self.manifest.needing(name)
        for name in sorted(affected):
            for version in self.manifest.versions(name):
                dependencies = self.manifest.dependencies(name, version) or ()
                for line in missing_report(name, version, dependencies, installed):
                    self._progress.message("info", line)

    def _others(self) -> list[tuple[TreeSpec, TreeManifest]]:
        config = self.config
        found = []
        for tree in searched_trees(config.deps_mode, config.tree, config.trees):
            if tree == self.spec:
                found.append((tree, self.manifest))
            else:
                spec = read_spec(tree, self._progress)
                found.append((spec, read_tree_manifest(spec, self._progress)))
        return found

    def wrapping(self, *, commands: bool = True) -> Wrapping:
        """How commands are deployed in this tree."""
        config = self.config
        lua, language = "lua", config.lua_version
        if commands:
            from pumice.lua.interpreter import find_interpreter

            interpreter = find_interpreter(config)
            if interpreter is not None:
                lua = interpreter.path
                language = "luajit" if interpreter.luajit_version else language
        return Wrapping(
            lua,
            language,
            config.sysconfdir,
            wrapper_trees(config.deps_mode, config.tree, config.trees),
            config.lib_extension,
            config.wrap_bin_scripts,
            relocatable=self._tree.kind == "generations",
        )
