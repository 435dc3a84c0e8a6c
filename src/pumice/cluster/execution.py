"""`Execution`: a plan happens on the nodes and in Kong's database, and is recorded, however it ends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from pumice.base.value import Value
from pumice.cluster.entity import apply_entity, delete_entities, read_entity
from pumice.cluster.events import Event
from pumice.cluster.gates import ControlPlane
from pumice.cluster.node_work import NodeWork
from pumice.cluster.planning import RolloutRefused
from pumice.cluster.rollout import Result, RolloutInterrupted, run_rollout
from pumice.cluster.rollout_record import write_record
from pumice.errors import PumiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pumice.cluster.cluster_lock import ClusterLock
    from pumice.cluster.engine import Engine
    from pumice.cluster.node_asks import Gateways
    from pumice.cluster.plan import EntityStep, Plan
    from pumice.cluster.preparation import Prepared
    from pumice.cluster.survey import Survey

__all__ = ["Ended", "Execution"]

_T = TypeVar("_T")


class Ended(Value):
    """What became of a command."""

    plan: Plan
    result: Result | None = None
    """None: nothing was run."""
    entities: tuple[str, ...] = ()
    error: PumiceError | None = None
    """What went wrong beside the nodes: an entity, migrations."""

    @property
    def ok(self) -> bool:
        """Whether everything that was asked for is so now."""
        return self.error is None and not self.plan.missing and (self.result is None or self.result.ok)


class Execution:
    """One run of a plan, whose nodes were prepared, while the cluster's lock is held."""

    def __init__(
        self,
        plan: Plan,
        prepared: Mapping[str, Prepared],
        survey: Survey,
        engine: Engine,
        gateways: Gateways,
        tell: Callable[[Event], None],
    ) -> None:
        self._plan = plan
        self._prepared = prepared
        self._survey = survey
        self._engine = engine
        self._gateways = gateways
        self._tell = tell
        self._entities: list[str] = []
        self._result: Result | None = None

    def run(self, lock: ClusterLock, folder: str) -> Ended:
        """Everything of the plan, in its order; `folder` gets the record. What fails is in `Ended`.

        Raises Interrupted, once what was under way is taken back and recorded.
        """
        error: PumiceError | None = None
        try:
            self._run(lock)
        except KeyboardInterrupt as interruption:
            if isinstance(interruption, RolloutInterrupted):
                self._result = interruption.result
            self._record(folder, "interrupted", "interrupted")
            raise
        except PumiceError as failed:
            error = failed
        ended = Ended(self._plan, self._result, tuple(self._entities), error)
        stopped = self._result.stopped if self._result is not None else ""
        self._record(folder, "ok" if ended.ok else "failed", stopped or (error.message if error else ""))
        return ended

    def _run(self, lock: ClusterLock) -> None:
        plan = self._plan
        later = [step for step in plan.entities if step.action == "apply"]
        # Before its entity is there, a request cannot show a plugin.
        expects = all(self._gateways.uses(step.plugin) for step in later)
        work = NodeWork(
            plan,
            self._prepared,
            self._survey.connections,
            self._engine,
            self._gateways.asks,
            self._tell,
            control_plane=_control_plane(self._survey, self._gateways),
            expects=expects,
        )
        for step in plan.entities:
            if step.action == "delete":
                gone = delete_entities(self._gateways.database(), step.plugin)
                self._entity(f"{step.plugin}: {len(gone)} deleted")
        if plan.migrate is not None:
            work.stage_and_migrate(plan.migrate[0])
        fleet = _Nodes(self._engine, self._survey)
        self._result = run_rollout(
            plan, work, fleet, self._tell, before_batch=lock.renew, sleep=self._engine.wait
        )
        if self._result.ok and plan.migrate is not None:
            work.finish_migrations(plan.migrate[0])
        if later:
            self._apply(later)
            if not expects:
                self._expected(work, fleet)

    def _apply(self, later: Sequence[EntityStep]) -> None:
        """Entities, once every node has proved the plugin. Raises PumiceError."""
        assert self._result is not None
        if not self._result.ok or self._plan.missing:
            raise RolloutRefused(
                "The entity was not touched: not every node has proved the plugin.",
                hint="Mend the nodes above, and run the same command again.",
            )
        proved = {name for node in self._plan.nodes for name, _ in node.proof}
        for step in later:
            entity = read_entity(step.file, sorted({*proved, step.plugin}))
            if entity.sha256 != step.sha256:
                raise RolloutRefused(f"{step.file} has changed since the plan was made; it was not applied.")
            self._entity(apply_entity(self._gateways.database(), entity))

    def _expected(self, work: NodeWork, fleet: _Nodes) -> None:
        """The requests that need the entity. Raises the first node's error; nothing is taken back for it."""
        nodes = [
            node.node for node in self._plan.nodes if self._prepared[node.node].input.node.expect is not None
        ]
        for node, answer in fleet.map(work.expected, nodes).items():
            if isinstance(answer, PumiceError):
                raise RolloutRefused(
                    f"Every node runs the plugin, and its entity is there, but {node}: {answer.message}",
                    hint=answer.hint,
                )

    def _entity(self, text: str) -> None:
        self._entities.append(text)
        self._tell(Event("entity", text=text, state="ok", time=time.time()))

    def _record(self, folder: str, outcome: str, stopped: str) -> None:
        """The record on this machine. Where it cannot be written, the nodes have theirs."""
        outcomes = self._result.outcomes if self._result is not None else ()
        try:
            write_record(
                folder, self._plan, outcomes, result=outcome, stopped=stopped, entities=self._entities
            )
        except PumiceError as error:
            self._tell(Event("notice", step="record", state="failed", text=error.message, time=time.time()))


def _control_plane(survey: Survey, gateways: Gateways) -> ControlPlane | None:
    """The control plane that is asked for its data planes, with its clock."""
    asks = gateways.first("control_plane")
    if asks is None:
        return None
    ahead = survey.facts[asks.node].time - survey.looked_at
    return ControlPlane(asks.data_planes, lambda: time.time() + ahead)


class _Nodes:
    """The engine as a rollout's `Fleet`: by names of nodes."""

    def __init__(self, engine: Engine, survey: Survey) -> None:
        self._engine = engine
        self._survey = survey

    def map(self, function: Callable[[str], _T], nodes: Sequence[str]) -> dict[str, _T | PumiceError]:
        connections = [self._survey.connections[name] for name in nodes]
        return self._engine.map(lambda connection: function(connection.node.name), connections)
