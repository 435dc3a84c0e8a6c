"""What each node gets, who cannot go and why, and whether a saved plan still says so."""

from collections.abc import Callable
from typing import Any

import pytest

from pumice.cluster import preparation as module
from pumice.cluster.address import Address
from pumice.cluster.change import Edit, Enabling
from pumice.cluster.connection import Unreachable
from pumice.cluster.drift import Drift
from pumice.cluster.facts import NodeFacts, Process
from pumice.cluster.inventory import Node
from pumice.cluster.node_content import NodeContent, PluginContent
from pumice.cluster.plan import Batch, NodePlan, Plan
from pumice.cluster.planning import RolloutRefused, facts_digest
from pumice.cluster.preparation import Prepared, prepare
from pumice.cluster.saved_plan import still_true
from pumice.cluster.survey import Survey
from pumice.errors import DependencyError, NotFoundError, PumiceError

PLUGIN = PluginContent("x", ("x", "1.0-1"), "v1.0.0", 1, "d", ())
RECORD: Any = type("Record", (), {"files": {}})()


class Connection:
    def __init__(self, name: str) -> None:
        self.node = Node(name, Address("local"))


class Engine:
    def map(self, function: Callable[[Any], Any], connections: dict[str, Any]) -> dict[str, Any]:
        answers: dict[str, Any] = {}
        for name, connection in connections.items():
            try:
                answers[name] = function(connection)
            except PumiceError as error:
                answers[name] = error
        return answers


class Maker:
    """Contents by node; an exception is raised."""

    def __init__(self, **contents: Any) -> None:
        self.contents = contents

    def content(self, connection: Any, facts: NodeFacts, wish: Any) -> NodeContent:
        found = self.contents[connection.node.name]
        if isinstance(found, Exception):
            raise found
        return found  # type: ignore[no-any-return]


class Payload:
    def __init__(self, generation: int) -> None:
        self.generation, self.keys, self.size = generation, ("k",), 10


def content(*, changes: bool, plugin: PluginContent = PLUGIN) -> NodeContent:
    return NodeContent(
        {}, None, (), (), (), {"x": plugin}, {"x": plugin}, "old", "new" if changes else "old", asked=("x",),  # type: ignore
    )  # fmt: skip


def facts(name: str, **fields: Any) -> NodeFacts:
    given = {
        "generation": 3,
        "record": RECORD,
        "master": Process(1, 1),
        "role": "traditional",
        "state": "old",
    }
    return NodeFacts(name, **{**given, **fields})


def survey(*known: NodeFacts, missing: dict[str, PumiceError] | None = None) -> Survey:
    connections = {each.node: Connection(each.node) for each in known}
    names = [each.node for each in known] + list(missing or {})
    nodes = tuple(Node(name, Address("local")) for name in names)
    return Survey(nodes, connections, {each.node: each for each in known}, missing or {})  # type: ignore[arg-type]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the node's side answers."""
    state: dict[str, Any] = {"edits": (), "drift": Drift(), "loaded": {"x": {"version": "1.0.0"}}}

    def enable(node: Any, facts: Any, generation: int, **named: Any) -> Enabling:
        edits = state["edits"] or ((Edit("/c", None, b""),) if generation != facts.generation else ())
        return Enabling(edits, {}, "", "", "")

    def make_payload(content: Any, facts: NodeFacts, *, again: bool, **named: Any) -> Any:
        state["keys"] = facts.keys
        return Payload(facts.generation + 1) if again or not content.unchanged else None

    monkeypatch.setattr(module, "enable", enable)
    monkeypatch.setattr(module, "make_payload", make_payload)
    monkeypatch.setattr(module, "drift", lambda connection, facts: state["drift"])
    return state


def prepared(seen: Survey, maker: Maker, world: dict[str, Any]) -> tuple[dict[str, Prepared], dict[str, str]]:
    class Asks:
        def admin(self, path: str) -> Any:
            data = {"plugins": {"available_on_server": world["loaded"]}, "pids": {"workers": [1]}}
            return type("Reply", (), {"status": 200, "data": data})()

    return prepare(Engine(), seen, maker, None, "r1", lambda *_: Asks())  # type: ignore[arg-type]


def test_a_node_that_lacks_something_gets_the_next_generation(world: dict[str, Any]) -> None:
    found, missing = prepared(survey(facts("a")), Maker(a=content(changes=True)), world)
    one = found["a"]
    assert (one.change.before, one.change.after, one.input.proof) == (3, 4, (("x", "1.0.0"),))
    assert missing == {}


