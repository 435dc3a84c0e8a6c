"""`Documents`: texts of servers, held in memory, asked for again only when they may have changed.

A document that may change (a manifest, an index) is asked for again when it is older than the caller allows,
with the validators of the last answer: an unchanged one costs one short answer. One that was released never
changes: it is asked for once, and other bytes under the same URL are refused.
"""

from __future__ import annotations

import os

from pumice.base.value import Value
from pumice.errors import FetchError
from pumice.net.address import shown_url
from pumice.net.cache import ABSENT, Answer, sha256_hex
from pumice.net.fetch import check_kind, is_remote, persistently
from pumice.net.session import changed, key_of, public_key_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from pumice.net.http import Response
    from pumice.net.session import Session

__all__ = ["Document", "Documents"]

_LARGEST = 256 << 20
_SETTLED = 0.1
"""A local file that changed less than this many seconds ago may change again without a new time."""


class Document(Value):
    """What a URL holds now, by its digest; `Documents.content` gives the bytes."""

    url: str
    """As it was asked for, credentials included; or a path."""
    sha256: str
    data: bytes | None = None
    """The bytes, when they have just come."""


class Documents:
    """The documents of one command. Used by several threads at once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._cache = session.cache

    def get(
        self,
        url: str,
        *,
        max_age: float,
        absent_age: float | None = None,
        expect: Literal["zip", "gzip"] | None = None,
        max_bytes: int = _LARGEST,
        sha256: str | None = None,
    ) -> Document | None:
        """What `url` holds, as of at most `max_age` seconds ago; None if the server has no such file.

        That it has none is believed for `absent_age` seconds. `sha256`: it must have this digest.
        Raises FetchError.
        """
        if not is_remote(url):
            document = self._local(url, max_bytes)
        else:
            answer = self._cache.answer(key_of(url))
            age = absent_age if answer is not None and answer.absent and absent_age is not None else max_age
            if answer is not None and (self._session.offline or answer.is_fresh(self._session.clock(), age)):
                document = None if answer.absent else Document(url, answer.sha256)
            else:
                document = self._asked(url, answer, expect, max_bytes)
        if document is not None and sha256 not in (None, document.sha256):
            # The next command asks again, in case the server has mended it.
            self._cache.forget_answer(key_of(url))
            raise _another(document, str(sha256))
        return document

    def get_released(
        self,
        url: str,
        *,
        absent_age: float,
        max_bytes: int = _LARGEST,
        sha256: str | None = None,
    ) -> Document | None:
        """What `url` holds for good; None if the server has no such file, believed for `absent_age` seconds.

        Raises FetchError, with both digests if it is not what it was when it was first seen.
        """
        if not is_remote(url):
            return self.get(url, max_age=0, max_bytes=max_bytes, sha256=sha256)
        seen = self._cache.seen(public_key_of(url))
        if seen is not None and sha256 not in (None, seen):
            raise changed(url, seen, str(sha256))
        is_public = public_key_of(url) == key_of(url)
        if seen is not None and is_public and self._cache.has(seen):
            return Document(url, seen)
        answer = self._cache.answer(key_of(url))
        age = absent_age if answer is not None and answer.absent else float("inf")
        if answer is not None and (self._session.offline or answer.is_fresh(self._session.clock(), age)):
            document = None if answer.absent else Document(url, answer.sha256)
        else:
            # What was seen says as much as an answer would, unless it takes credentials to see it.
            document = self._asked(url, None, None, max_bytes, remembered=not is_public)
        if document is None:
            return None
        problem = None
        if seen not in (None, document.sha256):
            problem = changed(url, str(seen), document.sha256)
        elif sha256 not in (None, document.sha256):
            problem = _another(document, str(sha256))
        if problem is not None:
            # The next command asks again, in case the server has mended it.
            self._cache.forget_answer(key_of(url))
            raise problem
        if seen is None:
            self._cache.mark_seen(public_key_of(url), document.sha256, shown_url(url))
        return document

    def content(self, document: Document) -> bytes:
        """The bytes of a document, asked for again if the cache has lost them. Raises FetchError."""
        if document.data is not None:
            return document.data
        if is_remote(document.url):
            data = self._cache.read(document.sha256)
            if data is not None:
                return data
            again = self._asked(document.url, None, None, _LARGEST)
        else:
            again = self._local(document.url, _LARGEST, remembered=False)
        if again is None or again.data is None or again.sha256 != document.sha256:
            raise FetchError(
                f"{shown_url(document.url)} changed while it was read", hint="repeat the command"
            )
        return again.data

    def _asked(
        self,
        url: str,
        answer: Answer | None,
        expect: Literal["zip", "gzip"] | None,
        max_bytes: int,
        *,
        remembered: bool = True,
    ) -> Document | None:
        """The server's answer, which the cache remembers."""
        session = self._session
        session.check_askable(url)
        from pumice.net.http import MissingError, request

        unless = {}
        if answer is not None and not answer.absent and self._cache.has(answer.sha256):
            if answer.etag:
                unless["If-None-Match"] = answer.etag
            if answer.last_modified:
                unless["If-Modified-Since"] = answer.last_modified

        def attempt() -> tuple[Answer, bytes | None]:
            response = request(
                url, session.connections(), headers={}, user_agent=session.user_agent, unless=unless
            )
            try:
                now = session.clock()
                if response.not_modified and answer is not None:
                    return answer.replace(checked=now), None
                data = self._body(response, shown_url(url), expect, max_bytes)
                found = Answer(response.url, sha256_hex(data), response.etag, response.last_modified, now)
                return found, data
            finally:
                response.close()

        try:
            found, data = persistently(attempt, url, session.tries, session.progress)
        except MissingError:
            self._cache.remember(key_of(url), Answer(shown_url(url), ABSENT, "", "", session.clock()))
            return None
        except FetchError as error:
            session.note_failure(url, error)
            raise
        if data is not None:
            self._cache.keep_bytes(data, found.sha256)
        if remembered:
            self._cache.remember(key_of(url), found)
            if answer is not None and not answer.absent and answer.sha256 != found.sha256:
                self._cache.drop(answer.sha256)
        return Document(url, found.sha256, data)

    def _body(self, response: Response, name: str, expect: str | None, max_bytes: int) -> bytes:
        progress = self._session.progress
        if response.length is not None and response.length > max_bytes:
            raise _too_large(name, max_bytes)
        progress.started(name, name.rsplit("/", 1)[-1], response.length)
        pieces, size = [], 0
        try:
            for piece in response.pieces():
                size += len(piece)
                if size > max_bytes:
                    raise _too_large(name, max_bytes)
                pieces.append(piece)
                progress.advanced(name, len(piece))
        finally:
            progress.finished(name)
        data = b"".join(pieces)
        if expect is None and response.encoding in ("gzip", "x-gzip"):
            data = _inflated(data, name, max_bytes)
        check_kind(name, data[:64], expect, response.content_type.lower().startswith("text/html"))
        return data

    def _local(self, path: str, max_bytes: int, *, remembered: bool = True) -> Document | None:
        """A file of this machine: its digest is believed while its times, size and number stay the same."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unreadable(path, error) from error
        with open(descriptor, "rb") as file:
            there = os.fstat(descriptor)
            state = f"{there.st_mtime_ns}-{there.st_ctime_ns}-{there.st_dev}-{there.st_ino}-{there.st_size}"
            key = sha256_hex(os.fsencode(path))
            answer = self._cache.answer(key) if remembered else None
            if answer is not None and answer.etag == state and not answer.absent:
                return Document(path, answer.sha256)
            try:
                data = file.read(max_bytes + 1)
            except OSError as error:
                raise _unreadable(path, error) from error
        if len(data) > max_bytes:
            raise _too_large(path, max_bytes)
        digest = sha256_hex(data)
        now = self._session.clock()
        if now - max(there.st_mtime, there.st_ctime) > _SETTLED:
            self._cache.remember(key, Answer(path, digest, state, "", now))
        return Document(path, digest, data)


def _inflated(data: bytes, name: str, max_bytes: int) -> bytes:
    """What a server compressed on its own account. Raises TransientError, FetchError."""
    import zlib

    from pumice.net.http import TransientError

    inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        text = inflate.decompress(data, max_bytes + 1)
    except zlib.error as error:
        raise TransientError("the answer is compressed wrongly") from error
    if len(text) > max_bytes:
        raise _too_large(name, max_bytes)
    if not inflate.eof:
        raise TransientError("the compressed answer was cut off")
    return text


def _too_large(name: str, limit: int) -> FetchError:
    return FetchError(f"{name} has more than {limit} bytes", hint="check the address of the server")


def _unreadable(path: str, error: OSError) -> FetchError:
    return FetchError(f"{path} cannot be read: {error.strerror}", hint="check its permissions")


def _another(document: Document, sha256: str) -> FetchError:
    return FetchError(
        f"{shown_url(document.url)} is not the file that was asked for: "
        f"its sha256 is {document.sha256}, not {sha256}",
        hint="it has been changed or replaced since its digest was written down",
    )
