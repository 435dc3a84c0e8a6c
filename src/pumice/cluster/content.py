"""`ContentMaker`: what nodes shall hold next, made here with Pumice's own planner, once for all equal nodes.

A node's present tree is known by its record; of its bytes only what the planner looks at is fetched, from one
node of each state, and only if it is not at hand. Rocks are found, solved, fetched and built for the node's
Lua, machine and C library; what does not fit them is refused before anything is sent.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from pumice.base.config import TreeSpec
from pumice.base.value import Value
from pumice.cluster.blobs import BlobCache, fetch_blobs
from pumice.cluster.loaded_plugins import PROBE, probe_source
from pumice.cluster.luarocks_drift import damaged_files
from pumice.cluster.luarocks_tree import ROCKS, plain_change, plain_state, read_plain_tree
from pumice.cluster.node_content import NodeContent
from pumice.cluster.node_view import NodeView, after_steps
from pumice.cluster.plugin_content import plugins_of
from pumice.cluster.target import LUA, Target, config_for, refuse_unfit, target_of
from pumice.cluster.tree_record import state_of
from pumice.errors import DataError, DependencyError, NotFoundError, PumiceError, TreeError
from pumice.kong.package import module_of_path
from pumice.kong.plugin import find_plugins
from pumice.operation.deploy import InstallOptions, in_order, plan_deployment
from pumice.operation.work_dir import WorkDir
from pumice.rock.rock_manifest import md5_hex, read_rock_manifest
from pumice.tree.dependencies import lua_provides
from pumice.tree.layout import rock_manifest_path
from pumice.tree.manifest import TreeManifest
from pumice.tree.planner import Planner
from pumice.tree.wrapper import Wrapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.cluster.connection import Connection
    from pumice.cluster.facts import NodeFacts
    from pumice.cluster.luarocks_tree import PlainTreeView
    from pumice.cluster.node_content import PluginContent
    from pumice.operation.requests import Requests
    from pumice.rock.rock import Rock
    from pumice.tree.view import TreeView

__all__ = ["ContentMaker", "Wish"]

_SYSCONFDIR = "/etc/luarocks"
_LUAJIT = "/usr/local/openresty/luajit/bin/luajit"
"""Where the packages of the gateway have it (Kong contract 1.6)."""


class Wish(Value):
    """What shall become of a tree."""

    install: tuple[str, ...] = ()
    """As `pumice install` takes it; directories, as `pumice ship` takes them: with a `/`, or `.`; and
    `pumice-probe` for the plugin that tells what is loaded."""
    remove: tuple[str, ...] = ()
    """Names of rocks, or of plugins, whose rocks they mean."""
    force: bool = False
    """Remove what others need."""


class ContentMaker:
    """Makes contents; a context manager that keeps what was built and fetched until it ends. Thread-safe."""

    def __init__(self, config: Config, progress: Progress, *, offline: bool = False) -> None:
        self._config = config
        self._progress = progress
        self._offline = offline
        self._work = WorkDir(config, "cluster")
        self._blobs = BlobCache(os.path.join(config.cache_dir, "blobs"))
        self._lock = threading.Lock()
        self._locks: dict[object, threading.Lock] = {}
        self._made: dict[object, NodeContent | PumiceError] = {}
        self._given: dict[object, tuple[tuple[Rock, ...], Requests]] = {}

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
        plain = connection.node.layout == "luarocks"
        if plain:  # what else lies in such a tree is nobody's record
            key = (*key, facts.node)
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            made = self._made.get(key)
            if made is None:
                try:
                    make = self._make_plain if plain else self._make
                    made = make(connection, facts, target, wish)
                except PumiceError as error:
                    made = error
                self._made[key] = made
        if isinstance(made, PumiceError):
            raise made
        return made

    def _make(self, connection: Connection, facts: NodeFacts, target: Target, wish: Wish) -> NodeContent:
        files = dict(facts.record.files) if facts.record is not None else {}
        fetch_blobs(connection, files.values(), self._blobs)
        recorder = _Recorder(self._progress)
        root = os.path.join(self._work.path, "tree")
        tree = TreeSpec.at(root, LUA, facts.node)
        view = NodeView(root, files, self._blobs)
        manifest = _manifest(tree, view, facts)
        before = plugins_of(files, manifest, self._blobs)
        config, compiler = config_for(target, self._config)
        config = config.replace(tree=tree, trees=(tree,))
        planner = Planner(
            tree,
            manifest,
            view,
            # What a gateway's machine has on its path is not known; its own LuaJIT is named so.
            Wrapping("luajit", LUA, _SYSCONFDIR, (tree,), "so", config.wrap_bin_scripts, relocatable=True),
            provided=lua_provides(LUA, None, config.rocks_provided),
            platforms=config.platforms,
        )
        rocks, asked = self._rocks(wish, target, config, planner, tree, recorder)
        for rock in rocks:
            refuse_unfit(rock, target, compiler)
            _refuse_hooks(rock)
        removed = _remove(wish, planner, before)
        planned = plan_deployment(
            rocks, planner, config, InstallOptions("cluster", force=wish.force), recorder
        )
        new = after_steps(root, files, planned.plan.steps, self._blobs) if rocks or removed else files
        said = [*recorder.said, *planned.plan.messages]
        return NodeContent(
            new,
            self._blobs,
            planned.added,
            tuple(sorted({*planned.removed, *removed})),
            _all(manifest),
            plugins_of(new, manifest, self._blobs) if new != files else before,
            before,
            facts.state,
            state_of(new),
            tuple((level, text.replace(root, facts.node)) for level, text in said),
            asked=asked,
        )

    def _make_plain(
        self, connection: Connection, facts: NodeFacts, target: Target, wish: Wish
    ) -> NodeContent:
        """The same for a node's own LuaRocks tree: the files that change, and the plugins that do."""
        recorder = _Recorder(self._progress)
        root = connection.node.tree
        tree = TreeSpec.at(root, LUA, facts.node)
        view = read_plain_tree(connection)
        metadata = {
            path: view.read(f"{root}/{path}")
            for path in view.files
            if path.startswith(f"{ROCKS}/") and _tells(path)
        }
        manifest = _manifest(tree, view, facts)
        config, compiler = config_for(target, self._config)
        # What is found out about dependencies is not to be looked up in a tree of that name here.
        empty = TreeSpec.at(os.path.join(self._work.path, "tree"), LUA, facts.node)
        config = config.replace(tree=empty, trees=(empty,))
        planner = Planner(
            tree,
            manifest,
            view,
            Wrapping(_LUAJIT, LUA, _SYSCONFDIR, (tree,), "so", config.wrap_bin_scripts),
            provided=lua_provides(LUA, None, config.rocks_provided),
            platforms=config.platforms,
        )
        rocks, asked = self._rocks(wish, target, config, planner, empty, recorder)
        rocks = tuple(
            rock
            for rock in rocks
            if not _is_there(rock, manifest, tree, view)
            or any(damaged_files(connection, tree, manifest, view, [(rock.name, rock.version)]))
        )
        for rock in rocks:
            refuse_unfit(rock, target, compiler)
            _refuse_hooks(rock)
        touched = {rock.name for rock in rocks}
        owners = {
            plugin.name: rock
            for rock in manifest.names()
            for version in manifest.versions(rock)
            if (entry := manifest.entry(rock, version)) is not None
            for plugin in find_plugins(entry.modules)
        }
        touched |= {owners.get(word, word) for word in wish.remove}
        mine = {
            path: self._blobs.add(view.read(f"{root}/{path}"), executable=False)
            for path in _modules_of(
                touched | {owners[name] for name in asked if name in owners}, manifest, view
            )
        }
        before = plugins_of(mine, manifest, self._blobs)
        removed = _remove(wish, planner, before)
        planned = plan_deployment(
            rocks, planner, config, InstallOptions("cluster", force=wish.force), recorder
        )
        base = plain_state({path[len(ROCKS) + 1 :]: data for path, data in metadata.items()})
        if not rocks and not removed:
            return NodeContent(
                mine,
                self._blobs,
                (),
                (),
                _all(manifest),
                before,
                before,
                facts.state,
                facts.state,
                asked=asked,
            )
        change = plain_change(root, view, planned.plan.steps, self._blobs)
        files = {path: blob for path, blob in mine.items() if path not in change.deletes}
        for path, (blob, _) in change.puts.items():
            files[path] = blob
            if path.startswith(f"{ROCKS}/"):
                metadata[path] = self._blobs.read(blob.key)
        for path in change.deletes:
            metadata.pop(path, None)
        after = plain_state({path[len(ROCKS) + 1 :]: data for path, data in metadata.items()})
        return NodeContent(
            files,
            self._blobs,
            planned.added,
            tuple(sorted({*planned.removed, *removed})),
            _all(manifest),
            plugins_of(files, manifest, self._blobs),
            before,
            facts.state if base == facts.state else base,
            after,
            tuple((level, text) for level, text in (*recorder.said, *planned.plan.messages)),
            change,
            asked,
        )

    def _rocks(
        self,
        wish: Wish,
        target: Target,
        config: Config,
        planner: Planner,
        tree: TreeSpec,
        progress: Progress,
    ) -> tuple[tuple[Rock, ...], tuple[str, ...]]:
        """The rocks to install, in order, and the names of the plugins that were asked for."""
        given, requests = self._at_hand(wish, target, config, progress)
        rocks, wanted = given, [(rock.name, rock.version) for rock in given]
        if requests.names or not _complete(given, planner):
            from pumice.operation.gather import Gathering
            from pumice.operation.resolve import Wanted
            from pumice.operation.servers import Servers

            with Servers(config, progress, offline=self._offline) as servers:
                gathering = Gathering(
                    servers,
                    Wanted(requests.names, given),
                    config,
                    InstallOptions("cluster"),
                    progress,
                    self._work,
                )
                gathering.resolve(tree, planner.manifest)
                rocks, wanted = gathering.fetch(), list(gathering.wanted_rocks)
        brought = {(rock.name, rock.version): _modules_in(rock) for rock in rocks}
        names = []
        for name, version in wanted:
            entry = planner.manifest.entry(name, version)
            modules = brought.get((name, version)) or (list(entry.modules) if entry is not None else [])
            names += [plugin.name for plugin in find_plugins(modules)]
        return tuple(in_order(rocks)), tuple(dict.fromkeys(names))

    def _at_hand(
        self, wish: Wish, target: Target, config: Config, progress: Progress
    ) -> tuple[tuple[Rock, ...], Requests]:
        """The rocks that words name as files, directories or URLs, once for a target; and the other words."""
        from pumice.operation.obtain import obtain
        from pumice.operation.requests import parse_requests

        key = (target, wish.install)
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._given:
                directories = [word for word in wish.install if _is_directory(word)]
                requests = parse_requests([word for word in wish.install if word not in directories])
                rocks = [self._built(word, config, progress) for word in directories]
                rocks += [obtain(each, config, progress, self._work) for each in requests.files]
                for bundle in requests.bundles:
                    from pumice.operation.bundle import open_bundle

                    rocks += open_bundle(os.path.join(config.cwd, bundle), config, self._work)
                self._given[key] = tuple(rocks), requests
            return self._given[key]

    def _built(self, word: str, config: Config, progress: Progress) -> Rock:
        from pumice.operation.make import build_directory
        from pumice.operation.rockspec_choice import rockspec_argument

        directory = os.path.normpath(os.path.join(config.cwd, word))
        if word == PROBE:
            directory = probe_source()
        if not os.path.isdir(directory):
            raise NotFoundError(f"{word} is no directory", hint="Check the name and the current directory.")
        rockspec = rockspec_argument(None, directory)
        return build_directory(rockspec, config.replace(cwd=directory), progress, self._work)


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


