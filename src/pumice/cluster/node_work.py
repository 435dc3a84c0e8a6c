"""`NodeWork`: what a rollout means on a node: the steps there (`steps`), the gate, the record."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING

from pumice.base.value import Value
from pumice.cluster.change import FAILED, WARNED
from pumice.cluster.compatibility import gateway_version
from pumice.cluster.connection import ConnectionCut, NodeError
from pumice.cluster.enabling import enabled_plugins, plugin_words
from pumice.cluster.events import Event, moment
from pumice.cluster.gate_rules import ABSENT
from pumice.cluster.gates import Gate, prove
from pumice.cluster.payload import resend
from pumice.cluster.rollout import StepFailed
from pumice.cluster.steps import activate, finish, migrate, roll_out, stage, undo
from pumice.errors import PumiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pumice.cluster.change import StepResult
    from pumice.cluster.connection import Connection
    from pumice.cluster.engine import Engine
    from pumice.cluster.facts import NodeFacts
    from pumice.cluster.gates import Asks, ControlPlane
    from pumice.cluster.plan import Plan
    from pumice.cluster.preparation import Prepared

__all__ = ["NodeWork"]

_BACK_TIMEOUT = 20.0
_SENTENCES = {
    "stage": "what was sent did not arrive whole",
    "preflight": "its gateway refuses the configuration with the new files",
    "migrate": "its gateway did not run the migrations",
    "activate": "the new files could not be made current",
    "reload": "its gateway was not reloaded",
}


_FOOTER = "Run with --v (verbose) or --vv (debug)"
"""Below every error of the gateway's commands; it says nothing."""


class _Begun(Value):
    """What a node told when its files were switched."""

    workers: frozenset[int]
    uptime: int


