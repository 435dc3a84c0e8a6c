"""One blob's way into a registry: in one request or in chunks, gone on with after a failure.

The registry says where the upload goes on (`Location`) and how far it is (`Range`): both are followed only as
far as they make sense, and the number of requests is bounded by the blob's size whatever it answers.
"""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from pumice.base.progress import UPLOAD, Silent
from pumice.errors import FetchError
from pumice.net.address import parse_address
from pumice.net.http import TransientError, give_back, redirected
from pumice.net.registry import short_digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from urllib3 import BaseHTTPResponse

    from pumice.base.progress import Progress
    from pumice.net.registry import Registry

__all__ = ["upload"]

_CHUNK = 16 << 20


def upload(
    registry: Registry,
    repository: str,
    digest: str,
    size: int,
    read: Callable[[int, int], bytes],
    *,
    chunk: int = _CHUNK,
    progress: Progress | None = None,
) -> bool:
    """The repository has the blob; gives whether it had to be sent. `read(start, length)` gives its bytes.

    As many failures in a row as the registry has tries end it; a chunk that came through begins a new row.
    Raises FetchError.
    """
    if registry.has_blob(repository, digest):
        return False
    told = progress or Silent()
    task = f"{UPLOAD}{registry.base}/v2/{repository}/blobs/{digest}"
    sending = _Upload(registry, repository, digest, size, read, chunk, lambda n: told.advanced(task, n))
    failures = best = 0
    told.started(task, short_digest(digest), size)
    try:
        while True:
            try:
                sending.go_on()
                return True
            except TransientError as error:
                if sending.offset - best >= chunk:
                    best, failures = sending.offset, 0
                failures += 1
                if failures >= registry.tries:
                    raise registry.given_up(error) from error
                registry.wait(failures, error)
                # The last request may have come through, and only its answer not.
                if registry.has_blob(repository, digest):
                    return True
                sending.look()
    finally:
        told.finished(task)


class _Upload:
    def __init__(
        self,
        registry: Registry,
        repository: str,
        digest: str,
        size: int,
        read: Callable[[int, int], bytes],
        chunk: int,
        advanced: Callable[[int], None],
    ) -> None:
        self._registry = registry
        self._repository = repository
        self._digest = digest
        self._size = size
        self._read = read
        self._chunk = chunk
        self._start = f"{registry.base}/v2/{repository}/blobs/uploads/"
        self._location: str | None = None
        self._advanced = advanced
        self._shown = 0
        self.offset = 0
        """So many bytes are known to have come."""

    def go_on(self) -> None:
        """Sends what is missing. Raises TransientError where `look` and another try may help."""
        if self._location is None:
            response = self._registry.ask("POST", self._start, body=b"")
            self._expect(response, (202,))
            self.offset = 0
        self._sent(self.offset - self._shown)
        while self._size - self.offset > self._chunk:
            self._patch()
        self._finish()

    def look(self) -> None:
        """Asks the registry how far it is; an upload that it has forgotten begins anew."""
        if self._location is None:
            return
        try:
            response = self._registry.ask("GET", self._location)
            if response.status != 204:
                self._forget(response)
                return
            self._expect(response, (204,))
            self.offset = self._reached(response)
        except TransientError:
            self._location = None

    def _patch(self) -> None:
        data = self._read(self.offset, self._chunk)
        end = self.offset + len(data)
        response = self._registry.ask(
            "PATCH", self._place(), headers=self._headers(data), body=data, sent=self._sent
        )
        self._expect(response, (202,))
        reached = self._reached(response)
        if reached != end:
            if reached > end:
                raise self._wrong(f"it has {reached} bytes of an upload of which {end} were sent")
            self.offset = reached
            raise TransientError(f"it took {reached} bytes of {end}")
        self.offset = end
        self._sent(self.offset - self._shown)

    def _finish(self) -> None:
        data = self._read(self.offset, self._size - self.offset)
        place = self._place()
        url = f"{place}{'&' if urlsplit(place).query else '?'}digest={self._digest}"
        headers = self._headers(data) if self.offset else {"Content-Type": "application/octet-stream"}
        response = self._registry.ask("PUT", url, headers=headers, body=data, sent=self._sent)
        told = response.headers.get("docker-content-digest", self._digest)
        self._expect(response, (201, 204), follow=False)
        if told != self._digest:
            raise self._wrong(f"it took the blob {self._digest} for {told}")

    def _sent(self, amount: int) -> None:
        """Shows so many bytes more; fewer where some have to be sent again."""
        self._shown += amount
        self._advanced(amount)

    def _headers(self, data: bytes) -> dict[str, str]:
        return {
            "Content-Type": "application/octet-stream",
            "Content-Range": f"{self.offset}-{self.offset + len(data) - 1}",
        }

    def _place(self) -> str:
        assert self._location is not None
        return self._location

    def _expect(self, response: BaseHTTPResponse, statuses: tuple[int, ...], *, follow: bool = True) -> None:
        """Takes over where the upload goes on; raises for an answer that is none of `statuses`."""
        if response.status in (404, 416) and self._location is not None:
            forgotten = response.status == 404
            give_back(response)
            if forgotten:
                self._location = None
            raise TransientError("it has lost its place in the upload")
        if response.status not in statuses:
            raise self._registry.refusal(response, f"write a blob to {self._repository}")
        location = response.headers.get("location", "")
        give_back(response)
        if follow and (location or self._location is None):
            now = parse_address(self._location or self._start)
            self._location = redirected(now, urljoin(now.url, location) if location else "").url

    def _reached(self, response: BaseHTTPResponse) -> int:
        """How many bytes the registry has, by its Range header (`0-1023`; `0-0` is nothing too)."""
        first, dash, last = response.headers.get("range", "0-0").removeprefix("bytes=").partition("-")
        if first != "0" or not dash or not (last.isascii() and last.isdigit()) or len(last) > 18:
            raise self._wrong("it does not say how far the upload is")
        reached = int(last) + 1 if last != "0" else 0
        if reached > self._size:
            raise self._wrong(f"it has {reached} bytes of a blob of {self._size}")
        return reached

    def _forget(self, response: BaseHTTPResponse) -> None:
        give_back(response)
        self._location = None

    def _wrong(self, what: str) -> FetchError:
        return FetchError(
            f"{self._registry.base}: {what}", hint="The registry is broken or not to be trusted."
        )
