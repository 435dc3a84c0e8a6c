"""`Downloader`: what one command fetches, through pooled connections and the cache, several files at once.

A file that was released once never changes again: what the cache has is used without asking, and other bytes
under the same URL are refused with both digests. Files that may change are told so by the caller.
"""

from __future__ import annotations

import os
import time

from pumice.base.value import Value
from pumice.errors import FetchError, NotFoundError, PumiceError
from pumice.net.address import shown_url
from pumice.net.cache import Answer, Cache, sha256_hex
from pumice.net.documents import Documents
from pumice.net.fetch import USER_AGENT, Fetched, fetch, is_remote
from pumice.net.parallel import attempt_all
from pumice.net.session import Session, changed, key_of, public_key_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Literal, TypeVar

    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.net.ranges import Ranges

    T = TypeVar("T")

__all__ = ["Downloader", "Wanted"]

_WIDTH = 12
_LARGEST_FILE = 512 << 20
_CHANGING_AGE = 60.0


class Wanted(Value):
    """A file to fetch."""

    urls: tuple[str, ...]
    """The same file on several mirrors, in the order in which they are tried; URLs or absolute paths."""
    target: str
    """Where it shall be; its directory exists."""
    sha256: str | None = None
    expect: Literal["zip", "gzip"] | None = None
    released: bool = True
    """Its content never changes under this URL."""
    max_age: float = _CHANGING_AGE
    """For how many seconds what came from this URL is taken again, if it is not released."""


