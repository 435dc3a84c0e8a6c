"""One request over http, https or ftp, answered piece by piece.

Plain http without a proxy goes straight to the socket (`net.plain`), ftp has its own module (`net.ftp`); for
anything else urllib3 is imported.
"""

from __future__ import annotations

import time

from pumice.errors import FetchError
from pumice.net.address import parse_address, shown_url
from pumice.net.connections import basic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import TypeAlias

    from urllib3 import BaseHTTPResponse

    from pumice.net.address import Address
    from pumice.net.connections import Connections
    from pumice.net.ftp import FtpAnswer
    from pumice.net.plain import PlainAnswer

    Answer: TypeAlias = BaseHTTPResponse | FtpAnswer | PlainAnswer

__all__ = [
    "REDIRECTS",
    "TRANSIENT",
    "MissingError",
    "Response",
    "TransientError",
    "exchange",
    "give_back",
    "pause_asked",
    "redirected",
    "request",
]

_MOST_REDIRECTS = 10
REDIRECTS = (301, 302, 303, 307, 308)
_MISSING = (404, 410)
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
_CHUNK = 1 << 17
_PIECE_SENT = 1 << 17
_SMALL_REST = 1 << 14
_REST_TIME = 0.5
# Fewer bytes than these in a stall's time are no download, however regularly they come.
_LEAST_IN_STALL = 512


class TransientError(Exception):
    """The request failed in a way that may pass: it is worth another try. The text says how."""

    def __init__(self, text: str, *, unreachable: bool = False, pause: float = 0.0) -> None:
        super().__init__(text)
        self.pause = pause
        """The server asks not to be asked again before so many seconds have passed."""
        self.unreachable = unreachable
        """Nobody answered in time: other files of the same server will not come either."""


class MissingError(FetchError):
    """The server answers, and has no such file."""


class Response:
    """The head of an answer with status 200, 206, 304 or 416, and its body to come."""

    def __init__(self, url: str, response: Answer, stall: float) -> None:
        self.url = url
        """The one that answered, after redirects; without credentials."""
        self.status = response.status
        self.content_range = response.headers.get("content-range", "")
        """Which part of the file this is, where a part was asked for."""
        self.not_modified = response.status == 304
        """What the asker has is still what the server has; there is no body."""
        self.content_type = response.headers.get("content-type", "")
        self.encoding = response.headers.get("content-encoding", "").strip().lower()
        """What the server did to the file on the way, though it was asked not to; mostly empty."""
        self.etag = response.headers.get("etag", "")
        self.last_modified = response.headers.get("last-modified", "")
        length = response.headers.get("content-length", "")
        self.length = int(length) if length.isascii() and length.isdigit() else None
        self._response = response
        self._stall = stall
        self._ended = False

    def pieces(self) -> Iterator[bytes]:
        """The body. Raises TransientError when it is cut off or stalls."""
        stalled, broken = _failures(self._response)
        window = time.monotonic()
        in_window = 0
        try:
            while True:
                piece = self._response.read1(_CHUNK, decode_content=False)
                if not piece:
                    self._ended = True
                    return
                yield piece
                in_window += len(piece)
                now = time.monotonic()
                if now - window >= self._stall:
                    if in_window < _LEAST_IN_STALL:
                        text = f"only {in_window} bytes came in {self._stall:g} seconds"
                        raise TransientError(text, unreachable=True)
                    window, in_window = now, 0
        except stalled as error:
            text = f"no data came for {self._stall:g} seconds"
            raise TransientError(text, unreachable=True) from error
        except broken as error:
            raise TransientError("the answer was cut off") from error

    def close(self) -> None:
        """The connection is free for the next request if the body has come, else it ends."""
        if self._ended:
            self._response.release_conn()
        elif self.not_modified:
            give_back(self._response)
        else:
            self._response.close()


