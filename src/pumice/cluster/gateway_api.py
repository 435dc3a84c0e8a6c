"""The Admin and Status API of a gateway, asked through the connection to its node (Kong contract 5.1).

A connection is made for each request: after a reload, a kept one would be answered by an old worker. The
node is trusted no more than it must be: answers are limited in size and time, and the Admin token is put
into the request's header and nowhere else.
"""

from __future__ import annotations

import http.client
import io
import json
import ssl
import time
from typing import TYPE_CHECKING, cast
from urllib.parse import quote, urlsplit

from pumice.base.value import Value
from pumice.cluster.connection import ConnectionCut, NodeError, Refused, TooSlow

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from _typeshed import WriteableBuffer as Buffer

    from pumice.cluster.connection import Connection

__all__ = ["ApiError", "GatewayApi", "Refused", "Reply"]

_BODY_LIMIT = 16 * 1024 * 1024
_TOKEN_HEADER = "Kong-Admin-Token"


class ApiError(NodeError):
    """The gateway did not answer as its API should."""

    default_hint = "Ask it by hand; the gateway's error.log may say more."


class Reply(Value):
    """An answer over HTTP."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name; of several of one name, the last."""
    text: str
    data: object
    """The JSON of the body; None where it is none."""


class GatewayApi:
    """Requests to one URL as the node itself sees it; https is checked as the node's `admin_ca` says.

    Every request raises Refused when nothing listens, ApiError for what is no HTTP or a certificate that
    does not hold, TooSlow, ConnectionCut, and NodeError for an answer without end. No error holds the token.
    """

    def __init__(
        self,
        connection: Connection,
        base_url: str,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
    ) -> None:
        parts = urlsplit(base_url)
        self._connection = connection
        self._tls = parts.scheme == "https"
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or (443 if self._tls else 80)
        self._path = parts.path.rstrip("/")
        self._token = token
        self._headers = dict(headers or {})
        self._timeout = timeout
        self._shown = f"{connection.node.name}: {parts.scheme}://{self._host}:{self._port}{self._path}"

    def get(self, path: str, *, headers: Mapping[str, str] | None = None) -> Reply:
        """The answer to a GET."""
        return self.request("GET", path, headers=headers)

    def request(
        self, method: str, path: str, body: object = None, *, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """The answer to a request, whatever its status; `body` is sent as JSON.

        `path` begins with a slash and is percent-encoded already. Raises ValueError for one that is not.
        """
        sent = self._message(method, path, body, headers or {})
        deadline = time.monotonic() + self._timeout
        stream = self._connection.dial(self._host, self._port, timeout=self._timeout)
        try:
            if self._tls:
                stream = self._secured(stream)
            stream.sendall(sent)
            return _read(stream, method, deadline)
        except ssl.SSLCertVerificationError as error:
            raise ApiError(
                f"{self._shown}: its certificate is not trusted: {error.verify_message}.",
                hint="Name the authority in cluster.toml (`admin_ca`), or `admin_verify = false` trusts any.",
            ) from None
        except TimeoutError:
            raise TooSlow(f"{self._shown}{path} did not answer within {self._timeout:g} seconds.") from None
        except (http.client.HTTPException, ssl.SSLError) as error:
            what = self._redacted(f"{type(error).__name__} {error}".strip())
            raise ApiError(f"{self._shown}{path} does not answer as HTTP should: {what}.") from None
        except OSError as error:
            raise ConnectionCut(
                f"{self._shown}{path}: the connection broke: {error.strerror or error}.",
                hint="The gateway ended the request before its answer.",
            ) from None
        except _TooMuch:
            raise NodeError(f"{self._shown}{path} answers with more than {_BODY_LIMIT >> 20} MiB.") from None
        finally:
            stream.close()

    def node_info(self) -> Mapping[str, object]:
        """`GET /` of the Admin API: version, node_id, pids, configuration, plugins."""
        return self._table("/")

    def enabled_plugins(self) -> tuple[str, ...]:
        """Names of the plugins that this node has loaded."""
        names = self._table("/plugins/enabled").get("enabled_plugins")
        return tuple(str(name) for name in names) if isinstance(names, list) else ()

    def status(self) -> Mapping[str, object]:
        """`GET /status`, of the Admin or the Status API."""
        return self._table("/status")

    def ready(self) -> Reply:
        """`GET /status/ready`: 200 or 503 with a reason; 404 before Kong 3.3."""
        return self.get("/status/ready")

    def data_planes(self) -> tuple[Mapping[str, object], ...]:
        """What a control plane knows of its data planes, on all pages."""
        return self._pages("/clustering/data-planes")

    def plugin_entities(self, name: str) -> tuple[Mapping[str, object], ...]:
        """The entities that use a plugin."""
        return tuple(entity for entity in self._pages("/plugins?size=1000") if entity.get("name") == name)

    def schema(self, name: str) -> Mapping[str, object] | None:
        """A plugin's schema as this node has loaded it; None when it has not."""
        reply = self.get(f"/schemas/plugins/{quote(name, safe='')}")
        return None if reply.status == 404 else self._as_table(reply, f"/schemas/plugins/{name}")

    def _table(self, path: str) -> Mapping[str, object]:
        return self._as_table(self.get(path), path)

    def _as_table(self, reply: Reply, path: str) -> Mapping[str, object]:
        if reply.status == 200 and isinstance(reply.data, dict):
            return reply.data
        if reply.status in {401, 403}:
            raise ApiError(
                f"{self._shown}{path} refuses (HTTP {reply.status}).",
                hint="Give the Admin token in the environment: KONG_ADMIN_TOKEN.",
            )
        said = self._redacted(" ".join(reply.text.split())[:200])
        raise ApiError(f"{self._shown}{path} answers HTTP {reply.status}: {said}")

    def _pages(self, path: str) -> tuple[Mapping[str, object], ...]:
        found: list[Mapping[str, object]] = []
        seen: set[str] = set()
        at: object = path
        while isinstance(at, str) and at.startswith("/") and at not in seen:
            seen.add(at)
            page = self._table(at)
            data = page.get("data")
            found += [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []
            at = page.get("next")
        return tuple(found)

    def _message(self, method: str, path: str, body: object, headers: Mapping[str, str]) -> bytes:
        if not path.startswith("/") or any(not "!" <= letter <= "~" for letter in path):
            raise ValueError(f"{path!r} is no path of a URL")
        host = f"[{self._host}]" if ":" in self._host else self._host
        default = 443 if self._tls else 80
        lines = {
            "Host": host if self._port == default else f"{host}:{self._port}",
            "User-Agent": "pumice",
            "Accept": "application/json, */*",
            "Connection": "close",
            **self._headers,
            **headers,
        }
        if self._token:
            lines[_TOKEN_HEADER] = self._token
        content = b""
        if body is not None:
            content = json.dumps(body).encode()
            lines["Content-Type"] = "application/json"
        if content or method not in {"GET", "HEAD", "OPTIONS"}:
            lines["Content-Length"] = str(len(content))
        for name, value in lines.items():
            if any(ord(letter) < 32 or ord(letter) > 255 for letter in value):
                raise ApiError(
                    f"{self._shown}: the header {name} holds letters that no header can hold.",
                    hint="Is there a line break in KONG_ADMIN_TOKEN?",
                )
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return f"{method} {self._path}{path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + content

    def _secured(self, stream: socket.socket) -> socket.socket:
        node = self._connection.node
        try:
            context = ssl.create_default_context(cafile=node.admin_ca)
        except (OSError, ssl.SSLError) as error:
            raise ApiError(
                f"{node.name}: {node.admin_ca} is no file of certificates: {error.strerror or error}.",
                hint="Mend `admin_ca` in cluster.toml.",
            ) from None
        if not node.admin_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context.wrap_socket(stream, server_hostname=self._host)

    def _redacted(self, text: str) -> str:
        return text.replace(self._token, "***") if self._token else text


class _TooMuch(Exception):
    pass


def _read(stream: socket.socket, method: str, deadline: float) -> Reply:
    source = _Timed(stream, deadline)
    response = http.client.HTTPResponse(cast("socket.socket", source), method=method)
    response.begin()
    pieces: list[bytes] = []
    size = 0
    while piece := response.read(65536):
        pieces.append(piece)
        size += len(piece)
        if size > _BODY_LIMIT:
            raise _TooMuch
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    text = b"".join(pieces).decode("utf-8", "replace")
    try:
        data = json.loads(text) if text[:1] in {"{", "["} else None
    except (ValueError, RecursionError):
        data = None
    return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, text, data)


class _Timed(io.RawIOBase):
    """A socket as a file whose every read ends at one and the same time."""

    def __init__(self, stream: socket.socket, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self, 65536)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._stream.settimeout(left)
        try:
            return self._stream.recv_into(buffer)
        except ssl.SSLEOFError:
            # Ended without TLS's goodbye: the length of the body tells whether anything is missing.
            return 0