class Downloader:
    """Fetches for one command; a context manager. Used by several threads at once.

    `offline`: nothing is asked, what the cache has is used at any age.
    """

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
        width: int = _WIDTH,
        progress: Progress | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.cache = cache
        self.offline = offline
        self._width = width
        self._session = Session(
            cache,
            environment=environment,
            timeout=timeout,
            stall=stall,
            verify_tls=verify_tls,
            tries=tries,
            user_agent=user_agent,
            offline=offline,
            progress=progress,
            clock=clock,
        )
        self.documents = Documents(self._session)

    @classmethod
    def of(cls, config: Config, progress: Progress, *, offline: bool = False) -> Downloader:
        """The one that this configuration describes."""
        return cls(
            Cache(config.cache_dir),
            environment=config.environment,
            timeout=config.connection_timeout,
            verify_tls=config.check_certificates,
            offline=offline,
            progress=progress,
        )

    def close(self) -> None:
        """Ends all connections; threads that a signal left behind stop at their next piece."""
        self._session.close()

    def __enter__(self) -> Downloader:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def now(self) -> float:
        """The time, by this command's clock."""
        return self._session.clock()

    def has_failed(self, url: str) -> bool:
        """Whether the server of this URL could not be reached, and is not asked again by this command."""
        return self._session.has_failed(url)

    def together(self, tasks: Sequence[Callable[[], T]]) -> list[T | PumiceError]:
        """Several tasks that use this downloader at once; each one's value, or its error."""
        return attempt_all(tasks, width=self._width)

    def fetch_many(self, wanted: Sequence[Wanted]) -> tuple[Fetched, ...]:
        """All of the files are at their targets. Raises the first error, in their order."""
        found = []
        for result in self.attempt_many(wanted):
            if isinstance(result, PumiceError):
                raise result
            found.append(result)
        return tuple(found)

    def attempt_many(self, wanted: Sequence[Wanted]) -> list[Fetched | PumiceError]:
        """Each file is at its target, or its error is in its place."""

        def task(one: Wanted) -> Callable[[], Fetched]:
            return lambda: self.fetch(one)

        return self.together([task(one) for one in wanted])

    def fetch(self, wanted: Wanted) -> Fetched:
        """The file is at its target. Raises FetchError, NotFoundError, DiskError, PermissionDenied."""
        seen = self._seen(wanted)
        if seen is not None and wanted.sha256 not in (None, seen):
            raise changed(wanted.urls[0], seen, str(wanted.sha256))
        for url, sha256 in self._known(wanted, seen):
            size = self.cache.take(sha256, wanted.target)
            if size is not None:
                return Fetched(shown_url(url), sha256, size)
        errors: list[PumiceError] = []
        for url in wanted.urls:
            if errors:
                text = f"Failed downloading. Attempting mirror at {shown_url(url)}"
                self._session.progress.message("warning", text)
            try:
                return self._from_server(url, wanted, seen)
            except (FetchError, NotFoundError) as error:
                errors.append(error)
        if len(errors) == 1:
            raise errors[0]
        raise FetchError("\n".join(error.message for error in errors), hint=errors[0].hint)

    def has(self, wanted: Wanted) -> bool:
        """Whether the cache seems to have the file, so that `fetch` asks nobody."""
        return any(self.cache.has(sha256) for _, sha256 in self._known(wanted, self._seen(wanted)))

    def parts(self, wanted: Wanted) -> Ranges | None:
        """The file of `wanted` in parts, of its first mirror; None where `fetch` does better.

        That is what is here or in the cache, what must have a digest, and what servers do not give in parts.
        """
        url = wanted.urls[0]
        session = self._session
        if not is_remote(url) or wanted.sha256 is not None or not session.gives_parts(url):
            return None
        if self.offline or self.has(wanted):
            return None
        from pumice.net.ranges import open_ranges

        try:
            ranges = open_ranges(url, session)
        except FetchError:
            session.note_whole_only(url)
            return None
        whole = ranges.whole
        if whole is not None:
            # A small file has come at once, and is not fetched a second time when it is chosen.
            digest = sha256_hex(whole)
            if self._seen(wanted) not in (None, digest):
                return None
            self.cache.keep_bytes(whole, digest)
            self._remember(url, wanted, digest)
        return ranges

    def _known(self, wanted: Wanted, seen: str | None) -> list[tuple[str, str]]:
        """The digests under which the cache may have the file, and where each is from."""
        if wanted.sha256 is not None:
            return [(wanted.urls[0], wanted.sha256)]
        known = []
        for url in wanted.urls:
            if not is_remote(url):
                continue
            if wanted.released and seen is not None and key_of(url) == public_key_of(url):
                known.append((url, seen))
                continue
            answer = self.cache.answer(key_of(url))
            if answer is None or answer.absent:
                continue
            now = self._session.clock()
            if wanted.released or self.offline or answer.is_fresh(now, wanted.max_age):
                known.append((url, answer.sha256))
        return known

    def _from_server(self, url: str, wanted: Wanted, seen: str | None) -> Fetched:
        if not is_remote(url):
            return fetch(
                url, wanted.target, sha256=wanted.sha256, expect=wanted.expect, max_bytes=_LARGEST_FILE
            )
        session = self._session
        session.check_askable(url)
        try:
            fetched = fetch(
                url,
                wanted.target,
                progress=session.progress,
                sha256=wanted.sha256,
                expect=wanted.expect,
                max_bytes=_LARGEST_FILE,
                tries=session.tries,
                connections=session.connections(),
                user_agent=session.user_agent,
            )
        except FetchError as error:
            session.note_failure(url, error)
            raise
        if seen is not None and fetched.sha256 != seen:
            os.unlink(wanted.target)
            raise changed(url, seen, fetched.sha256)
        self.cache.keep(wanted.target, fetched.sha256)
        self._remember(url, wanted, fetched.sha256)
        return fetched

    def _remember(self, url: str, wanted: Wanted, sha256: str) -> None:
        """This file has come from this URL, and is in the cache."""
        if not wanted.released or key_of(url) != public_key_of(url):
            answer = Answer(shown_url(url), sha256, "", "", self._session.clock())
            self.cache.remember(key_of(url), answer)
        if wanted.released:
            self.cache.mark_seen(public_key_of(url), sha256, shown_url(url))

    def _seen(self, wanted: Wanted) -> str | None:
        """The digest that this file had when it was first seen, from whichever mirror."""
        if wanted.released:
            for url in wanted.urls:
                seen = self.cache.seen(public_key_of(url)) if is_remote(url) else None
                if seen is not None:
                    return seen
        return None
