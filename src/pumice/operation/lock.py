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
from pumice.solve.lock import Lock, LockedRock, lock_text, read_lock
from pumice.solve.situation import NEWEST
from pumice.tree.manifest import TreeManifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.index.release import Candidate as Release
    from pumice.operation.project import Project

__all__ = ["Locked", "lock_project", "read_project_lock", "source_digest"]


class Locked(Value):
    """What was written, and how it differs from what was there."""

    path: str
    rocks: tuple[LockedRock, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]


def read_project_lock(project: Project) -> Lock:
    """The project's lock; an empty one if there is no file. Raises DataError."""
    try:
        with open(project.lock_path, encoding="utf-8") as file:
            return read_lock(file.read(), project.lock_path)
    except FileNotFoundError:
        return Lock()


def lock_project(
    config: Config, progress: Progress, *, offline: bool = False, upgrade: bool = False
) -> Locked:
    """`pumice.lock` says what the project's dependencies are, for this Lua version and platform.

    Versions that an older lock has stay if they fit, unless `upgrade`. What it says of other Lua versions and
    platforms stays. Raises NotFoundError, DependencyError, FetchError, DataError.
    """
    project = find_project(config.cwd)
    rockspec = read_rockspec(project.rockspec, config)
    before = read_project_lock(project)
    target = config.lua_version, config.arch
    old = [rock for rock in before.rocks if (rock.lua, rock.platform) == target]
    with WorkDir(config, "lock") as work, Servers(config, progress, offline=offline) as servers:
        empty = TreeSpec.at(os.path.join(work.path, "empty"), config.lua_version)
        alone = config.replace(tree=empty, trees=(empty,), deps_mode="one")
        provided = {"lua"}
        wanted = Wanted(
            tuple(each for each in rockspec.dependencies if each.name not in provided),
            prefer=NEWEST if upgrade else "server",
            preferred={} if upgrade else {rock.name: rock.version for rock in old},
        )
        resolution = resolve(wanted, servers.table, empty, TreeManifest.empty(), alone, progress)
        releases = [release_of(each.candidate) for each in resolution.install if each.candidate is not None]
        needs = {each.name: tuple(name for name, _ in each.needs) for each in resolution.install}
        rocks = _locked(releases, needs, alone, progress, servers, work)
    after = before.with_target(*target, rocks)
    from pumice.base.disk import write_atomic

    write_atomic(project.lock_path, lock_text(after).encode())
    mine, theirs = ({f"{rock.name} {rock.version}" for rock in each} for each in (rocks, old))
    return Locked(project.lock_path, tuple(rocks), tuple(sorted(mine - theirs)), tuple(sorted(theirs - mine)))


def _locked(
    releases: list[Release],
    needs: dict[str, tuple[str, ...]],
    config: Config,
    progress: Progress,
    servers: Servers,
    work: WorkDir,
) -> list[LockedRock]:
    """The rocks with the digests of their files, all fetched at once."""
    from pumice.net.address import shown_url
    from pumice.net.downloader import Wanted as WantedFile

    releases = list(servers.index.with_digests(releases))
    wanted = []
    for release in releases:
        offer = release.best
        folder = work.make(os.urandom(6).hex())
        wanted.append(WantedFile(offer.urls, f"{folder}/{offer.file_name}", sha256=offer.sha256))
    fetched = servers.downloader.fetch_many(wanted)
    rocks = []
    for release, file, came in zip(releases, wanted, fetched, strict=True):
        sha256, commit = came.sha256, None
        if release.best.arch == "rockspec":
            sha256, commit = source_digest(file.target, None, config, progress, work)[:2]
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


def source_digest(
    rockspec_path: str, commit: str | None, config: Config, progress: Progress, work: WorkDir
) -> tuple[str, str | None, str]:
    """(SHA-256, commit, source directory) of a rockspec together with the sources that it names.

    The digest is of the tar that Pumice's own writer makes of both: the same on every machine. `commit`: the
    one to check out, instead of what the rockspec's tag or branch is now.
    """
    import hashlib

    from pumice.archive.member import Entry
    from pumice.archive.tar_writer import write_tar_gz
    from pumice.source.source import fetch_source

    rockspec = read_rockspec(rockspec_path, config)
    folder = work.make(f"source-{os.urandom(6).hex()}")
    fetched = fetch_source(rockspec, folder, config, progress, branch=commit)
    assert fetched.dir is not None
    entries = [Entry("rockspec", lambda: rockspec.text)]
    for place, directories, names in os.walk(fetched.dir):
        directories.sort()
        for name in sorted(names):
            path = os.path.join(place, name)
            entries.append(
                Entry(
                    f"source/{os.path.relpath(path, fetched.dir)}",
                    lambda path=path: _content(path),  # type: ignore[misc]
                    os.access(path, os.X_OK),
                )
            )
    target = os.path.join(work.make(f"tar-{os.urandom(6).hex()}"), "canonical.tar.gz")
    write_tar_gz(target, entries)
    with open(target, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), fetched.commit, fetched.dir


def _content(path: str) -> bytes:
    """Of a link where it leads, as text: what it leads to is in the tar itself, or is not part of it."""
    if os.path.islink(path):
        return os.readlink(path).encode("utf-8", "surrogateescape")
    with open(path, "rb") as file:
        return file.read()
