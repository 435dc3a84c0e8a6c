"""A registry of images: manifests and blobs asked for and handed over (OCI distribution-spec 1.0).

Nothing that a registry says is believed: every blob and manifest that comes is held against its digest,
bodies end at a limit, and our token goes to the registry's own origin alone, wherever it sends us.
"""

from __future__ import annotations

import os
import time
from _thread import allocate_lock

from pumice.base.progress import Silent
from pumice.base.value import Value
from pumice.errors import DataError, FetchError
from pumice.net.address import parse_address
from pumice.net.http import (
    REDIRECTS,
    TRANSIENT,
    Response,
    TransientError,
    exchange,
    give_back,
    pause_asked,
    redirected,
)
from pumice.net.reference import is_digest
from pumice.net.registry_auth import answer, body_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeVar

    from urllib3 import BaseHTTPResponse

    from pumice.base.progress import Progress
    from pumice.net.connections import Connections
    from pumice.net.registry_auth import Login

    T = TypeVar("T")

__all__ = ["Document", "Registry", "short_digest"]

_LARGEST_MANIFEST = 4 << 20
"""The size that every registry takes, by the specification."""
_LARGEST_ERROR = 1 << 16
_MOST_HOPS = 5
_LONGEST_PAUSE = 60.0


class Document(Value):
    """A manifest or an index, as it came."""

    media_type: str
    data: bytes
    digest: str


