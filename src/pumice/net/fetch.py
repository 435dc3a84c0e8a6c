"""One file from a URL to a path: complete and as promised, or not there at all."""

from __future__ import annotations

import os
import stat
import time

from pumice import __version__
from pumice.base.output import AtomicFile
from pumice.base.progress import Silent
from pumice.base.value import Value
from pumice.errors import FetchError, NotFoundError
from pumice.net.address import shown_url
from pumice.net.cache import new_sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Literal, TypeVar

    from pumice.base.progress import Progress
    from pumice.net.connections import Connections
    from pumice.net.http import Response

    T = TypeVar("T")

__all__ = ["USER_AGENT", "Fetched", "check_kind", "fetch", "is_remote", "persistently"]

USER_AGENT = f"Pumice/{__version__}"

_TRIES = 3
_FIRST_PAUSE = 0.25
_PATIENCE = 45.0
"""After so many seconds of failures there is no further try."""
_STALL = 10.0
_LARGEST = 512 << 20
_CHUNK = 1 << 18
_MAGIC = {"zip": (b"PK\3\4", b"PK\5\6"), "gzip": (b"\x1f\x8b",)}


class Fetched(Value):
    """A file that came."""

    url: str
    """Where it came from in the end, after redirects; without credentials."""
    sha256: str
    size: int


def is_remote(url: str) -> bool:
    """Whether `url` is asked for over the network; anything else is a file here."""
    return url[:8].lower().startswith(("http://", "https://", "ftp://"))


def fetch(
    url: str,
    target: str,
    *,
    timeout: float = 30.0,
    progress: Progress | None = None,
    sha256: str | None = None,
    user_agent: str = USER_AGENT,
    verify_tls: bool = True,
    max_bytes: int = _LARGEST,
    expect: Literal["zip", "gzip"] | None = None,
    environment: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    stall: float = _STALL,
    tries: int = _TRIES,
    connections: Connections | None = None,
) -> Fetched:
    """The file at `target` is what `url` names: http, https, ftp, `file://` or a path; its directory exists.

    `timeout` is for connecting, `stall` for every wait after that; connections that fail, answers that are
    cut off or stall, and the server's own trouble (5xx) are tried again, `tries` times in all, with growing
    pauses. `sha256` is the digest that the file must have; `expect` refuses a web page (of a network that
    wants a login first) where an archive should be. `environment` names proxies as in curl. `headers` and
    the URL's credentials go to the URL's own host only, and never into an error. `connections` are used
    instead of new ones, with their own settings.

    Raises FetchError, NotFoundError, DiskError, PermissionDenied; then `target` is as it was before.
    """
    wanted = _Wanted(sha256.lower() if sha256 else None, max_bytes, expect)
    watcher = progress or Silent()
    if not is_remote(url):
        return _copied(url, target, wanted)
    if connections is not None:
        return _fetched(url, target, wanted, watcher, connections, headers or {}, user_agent, tries)
    from pumice.net.connections import Connections

    with Connections(timeout=timeout, stall=stall, verify_tls=verify_tls, environment=environment) as own:
        return _fetched(url, target, wanted, watcher, own, headers or {}, user_agent, tries)


def _fetched(
    url: str,
    target: str,
    wanted: _Wanted,
    watcher: Progress,
    connections: Connections,
    headers: Mapping[str, str],
    user_agent: str,
    tries: int,
) -> Fetched:
    from pumice.net.http import request

    def attempt() -> Fetched:
        response = request(url, connections, headers=headers, user_agent=user_agent)
        try:
            return _received(response, target, wanted, watcher)
        finally:
            response.close()

    return persistently(attempt, url, tries, watcher)


def persistently(attempt: Callable[[], T], url: str, tries: int, progress: Progress) -> T:
    """What `attempt` gives; failures that may pass are tried again with growing pauses. Raises FetchError.

    A server that says how long to leave it alone (Retry-After) is, or is given up if that is too long.
    """
    from pumice.net.http import TransientError

    start = time.monotonic()
    for count in range(1, tries + 1):
        try:
            return attempt()
        except TransientError as error:
            pause = max(_FIRST_PAUSE * 2 ** (count - 1), error.pause)
            waited = time.monotonic() - start
            if error.pause and waited + pause > _PATIENCE:
                raise FetchError(
                    f"Failed downloading {shown_url(url)} - {error}, and wants to be left alone "
                    f"for {error.pause:.0f} seconds",
                    hint="try again after that time",
                ) from error
            if count == tries or waited > _PATIENCE:
                raise FetchError(
                    f"Failed downloading {shown_url(url)} - {error} (tried {count} times)",
                    hint="check the connection and the URL, and try again later",
                ) from error
            progress.message("detail", f"{shown_url(url)}: {error}; trying again")
            time.sleep(pause)
    raise ValueError("tries must be at least 1")