def test_a_node_that_has_and_runs_everything_is_left_alone(world: dict[str, Any]) -> None:
    found, _ = prepared(survey(facts("a")), Maker(a=content(changes=False)), world)
    assert found["a"].input.unchanged
    assert found["a"].payload is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"drift": Drift(changed=("share/x.lua",), damaged=("k2",))}, "1 file differs"),
        ({"drift": Drift(missing=("a", "b"))}, "2 files differ"),
        ({"loaded": {}}, "its gateway has not loaded these files: x is not loaded"),
        ({"loaded": {"x": {"version": "0.9.0"}}}, "it answers x 0.9.0"),
        ({"edits": (Edit("/c", None, b""),)}, ""),
    ],
)
def test_what_differs_on_a_node_is_made_anew(world: dict[str, Any], change: Any, reason: str) -> None:
    world.update(change)
    seen = survey(facts("a", keys=frozenset(("k1", "k2"))))
    found, _ = prepared(seen, Maker(a=content(changes=False)), world)
    assert not found["a"].input.unchanged
    assert reason in found["a"].input.reason
    assert found["a"].change.after == 4
    assert ("k2" in world["keys"]) == (not change.get("drift", Drift()).damaged)


def test_a_data_plane_runs_what_it_was_prepared_with(world: dict[str, Any]) -> None:
    def settings(generation: int) -> dict[str, Any]:
        path = f"/opt/pumice/generations/{generation}/share/lua/5.1/?.lua"
        return {"role": "data_plane", "settings": {"lua_package_path": path}}

    for generation, settled in ((3, True), (2, False)):
        found, _ = prepared(
            survey(facts("a", **settings(generation))), Maker(a=content(changes=False)), world
        )
        assert found["a"].input.unchanged == settled


def test_who_cannot_go_is_told_with_the_reason_and_the_machine(world: dict[str, Any]) -> None:
    seen = survey(
        facts("a", arch="x86_64", libc="glibc"),
        facts("b", arch="riscv64", libc="musl"),
        facts("c", broken=True, problems=("no tree can be written",)),
        missing={"d": Unreachable("no route.")},
    )
    found, missing = prepared(
        seen, Maker(a=content(changes=True), b=PumiceError("Incompatible architecture."), c=None), world
    )
    assert list(found) == ["a"]
    assert missing == {
        "b": "Incompatible architecture (it is riscv64, musl)",
        "c": "no tree can be written",
        "d": "no route.",
    }


def test_an_error_that_all_nodes_have_is_of_what_was_asked_for(world: dict[str, Any]) -> None:
    error = NotFoundError("there is no rock zzz")
    with pytest.raises(NotFoundError, match="no rock zzz"):
        prepared(survey(facts("a"), facts("b")), Maker(a=error, b=error), world)
    with pytest.raises(RolloutRefused, match="one other"):
        prepared(
            survey(facts("a"), facts("b")), Maker(a=DependencyError("one"), b=DependencyError("other")), world
        )


def saved(one: Prepared, **fields: Any) -> Plan:
    part = NodePlan("a", "local:", "traditional", facts_digest(one.input.facts), one.input.digest, (), (), ())
    part = part.replace(**{key: fields.pop(key) for key in ("facts", "content") if key in fields})
    return Plan("p", "install", "edge", "", "", (), (part,), (Batch("all", ("a",)),), **fields)


def test_a_saved_plan_holds_as_long_as_nodes_and_contents_are_the_same(world: dict[str, Any]) -> None:
    found, _ = prepared(survey(facts("a")), Maker(a=content(changes=True)), world)
    plan = saved(found["a"])
    assert still_true(plan, found, {}) == plan
    for field in ("facts", "content"):
        with pytest.raises(RolloutRefused, match="Nothing was sent: a "):
            still_true(saved(found["a"], **{field: "other"}), found, {})


def test_a_saved_plan_goes_without_a_node_only_within_its_limit(world: dict[str, Any]) -> None:
    found, _ = prepared(survey(facts("a")), Maker(a=content(changes=True)), world)
    with pytest.raises(RolloutRefused, match="a: gone"):
        still_true(saved(found["a"]), found, {"a": "gone"})
    less = still_true(saved(found["a"], max_failures=1), found, {"a": "gone"})
    assert (less.nodes, less.batches, less.max_failures) == ((), (), 0)
    with pytest.raises(RolloutRefused, match="runs the migrations"):
        still_true(saved(found["a"], max_failures=1, migrate=("a", ("x",))), found, {"a": "gone"})
