"""A wish planned on a node's tree, without the node: the steps of the planner that every installation has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pumice.base.value import Value
from pumice.cluster.target import LUA, config_for, refuse_unfit
from pumice.errors import DataError, DependencyError, TreeError
from pumice.kong.plugin import find_plugins
from pumice.operation.deploy import InstallOptions, plan_deployment
from pumice.tree.dependencies import lua_provides
from pumice.tree.manifest import TreeManifest
from pumice.tree.planner import Planner
from pumice.tree.wrapper import Wrapping

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence, Set

    from pumice.base.config import Config, TreeSpec
    from pumice.base.progress import Progress
    from pumice.cluster.facts import NodeFacts
    from pumice.cluster.rock_source import RockSource, Wish
    from pumice.cluster.target import Target
    from pumice.rock.rock import Rock
    from pumice.tree.steps import Step
    from pumice.tree.view import TreeView

__all__ = ["PlannedWish", "owners_of", "plan_wish", "read_manifest"]

_SYSCONFDIR = "/etc/luarocks"


class PlannedWish(Value):
    """What a wish comes to in a tree."""

    manifest: TreeManifest
    """As it will be."""
    steps: tuple[Step, ...]
    """Empty when there is nothing to do."""
    rocks: tuple[Rock, ...]
    """That are installed, in order."""
    added: tuple[tuple[str, str], ...]
    """(name, version) of rocks that were not there."""
    removed: tuple[tuple[str, str], ...]
    asked: tuple[str, ...]
    """The plugins that the rocks asked for bring, whether they are installed now or were there."""
    said: tuple[tuple[str, str], ...]

    @property
    def all_rocks(self) -> tuple[tuple[str, str], ...]:
        """(name, version) of every rock that will be there."""
        manifest = self.manifest
        return tuple((name, version) for name in manifest.names() for version in manifest.versions(name))


def plan_wish(
    tree: TreeSpec,
    view: TreeView,
    facts: NodeFacts,
    target: Target,
    wish: Wish,
    config: Config,
    source: RockSource,
    progress: Progress,
    *,
    lua: str,
    relocatable: bool,
    elsewhere: TreeSpec,
    is_there: Callable[[Rock, TreeManifest], bool] = lambda _rock, _manifest: False,
    owned: Set[tuple[str, str]] | None = None,
) -> PlannedWish:
    """The wish, planned on the tree that `view` shows.

    `lua`: the interpreter of its commands. `elsewhere`: a tree of which nothing is on this machine, where
    LuaRocks's own look-ups go. `is_there`: leaves out rocks that need no installing. `owned`: the
    rocks that an exact wish may remove; None: all. Raises PumiceError.
    """
    recorder = _Recorder(progress)
    manifest = read_manifest(view, tree, facts)
    config, compiler = config_for(target, config)
    config = config.replace(tree=elsewhere, trees=(elsewhere,))
    planner = Planner(
        tree,
        manifest,
        view,
        Wrapping(lua, LUA, _SYSCONFDIR, (tree,), "so", config.wrap_bin_scripts, relocatable=relocatable),
        provided=lua_provides(LUA, None, config.rocks_provided),
        platforms=config.platforms,
    )
    sourced = source.rocks(wish, target, config, planner, elsewhere, recorder)
    rocks = tuple(rock for rock in sourced.rocks if not is_there(rock, manifest))
    for rock in rocks:
        refuse_unfit(rock, target, compiler)
        _refuse_hooks(rock)
    removed = _remove(wish, planner)
    if wish.exact:
        present = {(name, version) for name in manifest.names() for version in manifest.versions(name)}
        mine = present if owned is None else present & owned
        removed += _remove_unneeded(planner, mine, {*sourced.wanted, *(present - mine)}, sourced.rocks)
    planned = plan_deployment(rocks, planner, config, InstallOptions("cluster", force=wish.force), recorder)
    return PlannedWish(
        manifest,
        planned.plan.steps if rocks or removed else (),
        rocks,
        planned.added,
        tuple(sorted({*planned.removed, *removed})),
        sourced.plugins,
        (*recorder.said, *planned.plan.messages),
    )


def read_manifest(view: TreeView, tree: TreeSpec, facts: NodeFacts) -> TreeManifest:
    """The manifest of a node's tree; an empty one where there is none. Raises TreeError, ManifestError."""
    path = f"{tree.rocks_dir}/manifest"
    if view.kind(path) is None:
        return TreeManifest.empty(path)
    try:
        data = view.read(path)
    except OSError:
        raise TreeError(
            f"{facts.node}: the manifest of its tree is damaged",
            hint=f"Move {tree.name} away on the node, and install everything again.",
        ) from None
    return TreeManifest.parse(data, f"the manifest of {facts.node}")


