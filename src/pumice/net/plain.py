"""HTTP/1.1 without TLS and without a proxy, straight on sockets: no library has to be imported for it.

Importing urllib3 takes three times as long as a request to a server nearby. It does what needs more: https,
proxies, names that are not ASCII, requests with a body. What a server sends is judged strictly (RFC 9112): an
answer that is cut off, or whose end cannot be told for sure, is an error, never a shorter file.
"""

from __future__ import annotations

import socket
import time
from _thread import allocate_lock

from pumice.errors import FetchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pumice.net.address import Address

__all__ = ["BrokenAnswer", "ConnectTimeout", "PlainAnswer", "PlainPool"]

_LARGEST_HEAD = 1 << 16
_MOST_HEADERS = 100
_LONGEST_LINE = 1 << 12
_PIECE = 1 << 16
_KEPT = 16
_MOST_INTERIM = 8


class BrokenAnswer(Exception):
    """The server's answer is none, or ends before its end."""


class _Line:
    """A connection with what has come on it and was not read yet."""

    __slots__ = ("buffer", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffer = b""

    def more(self) -> bool:
        """Waits for more; False when the other side has ended. Raises OSError."""
        piece = self.sock.recv(_PIECE)
        self.buffer += piece
        return bool(piece)

    def take(self, amount: int) -> bytes:
        """At most so many bytes, at least one; none at the end. Raises OSError."""
        if not self.buffer and not self.more():
            return b""
        piece, self.buffer = self.buffer[:amount], self.buffer[amount:]
        return piece

    def line(self) -> bytes:
        """One line without its end. Raises BrokenAnswer, OSError."""
        while True:
            text, end, rest = self.buffer.partition(b"\n")
            if end:
                self.buffer = rest
                return text.removesuffix(b"\r")
            if len(text) > _LONGEST_LINE or not self.more():
                raise BrokenAnswer("a line of the answer does not end")

    def is_alive(self) -> bool:
        """Whether nothing has come, nor an end, while nobody asked."""
        self.sock.setblocking(False)
        try:
            self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return not self.buffer
        except OSError:
            return False
        return False


class PlainPool:
    """Connections to http servers, kept for the next request; used by several threads."""

    def __init__(self, *, timeout: float, stall: float) -> None:
        self._timeout = timeout
        self._stall = stall
        self._lock = allocate_lock()
        self._idle: dict[tuple[str, int], list[_Line]] = {}
        self._closed = False

    def get(self, address: Address, headers: Mapping[str, str]) -> PlainAnswer:
        """Asks for the address; gives the head of the answer, its body to come.

        Raises OSError (TimeoutError; `ConnectTimeout` and socket.gaierror before there is a connection),
        BrokenAnswer, FetchError for a header that cannot be sent.
        """
        request = _request(address, headers)
        place = address.host, address.port
        line = self._kept(place)
        if line is not None:
            try:
                return self._asked(line, request, place)
            except (OSError, BrokenAnswer) as error:
                # A server may end a kept connection at any time; an answer that began is another matter.
                line.sock.close()
                if isinstance(error, TimeoutError) or line.buffer:
                    raise
        return self._asked(self._connected(place), request, place)

    def keep(self, line: _Line, place: tuple[str, int]) -> None:
        """The connection is free for the next request."""
        with self._lock:
            idle = self._idle.setdefault(place, [])
            if not self._closed and len(idle) < _KEPT:
                idle.append(line)
                return
        line.sock.close()

    def close(self) -> None:
        """Ends all connections that nobody uses."""
        with self._lock:
            self._closed = True
            lines = [line for idle in self._idle.values() for line in idle]
            self._idle.clear()
        for line in lines:
            line.sock.close()

    def _kept(self, place: tuple[str, int]) -> _Line | None:
        while True:
            with self._lock:
                idle = self._idle.get(place)
                line = idle.pop() if idle else None
            if line is None:
                return None
            if line.is_alive():
                line.sock.settimeout(self._stall or None)
                return line
            line.sock.close()

    def _connected(self, place: tuple[str, int]) -> _Line:
        try:
            sock = socket.create_connection(place, self._timeout or None)
        except TimeoutError as error:
            raise ConnectTimeout from error
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(self._stall or None)
        return _Line(sock)

    def _asked(self, line: _Line, request: bytes, place: tuple[str, int]) -> PlainAnswer:
        try:
            line.sock.sendall(request)
            until = time.monotonic() + 2 * self._stall if self._stall else None
            for _ in range(_MOST_INTERIM):
                version, status, reason, headers = _head(line, until)
                if status >= 200:
                    return PlainAnswer(self, line, place, version, status, reason, headers)
            raise BrokenAnswer("the answer never begins")
        except BaseException:
            line.sock.close()
            raise


class ConnectTimeout(TimeoutError):
    """There is no connection yet."""


class PlainAnswer:
    """An answer, in the words of urllib3 as far as `net.http` uses them. Made by `PlainPool.get`."""

    failures: tuple[type[Exception], tuple[type[Exception], ...]] = (TimeoutError, (BrokenAnswer, OSError))
    """What reading raises when nothing comes in time, and when the answer breaks off."""

    def __init__(
        self,
        pool: PlainPool,
        line: _Line,
        place: tuple[str, int],
        version: bytes,
        status: int,
        reason: str,
        headers: dict[str, str],
    ) -> None:
        self.status = status
        self.reason = reason
        self.headers = headers
        self.connection: _Line | None = line
        self._pool = pool
        self._place = place
        words = headers.get("connection", "").lower().replace(",", " ").split()
        self._stays = "close" not in words and (version == b"HTTP/1.1" or "keep-alive" in words)
        self._left: int | None = None
        """How much of the body, or of its chunk, is still to come; None: until the other side ends."""
        coding = headers.get("transfer-encoding", "").strip().lower()
        self._chunked = coding == "chunked"
        self._first = True
        length = headers.get("content-length")
        if status in (204, 304):
            self._left, self._chunked = 0, False
        elif self._chunked:
            self._left = 0
            if length is not None:
                self._stays = False  # one of the two lies; what follows is not to be trusted
        elif coding:
            raise BrokenAnswer(f"the transfer encoding {coding[:40]} is unknown")
        elif length is not None:
            if not length.isascii() or not length.isdigit() or len(length) > 18:
                raise BrokenAnswer("the length is no number")
            self._left = int(length)
        else:
            self._stays = False
        self._ended = self._left == 0 and not self._chunked

    def read1(self, amount: int, *, decode_content: bool = False) -> bytes:
        """Some of the body, at most so much; nothing at its end. Raises OSError, BrokenAnswer."""
        line = self.connection
        if self._ended or line is None:
            return b""
        if self._chunked and not self._left and not self._next_chunk(line):
            return b""
        piece = line.take(amount if self._left is None else min(amount, self._left))
        if self._left is None:
            self._ended = not piece
            return piece
        if not piece:
            raise BrokenAnswer("the answer was cut off")
        self._left -= len(piece)
        self._ended = not self._left and not self._chunked
        return piece

    def release_conn(self) -> None:
        """The body has come: the connection may serve the next request."""
        line, self.connection = self.connection, None
        if line is None:
            return
        if self._ended and self._stays and not line.buffer:
            self._pool.keep(line, self._place)
        else:
            line.sock.close()

    def close(self) -> None:
        """Nothing more is wanted."""
        line, self.connection = self.connection, None
        if line is not None:
            line.sock.close()

    def _next_chunk(self, line: _Line) -> bool:
        """Reads the head of the next chunk; False at the end of the body."""
        if not self._first and line.line():
            raise BrokenAnswer("a chunk is longer than it says")
        self._first = False
        size = line.line().split(b";", 1)[0].strip()
        if not size or len(size) > 15 or size.lower().strip(b"0123456789abcdef"):
            raise BrokenAnswer("the length of a chunk is no number")
        self._left = int(size, 16)
        if self._left:
            return True
        for _ in range(_MOST_HEADERS):
            if not line.line():
                self._ended = True
                return False
        raise BrokenAnswer("the answer has too many headers")


def _request(address: Address, headers: Mapping[str, str]) -> bytes:
    netloc, slash, path = address.url.partition("://")[2].partition("/")
    lines = [f"GET {slash}{path} HTTP/1.1", f"Host: {netloc}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    try:
        data = "\r\n".join([*lines, "", ""]).encode("latin-1")
    except UnicodeEncodeError:
        data = b""
    if data.count(b"\n") != len(lines) + 1 or data.count(b"\r") != len(lines) + 1 or b"\0" in data:
        raise FetchError("a header for the server has signs that cannot be sent", hint="check the URL")
    return data


def _head(line: _Line, until: float | None) -> tuple[bytes, int, str, dict[str, str]]:
    """Version, status, reason and headers of the next answer. Raises BrokenAnswer, OSError."""
    while True:
        # Either end of line: some servers send no carriage returns.
        ends = [at + len(end) for end in (b"\r\n\r\n", b"\n\n") if (at := line.buffer.find(end)) >= 0]
        if min(ends, default=len(line.buffer)) > _LARGEST_HEAD:
            raise BrokenAnswer("the head of the answer is too long")
        if ends:
            break
        if until is not None and time.monotonic() > until:
            raise TimeoutError
        if not line.more():
            raise BrokenAnswer("there is no answer")
    head, line.buffer = line.buffer[: min(ends)], line.buffer[min(ends) :]
    first, *lines = [each.removesuffix(b"\r") for each in head.split(b"\n")]
    version, _, rest = first.partition(b" ")
    code, _, reason = rest.partition(b" ")
    if version not in (b"HTTP/1.1", b"HTTP/1.0") or len(code) != 3 or not code.isdigit():
        raise BrokenAnswer("the answer is not HTTP")
    headers: dict[str, str] = {}
    if len(lines) > _MOST_HEADERS + 2:
        raise BrokenAnswer("the answer has too many headers")
    for each in filter(None, lines):
        name, colon, value = each.partition(b":")
        if not colon or not name or name != name.strip():
            raise BrokenAnswer("a header of the answer is none")
        key, text = name.decode("latin-1").lower(), value.strip().decode("latin-1")
        if key in headers:
            if key in ("content-length", "transfer-encoding", "location") and headers[key] != text:
                raise BrokenAnswer(f"the answer has two {key}")
            text = headers[key] if key in ("content-length", "location") else f"{headers[key]}, {text}"
        headers[key] = text
    return version, int(code), reason.decode("latin-1"), headers
