"""`Gathering`: from what is wanted to the rocks themselves, solved, fetched in parallel, opened or built."""

from __future__ import annotations

import os

from pumice.errors import DependencyError, PumiceError
from pumice.operation.build_dependencies import FromRocks
from pumice.operation.obtain import Manner, obtain
from pumice.operation.resolve import resolve
from pumice.operation.servers import Origin, release_of
from pumice.rock.rock import Rock
from pumice.solve.package import BUILD
from pumice.solve.resolution import REQUEST
from pumice.solve.solver import Unsolvable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pumice.base.config import Config, TreeSpec
    from pumice.base.progress import Progress
    from pumice.index.release import Candidate as Release
    from pumice.net.downloader import Wanted as WantedFile
    from pumice.operation.deploy import InstallOptions
    from pumice.operation.resolve import Wanted
    from pumice.operation.servers import Servers
    from pumice.operation.work_dir import WorkDir
    from pumice.rock.dependency import Dependency
    from pumice.solve.resolution import Chosen
    from pumice.tree.manifest import TreeManifest

__all__ = ["Gathering"]


class Gathering:
    """The rocks of one command. `resolve` may be called again; `fetch` fetches only what is not here yet."""

    def __init__(
        self,
        servers: Servers,
        wanted: Wanted,
        config: Config,
        options: InstallOptions,
        progress: Progress,
        work: WorkDir,
    ) -> None:
        self._servers = servers
        self._wanted = wanted
        self._config = config
        self._options = options
        self._progress = progress
        self._work = work
        self._rocks: dict[tuple[str, str, str | None], Rock] = {
            (rock.name, rock.version, rock.namespace): rock for rock in wanted.rocks
        }
        self._built_roots: list[Rock] = []
        self.chosen: tuple[Chosen, ...] = ()
        """What is to be installed, dependencies first."""
        self.kept: tuple[Chosen, ...] = ()
        """What is there already, and is used by what is to be installed."""
        self.present: tuple[tuple[str, str], ...] = ()
        """What was asked for by name and is in the tree already."""
        self.wanted_rocks: tuple[tuple[str, str], ...] = ()
        """(name, version) of everything that was asked for."""
        self.forced: tuple[Rock | Release, ...] = ()
        """Asked for and there, but to be installed again all the same."""

    def resolve(self, tree: TreeSpec, manifest: TreeManifest) -> None:
        """Decides on the exact rocks. Raises DependencyError, FetchError."""
        try:
            resolution = resolve(
                self._wanted, self._servers.table, tree, manifest, self._config, self._progress
            )
        except Unsolvable as error:
            if error.missing is None or error.missing.name in {rock.name for rock in self._wanted.rocks}:
                raise
            raise self._not_found(error, error.missing) from None
        self.chosen = resolution.install
        self.kept = resolution.kept
        asked = [
            each
            for each in (*resolution.install, *resolution.kept)
            if any(reason.kind == REQUEST for reason in each.reasons)
        ]
        self.wanted_rocks = tuple((each.name, each.version) for each in asked)
        at_hand = {(rock.name, rock.version): rock for rock in self._wanted.rocks}
        there = [each for each in asked if each.candidate is None]
        again: list[Rock | Release] = [
            at_hand[each.name, each.version] for each in there if (each.name, each.version) in at_hand
        ]
        named = [each for each in there if (each.name, each.version) not in at_hand]
        if self._options.force or self._options.force_fast:
            again += [self._release(each) for each in named]
            named = []
        self.forced = tuple(again)
        self.present = tuple((each.name, each.version) for each in named)

    @property
    def built_roots(self) -> tuple[Rock, ...]:
        """The rocks that were asked for by name and built here, as far as they have been fetched."""
        return tuple(self._built_roots)

    def hold_to(self, pinned: Mapping[str, str], roots: Sequence[Rock]) -> None:
        """Of those names only these versions may be taken from now on; what was asked for is `roots`."""
        self._wanted = self._wanted.replace(names=(), rocks=(*self._wanted.rocks, *roots), pinned=pinned)

    def fetch(self) -> tuple[Rock, ...]:
        """The rocks, complete, in the order in which to install them. Raises PumiceError."""
        from pumice.index.release import Candidate as Release

        items: list[Rock | Release] = []
        for each in self.chosen:
            assert each.candidate is not None
            origin = each.candidate.origin
            at_hand = origin.rock if isinstance(origin, Origin) else None
            items.append(at_hand or release_of(each.candidate))
        items += self.forced
        missing = [
            item
            for item in items
            if isinstance(item, Release) and (item.name, item.version, item.namespace) not in self._rocks
        ]
        self._download(missing)
        return tuple(
            item if isinstance(item, Rock) else self._rocks[item.name, item.version, item.namespace]
            for item in items
        )

    def _not_found(self, error: Unsolvable, missing: Dependency) -> PumiceError:
        """LuaRocks's lines, which scripts know, with the true cause as the hint."""
        from pumice.index.index import Query
        from pumice.operation.other_luas import not_found

        query = Query(missing.name, missing.namespace, missing.constraints)
        servers = self._servers
        found = not_found(
            query,
            servers.index,
            self._config,
            servers.downloader,
            self._progress,
            check=self._options.check_lua_versions,
        )
        found.hint = "\n".join(dict.fromkeys([error.message, *servers.index.problems, error.hint]))
        return found

    def _release(self, chosen: Chosen) -> Release:
        for release in self._servers.index.candidates(chosen.name, chosen.namespace):
            if release.version == chosen.version:
                return release
        raise self._servers.index.not_found(
            hint=f"{chosen.name} {chosen.version} is installed, but no server has it to install it again."
        )

    def _download(self, releases: Sequence[Release]) -> None:
        """Fetches all files at once, then opens or builds each."""
        if not releases:
            return
        releases = self._servers.index.with_digests(releases)
        wanted = [self._wanted_file(release) for release in releases]
        self._servers.downloader.fetch_many(wanted)
        for release in releases:
            self._progress.message("info", f"Installing {release.best.urls[0]}")
        paths = {release: file.target for release, file in zip(releases, wanted, strict=True)}
        finder = FromRocks(lambda: tuple(self._rocks.values()), self._config, self._work)
        waiting = {release: self._built_before(release, releases) for release in releases}
        while waiting:
            ready = [release for release, others in waiting.items() if not others & waiting.keys()]
            if not ready:
                names = ", ".join(f"{release.name} {release.version}" for release in waiting)
                raise DependencyError(
                    f"{names} need one another to be built",
                    hint="Install one of them from a binary rock first.",
                )
            self._obtain(ready, paths, finder)
            for release in ready:
                del waiting[release]

    def _built_before(self, release: Release, releases: Sequence[Release]) -> set[Release]:
        """Those of the releases that a release needs to be built, with what they need themselves."""
        if not release.built:
            return set()
        by_name = {each.name: each for each in releases}
        chosen = {each.name: each for each in self.chosen}
        pending = [
            each.name
            for each in self.chosen
            for reason in each.reasons
            if reason.kind == BUILD and reason.name == release.name
        ]
        found: set[str] = set()
        while pending:
            name = pending.pop()
            if name not in found and name in chosen:
                found.add(name)
                pending += [each for each, _version in chosen[name].needs]
        return {by_name[name] for name in found if name in by_name}

    def _obtain(self, releases: Sequence[Release], paths: Mapping[Release, str], finder: FromRocks) -> None:
        """Opens or builds each, all at once."""

        asked = {dependency.name for dependency in self._wanted.names}

        def task(release: Release) -> Callable[[], Rock]:
            mine = release.name in asked
            manner = Manner(
                namespace=release.namespace,
                offline=self._options.offline,
                branch=self._options.branch if mine else None,
                finder=finder,
                pins=mine and not self._options.pin,
            )
            return lambda: obtain(paths[release], self._config, self._progress, self._work, manner)

        made = self._servers.downloader.together([task(release) for release in releases])
        for release, result in zip(releases, made, strict=True):
            if isinstance(result, PumiceError):
                raise result
            self._rocks[release.name, release.version, release.namespace] = result
            if release.built and release.name in asked:
                self._built_roots.append(result)

    def _wanted_file(self, release: Release) -> WantedFile:
        from pumice.net.downloader import Wanted as WantedFile
        from pumice.rock.version import is_changing

        offer = release.best
        folder = self._work.make(os.urandom(6).hex())
        return WantedFile(
            offer.urls,
            f"{folder}/{offer.file_name}",
            sha256=offer.sha256,
            expect="zip" if offer.file_name.endswith(".rock") else None,
            released=not is_changing(release.version),
        )
