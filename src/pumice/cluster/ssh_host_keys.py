"""Host keys: none is believed that a known_hosts file does not list for the very name that was asked for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import asyncssh

from pumice.cluster.connection import Unreachable, quote

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["HostKeys", "KnownHosts"]


_ALGORITHMS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
"""OpenSSH's order; not the SHA-1 signatures that asyncssh would take too."""


class KnownHosts:
    """known_hosts files, each read once for all nodes."""

    def __init__(self) -> None:
        self._read: dict[str, asyncssh.SSHKnownHosts | None] = {}

    def match(self, files: Sequence[str], host: str, port: int | None) -> tuple[list[asyncssh.SSHKey], ...]:
        """The keys, authorities and revoked keys that files list for a host (plain, hashed, or by pattern).

        Raises Unreachable for a file that cannot be read.
        """
        found: tuple[list[asyncssh.SSHKey], ...] = ([], [], [])
        for path in files:
            known = self._file(path)
            if known is not None:
                # Not by the address too: a name must not be answered by whoever holds a known address.
                keys, authorities, revoked, *_x509 = known.match(host, "", port)
                for into, more in zip(found, (keys, authorities, revoked), strict=True):
                    into.extend(more)
        return found

    def _file(self, path: str) -> asyncssh.SSHKnownHosts | None:
        if path not in self._read:
            try:
                self._read[path] = asyncssh.read_known_hosts(path) if os.path.exists(path) else None
            except (OSError, ValueError, asyncssh.Error) as error:
                raise Unreachable(
                    f"{path} cannot be read: {error}.", hint="Mend that file of host keys, or name another."
                ) from error
        return self._read[path]


class HostKeys:
    """What is known of one host, and what it showed when it was asked."""

    def __init__(self, known: KnownHosts, files: Sequence[str], name: str) -> None:
        self._known = known
        self._files = files
        self._name = name
        self._host = ""
        self._port: int | None = None
        self._listed = False
        self.shown: asyncssh.SSHKey | None = None

    def __call__(self, host: str, _address: str, port: int | None) -> tuple[list[asyncssh.SSHKey], ...]:
        """As asyncssh's `known_hosts`; `host` is the HostKeyAlias where there is one."""
        self._host, self._port = host, port
        found = self._known.match(self._files, host, port)
        self._listed = bool(found[0] or found[1])
        return found

    def algorithms(self, host: str, port: int) -> list[str]:
        """Which kinds of keys to ask for: those that are listed first, the others to tell of a change."""
        keys, authorities, _ = self(host, "", port if port != 22 else None)
        listed = {key.get_algorithm() for key in keys}
        ordered = sorted(_ALGORITHMS, key=lambda name: _kind(name) not in listed)
        if not authorities:
            return ordered
        return [f"{name.removesuffix('@openssh.com')}-cert-v01@openssh.com" for name in _ALGORITHMS] + ordered

    def client(self) -> asyncssh.SSHClient:
        """The client that notes a key which is not listed, and refuses it."""
        return _Noting(self)

    def refused(self, reason: str) -> Unreachable:
        """The error for a host key that was not accepted."""
        where = f"[{self._host}]:{self._port}" if self._port else self._host
        files = ", ".join(self._files) or "no file (known_hosts is none)"
        shown = f" ({self.shown.get_algorithm()} {self.shown.get_fingerprint()})" if self.shown else ""
        if self._listed:
            return Unreachable(
                f"{self._name}: the host key of {where} is not the one in {files}{shown}: {reason}. "
                "Either the node was made anew, or somebody stands between.",
                hint=f"If you know why, remove the old one: ssh-keygen -R {quote(where)}, add the new.",
            )
        scan = f"ssh-keyscan -p {self._port} " if self._port else "ssh-keyscan "
        target = quote(self._files[0]) if self._files else "FILE"
        return Unreachable(
            f"{self._name}: the host key of {where} is unknown{shown}; looked in {files}.",
            hint=f"Compare the fingerprint with the node's, then: {scan}{quote(self._host)} >> {target}",
        )


class _Noting(asyncssh.SSHClient):
    def __init__(self, keys: HostKeys) -> None:
        self._keys = keys

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self._keys.shown = key
        return False

    def validate_host_ca_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self._keys.shown = key
        return False


def _kind(algorithm: str) -> str:
    """The kind of key that a signature algorithm belongs to."""
    return "ssh-rsa" if algorithm.startswith("rsa-") else algorithm