class Registry:
    """One registry, asked by one user; `base` is its URL. Used by several threads at once.

    `scopes` are what a token is asked for, such as `repository:team/plugin:pull,push`. All methods raise
    FetchError: where the registry refuses, does not answer (after `tries`), or is not to be trusted.
    """

    def __init__(
        self,
        base: str,
        connections: Connections,
        *,
        login: Login | None,
        scopes: Sequence[str],
        user_agent: str,
        tries: int = 4,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base = base
        self.tries = tries
        self._origin = parse_address(base).origin
        self._connections = connections
        self._login = login
        self._scopes = tuple(scopes)
        self._user_agent = user_agent
        self._pause = pause
        self._authorization: str | None = None
        self._logging_in = allocate_lock()

    def manifest(self, repository: str, wanted: str, accept: Sequence[str]) -> Document:
        """The manifest or index of a tag or digest, in one of the media types of `accept`."""
        url = f"{self.base}/v2/{repository}/manifests/{wanted}"

        def ask() -> Document:
            response = self.ask("GET", url, headers={"Accept": ", ".join(accept)})
            if response.status != 200:
                raise self.refusal(response, f"read {repository}:{wanted}")
            media_type = response.headers.get("content-type", "").partition(";")[0].strip()
            told = response.headers.get("docker-content-digest")
            data = body_of(response, url, self._connections, _LARGEST_MANIFEST)
            digest = _digest(data)
            if (is_digest(wanted) and digest != wanted) or (told is not None and told != digest):
                raise self._wrong(f"the manifest {wanted} of {repository} has another digest than it should")
            if media_type not in accept:
                raise DataError(
                    f"{repository}:{wanted} is no image that can be used: its type is '{media_type}'",
                    hint="Images of Docker's schema 1 have to be pushed anew by a newer Docker.",
                )
            return Document(media_type, data, digest)

        return self.retried(ask)

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether the repository has the blob already."""

        def ask() -> bool:
            response = self.ask("HEAD", f"{self.base}/v2/{repository}/blobs/{digest}")
            if response.status in (200, 404):
                give_back(response)
                return response.status == 200
            raise self.refusal(response, f"look for a blob in {repository}")

        return self.retried(ask)

    def blob(self, repository: str, digest: str, size: int) -> bytes:
        """A small blob, whole; `size` is what the manifest says of it."""
        url = f"{self.base}/v2/{repository}/blobs/{digest}"

        def ask() -> bytes:
            response = self.ask("GET", url)
            if response.status != 200:
                raise self.refusal(response, f"read a blob of {repository}")
            data = body_of(response, url, self._connections, size)
            if len(data) != size or _digest(data) != digest:
                raise self._wrong(f"the blob {digest} of {repository} is not what its digest says")
            return data

        return self.retried(ask)

    def save_blob(
        self, repository: str, digest: str, size: int, path: str, *, progress: Progress | None = None
    ) -> None:
        """The file at `path` is the blob; a download that is cut off goes on where it was, if it may."""
        import hashlib

        url = f"{self.base}/v2/{repository}/blobs/{digest}"
        told = progress or Silent()

        def ask() -> None:
            have = os.path.getsize(path) if os.path.exists(path) else 0
            response = self.ask("GET", url, headers={"Range": f"bytes={have}-"} if 0 < have < size else {})
            if response.status not in (200, 206):
                raise self.refusal(response, f"read a blob of {repository}")
            begins = response.headers.get("content-range", "").startswith(f"bytes {have}-")
            goes_on = response.status == 206 and begins
            if response.status == 206 and not goes_on:
                give_back(response)
                raise self._wrong(f"another part of {digest} came than was asked for")
            have = have if goes_on else 0
            told.started(url, short_digest(digest), size)
            told.advanced(url, have)
            came = Response(url, response, self._connections.stall)
            try:
                with open(path, "ab" if goes_on else "wb") as file:
                    for piece in came.pieces():
                        have += len(piece)
                        if have > size:
                            raise self._wrong(
                                f"the blob {digest} of {repository} is larger than it should be"
                            )
                        file.write(piece)
                        told.advanced(url, len(piece))
            finally:
                came.close()
            if have < size:
                raise TransientError("the answer was cut off")

        try:
            self.retried(ask)
        finally:
            told.finished(url)
        with open(path, "rb") as file:
            found = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
        if found != digest:
            os.unlink(path)
            raise self._wrong(f"the blob {digest} of {repository} is not what its digest says")

    def mount(self, repository: str, digest: str, source: str) -> bool:
        """Whether the registry took the blob over from its repository `source`, without any bytes."""

        def ask() -> bool:
            query = f"mount={digest}&from={source}"
            response = self.ask("POST", f"{self.base}/v2/{repository}/blobs/uploads/?{query}", body=b"")
            if response.status in (401, 403, 404, 405):
                give_back(response)
                return False
            if response.status not in (201, 202):
                raise self.refusal(response, f"write to {repository}")
            give_back(response)
            # 202 begins an upload, which nobody goes on with: the registry clears it away.
            return response.status == 201

        return self.retried(ask)

    def put_manifest(self, repository: str, name: str, media_type: str, data: bytes) -> str:
        """`name` (a tag or the digest) is this manifest from now on; gives the digest."""
        digest = _digest(data)

        def ask() -> str:
            url = f"{self.base}/v2/{repository}/manifests/{name}"
            response = self.ask("PUT", url, headers={"Content-Type": media_type}, body=data)
            if response.status not in (200, 201, 202):
                raise self.refusal(response, f"write the manifest {name} of {repository}")
            told = response.headers.get("docker-content-digest", digest)
            give_back(response)
            if told != digest:
                raise self._wrong(f"it took the manifest {digest} of {repository} for {told}")
            return digest

        return self.retried(ask)

    def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        sent: Callable[[int], None] | None = None,
    ) -> BaseHTTPResponse:
        """The answer, after a log-in if need be; only questions (GET, HEAD) follow redirects.

        `sent` is told of the body's bytes as they go. Raises TransientError too: see `retried`.
        """
        address = parse_address(url).replace(credentials=None)
        renewed = False
        hops = 0
        while True:
            all_headers = {"User-Agent": self._user_agent, "Accept-Encoding": "identity", **(headers or {})}
            own = address.origin == self._origin
            used = self._authorization if own else None
            if used is not None:
                all_headers["Authorization"] = used
            response = exchange(address, all_headers, self._connections, method=method, body=body, sent=sent)
            if response.status == 401 and own and not renewed:
                challenges = response.headers.getlist("www-authenticate")
                give_back(response)
                if sent is not None and body:
                    sent(-len(body))
                self._log_in(challenges, used)
                renewed = True
            elif response.status in REDIRECTS and method in ("GET", "HEAD"):
                location = response.headers.get("location", "")
                give_back(response)
                hops += 1
                if hops > _MOST_HOPS:
                    raise self._wrong("it leads in circles")
                address = redirected(address, location)
            else:
                return response

    def _log_in(self, challenges: Sequence[str], refused: str | None) -> None:
        """Another Authorization than the one that was refused; of several threads one asks for it."""
        with self._logging_in:
            if self._authorization == refused:
                self._authorization = answer(
                    challenges,
                    self._scopes,
                    self._login,
                    self._connections,
                    registry=self.base,
                    user_agent=self._user_agent,
                )

    def retried(self, ask: Callable[[], T]) -> T:
        """What `ask` gives, asked again when that may help. Raises FetchError."""
        for left in range(self.tries - 1, -1, -1):
            try:
                return ask()
            except TransientError as error:
                if not left:
                    raise self.given_up(error) from error
                self.wait(self.tries - left, error)
        raise AssertionError("unreachable")

    def wait(self, failures: int, error: TransientError) -> None:
        """The pause before another try: longer each time, and at least what the registry asked for."""
        self._pause(max(min(0.25 * 2**failures, 10.0), min(error.pause, _LONGEST_PAUSE)))

    def given_up(self, error: TransientError) -> FetchError:
        """The error after the last try."""
        return FetchError(
            f"{self.base}: {error}", hint="Try again later; what has been sent is not sent again."
        )

    def refusal(self, response: BaseHTTPResponse, doing: str) -> Exception:
        """The error for an answer that is none: TransientError where another try may help."""
        status, pause = response.status, pause_asked(response)
        if status in REDIRECTS:
            give_back(response)
            said = ""
        else:
            said = _said(response, self.base, self._connections)
        if status in TRANSIENT:
            return TransientError(f"it answers {status}{said}", pause=pause)
        hints = {
            401: f"Log in with `docker login {self.base.partition('://')[2]}`.",
            403: "The user may not do this: check the login and the rights on the repository.",
            404: "Check the spelling of the repository and the tag.",
            405: "This registry takes no uploads there.",
            413: "The registry, or a proxy before it, takes no bodies of this size.",
        }
        return FetchError(
            f"{self.base} does not let us {doing}: it answers {status}{said}",
            hint=hints.get(status, "Ask whoever runs the registry."),
        )

    def _wrong(self, what: str) -> FetchError:
        return FetchError(f"{self.base}: {what}", hint="The registry is broken or not to be trusted.")


def short_digest(digest: str) -> str:
    """As much of a digest as people look at."""
    return digest.partition(":")[2][:12]


def _digest(data: bytes) -> str:
    import hashlib

    return "sha256:" + hashlib.sha256(data).hexdigest()


def _said(response: BaseHTTPResponse, url: str, connections: Connections) -> str:
    """What the registry says of its refusal, as far as it can be shown."""
    import json

    try:
        found = json.loads(body_of(response, url, connections, _LARGEST_ERROR))
        first = found["errors"][0]
        text = f"{first.get('code', '')} {first.get('message', '')}".strip()
    except (TransientError, FetchError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ""
    text = text if text.isprintable() else ascii(text)[1:-1]
    return f" ({text[:200]})" if text else ""