def owners_of(manifest: TreeManifest) -> dict[str, str]:
    """Plugin → the rock that brings it."""
    return {
        plugin.name: rock
        for rock in manifest.names()
        for version in manifest.versions(rock)
        if (entry := manifest.entry(rock, version)) is not None
        for plugin in find_plugins(entry.modules)
    }


class _Recorder:
    """Keeps what is said; what is drawn is drawn."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.said: list[tuple[str, str]] = []

    def started(self, task: str, label: str, total: int | None = None) -> None:
        self._progress.started(task, label, total)

    def advanced(self, task: str, amount: int = 1) -> None:
        self._progress.advanced(task, amount)

    def finished(self, task: str) -> None:
        self._progress.finished(task)

    def message(self, level: str, text: str) -> None:
        self.said.append((level, text))


def _remove(wish: Wish, planner: Planner) -> tuple[tuple[str, str], ...]:
    """What the wish removes is planned; what is not there needs no removal."""
    owners = owners_of(planner.manifest) if wish.remove else {}
    removed: list[tuple[str, str]] = []
    for word in wish.remove:
        name = word if planner.manifest.versions(word) else owners.get(word, "")
        versions = planner.manifest.versions(name) if name else ()
        if not versions:
            continue
        try:
            planner.remove_versions(name, versions, force=wish.force)
        except DependencyError as error:
            lines = [text for level, text in planner.messages() if level == "notice" and text.strip()]
            raise DependencyError(
                f"{name} cannot be removed: other rocks on the nodes need it.",
                hint="\n".join(lines) or error.hint,
            ) from None
        removed += [(name, version) for version in versions]
    return tuple(removed)


def _remove_unneeded(
    planner: Planner,
    mine: Collection[tuple[str, str]],
    roots: Iterable[tuple[str, str]],
    coming: Sequence[Rock],
) -> tuple[tuple[str, str], ...]:
    """Of `mine`, what no root needs, by the dependencies that there will be, is planned to go.

    What is coming replaces other versions by itself; those go here only where nothing needs them either.
    """
    kept = needed(planner, roots, coming)
    gone = tuple(sorted(rock for rock in mine if rock not in kept))
    for name, version in gone:
        planner.remove(name, version)
    return gone


def needed(
    planner: Planner, roots: Iterable[tuple[str, str]], coming: Sequence[Rock]
) -> set[tuple[str, str]]:
    """The roots and every rock that they need, directly or not: of those that come, else of those there."""
    new = {(rock.name, rock.version): rock.rockspec.dependencies for rock in coming}
    found: set[tuple[str, str]] = set()
    pending = list(roots)
    while pending:
        rock = pending.pop()
        if rock in found:
            continue
        found.add(rock)
        for each in new.get(rock) or planner.manifest.dependencies(*rock) or ():
            if planner.installed.is_provided(each):
                continue
            pending += [
                (name, version) for name, version in new if name == each.name and each.accepts(version)
            ]
            there = planner.installed.match(each)
            if there is not None:
                pending.append((each.name, there))
    return found


def _refuse_hooks(rock: Rock) -> None:
    if rock.rockspec.hooks:
        raise DataError(
            f"{rock.name} {rock.version} has a hook that runs after its installation, and nodes have nothing "
            "to run it with",
            hint="Build what the hook makes into the rock, or install it on the nodes by hand.",
        )
