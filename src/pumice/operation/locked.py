"""The files that a lock names, fetched: from where it says, or as the same bytes from a configured server."""

from __future__ import annotations

import os

from pumice.errors import PumiceError
from pumice.index.servers import servers_of
from pumice.net.address import shown_url
from pumice.net.downloader import Wanted
from pumice.rock.filename import base_name
from pumice.rock.version import is_changing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.base.config import Config
    from pumice.operation.servers import Servers
    from pumice.operation.work_dir import WorkDir
    from pumice.solve.lock import LockedRock

__all__ = ["fetch_locked", "is_built"]


def is_built(rock: LockedRock) -> bool:
    """Whether the digest of a locked rock is that of the file at its URL, not that of its sources."""
    return rock.url.endswith(".rock")


def fetch_locked(
    rocks: Sequence[LockedRock], config: Config, servers: Servers, work: WorkDir
) -> tuple[str, ...]:
    """The paths of the files of these rocks, below `work`; of a rock with the locked digest.

    A lock holds no credentials; a configured server that it names has them. Where a file cannot be had, or is
    another now, the other servers are asked for it. Raises the PumiceError of the place that the lock names.
    """
    wanted = [_wanted(rock, (_with_credentials(rock.url, config),), work) for rock in rocks]
    found = servers.downloader.attempt_many(wanted)
    for rock, file, came in zip(rocks, wanted, found, strict=True):
        if isinstance(came, PumiceError):
            elsewhere = _elsewhere(rock, servers)
            if not elsewhere:
                raise came
            try:
                servers.downloader.fetch(file.replace(urls=elsewhere))
            except PumiceError:
                raise came from None
    return tuple([file.target for file in wanted])


def _wanted(rock: LockedRock, urls: tuple[str, ...], work: WorkDir) -> Wanted:
    folder = work.make(os.urandom(6).hex())
    return Wanted(
        urls,
        os.path.join(folder, base_name(rock.url)),
        sha256=rock.sha256 if is_built(rock) else None,
        expect="zip" if is_built(rock) else None,
        released=not is_changing(rock.version),
    )


def _with_credentials(url: str, config: Config) -> str:
    for server in servers_of(config):
        for mirror in server.mirrors:
            start = shown_url(mirror.base) + "/"
            if url.startswith(start):
                return mirror.url(url[len(start) :])
    return url


def _elsewhere(rock: LockedRock, servers: Servers) -> tuple[str, ...]:
    """Where else the servers have a file of that name and version."""
    try:
        candidates = servers.index.candidates(rock.name, rock.namespace)
    except PumiceError:
        return ()
    name = base_name(rock.url)
    return tuple(
        [
            url
            for candidate in candidates
            if candidate.version == rock.version
            for offer in candidate.offers
            for url in offer.urls
            if base_name(url) == name and shown_url(url) != rock.url
        ]
    )
