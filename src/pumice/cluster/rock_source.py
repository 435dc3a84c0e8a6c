"""`RockSource`: the rocks that a wish asks for, found, solved, fetched and built for a target, once each."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from pumice.base.value import Value
from pumice.cluster.loaded_plugins import PROBE, probe_source
from pumice.errors import NotFoundError
from pumice.kong.package import module_of_path
from pumice.kong.plugin import find_plugins
from pumice.operation.deploy import InstallOptions, in_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.base.config import Config, TreeSpec
    from pumice.base.progress import Progress
    from pumice.cluster.target import Target
    from pumice.operation.requests import Requests
    from pumice.operation.work_dir import WorkDir
    from pumice.rock.rock import Rock
    from pumice.tree.planner import Planner

__all__ = ["RockSource", "Sourced", "Wish"]


class Wish(Value):
    """What shall become of a tree."""

    install: tuple[str, ...] = ()
    """As `pumice install` takes it; directories, as `pumice ship` takes them: with a `/`, or `.`; and
    `pumice-probe` for the plugin that tells what is loaded."""
    remove: tuple[str, ...] = ()
    """Names of rocks, or of plugins, whose rocks they mean."""
    force: bool = False
    """Remove what others need."""
    exact: bool = False
    """Remove what nothing that is asked for needs, of what Pumice put there."""


class Sourced(Value):
    """What a wish comes to in rocks."""

    rocks: tuple[Rock, ...]
    """To install, in order."""
    wanted: tuple[tuple[str, str], ...]
    """(name, version) of the rocks that were asked for, whether they are there already or not."""
    plugins: tuple[str, ...]
    """The names of the plugins that these bring."""


class RockSource:
    """Keeps what was built and fetched in `work`. Thread-safe."""

    def __init__(self, work: WorkDir, *, offline: bool = False) -> None:
        self._work = work
        self._offline = offline
        self._lock = threading.Lock()
        self._locks: dict[object, threading.Lock] = {}
        self._given: dict[object, tuple[tuple[Rock, ...], Requests]] = {}

    def rocks(
        self,
        wish: Wish,
        target: Target,
        config: Config,
        planner: Planner,
        tree: TreeSpec,
        progress: Progress,
    ) -> Sourced:
        """The rocks to install, and what was asked for.

        `planner`: of the tree that they go to; `tree`: where what it has is looked up. Raises PumiceError.
        """
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
        return Sourced(tuple(in_order(rocks)), tuple(wanted), tuple(dict.fromkeys(names)))

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


def _modules_in(rock: Rock) -> list[str]:
    """The modules of a rock."""
    return [name for file in rock.section("lua") if (name := module_of_path(file.path)) is not None]


def _is_directory(word: str) -> bool:
    """Whether a word of the wish means a directory: it has a `/` and is no file or URL, or is `.` or `..`."""
    if word in (".", "..", PROBE):
        return True
    return "/" in word and "://" not in word and not word.endswith((".rock", ".rockspec", ".tar.gz", ".tgz"))
