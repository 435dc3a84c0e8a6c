"""`Ranges`: parts of a file on an http server by position, where the server gives parts at all (RFC 9110).

A part is believed only if the answer names exactly the bytes that were asked for, of a file of the same
length and with the same validator as at first; anything else is a `WholeOnly`, and who wants the file fetches
it whole, which is judged as such.
"""

from __future__ import annotations

from pumice.errors import FetchError
from pumice.net.address import shown_url
from pumice.net.fetch import persistently

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.net.http import Response
    from pumice.net.session import Session

__all__ = ["Ranges", "WholeOnly", "open_ranges"]

_TAIL = 66 << 10
"""Asked for first: a zip's end record with the longest comment, and mostly the directory before it."""
_AHEAD = 16 << 10
"""A request costs more than so many bytes."""
_MOST = 4 << 20
"""Who wants more than that of a file wants the file."""
_LARGEST_FILE = 512 << 20


class WholeOnly(FetchError):
    """The server does not give this file in parts that can be believed."""

    default_hint = "fetch the file whole"


class Ranges:
    """A file on a server, read from any position. Made by `open_ranges`; for one thread."""

    __slots__ = ("_etag", "_fetched", "_last_modified", "_parts", "_session", "_url", "path", "size")

    def __init__(self, url: str, session: Session) -> None:
        self.path = shown_url(url)
        """What errors call it."""
        self.size = 0
        self._url = url
        self._session = session
        self._etag = self._last_modified = ""
        self._fetched = 0
        self._parts: list[tuple[int, bytes]] = []
        self._ask(f"bytes=-{_TAIL}", None)

    @property
    def whole(self) -> bytes | None:
        """The whole file, if the first answer brought it."""
        at, data = self._parts[0]
        return data if at == 0 and len(data) == self.size else None

    def at(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`; fewer only where the file ends. Raises WholeOnly, FetchError."""
        pieces = []
        end = min(offset + length, self.size)
        while offset < end:
            piece = self._known(offset, end)
            if not piece:
                following = min(at for at, _ in self._parts if at > offset)
                until = min(max(end, offset + _AHEAD), following)
                self._ask(f"bytes={offset}-{until - 1}", (offset, until))
                piece = self._known(offset, end)
            pieces.append(piece)
            offset += len(piece)
        return b"".join(pieces)

    def _known(self, offset: int, end: int) -> bytes:
        """What has come of the bytes from `offset` to `end`, from `offset` on."""
        for at, data in self._parts:
            if at <= offset < at + len(data):
                return data[offset - at : end - at]
        return b""

    def _ask(self, wanted: str, expected: tuple[int, int] | None) -> None:
        """Fetches one more part; `expected` None is the first, the end of a file of unknown length."""
        from pumice.net.http import request

        if expected is not None:
            if expected[1] - expected[0] + self._fetched > _MOST:
                raise WholeOnly(f"more than {_MOST} bytes of {self.path} are needed")
            if not self._etag and not self._last_modified:
                raise WholeOnly(f"{self.path} could change between two requests without a sign")
        part = {"Range": wanted}
        # A weak validator must not stand in If-Range; the answer's own is compared all the same.
        if self._etag and not self._etag.startswith("W/"):
            part["If-Range"] = self._etag
        session = self._session

        def attempt() -> tuple[int, bytes]:
            response = request(
                self._url, session.connections(), headers={}, user_agent=session.user_agent, part=part
            )
            try:
                return self._checked(response, expected)
            finally:
                response.close()

        session.check_askable(self._url)
        # Once only, and held against nobody: a server that chokes on parts may well give the whole.
        at, data = persistently(attempt, self._url, 1, session.progress)
        self._fetched += len(data)
        self._parts.append((at, data))

    def _checked(self, response: Response, expected: tuple[int, int] | None) -> tuple[int, bytes]:
        """Where the part lies and its bytes, if it is the one that was asked for. Raises WholeOnly."""
        if response.status != 206 or response.encoding not in ("", "identity"):
            raise WholeOnly(f"{self.path} comes whole only")
        start, end, size = _content_range(response.content_range)
        if expected is None:
            if not 0 < size <= _LARGEST_FILE or (start, end) != (max(0, size - _TAIL), size):
                raise WholeOnly(f"{self.path} comes in other parts than were asked for")
            self.size = size
            self._etag, self._last_modified = response.etag, response.last_modified
        elif (start, end) != expected or size != self.size:
            raise WholeOnly(f"{self.path} comes in other parts than were asked for")
        elif (response.etag, response.last_modified) != (self._etag, self._last_modified):
            raise WholeOnly(f"{self.path} changed while it was read")
        if response.length not in (None, end - start):
            raise WholeOnly(f"{self.path} comes in other parts than were asked for")
        pieces, length = [], 0
        for piece in response.pieces():
            pieces.append(piece)
            length += len(piece)
            if length > end - start:
                break
        if length != end - start:
            raise WholeOnly(f"{self.path} comes in other parts than were asked for")
        return start, b"".join(pieces)


def open_ranges(url: str, session: Session) -> Ranges:
    """The file that an http or https URL names, its end fetched already.

    Raises WholeOnly where the server gives no parts, FetchError where it gives nothing.
    """
    return Ranges(url, session)


def _content_range(text: str) -> tuple[int, int, int]:
    """From where to before where of how many bytes: `bytes 0-99/200` is (0, 100, 200). Else zeros."""
    unit, _, rest = text.strip().partition(" ")
    places, _, size = rest.strip().partition("/")
    first, _, last = places.partition("-")
    numbers = (first, last, size)
    if unit.lower() != "bytes" or not all(each.isascii() and each.isdigit() for each in numbers):
        return 0, 0, 0
    if any(len(each) > 18 for each in numbers):
        return 0, 0, 0
    return int(first), int(last) + 1, int(size)
