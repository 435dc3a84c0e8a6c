"""`sync`: a tree becomes exactly what the project's lock says, in one transaction (SOLVE)."""

from __future__ import annotations

from pumice.base.config import TreeSpec
from pumice.base.value import Value
from pumice.errors import NotFoundError, PumiceError
from pumice.operation.build_dependencies import FromRocks
from pumice.operation.change import TreeChange
from pumice.operation.deploy import InstallOptions, deploy
from pumice.operation.lock import read_project_lock
from pumice.operation.locked import fetch_locked, is_built
from pumice.operation.obtain import Manner, obtain
from pumice.operation.project import find_project
from pumice.operation.servers import Servers
from pumice.operation.sync_record import read_synced, write_synced
from pumice.operation.trees import read_spec
from pumice.operation.work_dir import WorkDir
from pumice.solve.lock import check_digest, difference
from pumice.tree.manifest import read_tree_manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.rock.rock import Rock
    from pumice.solve.lock import LockedRock
    from pumice.tree.manifest import TreeManifest

__all__ = ["Synced", "sync"]


class Synced(Value):
    """What changed, or would."""

    root: str
    installed: tuple[tuple[str, str], ...]
    removed: tuple[tuple[str, str], ...]


def sync(
    config: Config,
    progress: Progress,
    *,
    tree_given: bool,
    offline: bool = False,
    dry_run: bool = False,
    layout: str | None = None,
) -> Synced:
    """The project's `lua_modules` (or the tree that --tree names) holds what the lock says, and nothing else.

    Every file is checked against its digest before anything changes. A rock that is there in the locked
    version stays, unless it is known to come from other bytes. `dry_run` tells what would change. Raises
    NotFoundError without a lock, DataError or FetchError with both digests for what is not as locked.
    """
    project = find_project(config.cwd)
    lock = read_project_lock(project)
    if lock is None:
        raise NotFoundError(f"{project.lock_path} does not exist", hint="`pumice lock` writes it.")
    locked = lock.select(config.lua_version, config.arch)
    if not tree_given:
        tree = TreeSpec.at(project.tree_root, config.lua_version, "project")
        config = config.replace(tree=tree, trees=(tree, *config.trees))
    root = config.tree.root

    def changes_of(spec: TreeSpec, manifest: TreeManifest) -> Synced:
        installed = [(name, version) for name in manifest.names() for version in manifest.versions(name)]
        found = difference(locked, read_synced(project.root, root, spec, installed))
        needed = {*found.install, *(each.rock for each in found.changed)}
        return Synced(
            root, tuple((rock.name, rock.version) for rock in locked if rock in needed), found.remove
        )

    spec = read_spec(config.tree, progress)
    result = changes_of(spec, read_tree_manifest(spec, progress))
    if dry_run or not (result.installed or result.removed):
        return result
    with WorkDir(config, "sync") as work, Servers(config, progress, offline=offline) as servers:
        rocks: dict[tuple[str, str], Rock] = {}

        def obtain_all(wanted: Sequence[tuple[str, str]]) -> None:
            new = [rock for rock in locked if (rock.name, rock.version) in {*wanted} - rocks.keys()]
            for rock in _obtained(new, config, progress, servers, work, offline=offline):
                rocks[rock.name, rock.version] = rock

        # Nobody waits for a download; what the tree lacks more by the time it is locked, is fetched then.
        obtain_all(result.installed)
        with TreeChange(config, "sync", progress, layout=layout) as change:
            result = changes_of(change.spec, change.manifest)
            obtain_all(result.installed)
            if result.installed or result.removed:
                # The lock was solved as a whole: it says what needs what, and what has to go.
                deploy(
                    [rocks[each] for each in result.installed],
                    change,
                    InstallOptions("sync", keep=True),
                    progress,
                    check=False,
                    removals=result.removed,
                )
        spec = read_spec(config.tree, progress)
        digests = {(rock.name, rock.version): rock.sha256 for rock in locked}
        try:
            write_synced(project.root, root, spec, digests)
        except PumiceError as error:
            # The tree is what it should be; only what it was made from is forgotten.
            progress.message("warning", error.message)
    return result


def _obtained(
    locked: Sequence[LockedRock],
    config: Config,
    progress: Progress,
    servers: Servers,
    work: WorkDir,
    *,
    offline: bool,
) -> list[Rock]:
    """The rocks, from files that are what the lock says."""
    paths = dict(zip(locked, fetch_locked(locked, config, servers, work), strict=True))
    rocks: list[Rock] = []
    finder = FromRocks(lambda: rocks, config, work)
    for rock in _dependencies_first(locked):
        manner = Manner(namespace=rock.namespace, offline=offline, finder=finder, pins=False)
        path = paths[rock]
        if is_built(rock):
            rocks.append(obtain(path, config, progress, work, manner))
            continue
        from pumice.operation.from_source import build_from
        from pumice.operation.make import read_rockspec
        from pumice.operation.source_digest import fetch_with_digest

        sources = fetch_with_digest(
            path, config, progress, work, commit=rock.commit, expected=rock.sha256, offline=offline
        )
        check_digest(rock, sources.sha256)
        rockspec = read_rockspec(path, config)
        rocks.append(build_from(rockspec, sources.directory, config, progress, work, manner))
    return rocks


def _dependencies_first(locked: Sequence[LockedRock]) -> list[LockedRock]:
    """The rocks so that what one of them may need to be built is there before."""
    by_name = {rock.name: rock for rock in locked}
    ordered: dict[LockedRock, None] = {}
    met: set[str] = set()
    for start in locked:
        stack = [(start, False)]
        while stack:
            rock, done = stack.pop()
            if done:
                ordered[rock] = None
            elif rock.name not in met:
                met.add(rock.name)
                stack.append((rock, True))
                stack += [(by_name[name], False) for name in rock.dependencies if name in by_name]
    return list(ordered)