class _Wanted(Value):
    """What a file must be like."""

    sha256: str | None
    max_bytes: int
    expect: str | None


def _received(response: Response, target: str, wanted: _Wanted, progress: Progress) -> Fetched:
    name = shown_url(response.url)
    if response.length is not None and response.length > wanted.max_bytes:
        raise _too_large(name, wanted.max_bytes)
    progress.started(name, name.rsplit("/", 1)[-1], response.length)
    try:
        is_page = response.content_type.lower().startswith("text/html")
        pieces = response.pieces()
        return _written(
            response.url, pieces, response.length, target, wanted, progress=progress, is_page=is_page
        )
    finally:
        progress.finished(name)


def _written(
    url: str,
    pieces: Iterable[bytes],
    length: int | None,
    target: str,
    wanted: _Wanted,
    *,
    progress: Progress | None = None,
    is_page: bool = False,
) -> Fetched:
    """Writes `pieces` to `target` if they are what is wanted. Raises FetchError."""
    digest = new_sha256(length)
    size = 0
    head = b""
    name = shown_url(url)
    with AtomicFile(target) as output:
        for piece in pieces:
            size += len(piece)
            if size > wanted.max_bytes:
                raise _too_large(name, wanted.max_bytes)
            if len(head) < 4 and len(head := (head + piece)[:64]) >= 4:
                check_kind(name, head, wanted.expect, is_page)
            digest.update(piece)
            output.write(piece)
            if progress is not None:
                progress.advanced(name, len(piece))
        if len(head) < 4:
            check_kind(name, head, wanted.expect, is_page)
        found = digest.hexdigest()
        if wanted.sha256 is not None and found != wanted.sha256:
            raise FetchError(
                f"{name} is not the file that was asked for: its sha256 is {found}, not {wanted.sha256}",
                hint="it has been changed or replaced since its digest was written down; nothing was kept",
            )
    return Fetched(url, found, size)


def check_kind(name: str, head: bytes, expect: str | None, is_page: bool) -> None:
    """Raises FetchError if a file that begins with `head` is not of the kind `expect` (None: any)."""
    if expect is None or head.startswith(_MAGIC[expect]):
        return
    if is_page or head.lstrip()[:1] == b"<":
        raise FetchError(
            f"{name} answers with a web page, not with a {expect} file",
            hint="open it in a browser: the network or the server may want a login first",
        )
    raise FetchError(f"{name} is no {expect} file", hint="check the URL, or ask whoever runs the server")


def _too_large(name: str, limit: int) -> FetchError:
    return FetchError(f"{name} has more than {limit} bytes", hint="nothing of it was kept; check the URL")


def _copied(url: str, target: str, wanted: _Wanted) -> Fetched:
    """A file of this machine."""
    scheme, mark, rest = url.partition("://")
    if mark and scheme.lower() != "file":
        raise FetchError(f"Unsupported protocol {scheme}", hint="http, https, ftp and file are supported")
    path = rest if mark else url
    if mark and path.startswith("localhost/"):
        path = path[len("localhost") :]
    try:
        # Not blocking, so that a named pipe cannot hold us up.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError) as error:
        relative = "" if path.startswith("/") else f" - note that given path is not absolute: {url}"
        raise NotFoundError(f"Local file not found: {path}{relative}", hint="check the path") from error
    except OSError as error:
        raise FetchError(f"{path} cannot be read: {error.strerror}", hint="check its permissions") from error
    try:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise FetchError(f"{path} is no regular file", hint="name a file")
        return _written(url, _file_pieces(descriptor, path), state.st_size, target, wanted)
    finally:
        os.close(descriptor)


def _file_pieces(descriptor: int, path: str) -> Iterable[bytes]:
    try:
        while piece := os.read(descriptor, _CHUNK):
            yield piece
    except OSError as error:
        raise FetchError(f"{path} cannot be read: {error.strerror}", hint="check the disk") from error