def _all(manifest: TreeManifest) -> tuple[tuple[str, str], ...]:
    return tuple((name, version) for name in manifest.names() for version in manifest.versions(name))


def _tells(path: str) -> bool:
    return path.rpartition("/")[2] in ("manifest", "rock_manifest")


def _is_there(rock: Rock, manifest: TreeManifest, tree: TreeSpec, view: TreeView) -> bool:
    """Whether this very rock is installed: LuaRocks itself would have listed the same files."""
    if not manifest.has(rock.name, rock.version):
        return False
    path = rock_manifest_path(tree, rock.name, rock.version)
    try:
        return read_rock_manifest(view.read(path), path) == {
            file.rock_path: file.md5 for file in rock.files
        } | {f"{rock.name}-{rock.version}.rockspec": md5_hex(rock.rockspec.text)}
    except (OSError, PumiceError):
        return False


def _modules_of(rocks: Iterable[str], manifest: TreeManifest, view: PlainTreeView) -> list[str]:
    """The deployed Lua files of rocks that are installed."""
    found = []
    for name in rocks:
        for version in manifest.versions(name):
            entry = manifest.entry(name, version)
            found += [f"share/lua/{LUA}/{path}" for path in (entry.modules.values() if entry else ())]
    return [path for path in found if path in view.files]


