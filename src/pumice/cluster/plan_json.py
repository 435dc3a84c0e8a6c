"""A `Plan` as JSON and back. Reading judges every key: a plan is a file that anybody may have edited."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeVar

from pumice.base.value import Value
from pumice.cluster.plan import ACTIONS, Artifact, Batch, Change, EntityStep, NodePlan, Plan, Step
from pumice.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["VERSION", "plan_json", "read_plan"]

VERSION = 1
_HINT = "Make the plan again with `pumice cluster install … --plan FILE`."
_T = TypeVar("_T")


def plan_json(plan: Plan) -> str:
    """The plan as text that a person can read, compare and review; the same plan gives the same text."""
    return json.dumps({"version": VERSION, **_plain(plan)}, indent=2, ensure_ascii=True) + "\n"


def _plain(value: Value) -> dict[str, object]:
    return {field: _item(getattr(value, field)) for field in value._fields}


def _item(value: object) -> object:
    if isinstance(value, Value):
        return _plain(value)
    if isinstance(value, tuple):
        return [_item(each) for each in value]
    return value


def read_plan(text: str | bytes, name: str) -> Plan:
    """The plan in a text; `name` is the file's, for errors. Raises DataError for anything that is no plan."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name} is no JSON: {error}", hint=_HINT) from error
    if not isinstance(data, dict) or "version" not in data:
        raise DataError(f"{name} is no plan of a rollout", hint=_HINT)
    if data["version"] != VERSION:
        raise DataError(
            f"{name} is a plan of version {data['version']!r}, and this Pumice reads {VERSION}", hint=_HINT
        )
    plan = _Object({key: value for key, value in data.items() if key != "version"}, name, "the plan")
    return plan.made(_plan)


def _plan(given: _Object) -> Plan:
    plan = Plan(
        id=given.text("id"),
        action=given.text("action", ACTIONS),
        cluster=given.text("cluster"),
        made=given.text("made"),
        by=given.text("by"),
        artifacts=given.objects("artifacts", _artifact),
        nodes=given.objects("nodes", _node),
        batches=given.objects("batches", _batch),
        unchanged=given.texts("unchanged"),
        missing=given.pairs("missing"),
        max_failures=given.count("max_failures"),
        timeout=given.number("timeout"),
        migrate=_migrate(given),
        entities=given.objects("entities", _entity),
        warnings=given.texts("warnings"),
        exact=given.flag("exact"),
        force=given.flag("force"),
    )
    if not plan.id or not all(letter.isalnum() or letter in "-_" for letter in plan.id):
        raise given.wrong("id", "letters, digits, '-' and '_'")
    in_batches = [node for batch in plan.batches for node in batch.nodes]
    if sorted(in_batches) != sorted(node.node for node in plan.nodes):
        raise given.wrong("batches", "every node of the plan exactly once")
    return plan


def _migrate(given: _Object) -> tuple[str, tuple[str, ...]] | None:
    value = given.take("migrate")
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2 or not isinstance(value[0], str):
        raise given.wrong("migrate", "a node and a list of plugins, or null")
    names = value[1]
    if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
        raise given.wrong("migrate", "a node and a list of plugins, or null")
    return value[0], tuple(names)


def _artifact(given: _Object) -> Artifact:
    return Artifact(given.text("name"), given.text("version"), given.text("origin"), given.text("sha256"))


def _node(given: _Object) -> NodePlan:
    return NodePlan(
        node=given.text("node"),
        address=given.text("address"),
        role=given.text("role"),
        facts=given.text("facts"),
        content=given.text("content"),
        changes=given.objects("changes", _change),
        proof=given.pairs("proof"),
        steps=given.objects("steps", _step),
        target=given.count("target"),
    )


def _change(given: _Object) -> Change:
    return Change(given.text("name"), given.text("before"), given.text("after"))


def _step(given: _Object) -> Step:
    return Step(given.text("name"), given.text("what"), given.text("undo"))


def _batch(given: _Object) -> Batch:
    return Batch(given.text("name"), given.texts("nodes"), given.flag("canary"), given.number("pause"))


def _entity(given: _Object) -> EntityStep:
    return EntityStep(
        given.text("plugin"),
        given.text("action", ("apply", "delete")),
        given.text("file"),
        given.text("sha256"),
    )


class _Object:
    """One object of the file: keys are taken out of it, and none may be left."""

    def __init__(self, data: Mapping[str, object], name: str, where: str) -> None:
        self._data = dict(data)
        self._name = name
        self._where = where

    def made(self, make: Callable[[_Object], _T]) -> _T:
        """What `make` reads from it. Raises DataError for keys that it did not take."""
        value = make(self)
        if self._data:
            raise DataError(
                f"{self._name}: {self._where} has the unknown key {min(self._data)!r}", hint=_HINT
            )
        return value

    def take(self, key: str) -> object:
        if key not in self._data:
            raise DataError(f"{self._name}: {self._where} lacks {key!r}", hint=_HINT)
        return self._data.pop(key)

    def wrong(self, key: str, allowed: str) -> DataError:
        return DataError(f"{self._name}: {key!r} of {self._where} takes {allowed}", hint=_HINT)

    def text(self, key: str, allowed: tuple[str, ...] = ()) -> str:
        value = self.take(key)
        if not isinstance(value, str) or (allowed and value not in allowed):
            raise self.wrong(key, " or ".join(allowed) if allowed else "a text")
        return value

    def number(self, key: str) -> float:
        value = self.take(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
            raise self.wrong(key, "a number of seconds")
        return value

    def count(self, key: str) -> int:
        value = self.take(key)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise self.wrong(key, "a number from 0 on")
        return value

    def flag(self, key: str) -> bool:
        value = self.take(key)
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def _list(self, key: str) -> list[object]:
        value = self.take(key)
        if not isinstance(value, list):
            raise self.wrong(key, "a list")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        found = self._list(key)
        texts = tuple(each for each in found if isinstance(each, str))
        if len(texts) != len(found):
            raise self.wrong(key, "a list of texts")
        return texts

    def pairs(self, key: str) -> tuple[tuple[str, str], ...]:
        pairs = []
        for each in self._list(key):
            if not isinstance(each, list) or len(each) != 2 or not all(isinstance(one, str) for one in each):
                raise self.wrong(key, "a list of pairs of texts")
            pairs.append((each[0], each[1]))
        return tuple(pairs)

    def objects(self, key: str, make: Callable[[_Object], _T]) -> tuple[_T, ...]:
        made = []
        for number, each in enumerate(self._list(key), 1):
            if not isinstance(each, dict):
                raise self.wrong(key, "a list of objects")
            made.append(_Object(each, self._name, f"number {number} of {key!r}").made(make))
        return tuple(made)