class NodeWork:
    """The `Work` of a plan on real nodes. `tell` gets an event for every step; used by several threads."""

    def __init__(
        self,
        plan: Plan,
        prepared: Mapping[str, Prepared],
        connections: Mapping[str, Connection],
        engine: Engine,
        asks_of: Callable[[Connection, NodeFacts], Asks],
        tell: Callable[[Event], None],
        *,
        control_plane: ControlPlane | None = None,
        expects: bool = True,
    ) -> None:
        self._plan = plan
        self._prepared = prepared
        self._connections = dict(connections)
        self._engine = engine
        self._asks_of = asks_of
        self._tell = tell
        self._control_plane = control_plane
        self._expects = expects
        self._begun: dict[str, _Begun] = {}
        self._staged: set[str] = set()
        self._lock = threading.Lock()

    def stage_and_migrate(self, node: str) -> None:
        """Migrations run from this node with the new files, which nothing uses yet. Raises StepFailed."""
        self._must_alone(node, self._sent(node, stage))
        self._must_alone(node, migrate(self._connections[node], self._prepared[node].change))
        self._staged.add(node)

    def finish_migrations(self, node: str) -> None:
        """The second half of migrations, once every node runs the new version. Raises StepFailed."""
        self._must_alone(node, migrate(self._connections[node], self._prepared[node].change, finish=True))

    def change(self, node: str) -> None:
        """As `Work.change`."""
        prepared, connection = self._prepared[node], self._connections[node]
        self._tell(_event(node, "change", "begun"))
        if node in self._staged:
            results = activate(connection, prepared.change)
        else:
            results = self._sent(node, roll_out)
        found: dict[str, str] = {}
        for result in results:
            found |= result.data
        workers = frozenset(int(each) for each in found.get("workers", "").split() if each.isdigit())
        uptime = found.get("uptime", "")
        known = workers or frozenset(worker.pid for worker in prepared.input.facts.workers)
        with self._lock:
            self._begun[node] = _Begun(known, int(uptime) if uptime.isdigit() else 0)
        self._must(node, results)

    def _sent(self, node: str, send: Callable[..., tuple[StepResult, ...]]) -> tuple[StepResult, ...]:
        """What `send` gives; once more with the contents that turn out to be damaged in the node's store."""
        prepared, connection = self._prepared[node], self._connections[node]
        results = send(connection, prepared.change, prepared.payload)
        damaged = results[-1].data.get("damaged", "").split()
        if results[-1].status != FAILED or not damaged or prepared.payload is None:
            return results
        self._tell(_event(node, "stage", "begun", f"{len(damaged)} damaged contents are sent anew"))
        return send(connection, prepared.change, resend(prepared.payload, damaged))

    def _must_alone(self, node: str, results: Sequence[StepResult]) -> None:
        """As `_must`, outside of a batch: the error itself names the node."""
        try:
            self._must(node, results)
        except StepFailed as error:
            error.message = f"{node}: {error.message}."
            raise

    def _must(self, node: str, results: Sequence[StepResult]) -> None:
        """Tells the steps. Raises StepFailed for the one that failed."""
        for result in results:
            seconds = result.milliseconds / 1000
            if result.status == FAILED:
                lines = tuple(
                    line for line in result.text.splitlines() if line.strip() and _FOOTER not in line
                )
                said = _SENTENCES.get(result.step, f"{result.step} failed")
                text = f"{said}: {_reason(lines)}" if lines else said
                self._tell(_event(node, result.step, "failed", text, seconds, lines))
                raise StepFailed(
                    text,
                    step=result.step,
                    untouched=result.step in ("stage", "preflight", "activate", "migrate"),
                    log=lines,
                )
            self._tell(_event(node, result.step, "ok", result.text, seconds))
            if result.status == WARNED:
                self._tell(Event("notice", node, result.step, "warned", result.text, time=time.time()))

    def prove(self, node: str) -> str:
        """As `Work.prove`."""
        prepared = self._prepared[node]
        facts, begun = prepared.input.facts, self._begun[node]
        gate = Gate(
            prepared.input.node,
            facts.role or "traditional",
            prepared.input.proof,
            begun.workers,
            begun.uptime,
            self._plan.timeout,
            node_id=facts.node_id,
            hostname=facts.hostname,
            expects=self._expects,
        )
        self._tell(_event(node, "gate", "begun"))
        started = time.monotonic()
        asks = self._asks_of(self._connections[node], facts)
        try:
            answer = prove(gate, asks, self._control_plane, sleep=self._engine.wait)
        except StepFailed as error:
            self._tell(_event(node, "gate", "failed", error.message, time.monotonic() - started, error.log))
            raise
        self._tell(_event(node, "gate", "ok", answer, time.monotonic() - started))
        return answer

    def expected(self, node: str) -> str:
        """The request that cluster.toml expects something of, once its entity is there. Raises StepFailed."""
        prepared = self._prepared[node]
        facts = prepared.input.facts
        gate = Gate(
            prepared.input.node,
            facts.role or "traditional",
            (),
            frozenset(),
            0,
            self._plan.timeout,
            reloaded=False,
        )
        asks = self._asks_of(self._connections[node], facts)
        return prove(gate, asks, None, sleep=self._engine.wait)

    def finish(self, node: str) -> str:
        """As `Work.finish`."""
        self._tell(_event(node, "finish", "begun"))
        results = finish(self._connections[node], self._prepared[node].change, self._record(node))
        self._must(node, results)
        return ""

    def undo(self, node: str) -> str:
        """As `Work.undo`; a connection that broke is made anew."""
        self._tell(_event(node, "undo", "begun"))
        change = self._prepared[node].change
        try:
            results = undo(self._connections[node], change)
        except ConnectionCut:
            self._connect_again(node)
            results = undo(self._connections[node], change)
        self._must(node, results)
        facts = self._prepared[node].input.facts
        where = f"generation {facts.generation}" if facts.generation else "what it had before"
        self._loads_the_old(node, facts)
        return f"it is back on {where}"

    def _connect_again(self, node: str) -> None:
        found = self._engine.connect([self._prepared[node].input.node])[node]
        if isinstance(found, PumiceError):
            raise NodeError(
                f"{found.message} What it is on now is not known: it is whole, the old or the new version",
                hint="When it is back, `pumice cluster status` tells, and the same command again goes on.",
            )
        self._connections[node] = found

    def _loads_the_old(self, node: str, facts: NodeFacts) -> None:
        """The gateway answers with the versions of before. Raises StepFailed."""
        if (
            facts.master is None
            or facts.role == "data_plane"
            or self._prepared[node].input.node.admin is None
        ):
            return
        plain, role = self._prepared[node].input.node.replace(expect=None), facts.role or "traditional"
        proof = _proof_of_before(self._prepared[node])
        gate = Gate(plain, role, proof, frozenset(), 0, _BACK_TIMEOUT, reloaded=False)
        prove(gate, self._asks_of(self._connections[node], facts), None, sleep=self._engine.wait)

    def _record(self, node: str) -> bytes:
        prepared, plan = self._prepared[node], self._plan.node(node)
        before = enabled_plugins(prepared.input.node, prepared.input.facts)
        after = plugin_words(prepared.change.enabling.plugins)
        return json.dumps(
            {
                "version": 1,
                "id": self._plan.id,
                "action": self._plan.action,
                "cluster": self._plan.cluster,
                "by": self._plan.by,
                "made": self._plan.made,
                "ended": moment(time.time()),
                "node": node,
                "result": "ok",
                "changes": [[each.name, each.before, each.after] for each in plan.changes],
                "content": plan.content,
                "generation": prepared.input.target,
                "proof": [list(each) for each in plan.proof],
                "before": [list(each) for each in _proof_of_before(prepared)],
                "enabled": [name for name in after if name not in before],
                "disabled": [name for name in before if name not in after],
            }
        ).encode()


def _reason(lines: Sequence[str]) -> str:
    """The line that says why: the last one above a traceback of Lua, without one the last of all."""
    ends = [at for at, line in enumerate(lines) if line.strip() == "stack traceback:"]
    return lines[max(ends[0] - 1, 0) if ends else -1].strip()


def _proof_of_before(prepared: Prepared) -> tuple[tuple[str, str], ...]:
    """What the gateway answered before the change, of the plugins that were to change."""
    content = prepared.input.content
    if content is None:
        return ()
    before = content.plugins_before
    enabled = enabled_plugins(prepared.input.node, prepared.input.facts)
    return tuple(
        (name, (gateway_version(before[name]) or "") if name in before else ABSENT)
        for name, _ in prepared.input.proof
        if name not in enabled or name in before
    )


def _event(
    node: str,
    step: str,
    state: str,
    text: str = "",
    seconds: float | None = None,
    lines: tuple[str, ...] = (),
) -> Event:
    return Event("step", node, step, state, text, seconds=seconds, lines=lines, time=time.time())
