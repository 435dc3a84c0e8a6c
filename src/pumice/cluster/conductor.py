"""`Conductor`: one command on a cluster, from the first look at the nodes to the record.

    look → lock → tidy what a killed rollout left → prepare → plan → migrations → rollout → entities → record

Whatever is only planned takes no lock and changes nothing.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from pumice.base.value import Value
from pumice.cluster.cluster_lock import ClusterLock
from pumice.cluster.connection import Unreachable
from pumice.cluster.entity import read_entity, uses_of
from pumice.cluster.events import Event, moment
from pumice.cluster.execution import Ended, Execution
from pumice.cluster.gate_rules import ABSENT
from pumice.cluster.node_asks import Gateways
from pumice.cluster.plan import Artifact, EntityStep
from pumice.cluster.planning import Asked, RolloutRefused, make_plan
from pumice.cluster.preparation import prepare, prepare_rollback
from pumice.cluster.rollout_record import folder_of
from pumice.cluster.saved_plan import still_true
from pumice.cluster.steps import recover
from pumice.cluster.survey import chosen, look, look_again
from pumice.cluster.sync_order import goes_in_two, plugins_gone
from pumice.errors import NotFoundError, PumiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.cluster.content import Wish
    from pumice.cluster.engine import Engine
    from pumice.cluster.inventory import Cluster
    from pumice.cluster.plan import Plan
    from pumice.cluster.preparation import Prepared
    from pumice.cluster.survey import Survey

__all__ = ["Conductor", "Terms"]


class Terms(Value):
    """How a command goes about it, whatever it does."""

    by: str
    """user@host, for the lock and the records."""
    token: str
    """A word that no other process has."""
    process: int = 0
    only: tuple[str, ...] = ()
    plan_only: bool = False
    force_lock: bool = False
    window: bool = False
    force: bool = False
    admin_token: str | None = None
    """For Admin APIs that ask for one; never written anywhere."""


class Conductor:
    """Commands on the nodes of a cluster. `tell` gets every event; `begin` gets each plan before it runs."""

    def __init__(
        self,
        cluster: Cluster,
        engine: Engine,
        config: Config,
        progress: Progress,
        terms: Terms,
        tell: Callable[[Event], None],
        begin: Callable[[Plan], None] = lambda _: None,
    ) -> None:
        self._cluster = cluster
        self._engine = engine
        self._config = config
        self._progress = progress
        self._terms = terms
        self._tell = tell
        self._begin = begin
        now = time.time()
        self.id = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}-{terms.token[-8:]}"
        self._made = moment(now)

    def install(
        self,
        wish: Wish,
        artifacts: Sequence[Artifact],
        *,
        entities: Sequence[str] = (),
    ) -> Ended:
        """Rocks on all nodes, and entities (files) once all nodes have proved them.

        Raises PumiceError: nothing was sent then; what happened later is in `Ended`.
        """
        from pumice.cluster.content import ContentMaker

        with ContentMaker(self._config, self._progress) as maker:

            def prepared(survey: Survey) -> tuple[dict[str, Prepared], dict[str, str]]:
                return prepare(
                    self._engine,
                    survey,
                    maker,
                    wish,
                    self.id,
                    self._gateways(survey).asks,
                )

            def asked(found: Mapping[str, Prepared]) -> Asked:
                return self._asked("install", artifacts, _entity_steps(entities, found))

            return self._go(prepared, asked, f"install {', '.join(each.name for each in artifacts)}")

    def sync(self, wish: Wish, artifacts: Sequence[Artifact], *, entities: Sequence[str] = ()) -> Ended:
        """What the wish installs is on all nodes, and nothing else of what Pumice put there.

        What goes has the order of a removal; where that is not the order of what comes, it goes afterwards,
        in a rollout of its own. Raises as `install`, and RolloutRefused as `remove`.
        """
        from pumice.cluster.content import ContentMaker

        later: list[str] = []
        with ContentMaker(self._config, self._progress) as maker:

            def all_of_it(survey: Survey) -> tuple[dict[str, Prepared], dict[str, str]]:
                exact = wish.replace(exact=True)
                return prepare(self._engine, survey, maker, exact, self.id, self._gateways(survey).asks)

            def prepared(survey: Survey) -> tuple[dict[str, Prepared], dict[str, str]]:
                found, missing = all_of_it(survey)
                inputs = [each.input for each in found.values()]
                if not goes_in_two(inputs):
                    return found, missing
                self._in_use(found, survey, ())  # refused before anything is sent
                later[:] = plugins_gone(inputs)
                return prepare(self._engine, survey, maker, wish, self.id, self._gateways(survey).asks)

            def asked(found: Mapping[str, Prepared]) -> Asked:
                steps = _entity_steps(entities, found)
                return self._asked("sync", artifacts, steps).replace(exact=not later, later=tuple(later))

            def asked_last(_: Mapping[str, Prepared]) -> Asked:
                return self._asked("sync", artifacts, ()).replace(exact=True)

            what = "sync with cluster.toml"
            first = self._go(prepared, asked, what)
            if not later or self._terms.plan_only or first.result is None or not first.ok:
                return first
            self.id = f"{self.id}-2"
            last = self._go(all_of_it, asked_last, what)
            return last.replace(entities=(*first.entities, *last.entities))

    def rollback(self) -> Ended:
        """Every node on the generation that its current one was made from."""

        def prepared(survey: Survey) -> tuple[dict[str, Prepared], dict[str, str]]:
            return prepare_rollback(self._engine, survey, self.id)

        return self._go(prepared, lambda _: self._asked("rollback", (), ()), "rollback")

    def remove(self, plugin: str, *, saved: Plan | None = None) -> Ended:
        """The manual's three steps: no entity uses it, no node names it, no node has its files.

        Raises RolloutRefused while entities use it, unless forced: then they are deleted first.
        """
        from pumice.cluster.content import ContentMaker, Wish

        wish = Wish(remove=(plugin,), force=self._terms.force)
        with ContentMaker(self._config, self._progress) as maker:

            def prepared(survey: Survey) -> tuple[dict[str, Prepared], dict[str, str]]:
                return prepare(self._engine, survey, maker, wish, self.id, self._gateways(survey).asks)

            def asked(found: Mapping[str, Prepared]) -> Asked:
                if not any(name == plugin for each in found.values() for name, _ in each.input.proof):
                    raise NotFoundError(
                        f"No node has the plugin {plugin} in its tree",
                        hint="`pumice cluster status` shows what the nodes have.",
                    )
                return self._asked("remove", (Artifact(plugin, ""),), ())

            return self._go(prepared, asked, f"remove {plugin}", saved=saved)

    def apply(self, plan: Plan, wish: Wish | None) -> Ended:
        """A plan that was saved; `wish` is its content (None: a rollback).

        Raises RolloutRefused when a node or the content is not what it was when the plan was made.
        """
        from pumice.cluster.content import ContentMaker

        with ContentMaker(self._config, self._progress) as maker:

            def prepared(survey: Survey) -> tuple[dict[str, Prepared], dict[str, str]]:
                if wish is None:
                    return prepare_rollback(self._engine, survey, self.id)
                return prepare(
                    self._engine,
                    survey,
                    maker,
                    wish,
                    self.id,
                    self._gateways(survey).asks,
                )

            return self._go(prepared, None, f"{plan.action} (saved plan)", saved=plan)

    # -- the way of every command

    def _go(
        self,
        prepared_for: Callable[[Survey], tuple[dict[str, Prepared], dict[str, str]]],
        asked_for: Callable[[Mapping[str, Prepared]], Asked] | None,
        what: str,
        *,
        saved: Plan | None = None,
    ) -> Ended:
        only = self._terms.only
        if saved is not None:
            self.id, self._made = saved.id, saved.made
            only = tuple(node.node for node in saved.nodes)
        nodes = chosen(self._cluster, only)
        survey = look(self._engine, nodes)
        lock_node = survey.lock_node
        if lock_node is None:
            raise _nobody(survey)
        if self._terms.plan_only:
            _refuse_pending(survey)
            found, missing = prepared_for(survey)
            assert asked_for is not None
            return Ended(self._plan(survey, found, missing, asked_for(found)))
        with self._lock(survey, lock_node, what) as lock:
            survey = self._tidied(survey)
            found, missing = prepared_for(survey)
            if saved is None:
                assert asked_for is not None
                plan = self._plan(survey, found, missing, asked_for(found))
            else:
                plan = still_true(saved, found, missing)
                self._in_use(
                    found, survey, [each.plugin for each in plan.entities if each.action == "delete"]
                )
            self._tell_plan(plan)
            text = "" if not plan.empty else "Every node is as it shall be; nothing was sent."
            self._tell(Event("plan", text=text, state="empty" if plan.empty else "made", time=time.time()))
            if plan.empty:
                return Ended(plan)
            self._begin(plan)
            execution = Execution(plan, found, survey, self._engine, self._gateways(survey), self._tell)
            return execution.run(lock, folder_of(self._cluster.path))

    def _tell_plan(self, plan: Plan) -> None:
        """What an operator has to know before it begins."""
        for name, why in plan.missing:
            text = f"{name} is left out: {why.removeprefix(f'{name}: ')}"
            self._tell(Event("notice", name, "look", "missing", text, time=time.time()))
        for text in plan.warnings:
            self._tell(Event("notice", step="plan", state="warned", text=text, time=time.time()))

    def _plan(
        self, survey: Survey, found: Mapping[str, Prepared], missing: Mapping[str, str], asked: Asked
    ) -> Plan:
        changing = {
            name
            for each in found.values()
            if (content := each.input.content) is not None
            for name, plugin in content.plugins.items()
            if name in content.plugins_before and content.plugins_before[name].digest != plugin.digest
        }
        gateways = self._gateways(survey)
        configured = {name: gateways.uses(name) for name in sorted(changing)}
        inputs = [found[node.name].input for node in survey.nodes if node.name in found]
        deleted = [EntityStep(plugin, "delete") for plugin in self._in_use(found, survey, ())]
        asked = asked.replace(entities=(*deleted, *asked.entities))
        return make_plan(self._cluster, inputs, missing, asked, configured)

    def _asked(self, action: str, artifacts: Sequence[Artifact], entities: tuple[EntityStep, ...]) -> Asked:
        terms = self._terms
        return Asked(
            action, tuple(artifacts), entities, terms.window, terms.force, self.id, self._made, terms.by
        )

    def _in_use(self, found: Mapping[str, Prepared], survey: Survey, known: Sequence[str]) -> list[str]:
        """The plugins that go although entities use them, which are deleted first: only where that is forced.

        `known`: plugins whose entities are to be deleted in any case. Raises RolloutRefused.
        """
        proofs = {proof for each in found.values() for proof in each.input.proof}
        gone = sorted(name for name, version in proofs if version == ABSENT and name not in known)
        used = []
        for plugin in gone:
            uses: dict[str, str] = {}
            for admin in self._gateways(survey).admins():
                for use in uses_of(admin, plugin):
                    uses.setdefault(use.id, f"{use.where} ({use.id})")
            if uses:
                self._refuse_use(plugin, list(uses.values()), found)
                used.append(plugin)
        return used

    def _refuse_use(self, plugin: str, uses: Sequence[str], found: Mapping[str, Prepared]) -> None:
        dbless = any(each.input.facts.role == "dbless" for each in found.values())
        if self._terms.force and not dbless:
            return
        shown = ", ".join(uses[:5]) + (f" and {len(uses) - 5} more" if len(uses) > 5 else "")
        way = "take it out of the declarative configuration" if dbless else "delete them, or use --force"
        raise RolloutRefused(
            f"Nothing was sent: {plugin} would go, and it is in use: {shown}.",
            hint=f"A gateway that meets a plugin in use without its code does not start: {way}.",
        )

    def _lock(self, survey: Survey, node: str, what: str) -> ClusterLock:
        return ClusterLock(
            survey.connections[node],
            owner=self._terms.by,
            process=self._terms.process,
            token=self._terms.token,
            what=what,
            force=self._terms.force_lock,
            notice=lambda text: self._tell(Event("notice", state="lock", text=text, time=time.time())),
        )

    def _tidied(self, survey: Survey) -> Survey:
        """Nodes on which a rollout was killed are on one version again; nobody else rolls out now."""
        pending = {
            name: survey.connections[name]
            for name, facts in survey.facts.items()
            if facts.pending is not None
        }
        if not pending:
            return survey
        for name, results in self._engine.map(recover, pending).items():
            facts = survey.facts[name].pending
            assert facts is not None
            if isinstance(results, PumiceError):
                text = f"{name}: what rollout {facts.rollout} left could not be tidied: {results.message}"
            else:
                outcome = results[-1].data.get("outcome", results[-1].status)
                text = f"{name}: rollout {facts.rollout} did not end there; tidied ({outcome})"
            self._tell(Event("notice", name, "recover", text=text, time=time.time()))
        return look_again(self._engine, survey, pending)

    def _gateways(self, survey: Survey) -> Gateways:
        return Gateways(survey, self._terms.admin_token)


def _entity_steps(paths: Sequence[str], found: Mapping[str, Prepared]) -> tuple[EntityStep, ...]:
    """The entities in files, of plugins that the nodes will have."""
    proofs = {proof for each in found.values() for proof in each.input.proof}
    names = sorted({name for name, version in proofs if version != ABSENT})
    read = [(path, read_entity(path, names)) for path in paths]
    return tuple(EntityStep(each.plugin, "apply", os.path.abspath(path), each.sha256) for path, each in read)


def _nobody(survey: Survey) -> PumiceError:
    """Why no node can be worked with."""
    if not survey.missing:
        return NotFoundError("There are no nodes", hint="Add [[node]] to cluster.toml.")
    texts = [error.message for error in survey.missing.values()]
    more = f" And {len(texts) - 1} more nodes could not be reached either." if len(texts) > 1 else ""
    first = next(iter(survey.missing.values()))
    return Unreachable(f"{texts[0]}{more}", hint=first.hint)


def _refuse_pending(survey: Survey) -> None:
    for name, facts in survey.facts.items():
        if facts.pending is not None:
            raise RolloutRefused(
                f"{name}: rollout {facts.pending.rollout} is under way there, or was killed.",
                hint="If it was killed, the next command that changes the cluster tidies; then plan.",
            )
