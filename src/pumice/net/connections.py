"""The connections of one command: a pool for every server and proxy, used by several threads."""

from __future__ import annotations

import os
from _thread import allocate_lock

from pumice.errors import FetchError
from pumice.net.address import parse_address, proxy_for, shown_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from ssl import SSLContext
    from typing import Any

    from urllib3 import PoolManager

    from pumice.net.address import Address
    from pumice.net.ftp import FtpPool
    from pumice.net.plain import PlainPool

__all__ = ["Connections", "basic"]

_SERVERS = 16
_PER_SERVER = 16


class Connections:
    """Opens connections when they are needed, and keeps them for the next request; a context manager.

    `timeout` is for connecting, `stall` for every wait after that; 0 is for ever. `environment` names proxies
    as in curl, and by NETRC or HOME the netrc file whose users and passwords are sent to the hosts that it
    names.
    """

    __slots__ = (
        "_context",
        "_environment",
        "_ftp",
        "_lock",
        "_managers",
        "_netrc",
        "_plain",
        "_verify_tls",
        "stall",
        "timeout",
    )

    def __init__(
        self,
        *,
        timeout: float = 30.0,
        stall: float = 10.0,
        verify_tls: bool = True,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.timeout = timeout
        self.stall = stall
        self._verify_tls = verify_tls
        self._environment: Mapping[str, str] = environment or {}
        self._lock = allocate_lock()
        self._managers: dict[str | None, PoolManager] = {}
        self._ftp: FtpPool | None = None
        self._plain: PlainPool | None = None
        self._context: SSLContext | None = None
        self._netrc: Any = None

    def plain(self, address: Address) -> PlainPool | None:
        """What asks for this address without any library; None where it takes more than that."""
        if address.scheme != "http" or not address.host.isascii() or proxy_for(address, self._environment):
            return None
        with self._lock:
            if self._plain is None:
                from pumice.net.plain import PlainPool

                self._plain = PlainPool(timeout=self.timeout, stall=self.stall)
            return self._plain

    def ftp(self, address: Address) -> FtpPool:
        """What asks ftp servers. Raises FetchError where the environment wants a proxy for them."""
        if proxy_for(address, self._environment):
            raise FetchError(
                f"{address.url} would have to be asked for through a proxy, which is not supported for ftp",
                hint="use an http server, or name the host in no_proxy",
            )
        with self._lock:
            if self._ftp is None:
                from pumice.net.ftp import FtpPool

                self._ftp = FtpPool(timeout=self.timeout, stall=self.stall)
            return self._ftp

    def manager(self, address: Address) -> PoolManager:
        """What asks for this address: directly, or through the environment's proxy. Raises FetchError."""
        proxy = proxy_for(address, self._environment)
        with self._lock:
            found = self._managers.get(proxy)
            if found is None:
                found = self._managers[proxy] = self._made(proxy)
            if address.scheme == "https" and self._context is None:
                # One context for all: loading the system's certificates anew for each costs 20 ms.
                self._context = self._tls_context()
            if self._context is not None:
                for manager in self._managers.values():
                    manager.connection_pool_kw["ssl_context"] = self._context
            return found

    def credentials_for(self, address: Address) -> str | None:
        """`user:password` for this host from the netrc file, or None."""
        with self._lock:
            if self._netrc is None:
                self._netrc = self._read_netrc()
        entry = self._netrc.get(address.host)
        return None if entry is None else f"{entry[0]}:{entry[2]}"

    def close(self) -> None:
        """Ends all connections."""
        with self._lock:
            managers = list(self._managers.values())
            self._managers.clear()
        for manager in managers:
            manager.clear()
        if self._plain is not None:
            self._plain.close()
        if self._ftp is not None:
            self._ftp.close()

    def __enter__(self) -> Connections:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _made(self, proxy: str | None) -> PoolManager:
        import urllib3

        options: dict[str, Any] = {
            "timeout": urllib3.Timeout(connect=self.timeout or None, read=self.stall or None),
            "retries": False,
            "num_pools": _SERVERS,
            "maxsize": _PER_SERVER,
            "cert_reqs": "CERT_REQUIRED" if self._verify_tls else "CERT_NONE",
        }
        if not self._verify_tls:
            import warnings

            warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
        if proxy is None:
            return urllib3.PoolManager(**options)
        if not proxy.lower().startswith(("http://", "https://")):
            raise FetchError(
                f"the proxy {shown_url(proxy)} is of a kind that is not supported",
                hint="set http_proxy and https_proxy to an http proxy",
            )
        proxy_address = parse_address(proxy)
        proxy_headers = {}
        if proxy_address.credentials is not None:
            proxy_headers["Proxy-Authorization"] = basic(proxy_address.credentials)
        return urllib3.ProxyManager(proxy_address.url, proxy_headers=proxy_headers, **options)

    def _tls_context(self) -> SSLContext:
        import ssl

        from urllib3.util.ssl_ import create_urllib3_context

        required = ssl.CERT_REQUIRED if self._verify_tls else ssl.CERT_NONE
        context = create_urllib3_context(cert_reqs=required)
        if self._verify_tls:
            context.load_default_certs()
        return context

    def _read_netrc(self) -> Mapping[str, tuple[str, str, str]]:
        path = self._environment.get("NETRC") or os.path.join(self._environment.get("HOME", ""), ".netrc")
        if not os.path.isabs(path) or not os.path.isfile(path):
            return {}
        from netrc import NetrcParseError, netrc

        try:
            hosts = netrc(path).hosts
        except (NetrcParseError, OSError, UnicodeDecodeError) as error:
            raise FetchError(
                f"{path} cannot be read: {error}", hint="mend the file, or name another with NETRC"
            ) from error
        return {
            host: (entry[0] or "", "", entry[2] or "") for host, entry in hosts.items() if host != "default"
        }


def basic(credentials: str) -> str:
    """The value of an Authorization header."""
    from binascii import b2a_base64

    return "Basic " + b2a_base64(credentials.encode(), newline=False).decode()
