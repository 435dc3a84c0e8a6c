"""What a probe finds on a node: values, made by probe.py from what the node printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pumice.base.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pumice.tree.generations import Generation

__all__ = ["FileState", "NodeFacts", "Pending", "PlainTree", "Process"]


class Process(Value):
    """A process of the gateway."""

    pid: int
    started: int
    """In clock ticks (1/100 s) since the node's boot, as /proc has it."""


class FileState(Value):
    """A file of the node's configuration as it is; its text may hold secrets and is never shown."""

    path: str
    digest: str | None
    """The sha256; None: there is no such file."""
    data: bytes | None
    mode: int = 0o644

    def __repr__(self) -> str:
        return f"FileState(path={self.path!r}, digest={self.digest!r})"


class Pending(Value):
    """What a rollout that was killed or cut has left on a node: its journal."""

    rollout: str
    phase: str
    """`activating`: undone by `recover`; `finishing`: finished by it."""
    before: int
    """The generation that was current when it began."""
    after: int
    """The generation that it makes current."""


class PlainTree(Value):
    """The node's own LuaRocks tree (`layout = "luarocks"`)."""

    manifest: bytes | None
    """Of `rocks-5.1`; None: there is none."""
    digest: str
    """Of the names, sizes and times of everything that the probe saw in the tree."""


class NodeFacts(Value):
    """Everything that one run of the probe found out; what it could not, is None and in `problems`."""

    node: str
    """The node's name in cluster.toml."""
    problems: tuple[str, ...] = ()
    """What is wrong or unknown, in words; a rollout refuses a node with `broken`."""
    broken: bool = False
    """Nothing can be done with this node as it is: no tree can be written, no gateway found, …"""
    time: float = 0.0
    """The node's clock."""
    uptime: int = 0
    """Clock ticks (1/100 s) since the node's boot: comparable with `Process.started`."""
    system: str = ""
    arch: str = ""
    """As `uname -m` says: `x86_64`, `aarch64`."""
    libc: str | None = None
    """`glibc` or `musl`: the gateway's, or the machine's."""
    lua: str | None = None
    """The Lua that the running gateway has loaded ("5.1" for LuaJIT); None: not known."""
    node_id: str | None = None
    """The gateway's own id, from `kong.id` in its prefix: as `/clustering/data-planes` tells it."""
    hostname: str | None = None
    user: int = 0
    """The user id as which everything is done there."""
    kong_version: str | None = None
    role: str | None = None
    """`traditional`, `control_plane`, `data_plane` or `dbless`, from the configuration."""
    settings: Mapping[str, str] = {}
    """Settings that the gateway was last prepared with (`.kong_env`), of those that matter here."""
    conf_newer: bool = False
    """The configuration's file has been written since the gateway was prepared."""
    conf: FileState | None = None
    enable_file: FileState | None = None
    """The environment file or systemd drop-in, where `enable` names one."""
    environment: Mapping[str, str | None] = {}
    """KONG_* of the running master; values only of those that hold no secrets."""
    master: Process | None = None
    workers: tuple[Process, ...] = ()
    generation: int = 0
    """The current one; 0: none."""
    generations: tuple[int, ...] = ()
    record: Generation | None = None
    """Of the current generation."""
    state: str = ""
    """A digest of the paths and contents of the current generation (or plain tree): equal nodes agree."""
    keys: frozenset[str] = frozenset()
    """The contents of the store."""
    writable: bool = False
    free: int | None = None
    """Bytes free where the tree is."""
    pending: Pending | None = None
    rollouts: tuple[str, ...] = ()
    """The ids of the rollouts that are recorded on the node, oldest first."""
    plain: PlainTree | None = None
