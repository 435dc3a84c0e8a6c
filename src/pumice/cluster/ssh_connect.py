"""An ssh connection as the user's own `ssh` would make it: configuration, agent, keys, jumps, known hosts.

The engine is asyncssh (docs/decisions/0007). What it would do less strictly than OpenSSH is put right here:
a host key is always checked, by name; and what its reader of ssh configurations does not know and would
loosen the check (`RevokedHostKeys`, `KnownHostsCommand`) is an error, not a silence.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import time
from typing import TYPE_CHECKING, Any

import asyncssh

from pumice.cluster.connection import TooSlow, Unreachable
from pumice.cluster.ssh_host_keys import HostKeys, KnownHosts

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping

    from pumice.cluster.inventory import Node

__all__ = ["SshClient"]

_GLOBAL_CONFIG = "/etc/ssh/ssh_config"
_GLOBAL_KNOWN_HOSTS = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
_HANDSHAKES = 64
"""At once: more only wait for each other's arithmetic, and run into the time limit."""
_PROGRAMS_END = 2.0
"""Seconds for the programs of ProxyCommand to end."""
_CIPHERS = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"
"""Before asyncssh's own first choice, ChaCha20, which takes it four contexts a packet, and GCM one."""
_KEEPALIVE = 10
"""Seconds of silence after which a node is asked for a sign of life; three without one cut the connection."""
# asyncssh skips what it does not know; of these that would change who is trusted.
_CONFIG_HINT = "Mend that line of ~/.ssh/config or /etc/ssh/ssh_config."
_KEY_HINT = "Keys with a passphrase are used through an agent: ssh-add FILE."
_UNSERVED = re.compile(
    rb"^[ \t]*(RevokedHostKeys|KnownHostsCommand)[ \t=]+(?!none\b)", re.IGNORECASE | re.MULTILINE
)


