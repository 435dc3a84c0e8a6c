"""URLs: their parts, what of them may be shown, and the proxy that leads to them."""

from __future__ import annotations

from pumice.base.value import Value
from pumice.errors import FetchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Address", "parse_address", "parse_ftp_address", "proxy_for", "shown_url"]

_PORTS = {"http": 80, "https": 443}
_FTP_PORT = 21


class Address(Value):
    """An http or https URL without its credentials."""

    url: str
    """As it is asked for: without user, password and fragment."""
    scheme: str
    host: str
    port: int
    credentials: str | None
    """`user:password` as they stood in the URL, decoded."""

    @property
    def origin(self) -> tuple[str, str, int]:
        """Who answers: credentials are for one origin only."""
        return self.scheme, self.host, self.port


def parse_address(url: str) -> Address:
    """The parts of an http or https URL. Raises FetchError for any other, or a broken one."""
    from urllib.parse import quote, unquote, urlsplit

    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise FetchError(f"{shown_url(url)} is no valid URL: {error}", hint="check its spelling") from error
    scheme = parts.scheme.lower()
    if scheme not in _PORTS or not parts.hostname:
        raise FetchError(f"{shown_url(url)} is no http or https URL", hint="check its spelling")
    credentials = None
    if parts.username is not None:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    netloc = host if port is None else f"{host}:{port}"
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    query = quote(parts.query, safe="/%:@!$&'()*+,;=~-._?[]")
    clean = f"{scheme}://{netloc}{path}" + (f"?{query}" if query else "")
    return Address(clean, scheme, parts.hostname, port or _PORTS[scheme], credentials)


def parse_ftp_address(url: str) -> tuple[Address, str]:
    """An ftp URL, and the path to ask for, which begins where the login leads. Raises FetchError."""
    from urllib.parse import unquote, urlsplit

    try:
        parts = urlsplit(url)
        port = parts.port or _FTP_PORT
    except ValueError as error:
        raise FetchError(f"{shown_url(url)} is no valid URL: {error}", hint="check its spelling") from error
    path = unquote(parts.path.partition(";type=")[0].removeprefix("/"), errors="surrogateescape")
    credentials = None
    if parts.username is not None:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    if not parts.hostname or not path or path.endswith("/"):
        raise FetchError(f"{shown_url(url)} names no file on an ftp server", hint="check its spelling")
    if any(sign in path + (credentials or "") for sign in "\r\n\0"):
        raise FetchError(f"{shown_url(url)} has signs that cannot be sent", hint="check its spelling")
    return Address(shown_url(url), "ftp", parts.hostname, port, credentials), path


def shown_url(url: str) -> str:
    """The URL as it may be printed: credentials and queries, which may hold tokens, are left out."""
    start, mark, rest = url.partition("://")
    if not mark:
        return url
    rest, _, _ = rest.partition("#")
    rest, question, _ = rest.partition("?")
    netloc, slash, path = rest.partition("/")
    shown = f"{start}://{netloc.rpartition('@')[2]}{slash}{path}" + ("?..." if question else "")
    return shown if shown.isprintable() else ascii(shown)[1:-1]


def proxy_for(address: Address, environment: Mapping[str, str]) -> str | None:
    """The URL of the proxy that the environment names for this address, or None.

    `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, lower case before upper case, as in curl. In a
    CGI program `HTTP_PROXY` is a header of the request and is not believed.
    """

    def variable(name: str) -> str:
        upper = name.upper()
        if upper == "HTTP_PROXY" and "REQUEST_METHOD" in environment:
            upper = name
        return environment.get(name) or environment.get(upper) or ""

    if _excepted(address, variable("no_proxy")):
        return None
    proxy = variable(f"{address.scheme}_proxy") or variable("all_proxy")
    if not proxy:
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _excepted(address: Address, no_proxy: str) -> bool:
    for entry in no_proxy.replace(",", " ").split():
        host, colon, port = entry.rpartition(":") if entry.count(":") == 1 else (entry, "", "")
        if colon and port != str(address.port):
            continue
        host = host.lower().removeprefix("*").strip("[].")
        if entry == "*" or address.host == host or (host and address.host.endswith(f".{host}")):
            return True
    return False