def request(
    url: str,
    connections: Connections,
    *,
    headers: Mapping[str, str],
    user_agent: str,
    unless: Mapping[str, str] | None = None,
    part: Mapping[str, str] | None = None,
) -> Response:
    """Asks for `url`, follows redirects, and gives the answer with status 200.

    Redirects lead to http and https only, never from https to http; `headers` and the URL's credentials are
    sent to the URL's own origin only. `unless` are conditions (If-None-Match, If-Modified-Since), with which
    the answer may also be that nothing was modified. `part` is a Range and its condition (If-Range): the
    answer may also be a part (206), or that there is none such (416). Raises TransientError, MissingError
    where the server has no such file, or FetchError where another try would not help.
    """
    if url[:6].lower() == "ftp://":
        from pumice.net.ftp import request_ftp

        return request_ftp(url, connections, unless=unless, part=part)
    address = parse_address(url)
    private = dict(headers)
    credentials = address.credentials or connections.credentials_for(address)
    if credentials is not None:
        private["Authorization"] = basic(credentials)
    origin = address.origin
    seen = {address.url}
    while True:
        common = {"User-Agent": user_agent, "Accept": "*/*", "Accept-Encoding": "identity"}
        common |= {**(unless or {}), **(part or {})}
        sent = common | private if address.origin == origin else common
        response = _asked(address, sent, connections)
        if response.status not in REDIRECTS:
            break
        location = response.headers.get("location", "")
        give_back(response)
        address = redirected(address, location)
        if address.url in seen or len(seen) > _MOST_REDIRECTS:
            raise FetchError(
                f"{shown_url(url)} leads in circles: {len(seen)} redirects", hint="check the URL in a browser"
            )
        seen.add(address.url)
    if (
        response.status == 200
        or (response.status == 304 and unless)
        or (response.status in (206, 416) and part)
    ):
        return Response(address.url, response, connections.stall)
    give_back(response)
    reason = response.reason if response.reason and response.reason.isprintable() else ""
    text = f"{shown_url(address.url)} answers {response.status} {reason}".rstrip()
    if response.status in TRANSIENT:
        raise TransientError(text, pause=pause_asked(response))
    hints = {
        401: "give user and password in the URL (https://user:password@...) or in ~/.netrc",
        403: "the server refuses this user; check your access",
        404: "check the spelling of the URL, or whether the file is still there",
        407: "the proxy wants a user and password, in http_proxy or https_proxy",
        410: "the file has been taken away for good",
    }
    error = MissingError if response.status in _MISSING else FetchError
    raise error(text, hint=hints.get(response.status, "check the URL in a browser"))


