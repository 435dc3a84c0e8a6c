"""The nodes of a cluster and what shall be on them: cluster.toml as values."""

from __future__ import annotations

from typing import Literal

from pumice.base.value import Value
from pumice.cluster.address import Address

__all__ = ["LAYOUTS", "ROLES", "Cluster", "Expect", "Node", "PluginWish", "read_cluster"]

ROLES = ("traditional", "control_plane", "data_plane", "dbless")
LAYOUTS = ("generations", "luarocks")


class Expect(Value):
    """A real request through a node's proxy, and what its answer has to be."""

    path: str
    status: int | None = None
    """None accepts every status."""
    headers: tuple[tuple[str, str | None], ...] = ()
    """Name and value of headers that must be there; the value None accepts every one."""
    host: str | None = None
    """The Host header of the request."""
    method: str = "GET"


class Node(Value):
    """One node: where it is and where its gateway lies. Everything but name and address has a default."""

    name: str
    address: Address
    role: str | None = None
    """One of `ROLES`; None is found out by asking the node."""
    admin: str | None = "http://127.0.0.1:8001"
    """URL of the Admin API as the node itself sees it; None: there is none."""
    status: str | None = "http://127.0.0.1:8007"
    proxy: str | None = "http://127.0.0.1:8000"
    kong: str = "/usr/local/bin/kong"
    conf: str = "/etc/kong/kong.conf"
    prefix: str = "/usr/local/kong"
    tree: str = "/opt/pumice"
    layout: Literal["generations", "luarocks"] = "generations"
    identity: str | None = None
    """A private key's file, on this machine; absolute."""
    known_hosts: str | None = None
    """A file of host keys, on this machine; absolute."""
    sudo: str | None = None
    """The user to become on the node (`sudo -n -u`)."""
    enable: str = "conf"
    """What names the plugins to the gateway: `conf`, `env:PATH` or `systemd:UNIT`."""
    restart: str = "reload"
    """`reload`, `restart`, or a shell command of the user's own."""
    expect: Expect | None = None
    admin_ca: str | None = None
    """A file of certificates, on this machine, against which https APIs are checked; None: the system's."""
    admin_verify: bool = True


class PluginWish(Value):
    """A plugin that shall be on every node; `name` (from a rock server) or `path` is set."""

    name: str | None = None
    path: str | None = None
    """A directory, rockspec or rock on this machine; absolute."""
    version: str | None = None
    """A version or constraint; None is the newest."""
    entity: str | None = None
    """A JSON or TOML file with the Kong entity, on this machine; absolute."""


class Cluster(Value):
    """All of a cluster.toml."""

    name: str
    nodes: tuple[Node, ...]
    path: str
    """The file itself; absolute."""
    canary: int = 1
    """Nodes that go first, alone; 0: none."""
    batch: str = "25%"
    """How many nodes go at once: a count, or a share of all."""
    max_failures: int = 0
    pause: float = 0.0
    """Seconds between batches."""
    timeout: float = 60.0
    """Seconds that a gate may take."""
    plugins: tuple[PluginWish, ...] = ()

    def batch_size(self, count: int) -> int:
        """How many of `count` nodes go at once; at least one."""
        if self.batch.endswith("%"):
            return max(1, count * int(self.batch[:-1]) // 100)
        return max(1, int(self.batch))


def read_cluster(path: str, *, home: str | None = None) -> Cluster:
    """The cluster that a file describes: `inventory_reader.read_cluster`, loaded when it is needed."""
    from pumice.cluster.inventory_reader import read_cluster as read

    return read(path, home=home)
