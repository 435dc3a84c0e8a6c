"""`Downloader`: what one command fetches, through pooled connections and the cache, several files at once.

Two kinds of things come from a server:

* a **document** changes (manifests, indexes): it is asked for again when its age exceeds what the caller
  allows, with the validators of the last answer, so that an unchanged one costs one short answer;
* a **file** that was released once never changes again: what the cache has is used without asking, and other
  bytes under the same URL are refused with both digests (files that may change are told so by the caller).
"""

from __future__ import annotations

import os
import time
from _thread import allocate_lock

from pumice.base.progress import Silent
from pumice.base.value import Value
from pumice.errors import FetchError, Interrupted, NotFoundError, PumiceError
from pumice.net.address import shown_url
from pumice.net.cache import ABSENT, Answer, Cache, sha256_hex
from pumice.net.fetch import USER_AGENT, Fetched, check_kind, fetch, is_remote, persistently
from pumice.net.parallel import attempt_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Literal, TypeVar

    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.net.connections import Connections

    T = TypeVar("T")

__all__ = ["Document", "Downloader", "Wanted"]

_WIDTH = 12
_LARGEST_DOCUMENT = 256 << 20
_LARGEST_FILE = 512 << 20
_CHANGING_AGE = 60.0
_SETTLED = 0.1
"""A local file that changed less than this many seconds ago may change again without a new time."""


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


