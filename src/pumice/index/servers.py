"""Servers and their mirrors, in every form that LuaRocks takes (contract 6.1, 6.4).

The configuration is a list of servers, all of which are asked; each is a list of mirrors, of which the first
that answers serves the command. `--dev` has already put `<server>/dev` in front (operation.settings).
"""

from __future__ import annotations

import os

from pumice.base.value import Value
from pumice.errors import ConfigError, UsageError
from pumice.net.address import shown_url
from pumice.rock.filename import rock_filename

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pumice.base.config import Config

__all__ = ["Mirror", "Server", "is_namespace", "servers_of"]


class Mirror(Value):
    """One base address under which files lie."""

    base: str
    """`http(s)://…` or `ftp://…`, credentials included, or an absolute path; no slash at its end."""
    is_local: bool

    @classmethod
    def of(cls, text: str, cwd: str) -> Mirror:
        """The mirror that a configured text names. Raises ConfigError for a protocol that is not served."""
        if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
            text = text[1:-1]
        scheme, mark, rest = text.partition("://")
        scheme = scheme.lower() if mark else "file"
        if scheme in ("http", "https", "ftp"):
            return cls(f"{scheme}://{rest}".rstrip("/"), False)
        if scheme != "file":
            raise ConfigError(
                f"the server {shown_url(text)} cannot be asked: the protocol {scheme} is not supported",
                hint="http, https, ftp, file:// and plain directories are",
            )
        path = rest if mark else text
        if path.startswith("localhost/"):
            path = path[len("localhost") :]
        return cls(os.path.normpath(os.path.join(cwd, path)), True)

    def url(self, file: str) -> str:
        """The address of a file below the base, for `net`."""
        return f"{self.base}/{file}"

    def rock_url(self, name: str, version: str, arch: str) -> str:
        """The address of a rock or rockspec."""
        return self.url(rock_filename(name, version, arch))

    def below(self, folder: str) -> Mirror:
        """The mirror of a folder of this one."""
        return self.replace(base=f"{self.base}/{folder}")

    @property
    def shown(self) -> str:
        """As LuaRocks prints it in results: normalized, `file://` left out; without credentials."""
        return self.base if self.is_local else _normalized(shown_url(self.base))


class Server(Value):
    """One server: its mirrors in the order in which they are tried."""

    mirrors: tuple[Mirror, ...]

    def for_namespace(self, namespace: str | None) -> Server:
        """What `namespace` has uploaded: `manifests/<namespace>` of each mirror. Raises UsageError."""
        if namespace is None:
            return self
        if not is_namespace(namespace):
            raise UsageError(
                f"'{namespace}' cannot be a namespace", hint="a namespace is the name of a user of the server"
            )
        return Server(tuple([mirror.below(f"manifests/{namespace}") for mirror in self.mirrors]))


def servers_of(config: Config) -> tuple[Server, ...]:
    """The configured servers. Raises ConfigError."""
    return tuple([_server(mirrors, config.cwd) for mirrors in config.rocks_servers])


def is_namespace(text: str) -> bool:
    """Whether `text` may be a part of a URL's path as a user's name."""
    return (
        bool(text)
        and text not in (".", "..")
        and not any(sign in text for sign in "/\\?#%")
        and text.isprintable()
    )


def _server(mirrors: Iterable[str], cwd: str) -> Server:
    return Server(tuple([Mirror.of(text, cwd) for text in mirrors]))


def _normalized(url: str) -> str:
    """A URL as LuaRocks's `dir.normalize` gives it."""
    scheme, _, path = url.partition("://")
    pieces: list[str] = []
    *folders, last = path.replace("\\", "/").rstrip("/").replace("//", "/").split("/")
    for piece in folders:
        if piece == "..":
            if not pieces or pieces[-1] == "..":
                pieces.append("..")
            elif pieces[-1]:
                pieces.pop()
        elif piece != ".":
            pieces.append(piece)
    return f"{scheme}://{'/'.join([*pieces, last])}"
