"""The digest of a rockspec together with the sources that it names (settled.md, Formats: 'pumice.lock').

It is the SHA-256 of a tar that Pumice's own writer makes of them, so it is the same on every machine: names
sorted, one date, an x bit where the owner has one, links by where they lead, empty directories left out. An
archive counts by what it holds, since forges pack the same sources anew with other bytes.
"""

from __future__ import annotations

import os
import stat

from pumice.archive.member import Entry
from pumice.base.value import Value
from pumice.errors import FetchError
from pumice.operation.make import read_rockspec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
    offline: bool = False,
) -> FetchedSources:
    """The sources of the rockspec at that path, below `work`, with their digest.

    `commit`: the one to check out, whatever the rockspec's tag or branch is by now. `offline`: only sources
    of this machine. Raises FetchError, ArchiveError, BuildError, RockspecError.
    """
    import hashlib

    from pumice.archive.tar_writer import write_tar_gz
    from pumice.source.source import fetch_source

    rockspec = read_rockspec(rockspec_path, config)
    source = rockspec.source
    if offline and source.protocol not in ("file", "git+file"):
        raise FetchError(
            f"The sources of {rockspec.name} {rockspec.version} are not at hand: {source.url}",
            hint="Sources are not cached. Lock a built rock instead, or go without --offline.",
        )
    asked = rockspec
    if commit is not None and not source.is_basic:
        # A tag wins over the branch, and either may have moved since.
        asked = rockspec.replace(source=source.replace(tag=None, branch=commit))
    folder = work.make(f"source-{os.urandom(6).hex()}")
    fetched = fetch_source(asked, folder, config, progress)
    assert fetched.dir is not None
    target = os.path.join(work.make(f"tar-{os.urandom(6).hex()}"), "canonical.tar.gz")
    write_tar_gz(target, _entries(rockspec, _top(folder, fetched.dir)))
    with open(target, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    os.unlink(target)
    return FetchedSources(fetched.dir, digest, fetched.commit)


def _top(folder: str, directory: str) -> str:
    """The directory of everything that came: a build may use more than its own `source.dir`."""
    first = os.path.relpath(directory, folder).split("/", 1)[0]
    return directory if first in (".", "..") else os.path.join(folder, first)


def _entries(rockspec: Rockspec, top: str) -> Iterator[Entry]:
    yield Entry("rockspec", lambda: rockspec.text)
    for place, directories, names in os.walk(top):
        for name in (*directories, *names):
            path = os.path.join(place, name)
            mode = os.lstat(path).st_mode
            inner = os.path.relpath(path, top)
            if stat.S_ISLNK(mode):
                yield Entry(f"link/{inner}", _reading(path, link=True))
            elif stat.S_ISREG(mode):
                yield Entry(f"source/{inner}", _reading(path), bool(mode & stat.S_IXUSR))


def _reading(path: str, *, link: bool = False) -> Callable[[], bytes]:
    """What reads a file, or where a link leads, when its turn has come."""

    def read() -> bytes:
        if link:
            return os.readlink(path).encode("utf-8", "surrogateescape")
        with open(path, "rb") as file:
            return file.read()

    return read