class Document(Value):
    """What a URL holds now, by its digest; `Downloader.content` gives the bytes."""

    url: str
    """As it was asked for, credentials included."""
    sha256: str
    data: bytes | None = None
    """The bytes, when they have just come."""


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
        self._environment = environment
        self._timeout = timeout
        self._stall = stall
        self._verify_tls = verify_tls
        self._tries = tries
        self._user_agent = user_agent
        self._width = width
        self._progress = _Shared(progress or Silent())
        self._clock = clock
        self._lock = allocate_lock()
        self._connections: Connections | None = None
        self._failed: dict[str, str] = {}

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
        self._progress.stop()
        if self._connections is not None:
            self._connections.close()

    def __enter__(self) -> Downloader:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    # Files

    def fetch(self, wanted: Wanted) -> Fetched:
        """The file is at its target. Raises FetchError, NotFoundError, DiskError, PermissionDenied."""
        seen = self._seen(wanted)
        if seen is not None and wanted.sha256 not in (None, seen):
            raise _changed(wanted.urls[0], seen, str(wanted.sha256))
        kept = self._from_cache(wanted)
        if kept is not None:
            return kept
        errors: list[PumiceError] = []
        for url in wanted.urls:
            if errors:
                text = f"Failed downloading. Attempting mirror at {shown_url(url)}"
                self._progress.message("warning", text)
            try:
                return self._from_server(url, wanted, seen)
            except (FetchError, NotFoundError) as error:
                errors.append(error)
        if len(errors) == 1:
            raise errors[0]
        raise FetchError("\n".join(error.message for error in errors), hint=errors[0].hint)

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

    def together(self, tasks: Sequence[Callable[[], T]]) -> list[T | PumiceError]:
        """Several tasks that use this downloader at once; each one's value, or its error."""
        return attempt_all(tasks, width=self._width)

    def _from_cache(self, wanted: Wanted) -> Fetched | None:
        url = wanted.urls[0]
        if wanted.sha256 is not None:
            size = self.cache.take(wanted.sha256, wanted.target)
            return None if size is None else Fetched(url, wanted.sha256, size)
        for url in wanted.urls:
            if not is_remote(url):
                continue
            answer = self.cache.answer(_key(url))
            if answer is None or answer.absent:
                continue
            if wanted.released or self.offline or answer.is_fresh(self._clock(), _CHANGING_AGE):
                size = self.cache.take(answer.sha256, wanted.target)
                if size is not None:
                    return Fetched(answer.url, answer.sha256, size)
        return None

    def _from_server(self, url: str, wanted: Wanted, seen: str | None) -> Fetched:
        if not is_remote(url):
            return fetch(
                url, wanted.target, sha256=wanted.sha256, expect=wanted.expect, max_bytes=_LARGEST_FILE
            )
        self._check_askable(url)
        try:
            fetched = fetch(
                url,
                wanted.target,
                progress=self._progress,
                sha256=wanted.sha256,
                expect=wanted.expect,
                max_bytes=_LARGEST_FILE,
                tries=self._tries,
                connections=self._opened(),
                user_agent=self._user_agent,
            )
        except FetchError as error:
            self._note_failure(url, error)
            raise
        if seen is not None and fetched.sha256 != seen:
            os.unlink(wanted.target)
            raise _changed(url, seen, fetched.sha256)
        self.cache.keep(wanted.target, fetched.sha256)
        self.cache.remember(_key(url), Answer(fetched.url, fetched.sha256, "", "", self._clock()))
        if wanted.released:
            self.cache.mark_seen(_public_key(url), fetched.sha256, fetched.url)
        return fetched

    def _seen(self, wanted: Wanted) -> str | None:
        """The digest that this file had when it was first seen, from whichever mirror."""
        if wanted.released:
            for url in wanted.urls:
                seen = self.cache.seen(_public_key(url)) if is_remote(url) else None
                if seen is not None:
                    return seen
        return None

    # Documents

    def document(
        self,
        url: str,
        *,
        max_age: float,
        absent_age: float | None = None,
        expect: Literal["zip", "gzip"] | None = None,
        max_bytes: int = _LARGEST_DOCUMENT,
        released: bool = False,
        sha256: str | None = None,
    ) -> Document | None:
        """What `url` holds, as of at most `max_age` seconds ago; None if the server has no such file.

        That it has none is believed for `absent_age` seconds. `released`: it must be what it was when it was
        first seen. `sha256`: it must have this digest. Raises FetchError.
        """
        if not is_remote(url):
            document = self._local_document(url, max_bytes)
            if document is not None and sha256 not in (None, document.sha256):
                raise _another(document, str(sha256))
            return document
        document = self._remote_document(url, max_age, absent_age, expect, max_bytes)
        if document is None:
            return None
        seen = self.cache.seen(_public_key(url)) if released else None
        if sha256 not in (None, document.sha256) or seen not in (None, document.sha256):
            # The next command asks again, in case the server has mended it.
            self.cache.forget_answer(_key(url))
            if seen not in (None, document.sha256):
                raise _changed(url, str(seen), document.sha256)
            raise _another(document, str(sha256))
        if released and seen is None:
            self.cache.mark_seen(_public_key(url), document.sha256, shown_url(url))
        return document

    def _remote_document(
        self,
        url: str,
        max_age: float,
        absent_age: float | None,
        expect: Literal["zip", "gzip"] | None,
        max_bytes: int,
    ) -> Document | None:
        key = _key(url)
        answer = self.cache.answer(key)
        if answer is not None:
            age = max_age if absent_age is None or not answer.absent else absent_age
            if self.offline or answer.is_fresh(self._clock(), age):
                return None if answer.absent else Document(url, answer.sha256)
        return self._asked(url, key, answer, expect, max_bytes)

    def content(self, document: Document) -> bytes:
        """The bytes of a document, asked for again if the cache has lost them. Raises FetchError."""
        if document.data is not None:
            return document.data
        if is_remote(document.url):
            data = self.cache.read(document.sha256)
            if data is not None:
                return data
            again = self._asked(document.url, _key(document.url), None, None, _LARGEST_DOCUMENT)
        else:
            again = self._local_document(document.url, _LARGEST_DOCUMENT, remembered=False)
        if again is None or again.data is None or again.sha256 != document.sha256:
            raise FetchError(
                f"{shown_url(document.url)} changed while it was read", hint="repeat the command"
            )
        return again.data

    def _asked(
        self,
        url: str,
        key: str,
        answer: Answer | None,
        expect: Literal["zip", "gzip"] | None,
        max_bytes: int,
    ) -> Document | None:
        self._check_askable(url)
        from pumice.net.http import MissingError, Response, request

        unless = {}
        if answer is not None and not answer.absent and self.cache.has(answer.sha256):
            if answer.etag:
                unless["If-None-Match"] = answer.etag
            if answer.last_modified:
                unless["If-Modified-Since"] = answer.last_modified
        name = shown_url(url)

        def body(response: Response) -> bytes:
            if response.length is not None and response.length > max_bytes:
                raise FetchError(f"{name} has more than {max_bytes} bytes", hint="check the server's URL")
            self._progress.started(name, name.rsplit("/", 1)[-1], response.length)
            pieces, size = [], 0
            try:
                for piece in response.pieces():
                    size += len(piece)
                    if size > max_bytes:
                        raise FetchError(
                            f"{name} has more than {max_bytes} bytes", hint="check the server's URL"
                        )
                    pieces.append(piece)
                    self._progress.advanced(name, len(piece))
            finally:
                self._progress.finished(name)
            data = b"".join(pieces)
            check_kind(name, data[:64], expect, response.content_type.lower().startswith("text/html"))
            return data

        def attempt() -> tuple[Answer, bytes | None]:
            response = request(url, self._opened(), headers={}, user_agent=self._user_agent, unless=unless)
            try:
                now = self._clock()
                if response.not_modified and answer is not None:
                    return answer.replace(checked=now), None
                data = body(response)
                found = Answer(response.url, sha256_hex(data), response.etag, response.last_modified, now)
                return found, data
            finally:
                response.close()

        try:
            found, data = persistently(attempt, url, self._tries, self._progress)
        except MissingError:
            self.cache.remember(key, Answer(name, ABSENT, "", "", self._clock()))
            return None
        except FetchError as error:
            self._note_failure(url, error)
            raise
        if data is not None:
            self.cache.keep_bytes(data, found.sha256)
        self.cache.remember(key, found)
        return Document(url, found.sha256, data)

    def _local_document(self, path: str, max_bytes: int, *, remembered: bool = True) -> Document | None:
        """A file of this machine: its digest is believed while its times, size and number stay the same."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise FetchError(
                f"{path} cannot be read: {error.strerror}", hint="check its permissions"
            ) from error
        with open(descriptor, "rb") as file:
            there = os.fstat(descriptor)
            state = f"{there.st_mtime_ns}-{there.st_ctime_ns}-{there.st_dev}-{there.st_ino}-{there.st_size}"
            key = sha256_hex(os.fsencode(path))
            answer = self.cache.answer(key) if remembered else None
            if answer is not None and answer.etag == state and not answer.absent:
                return Document(path, answer.sha256)
            try:
                data = file.read(max_bytes + 1)
            except OSError as error:
                raise FetchError(f"{path} cannot be read: {error.strerror}", hint="name a file") from error
        if len(data) > max_bytes:
            raise FetchError(f"{path} has more than {max_bytes} bytes", hint="check the server's directory")
        digest = sha256_hex(data)
        now = self._clock()
        if now - max(there.st_mtime, there.st_ctime) > _SETTLED:
            self.cache.remember(key, Answer(path, digest, state, "", now))
        return Document(path, digest, data)

    # Servers

    def _opened(self) -> Connections:
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

    def _check_askable(self, url: str) -> None:
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

    def _note_failure(self, url: str, error: FetchError) -> None:
        """A server that cannot be reached is not asked again by this command."""
        from pumice.net.http import TransientError

        if isinstance(error.__cause__, TransientError) and error.__cause__.unreachable:
            self._failed[_origin(url)] = str(error.__cause__)


class _Shared:
    """Progress told from several threads, one at a time; after `stop` it ends the threads that tell it."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lock = allocate_lock()
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True

    def started(self, task: str, label: str, total: int | None = None) -> None:
        with self._lock:
            self._progress.started(task, label, total)

    def advanced(self, task: str, amount: int = 1) -> None:
        if self._stopped:
            raise Interrupted("stopped", signal_number=2)
        with self._lock:
            self._progress.advanced(task, amount)

    def finished(self, task: str) -> None:
        with self._lock:
            if not self._stopped:
                self._progress.finished(task)

    def message(self, level: str, text: str) -> None:
        with self._lock:
            self._progress.message(level, text)


def _another(document: Document, sha256: str) -> FetchError:
    return FetchError(
        f"{shown_url(document.url)} is not the file that was asked for: "
        f"its sha256 is {document.sha256}, not {sha256}",
        hint="it has been changed or replaced since its digest was written down",
    )


def _key(url: str) -> str:
    """Where the cache knows a URL; with its credentials, as another user may see something else."""
    return sha256_hex(url.encode("utf-8", "surrogateescape"))


def _public_key(url: str) -> str:
    start, mark, rest = url.partition("://")
    netloc, slash, path = rest.partition("/")
    return _key(f"{start}{mark}{netloc.rpartition('@')[2]}{slash}{path}")


def _origin(url: str) -> str:
    return "/".join(url.split("/", 3)[:3])


def _changed(url: str, seen: str, now: str) -> FetchError:
    return FetchError(
        f"{shown_url(url)} is not the file that it was: its sha256 was {seen} when it was first seen, "
        f"now it is {now}",
        hint="a released file must not change: ask whoever runs the server, and if the change is meant, "
        "run 'pumice cache clean --all'",
    )
