"""The digest of a rockspec together with the sources that it names (settled.md, Formats: 'pumice.lock').

It is the SHA-256 of a tar that Pumice's own writer makes of them, so it is the same on every machine
(`source.kept`). An archive counts by what it holds, since forges pack the same sources anew with other bytes.
"""

from __future__ import annotations

import os

from pumice.base.value import Value
from pumice.operation.make import read_rockspec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.operation.work_dir import WorkDir
    from pumice.rock.rockspec import Rockspec

__all__ = ["FetchedSources", "fetch_with_digest"]


class FetchedSources(Value):
    """Sources that are here, and what they are."""

    directory: str
    """Where to build."""
    sha256: str
    commit: str | None
    """What was checked out, where version control has commits."""


def fetch_with_digest(
    rockspec_path: str,
    config: Config,
    progress: Progress,
    work: WorkDir,
    *,
    commit: str | None = None,
    expected: str | None = None,
    offline: bool = False,
) -> FetchedSources:
    """The sources of the rockspec at that path, below `work`, with their digest.

    `commit`: the one to check out, whatever the rockspec's tag or branch is by now. `expected`: the digest
    that a lock demands: what the cache has counts only if it is that; without it whoever has the sources is
    asked. `offline`: only sources of this machine and its cache. Raises FetchError, ArchiveError, BuildError,
    RockspecError.
    """
    rockspec = read_rockspec(rockspec_path, config)
    if expected is not None and not rockspec.source.is_basic:
        found = _from_cache(rockspec, expected, commit, config, work)
        if found is not None:
            return found
    fresh = expected is None
    found = _fetched(rockspec, commit, config, progress, work, offline=offline, fresh=fresh)
    if fresh or offline or found.sha256 == expected:
        return found
    return _fetched(rockspec, commit, config, progress, work, offline=False, fresh=True)


def _from_cache(
    rockspec: Rockspec, expected: str, commit: str | None, config: Config, work: WorkDir
) -> FetchedSources | None:
    """The locked checkout as it was kept under its digest."""
    from pumice.net.cache import Cache
    from pumice.source.directory import find_source_directory
    from pumice.source.kept import restore_sources
    from pumice.source.source import checkout_directory

    folder = work.make(f"source-{os.urandom(6).hex()}")
    target = checkout_directory(rockspec, folder)
    if not restore_sources(Cache(config.cache_dir), expected, target):
        return None
    return FetchedSources(find_source_directory(rockspec, folder, checkout=target), expected, commit)


def _fetched(
    rockspec: Rockspec,
    commit: str | None,
    config: Config,
    progress: Progress,
    work: WorkDir,
    *,
    offline: bool,
    fresh: bool,
) -> FetchedSources:
    from pumice.source.kept import canonical_tar
    from pumice.source.source import fetch_source

    asked = rockspec
    source = rockspec.source
    if commit is not None and not source.is_basic:
        # A tag wins over the branch, and either may have moved since.
        asked = rockspec.replace(source=source.replace(tag=commit, branch=None))
    folder = work.make(f"source-{os.urandom(6).hex()}")
    fetched = fetch_source(asked, folder, config, progress, offline=offline, fresh=fresh)
    assert fetched.dir is not None
    target = os.path.join(work.make(f"tar-{os.urandom(6).hex()}"), "canonical.tar.gz")
    digest = canonical_tar(rockspec, _top(folder, fetched.dir), target)
    os.unlink(target)
    return FetchedSources(fetched.dir, digest, fetched.commit)


def _top(folder: str, directory: str) -> str:
    """The directory of everything that came: a build may use more than its own `source.dir`."""
    first = os.path.relpath(directory, folder).split("/", 1)[0]
    return directory if first in (".", "..") else os.path.join(folder, first)