def pause_asked(response: Answer) -> float:
    """The seconds of the answer's Retry-After, which is a number or a date; 0 for neither."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    if not text:
        return 0.0
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0


def redirected(address: Address, location: str) -> Address:
    """Where `address` leads to, without credentials. Raises FetchError for what must not be followed."""
    from urllib.parse import urljoin

    try:
        target = urljoin(address.url, location)
    except ValueError:
        target = ""
    scheme = target.partition(":")[0].lower()
    if not location or scheme not in ("http", "https"):
        raise FetchError(
            f"{shown_url(address.url)} leads to {shown_url(target)}, which is no http or https URL",
            hint="the server is broken or not to be trusted",
        )
    if address.scheme == "https" and scheme == "http":
        raise FetchError(
            f"{shown_url(address.url)} leads from https to http, to {shown_url(target)}",
            hint="ask for the other URL yourself, if you trust the network",
        )
    # Credentials that a server puts into a redirect are not the user's.
    return parse_address(target).replace(credentials=None)


def _asked(address: Address, headers: dict[str, str], connections: Connections) -> Answer:
    """The head of whatever is answered, by the shortest way. Raises TransientError, FetchError."""
    plain = connections.plain(address)
    if plain is None:
        return exchange(address, headers, connections)
    import socket

    from pumice.net.plain import BrokenAnswer, ConnectTimeout

    try:
        response = plain.get(address, headers)
    except socket.gaierror as error:
        raise TransientError(f"the name {address.host} is not known", unreachable=True) from error
    except ConnectTimeout as error:
        seconds = f"{connections.timeout:g}"
        raise TransientError(
            f"{address.host} did not answer within {seconds} seconds", unreachable=True
        ) from error
    except TimeoutError as error:
        text = f"no answer came for {connections.stall:g} seconds"
        raise TransientError(text, unreachable=True) from error
    except (BrokenAnswer, OSError) as error:
        raise _unreachable(address) from error
    _acknowledge(response)
    return response


def exchange(
    address: Address,
    headers: dict[str, str],
    connections: Connections,
    *,
    method: str = "GET",
    body: bytes | None = None,
    sent: Callable[[int], None] | None = None,
) -> BaseHTTPResponse:
    """The head of whatever is answered, redirects too. Raises TransientError, or FetchError for bad TLS.

    `sent` is told how many bytes of the body have gone out, piece by piece.
    """
    import urllib3

    manager = connections.manager(address)
    outgoing: bytes | Iterator[bytes] | None = body
    if body and sent is not None:
        outgoing = _going(body, sent)
        headers = {**headers, "Content-Length": str(len(body))}
    try:
        response = manager.request(
            method, address.url, body=outgoing, headers=headers, preload_content=False, redirect=False
        )
        _acknowledge(response)
        return response
    except urllib3.exceptions.SSLError as error:
        raise _tls_failure(address, error) from error
    except urllib3.exceptions.ProxyError as error:
        raise TransientError(
            f"the proxy for {shown_url(address.url)} cannot be reached", unreachable=True
        ) from error
    except urllib3.exceptions.NameResolutionError as error:
        raise TransientError(f"the name {address.host} is not known", unreachable=True) from error
    except urllib3.exceptions.NewConnectionError as error:
        raise _unreachable(address) from error
    except urllib3.exceptions.ConnectTimeoutError as error:
        seconds = f"{connections.timeout:g}"
        raise TransientError(
            f"{address.host} did not answer within {seconds} seconds", unreachable=True
        ) from error
    except urllib3.exceptions.TimeoutError as error:
        text = f"no answer came for {connections.stall:g} seconds"
        raise TransientError(text, unreachable=True) from error
    except urllib3.exceptions.LocationValueError as error:
        raise FetchError(f"{shown_url(address.url)} is no valid URL", hint="check its spelling") from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise _unreachable(address) from error


def _going(data: bytes, sent: Callable[[int], None]) -> Iterator[bytes]:
    """The body, piece by piece; each is told of when the next is asked for."""
    for start in range(0, len(data), _PIECE_SENT):
        piece = data[start : start + _PIECE_SENT]
        yield piece
        sent(len(piece))


def give_back(response: Answer) -> None:
    """The connection serves the next request where the rest of this answer is small, else it ends."""
    stalled, broken = _failures(response)
    length = response.headers.get("content-length", "0" if response.status == 304 else "")
    small = length.isascii() and length.isdigit() and int(length) <= _SMALL_REST
    # What a 304 announces does not follow; a server that sends it all the same would be misread from then on.
    if not small or (response.status == 304 and int(length)):
        response.close()
        return
    until = time.monotonic() + _REST_TIME
    peer = getattr(response.connection, "sock", None)
    try:
        if peer is not None:
            peer.settimeout(_REST_TIME)  # the next request sets its own
        while response.read1(_SMALL_REST, decode_content=False):
            if time.monotonic() > until:
                response.close()
                return
    except (stalled, *broken):
        response.close()
        return
    response.release_conn()


def _failures(response: Answer) -> tuple[type[Exception], tuple[type[Exception], ...]]:
    """What reading this answer raises when nothing comes in time, and when it breaks off."""
    own: tuple[type[Exception], tuple[type[Exception], ...]] | None = getattr(response, "failures", None)
    if own is not None:
        return own
    import urllib3

    return urllib3.exceptions.TimeoutError, (urllib3.exceptions.HTTPError, OSError)


def _acknowledge(response: Answer) -> None:
    """The head's arrival is told at once.

    A simple server sends head and body apart, and the second only when the first is acknowledged, for which
    this kernel would take 40 ms: for each of a hundred rockspecs.
    """
    import socket

    quick = getattr(socket, "TCP_QUICKACK", None)
    peer = getattr(response.connection, "sock", None)
    if quick is not None and peer is not None:
        try:
            peer.setsockopt(socket.IPPROTO_TCP, quick, 1)
        except OSError:
            pass


def _unreachable(address: Address) -> TransientError:
    return TransientError(f"the connection to {address.host}:{address.port} failed", unreachable=True)


def _tls_failure(address: Address, error: Exception) -> FetchError:
    return FetchError(
        f"the connection to {address.host}:{address.port} is not safe: {error}",
        hint="check the host's certificate; check_certificates = false in the configuration does without",
    )
