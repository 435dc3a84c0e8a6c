"""`lock`: the exact rocks that a project's dependencies come to, with the digests of their files (SOLVE)."""

from __future__ import annotations

import os

from pumice.base.config import TreeSpec
from pumice.base.value import Value
from pumice.operation.make import read_rockspec
from pumice.operation.project import find_project
from pumice.operation.resolve import Wanted, resolve
from pumice.operation.servers import Servers, release_of
from pumice.operation.work_dir import WorkDir
from pumice.rock.rock import Rock
from pumice.solve.lock import Lock, LockedRock, lock_text, read_lock
from pumice.tree.manifest import TreeManifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.index.release import Candidate as Release
    from pumice.operation.project import Project

__all__ = ["Locked", "lock_project", "read_project_lock"]


class Locked(Value):
    """What was written, and how it differs from what was there."""

    path: str
    rocks: tuple[LockedRock, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]


def read_project_lock(project: Project) -> Lock | None:
    """The project's lock; None if there is no file. Raises DataError."""
    try:
        with open(project.lock_path, encoding="utf-8", errors="surrogateescape") as file:
            return read_lock(file.read(), project.lock_path)
    except FileNotFoundError:
        return None
    except OSError as error:
        from pumice.base.disk import translate

        raise translate(error, f"read {project.lock_path}") from error


def lock_project(
    config: Config, progress: Progress, *, offline: bool = False, upgrade: bool = False, dry_run: bool = False
) -> Locked:
    """`pumice.lock` says what the project's dependencies are, for this Lua version and platform.

    The roots are the `dependencies` of its rockspec (settled.md); its own build and test dependencies are
    tools of whoever works on it. What a locked rock needs to be built is part of the lock.
    Versions that an older lock has stay if they fit, unless `upgrade`. What it says of other Lua versions and
    platforms stays. `dry_run` writes nothing. Raises NotFoundError, DependencyError, FetchError, DataError.
    """
    project = find_project(config.cwd)
    rockspec = read_rockspec(project.rockspec, config)
    before = read_project_lock(project) or Lock()
    target = config.lua_version, config.arch
    old = [rock for rock in before.rocks if (rock.lua, rock.platform) == target]
    with WorkDir(config, "lock") as work, Servers(config, progress, offline=offline) as servers:
        # For an empty tree: what happens to be installed here is not there on the next machine.
        empty = TreeSpec.at(os.path.join(work.path, "empty"), config.lua_version)
        alone = config.replace(tree=empty, trees=(empty,), deps_mode="one")
        wanted = Wanted(
            rocks=(Rock(rockspec, (), "all"),),
            preferred={} if upgrade else {rock.name: rock.version for rock in old},
        )
        resolution = resolve(wanted, servers.table, empty, TreeManifest.empty(), alone, progress)
        releases = [
            release_of(each.candidate)
            for each in resolution.install
            if each.candidate is not None and each.name != rockspec.name
        ]
        needs = {
            each.name: tuple(name for name, _ in each.needs if name != rockspec.name)
            for each in resolution.install
        }
        rocks = _locked(releases, needs, alone, progress, servers, work, offline=offline)
    after = before.with_target(*target, rocks)
    text = lock_text(after).encode("utf-8", "surrogateescape")
    if not dry_run:
        from pumice.base.disk import write_atomic

        write_atomic(project.lock_path, text)
    mine, theirs = ({rock.name: rock for rock in each} for each in (rocks, old))
    changed = [name for name in mine if name in theirs and mine[name] != theirs[name]]
    return Locked(
        project.lock_path,
        tuple(rocks),
        tuple(_shown(mine[name]) for name in sorted({*changed, *mine.keys() - theirs.keys()})),
        tuple(_shown(theirs[name]) for name in sorted({*changed, *theirs.keys() - mine.keys()})),
    )


def _shown(rock: LockedRock) -> str:
    commit = f" (commit {rock.commit[:12]})" if rock.commit else ""
    return f"{rock.name} {rock.version}{commit}"


def _locked(
    releases: list[Release],
    needs: dict[str, tuple[str, ...]],
    config: Config,
    progress: Progress,
    servers: Servers,
    work: WorkDir,
    *,
    offline: bool,
) -> list[LockedRock]:
    """The rocks with the digests of their files, all fetched at once."""
    from pumice.net.address import shown_url
    from pumice.net.downloader import Wanted as WantedFile
    from pumice.operation.source_digest import fetch_with_digest
    from pumice.rock.version import is_changing

    releases = list(servers.index.with_digests(releases))
    wanted = []
    for release in releases:
        offer = release.best
        folder = work.make(os.urandom(6).hex())
        released = not is_changing(release.version)
        wanted.append(
            WantedFile(offer.urls, f"{folder}/{offer.file_name}", sha256=offer.sha256, released=released)
        )
    fetched = servers.downloader.fetch_many(wanted)
    rocks = []
    for release, file, came in zip(releases, wanted, fetched, strict=True):
        sha256, commit = came.sha256, None
        if release.best.arch == "rockspec":
            sources = fetch_with_digest(file.target, config, progress, work, offline=offline)
            sha256, commit = sources.sha256, sources.commit
        rocks.append(
            LockedRock(
                release.name,
                release.version,
                config.lua_version,
                config.arch,
                shown_url(release.best.urls[0]),
                sha256,
                needs.get(release.name, ()),
                commit,
                release.namespace,
            )
        )
    return rocks
