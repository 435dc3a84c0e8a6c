"""References of images: `registry/repository:tag` or `…@sha256:…`, as Docker reads them."""

from __future__ import annotations

from pumice.base.value import Value
from pumice.errors import UsageError

__all__ = ["Reference", "is_digest", "parse_reference"]

_HEX = frozenset("0123456789abcdef")
_PATH = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-")
_TAG = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_HUB = "docker.io"
_HUB_HOST = "registry-1.docker.io"


class Reference(Value):
    """An image in a registry."""

    host: str
    """`host` or `host:port`, as credentials are kept for it; `docker.io` for Docker's own."""
    repository: str
    tag: str | None
    digest: str | None
    plain: bool
    """Asked for over http: only on this machine, or where the user wrote `http://`."""

    @property
    def base(self) -> str:
        """The URL of the registry, without a `/` at its end."""
        host = _HUB_HOST if self.host == _HUB else self.host
        return f"{'http' if self.plain else 'https'}://{host}"

    @property
    def wanted(self) -> str:
        """What to ask the registry for: the digest, else the tag."""
        return self.digest or self.tag or "latest"

    def __str__(self) -> str:
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.host}/{self.repository}" + (f":{self.tag}" if self.tag else "") + digest


def is_digest(text: object) -> bool:
    """Whether this is `sha256:` and 64 hex digits."""
    if not isinstance(text, str):
        return False
    algorithm, _, digits = text.partition(":")
    return algorithm == "sha256" and len(digits) == 64 and _HEX.issuperset(digits)


def parse_reference(text: str) -> Reference:
    """The parts of a reference; what has no registry is on Docker Hub. Raises UsageError."""
    plain = text.startswith("http://")
    rest = text
    for scheme in ("http://", "https://", "docker://", "oci://"):
        rest = rest.removeprefix(scheme)
    rest, at, digest = rest.partition("@")
    if at and not is_digest(digest):
        raise _wrong(text, "its digest is not sha256: and 64 hex digits")
    host, slash, path = rest.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        host, path = _HUB, rest
    path, colon, tag = path.partition(":")
    if host in (_HUB, "index.docker.io", _HUB_HOST):
        host = _HUB
        path = path if "/" in path else f"library/{path}"
    if colon and (not tag or len(tag) > 128 or tag[0] in ".-" or not _TAG.issuperset(tag)):
        raise _wrong(text, "its tag is none")
    parts = path.split("/")
    if len(path) > 255 or not all(
        part and part[0].isalnum() and part[-1].isalnum() and _PATH.issuperset(part) for part in parts
    ):
        raise _wrong(text, "its repository is not lower-case words between '/'")
    if not _is_host(host):
        raise _wrong(text, "its registry is no host")
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    local = name in _LOOPBACK and not text.startswith("https://")
    return Reference(host, path, tag or None, digest or None, plain or local)


def _is_host(host: str) -> bool:
    name, colon, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    if colon and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        return False
    name = name if colon else host
    if name.startswith("["):
        return name.endswith("]") and _HEX.union(":.").issuperset(name[1:-1].lower())
    return bool(name) and _TAG.issuperset(name)


def _wrong(text: str, why: str) -> UsageError:
    shown = text if text.isprintable() else ascii(text)[1:-1]
    return UsageError(
        f"'{shown}' is no image reference: {why}",
        hint="Write registry.example.com/team/plugin:1.0.0, or ...@sha256:...",
    )
