"""One change of one node: what steps.py carries out, and what came of each step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pumice.base.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DONE", "FAILED", "SKIPPED", "WARNED", "Edit", "Enabling", "NodeChange", "StepResult"]

DONE = "done"
WARNED = "warned"
FAILED = "failed"
SKIPPED = "skipped"


class Edit(Value):
    """A file of the node's configuration gets other bytes; these may hold secrets and are never shown."""

    path: str
    before: str | None
    """The sha256 that it must have now; None: it must not exist."""
    data: bytes | None
    """None: the file goes away."""
    lines: tuple[str, ...] = ()
    """What changes, for people: `plugins = bundled,x`."""

    def __repr__(self) -> str:
        return f"Edit(path={self.path!r}, lines={self.lines!r})"


class Enabling(Value):
    """How the gateway comes to know its plugins and where they lie."""

    edits: tuple[Edit, ...]
    exports: Mapping[str, str]
    """KONG_* for the gateway's own command, where `enable` names no file that it reads by itself."""
    plugins: str
    """The value of `plugins` from now on."""
    lua_package_path: str
    lua_package_cpath: str
    exports_before: Mapping[str, str] = {}
    """The same for taking it back."""
    warnings: tuple[str, ...] = ()
    """What does not hold the rollout back, such as a variable that will beat the file at the next start."""
    refusals: tuple[str, ...] = ()
    """What does: a KONG_PLUGINS of the running gateway beats the file that `enable` names."""


class NodeChange(Value):
    """What happens to a node in one rollout, apart from the contents that travel."""

    rollout: str
    """The id of the rollout: letters, digits, `-`, `_` and `.`."""
    before: int
    """The generation that is current now (0: none); the node must still agree."""
    after: int
    """The generation that becomes current; 0: none, as before the first one."""
    enabling: Enabling
    preflight: bool = True
    """Have the gateway parse its configuration with the new files first."""
    reload: bool = True
    """False: files only (the gateway is told later, or is not running)."""
    conf_before: str | None = None
    """The sha256 of the gateway's configuration, by which a change of somebody else is noticed."""


class StepResult(Value):
    """What came of one step on one node."""

    step: str
    """`stage`, `preflight`, `migrate`, `activate`, `reload`, `undo`, `finish`, `recover`, `remove`."""
    status: str
    """`done`, `warned`, `failed` or `skipped`."""
    milliseconds: int = 0
    text: str = ""
    """What happened, in words; with a failure the node's own lines."""
    data: Mapping[str, str] = {}
    """What it found: `workers` (pids before the reload), `uptime` (ticks at the activation), `reloaded`
    (ticks after it), `log` (the gateway's lines since), `damaged` (keys), `outcome` of undo and recover."""

    @property
    def ok(self) -> bool:
        """The next step may follow."""
        return self.status != FAILED