def _manifest(tree: TreeSpec, view: TreeView, facts: NodeFacts) -> TreeManifest:
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


def _complete(rocks: Sequence[Rock], planner: Planner) -> bool:
    """Whether what the rocks need is there, or among them: then no server is asked."""
    by_name: dict[str, list[str]] = {}
    for rock in rocks:
        by_name.setdefault(rock.name, []).append(rock.version)
    return all(
        any(map(each.accepts, by_name.get(each.name, ()))) or planner.installed.match(each) is not None
        for rock in rocks
        for each in rock.rockspec.dependencies
    )


def _remove(
    wish: Wish, planner: Planner, plugins: Mapping[str, PluginContent]
) -> tuple[tuple[str, str], ...]:
    """What the wish removes is planned; what is not there needs no removal."""
    removed: list[tuple[str, str]] = []
    for word in wish.remove:
        name = word if planner.manifest.versions(word) else plugins[word].rock[0] if word in plugins else ""
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


def _modules_in(rock: Rock) -> list[str]:
    """The modules of a rock."""
    return [name for file in rock.section("lua") if (name := module_of_path(file.path)) is not None]


def _refuse_hooks(rock: Rock) -> None:
    if rock.rockspec.hooks:
        raise DataError(
            f"{rock.name} {rock.version} has a hook that runs after its installation, and nodes have nothing "
            "to run it with",
            hint="Build what the hook makes into the rock, or install it on the nodes by hand.",
        )


def _is_directory(word: str) -> bool:
    """Whether a word of the wish means a directory: it has a `/` and is no file or URL, or is `.` or `..`."""
    if word in (".", "..", PROBE):
        return True
    return "/" in word and "://" not in word and not word.endswith((".rock", ".rockspec", ".tar.gz", ".tgz"))
