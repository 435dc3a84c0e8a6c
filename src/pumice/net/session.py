"""`Session`: what all requests of one command share, whichever thread makes them.

The cache, the connections, which servers have failed, whether anything may be asked at all, and the progress.
"""

from __future__ import annotations

import time
from _thread import allocate_lock

from pumice.base.progress import Shared, Silent
from pumice.errors import FetchError
from pumice.net.address import shown_url
from pumice.net.cache import sha256_hex
from pumice.net.fetch import USER_AGENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pumice.base.progress import Progress
    from pumice.net.cache import Cache
    from pumice.net.connections import Connections

__all__ = ["Session", "changed", "key_of", "public_key_of"]


class Session:
    """See the module. Connections are opened when the first request is made."""

    def __init__(
        self,
        cache: Cache,
        *,
        environment: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        stall: float = 10.0,
        verify_tls: bool = True,
        tries: int = 3,
        user_agent: str = USER_AGENT,
        offline: bool = False,
        progress: Progress | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.cache = cache
        self.offline = offline
        self.tries = tries
        self.user_agent = user_agent
        self.clock = clock
        self.progress = Shared(progress or Silent())
        self._environment = environment
        self._timeout = timeout
        self._stall = stall
        self._verify_tls = verify_tls
        self._lock = allocate_lock()
        self._connections: Connections | None = None
        self._failed: dict[str, str] = {}
        self._whole_only: set[str] = set()

    def connections(self) -> Connections:
        """The connections of this command."""
        with self._lock:
            if self._connections is None:
                from pumice.net.connections import Connections

                self._connections = Connections(
                    timeout=self._timeout,
                    stall=self._stall,
                    verify_tls=self._verify_tls,
                    environment=self._environment,
                )
            return self._connections

    def close(self) -> None:
        """Ends all connections; threads that a signal left behind stop at their next piece."""
        self.progress.stop()
        if self._connections is not None:
            self._connections.close()

    def check_askable(self, url: str) -> None:
        """Raises FetchError when nothing may be asked, or this server has failed in this command before."""
        if self.offline:
            raise FetchError(
                f"{shown_url(url)} is not in the cache, and --offline forbids to ask for it",
                hint="run the command once without --offline",
            )
        reason = self._failed.get(_origin(url))
        if reason is not None:
            raise FetchError(f"{shown_url(url)} was not asked for: {reason}", hint="try again later")

    def has_failed(self, url: str) -> bool:
        """Whether the server of this URL could not be reached, and is not asked again by this command."""
        return _origin(url) in self._failed

    def note_failure(self, url: str, error: FetchError) -> None:
        """A server that cannot be reached is not asked again by this command."""
        from pumice.net.http import TransientError

        if isinstance(error.__cause__, TransientError) and error.__cause__.unreachable:
            self._failed[_origin(url)] = str(error.__cause__)

    def gives_parts(self, url: str) -> bool:
        """Whether the server of this URL may give parts of files, as far as this command knows."""
        return _origin(url) not in self._whole_only

    def note_whole_only(self, url: str) -> None:
        """The server of this URL is not asked for parts of files again by this command."""
        self._whole_only.add(_origin(url))


def key_of(url: str) -> str:
    """Where the cache knows a URL; with its credentials, as another user may see something else."""
    return sha256_hex(url.encode("utf-8", "surrogateescape"))


def public_key_of(url: str) -> str:
    """The key of a URL without its credentials; the same as `key_of` where it has none."""
    start, mark, rest = url.partition("://")
    netloc, slash, path = rest.partition("/")
    return key_of(f"{start}{mark}{netloc.rpartition('@')[2]}{slash}{path}")


def changed(url: str, seen: str, now: str) -> FetchError:
    """The error for a released file that is not what it was."""
    return FetchError(
        f"{shown_url(url)} is not the file that it was: its sha256 was {seen} when it was first seen, "
        f"now it is {now}",
        hint="a released file must not change: ask whoever runs the server, and if the change is meant, "
        "run 'pumice cache clean --all'",
    )


def _origin(url: str) -> str:
    return "/".join(url.split("/", 3)[:3])
