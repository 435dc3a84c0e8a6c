"""`Gates`: a node is asked until its answers prove the new version, or its time is over.

What is asked depends on the role. Control planes, traditional and DB-less nodes: the Admin API's versions and
workers, and readiness. Data planes publish no plugin list: their workers are looked at on the node, readiness
over HTTP, the probe plugin tells versions where it is installed, and a control plane says whether it sends
them their configuration. Then a real request, if
cluster.toml expects an answer. The first polls come quickly, since a reload takes tenths of a second.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from pumice.base.value import Value
from pumice.cluster.connection import ConnectionCut, NodeError
from pumice.cluster.gate_rules import (
    ABSENT,
    admin_lacks,
    answer_lacks,
    data_plane_lacks,
    fatal_lines,
    ready_lacks,
    told_lacks,
    workers_lack,
)
from pumice.cluster.loaded_plugins import PROBE, PROBE_PATH, read_loaded
from pumice.cluster.rollout import StepFailed
from pumice.errors import PumiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Protocol

    from pumice.cluster.facts import Process
    from pumice.cluster.inventory import Node

    class Reply(Protocol):
        """As much of an HTTP answer as gates read."""

        @property
        def status(self) -> int: ...
        @property
        def data(self) -> object: ...
        @property
        def text(self) -> str: ...
        @property
        def headers(self) -> Mapping[str, str]: ...

    class Asks(Protocol):
        """What gates ask of one node; `Refused` comes as None: nothing listens there."""

        def admin(self, path: str) -> Reply | None: ...
        def status(self, path: str) -> Reply | None: ...
        def proxied(self) -> Reply | None: ...
        def workers(self) -> tuple[Process | None, Sequence[Process]]: ...
        def log(self) -> tuple[str, ...]: ...
        def alive(self) -> None: ...


__all__ = ["ControlPlane", "Gate", "prove"]

_FIRST, _GROWTH, _LONGEST = 0.08, 1.4, 0.5
_OLD_WORKERS_GO = 0.12
"""nginx lets old workers answer for 0.1 s beside the new ones; after that the answer is asked for again."""
_LOOK_AT_LOG_AFTER = 1.0
_LOG_EVERY = 2.0


class Gate(Value):
    """What one node has to prove."""

    node: Node
    role: str
    proof: tuple[tuple[str, str], ...]
    """Plugins and the versions that a gateway tells."""
    workers_before: frozenset[int]
    activated: int
    """When the files were switched, in clock ticks since the node's boot."""
    timeout: float
    node_id: str | None = None
    hostname: str | None = None
    expects: bool = True
    """A real request belongs to it, where cluster.toml has one."""
    reloaded: bool = True
    """The workers have to be new ones."""


class ControlPlane:
    """What a control plane says of its data planes: asked now and then, for many of them at once.

    `ask` gives the entries of `/clustering/data-planes`; `clock` the control plane's time.
    """

    def __init__(
        self,
        ask: Callable[[], Sequence[Mapping[str, object]]],
        clock: Callable[[], float],
        *,
        every: float = 0.1,
    ) -> None:
        self._ask = ask
        self.clock = clock
        self._every = every
        self._lock = threading.Lock()
        self._asked = float("-inf")
        self._entries: Sequence[Mapping[str, object]] = ()

    def entries(self) -> Sequence[Mapping[str, object]]:
        """All data planes, as of a moment ago. Raises NodeError."""
        with self._lock:
            if time.monotonic() - self._asked >= self._every:
                self._entries = self._ask()
                self._asked = time.monotonic()
            return self._entries


