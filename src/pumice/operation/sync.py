"""`sync`: a tree becomes exactly what the project's lock says, in one transaction (SOLVE)."""

from __future__ import annotations

import os

from pumice.base.config import TreeSpec
from pumice.base.value import Value
from pumice.errors import NotFoundError, PumiceError
from pumice.operation.change import TreeChange
from pumice.operation.deploy import InstallOptions, deploy
from pumice.operation.lock import read_project_lock, source_digest
from pumice.operation.obtain import obtain
from pumice.operation.project import find_project
from pumice.operation.servers import Servers
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

__all__ = ["Synced", "sync"]


class Synced(Value):
    """What changed."""

    root: str
    installed: tuple[tuple[str, str], ...]
    removed: tuple[tuple[str, str], ...]


def sync(
    config: Config, progress: Progress, *, tree_given: bool, offline: bool = False, lock_only: bool = False
) -> Synced:
    """The project's `lua_modules` (or the tree that --tree names) holds what the lock says, and nothing else.

    Every file is checked against its digest before anything changes. `lock_only` tells what would change.
    Raises NotFoundError without a lock, DataError that names both digests for a file that is not as locked.
    """
    project = find_project(config.cwd)
    locked = read_project_lock(project).select(config.lua_version, config.arch)
    if not locked and not os.path.exists(project.lock_path):
        raise NotFoundError(f"{project.lock_path} does not exist", hint="`pumice lock` writes it.")
    if not tree_given:
        tree = TreeSpec.at(project.tree_root, config.lua_version, "project")
        config = config.replace(tree=tree, trees=(tree, *config.trees))
    changes = difference(locked, _installed(config, progress))
    result = Synced(
        config.tree.root, tuple((rock.name, rock.version) for rock in changes.install), changes.remove
    )
    if lock_only or not (changes.install or changes.remove):
        return result
    with WorkDir(config, "sync") as work, Servers(config, progress, offline=offline) as servers:
        rocks = _obtained(changes.install, config, progress, servers, work)
        with TreeChange(config, "sync", progress) as change:
            options = InstallOptions("sync", keep=True)
            # The lock was solved as a whole: it says what needs what, and what has to go.
            deploy(rocks, change, options, progress, check=False, removals=changes.remove)
    return result


def _installed(config: Config, progress: Progress) -> dict[tuple[str, str], str | None]:
    spec = read_spec(config.tree, progress)
    manifest = read_tree_manifest(spec, progress)
    return {(name, version): None for name in manifest.names() for version in manifest.versions(name)}


def _obtained(
    locked: Sequence[LockedRock],
    config: Config,
    progress: Progress,
    servers: Servers,
    work: WorkDir,
) -> list[Rock]:
    """The rocks, from files that are what the lock says."""
    from pumice.net.downloader import Wanted
    from pumice.rock.filename import base_name

    wanted = []
    for rock in locked:
        folder = work.make(os.urandom(6).hex())
        built = rock.url.endswith(".rock")
        wanted.append(
            Wanted(
                (rock.url,),
                f"{folder}/{base_name(rock.url)}",
                sha256=rock.sha256 if built else None,
                expect="zip" if built else None,
                released=built,
            )
        )
    rocks = []
    for rock, file, came in zip(locked, wanted, servers.downloader.attempt_many(wanted), strict=True):
        if isinstance(came, PumiceError):
            raise came
        if file.sha256 is not None:
            check_digest(rock, came.sha256)
            rocks.append(obtain(file.target, config, progress, work, rock.namespace))
            continue
        from pumice.operation.from_source import build_from

        sha256, _, source_dir = source_digest(file.target, rock.commit, config, progress, work)
        check_digest(rock, sha256)
        rocks.append(build_from(file.target, source_dir, config, progress, work, rock.namespace))
    return rocks
