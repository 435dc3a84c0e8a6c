"""Files from ftp servers, through the standard library: binary, passive, and with the limits of http.

The data come from the host that was asked, whatever address the server names for them (`ftplib` sees to it):
no server can make us connect to a third one. A file's time and size are its validator.
"""

from __future__ import annotations

import ftplib
from _thread import allocate_lock

from pumice.errors import FetchError
from pumice.net.address import parse_ftp_address, shown_url
from pumice.net.http import MissingError, Response, TransientError
from pumice.net.plain import BrokenAnswer

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from pumice.net.address import Address
    from pumice.net.connections import Connections

__all__ = ["FtpAnswer", "FtpPool", "request_ftp"]

_KEPT = 8
_NOT_THERE = "550"
_NOT_ALLOWED = ("530", "532")

Key = tuple[str, int, str]


class FtpPool:
    """Logins on ftp servers, kept for the next file; used by several threads."""

    def __init__(self, *, timeout: float, stall: float) -> None:
        self._timeout = timeout
        self._stall = stall
        self._lock = allocate_lock()
        self._idle: dict[Key, list[ftplib.FTP]] = {}

    def take(self, address: Address, credentials: str) -> ftplib.FTP:
        """A connection that is logged in and transfers binary. Raises OSError, EOFError, ftplib.Error."""
        key = address.host, address.port, credentials
        while True:
            with self._lock:
                idle = self._idle.get(key)
                kept = idle.pop() if idle else None
            if kept is None:
                break
            try:
                kept.voidcmd("NOOP")  # a server may have ended it meanwhile
            except (OSError, EOFError, ftplib.Error):
                kept.close()
            else:
                return kept
        made = ftplib.FTP()
        try:
            # Names need not be UTF-8.
            made.encoding = "utf-8"
            made.timeout = self._timeout or None
            made.connect(address.host, address.port)
            made.timeout = self._stall or None
            if made.sock is not None:
                made.sock.settimeout(self._stall or None)
            user, _, password = credentials.partition(":")
            made.login(user, password)
            made.voidcmd("TYPE I")
        except BaseException:
            made.close()
            raise
        return made

    def keep(self, address: Address, credentials: str, connection: ftplib.FTP) -> None:
        """The connection is free for the next file."""
        with self._lock:
            idle = self._idle.setdefault((address.host, address.port, credentials), [])
            if len(idle) < _KEPT:
                idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Ends all connections that nobody uses."""
        with self._lock:
            connections = [each for idle in self._idle.values() for each in idle]
            self._idle.clear()
        for each in connections:
            each.close()


class FtpAnswer:
    """A file to come, in the words of urllib3 as far as `net.http` uses them."""

    failures: tuple[type[Exception], tuple[type[Exception], ...]] = (
        TimeoutError,
        (BrokenAnswer, OSError, EOFError, ftplib.Error),
    )
    """What reading raises when nothing comes in time, and when the answer breaks off."""
    connection = None

    def __init__(
        self, pool: FtpPool, address: Address, credentials: str, session: ftplib.FTP, headers: dict[str, str]
    ) -> None:
        self.status = 200
        self.reason = ""
        self.headers = headers
        self._pool = pool
        self._address = address
        self._credentials = credentials
        self._session: ftplib.FTP | None = session
        self._data: socket.socket | None = None
        length = headers.get("content-length")
        self._left = None if length is None else int(length)

    def begin(self, data: socket.socket | None) -> None:
        """The data come on this connection; None: the asker has the file, nothing is to come."""
        self._data = data
        if data is None:
            self.status = 304
            self.headers.pop("content-length", None)

    def read1(self, amount: int, *, decode_content: bool = False) -> bytes:
        """Some of the file, at most so much; nothing at its end."""
        if self._data is None:
            return b""
        piece = self._data.recv(amount)
        if self._left is not None:
            self._left -= len(piece)
            if self._left < 0 or (not piece and self._left):
                raise BrokenAnswer("the file is not as long as the server said")
        if not piece:
            self._data.close()
            self._data = None
            assert self._session is not None
            self._session.voidresp()  # that all has been sent
        return piece

    def release_conn(self) -> None:
        """The file has come: the login may serve the next one."""
        session, self._session = self._session, None
        if session is not None and self._data is None:
            self._pool.keep(self._address, self._credentials, session)
        elif session is not None:
            self._end(session)

    def close(self) -> None:
        """Nothing more is wanted."""
        session, self._session = self._session, None
        if session is not None:
            self._end(session)

    def _end(self, session: ftplib.FTP) -> None:
        if self._data is not None:
            self._data.close()
            self._data = None
        session.close()


def request_ftp(
    url: str,
    connections: Connections,
    *,
    unless: Mapping[str, str] | None = None,
    part: Mapping[str, str] | None = None,
) -> Response:
    """Asks for the file that an ftp URL names; the head is there, the file to come.

    The user and password are those of the URL, else of the netrc file, else `anonymous`. `unless` as in
    `net.http.request`; parts are not given. Raises TransientError, MissingError, FetchError.
    """
    if part is not None:
        raise FetchError(f"{shown_url(url)} comes whole only", hint="fetch the file whole")
    address, path = parse_ftp_address(url)
    credentials = address.credentials or connections.credentials_for(address) or "anonymous:anonymous@"
    pool = connections.ftp(address)
    name = shown_url(url)
    try:
        session = pool.take(address, credentials)
    except TimeoutError as error:
        text = f"{address.host} did not answer within {connections.timeout:g} seconds"
        raise TransientError(text, unreachable=True) from error
    except (OSError, EOFError, ftplib.Error, ValueError) as error:
        raise _refused(name, address, error) from error
    try:
        return Response(
            name, _asked(session, path, pool, address, credentials, unless or {}), connections.stall
        )
    except (OSError, EOFError, ftplib.Error, ValueError) as error:
        session.close()
        raise _refused(name, address, error) from error


def _asked(
    session: ftplib.FTP,
    path: str,
    pool: FtpPool,
    address: Address,
    credentials: str,
    unless: Mapping[str, str],
) -> FtpAnswer:
    size, time = _size(session, path), _time(session, path)
    headers = {"content-length": str(size)} if size is not None else {}
    if size is not None and time:
        headers["etag"] = f'"{time}-{size}"'
    answer = FtpAnswer(pool, address, credentials, session, headers)
    if headers.get("etag") and unless.get("If-None-Match") == headers["etag"]:
        answer.begin(None)
    else:
        answer.begin(session.transfercmd(f"RETR {path}"))
    return answer


def _size(session: ftplib.FTP, path: str) -> int | None:
    """How long the file is; None where the server cannot tell."""
    try:
        size = session.size(path)
    except ftplib.error_perm as error:
        if str(error).startswith(_NOT_THERE):
            raise
        return None
    return size if size is not None and size >= 0 else None


def _time(session: ftplib.FTP, path: str) -> str:
    """When the file was changed, as digits; empty where the server cannot tell."""
    try:
        word = session.sendcmd(f"MDTM {path}")[4:].strip()
    except ftplib.error_perm:
        return ""
    return word if word.replace(".", "").isdigit() else ""


def _refused(name: str, address: Address, error: Exception) -> Exception:
    text = str(error).splitlines()[0] if str(error) else ""
    text = text if text.isprintable() else ascii(text)
    if isinstance(error, ftplib.error_perm) and text.startswith(_NOT_THERE):
        return MissingError(f"{name} is not there: the server says {text}", hint="check its spelling")
    if isinstance(error, ftplib.error_perm) and text.startswith(_NOT_ALLOWED):
        return FetchError(
            f"{address.host} does not let us in: it says {text}",
            hint="give user and password in the URL (ftp://user:password@...) or in ~/.netrc",
        )
    if isinstance(error, ftplib.error_perm):
        return FetchError(f"{address.host} refuses {name}: it says {text}", hint="check the URL")
    if isinstance(error, ValueError):
        return FetchError(f"{name} has signs that cannot be sent", hint="check its spelling")
    if isinstance(error, TimeoutError):
        return TransientError(f"{address.host} does not answer any more", unreachable=True)
    if isinstance(error, ftplib.error_temp):
        return TransientError(f"{address.host} says {text}")
    if isinstance(error, OSError) and type(error).__name__ == "gaierror":
        return TransientError(f"the name {address.host} is not known", unreachable=True)
    return TransientError(f"the connection to {address.host}:{address.port} failed", unreachable=True)