class SshClient:
    """Makes connections; what several nodes share (files of host keys, a jump host) is read or made once."""

    def __init__(self, environment: Mapping[str, str], *, timeout: float) -> None:
        self._home = environment.get("HOME", "/")
        self._agent = environment.get("SSH_AUTH_SOCK")
        self._timeout = timeout
        self._known = KnownHosts()
        self._jumps: dict[str, asyncio.Task[asyncssh.SSHClientConnection]] = {}
        self._made: list[asyncssh.SSHClientConnection] = []
        self._programs: list[subprocess.Popen[bytes]] = []
        self._gate = asyncio.Semaphore(_HANDSHAKES)
        # Without a handler, Python would print its warnings.
        logging.getLogger("asyncssh").addHandler(logging.NullHandler())
        self._configs = [
            path for path in (f"{self._home}/.ssh/config", _GLOBAL_CONFIG) if os.access(path, os.R_OK)
        ]
        for path in self._configs:
            _check_config(path)

    async def connect(self, node: Node) -> asyncssh.SSHClientConnection:
        """A connection to a node. Raises Unreachable or TooSlow, saying what to do."""
        address = node.address
        return await self._connect(
            node.name, address.host, address.port, address.user, node.identity, node.known_hosts, ()
        )

    async def close(self) -> None:
        """End every connection that was made, those to jump hosts last."""
        for made in reversed(self._made):
            made.abort()
            await made.wait_closed()
        until = time.monotonic() + _PROGRAMS_END
        while any(program.returncode is None for program in self._programs) and time.monotonic() < until:
            # The loop learns in its own time that programs of ProxyCommand have ended.
            await asyncio.sleep(0.01)

    async def _connect(
        self,
        name: str,
        host: str,
        port: int | None,
        user: str | None,
        identity: str | None,
        known_hosts: str | None,
        behind: tuple[str, ...],
        tunnel: asyncssh.SSHClientConnection | None = None,
    ) -> asyncssh.SSHClientConnection:
        place: dict[str, Any] = {
            "config": self._configs,
            "host": host,
            "port": port or (),
            "username": user or (),
        }
        try:
            # First without keys, which are slow to read: what does the configuration say of this host?
            said = asyncssh.SSHClientConnectionOptions(client_keys=None, **place)
            keys = HostKeys(self._known, self._known_hosts_files(said, known_hosts), name)
            options = self._own_keys(name, identity) if identity else {}
            if said.config.get("HostKeyAlgorithms") is None:
                options["server_host_key_algs"] = keys.algorithms(said.host_key_alias or said.host, said.port)
            if said.config.get("Ciphers") is None:
                options["encryption_algs"] = _CIPHERS
            tunnel = tunnel or await self._jump(name, said.tunnel, behind)
            async with self._gate:
                made = await asyncssh.connect(
                    options=None,
                    **place,
                    **options,
                    tunnel=tunnel,
                    known_hosts=keys,
                    client_factory=keys.client,
                    agent_path=self._agent_path(said),
                    agent_forwarding=False,
                    x11_forwarding=False,
                    password_auth=False,
                    kbdint_auth=False,
                    compression_algs=["zlib@openssh.com", "none"],
                    keepalive_interval=_KEEPALIVE,
                    connect_timeout=self._timeout,
                    login_timeout=self._timeout,
                )
            self._made.append(made)
            if (program := made.get_extra_info("subprocess")) is not None:
                self._programs.append(program)
            return made
        except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed) as error:
            if isinstance(error, asyncssh.KeyExchangeFailed) and "host key" not in error.reason:
                raise Unreachable(f"{name}: {_place(host, port)}: {error.reason}.") from error
            raise keys.refused(error.reason) from error
        except asyncssh.PermissionDenied as error:
            raise Unreachable(
                f"{name}: {_place(host, port)} accepts none of the keys for {said.username}.",
                hint="Name the key (`identity` in cluster.toml, IdentityFile in ssh's configuration), or "
                "load it into the agent (ssh-add); its public half belongs into the node's authorized_keys.",
            ) from error
        except TimeoutError as error:
            raise TooSlow(
                f"{name}: {_place(host, port)} did not answer within {self._timeout:g} seconds.",
                hint="Check the address and what is between; `--only` leaves the node out.",
            ) from error
        except asyncssh.ConfigParseError as error:
            raise Unreachable(f"{name}: ssh's configuration: {error}.", hint=_CONFIG_HINT) from error
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
            raise Unreachable(
                f"{name}: a key of this machine cannot be used: {error}.", hint=_KEY_HINT
            ) from error
        except (asyncssh.Error, OSError, ValueError) as error:
            raise Unreachable(f"{name}: {_place(host, port)}: {_reason(error)}.") from error

    async def _jump(
        self, name: str, jump: object, behind: tuple[str, ...]
    ) -> asyncssh.SSHClientConnection | None:
        """The connection through which a host is reached: one a jump host, for all nodes behind it."""
        if not isinstance(jump, str) or not jump or jump.lower() == "none":
            return None
        if jump in behind:
            raise Unreachable(f"{name}: the jump hosts of ssh's configuration go in a circle at {jump}.")
        task = self._jumps.get(jump)
        if task is None or (
            task.done() and (task.cancelled() or task.exception() or task.result().is_closed())
        ):
            task = self._jumps[jump] = asyncio.ensure_future(self._through(jump, (*behind, jump)))
        return await asyncio.shield(task)

    async def _through(self, jump: str, behind: tuple[str, ...]) -> asyncssh.SSHClientConnection:
        """The last of the hosts that a ProxyJump names, each reached through the one before it."""
        reached: asyncssh.SSHClientConnection | None = None
        for hop in jump.split(","):
            user, _at, place = hop.strip().removeprefix("ssh://").rpartition("@")
            host, colon, port = place.rpartition(":") if not place.endswith("]") else (place, "", "")
            reached = await self._connect(
                f"jump host {hop.strip()}",
                (host if colon else place).strip("[]"),
                int(port) if colon and port.isdigit() else None,
                user or None,
                None,
                None,
                behind,
                reached,
            )
        assert reached is not None
        return reached

    def _known_hosts_files(self, said: asyncssh.SSHClientConnectionOptions, own: str | None) -> list[str]:
        """OpenSSH's order: the node's own file or the user's, then the machine's."""
        configured = said.config.get("UserKnownHostsFile")
        defaults = [f"{self._home}/.ssh/known_hosts", f"{self._home}/.ssh/known_hosts2"]
        user = [own] if own else [self._expanded(path) for path in _words(configured, defaults)]
        machine = [
            self._expanded(path)
            for path in _words(said.config.get("GlobalKnownHostsFile"), _GLOBAL_KNOWN_HOSTS)
        ]
        return [path for path in (*user, *machine) if path == own or os.path.exists(path)] or user[:1]

    def _agent_path(self, said: asyncssh.SSHClientConnectionOptions) -> str | None:
        configured = said.config.get("IdentityAgent")
        if isinstance(configured, str) and configured != "SSH_AUTH_SOCK":
            return None if configured.lower() == "none" else self._expanded(configured)
        return self._agent

    def _own_keys(self, name: str, identity: str) -> dict[str, object]:
        """As `ssh -i FILE -o IdentitiesOnly=yes`: this key and no other, from the file or from the agent."""
        if not os.access(identity, os.R_OK):
            raise Unreachable(
                f"{name}: the key {identity} cannot be read.", hint="Mend `identity` in cluster.toml."
            )
        options: dict[str, object] = {"client_keys": [identity], "ignore_encrypted": True}
        for path in (f"{identity}.pub", identity):
            try:
                options["agent_identities"] = [asyncssh.read_public_key(path)]
                break
            except (OSError, asyncssh.KeyImportError):
                # Its public half is inside the private one, encrypted or not.
                continue
        return options

    def _expanded(self, path: str) -> str:
        return self._home + path[1:] if path.startswith("~/") else path


def _place(host: str, port: int | None) -> str:
    return f"{host}:{port}" if port else host


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno and not isinstance(error, socket.gaierror):
        # asyncio's own words do not tell why.
        return os.strerror(error.errno)
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)


def _words(configured: object, default: list[str] | tuple[str, ...]) -> list[str]:
    """A list of the configuration; `none` is an empty one."""
    if configured is None:
        return list(default)
    words = [str(word) for word in configured] if isinstance(configured, list) else [str(configured)]
    return [] if [word.lower() for word in words] == ["none"] else words


def _check_config(path: str) -> None:
    try:
        with open(path, "rb") as file:
            found = _UNSERVED.search(file.read())
    except OSError:
        return
    if found:
        raise Unreachable(
            f"{path} has {found[1].decode()}, which Pumice does not serve and must not pass over.",
            hint="Revoke a key by a line `@revoked` in a known_hosts file; Pumice reads those.",
        )