def prove(
    gate: Gate,
    asks: Asks,
    control_plane: ControlPlane | None,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Asks until everything is proved; gives what the node answered, in words.

    Raises StepFailed with the last answer and the node's log when the time is over, or as soon as the log
    says that the gateway did not load; ConnectionCut when the connection broke.
    """
    begun = time.monotonic()
    since = control_plane.clock() if control_plane is not None else 0.0
    pause, look_at, passed = _FIRST, begun + _LOOK_AT_LOG_AFTER, False
    if gate.role == "data_plane":
        pause *= 2  # each question is a process on the node
    while True:
        sleep(pause)
        last = passed or gate.role == "data_plane"
        lacking = _lacking(gate, asks, control_plane, since, last=last)
        if not lacking and last:
            return _answered(gate)
        if not lacking:
            passed, pause = True, _OLD_WORKERS_GO
            continue
        now = time.monotonic()
        over = now - begun >= gate.timeout
        if over or now >= look_at:
            look_at = now + _LOG_EVERY
            log = _log(asks)
            fatal = fatal_lines(log)
            if fatal:
                text = f"the gateway did not load it, its old workers go on: {' '.join(fatal)[:400]}"
                raise StepFailed(text, step="gate", log=log, hint=_EXPLAIN)
            if over:
                text = f"not proved after {now - begun:.0f} s: {lacking}"
                raise StepFailed(text, step="gate", log=log, hint=_hint(gate, lacking))
        pause = min(pause * _GROWTH, _LONGEST)


_EXPLAIN = (
    "`pumice explain` reads such lines; mend the plugin (`pumice check` on its source), and ship again."
)


def _hint(gate: Gate, lacking: str) -> str:
    if "does not answer" in lacking or "nothing listens" in lacking:
        return (
            f"`admin` and `status` of {gate.node.name} in cluster.toml are URLs as the node itself sees them."
        )
    if "header" in lacking or "is answered with" in lacking:
        return "The plugin is loaded, but a request does not show it: look at its route, and at `expect`."
    return "The log lines above are the node's own; `timeout` in cluster.toml is the time that a gate has."


def _log(asks: Asks) -> tuple[str, ...]:
    try:
        return asks.log()
    except ConnectionCut:
        raise
    except PumiceError as error:
        return (f"(its log could not be read: {error.message})",)


def _answered(gate: Gate) -> str:
    plugins = ", ".join(f"{name} {version}".strip() for name, version in gate.proof if version != "-")
    return f"runs {plugins} in new workers" if plugins else "runs new workers without it"


def _lacking(gate: Gate, asks: Asks, control_plane: ControlPlane | None, since: float, *, last: bool) -> str:
    """What is still to be proved, the cheap questions first; `last`: all of them."""
    try:
        if gate.role == "data_plane" or gate.node.admin is None:
            lacking = workers_lack(*asks.workers(), gate.activated)
        else:
            reply = asks.admin("/")
            if reply is None:
                return f"nothing listens on the Admin API ({gate.node.admin})"
            if reply.status != 200:
                return f"the Admin API answers {reply.status}: {reply.text[:160]}"
            lacking = admin_lacks(reply.data, gate.proof, gate.workers_before, reloaded=gate.reloaded)
        if lacking or not last:
            return lacking
        if gate.node.status is not None:
            ready = asks.status("/status/ready")
            lacking = ready_lacks(ready.status, ready.text) if ready is not None else ""
        if not lacking and gate.role == "data_plane" and dict(gate.proof).get(PROBE, ABSENT) != ABSENT:
            told = asks.status(PROBE_PATH)
            lacking = told_lacks(read_loaded(told.data), gate.proof) if told is not None else ""
        if not lacking and gate.role == "data_plane" and control_plane is not None:
            lacking = data_plane_lacks(
                control_plane.entries(), node_id=gate.node_id, hostname=gate.hostname, since=since
            )
        if not lacking and gate.expects and gate.node.expect is not None:
            answer = asks.proxied()
            if answer is None:
                return f"nothing listens on the proxy ({gate.node.proxy})"
            lacking = answer_lacks(gate.node.expect, answer.status, answer.headers)
    except ConnectionCut as error:
        # Also a gateway that ends a request without an answer looks like this.
        asks.alive()
        return error.message
    except NodeError as error:
        return error.message
    return lacking
