"""Which nodes are asked, which one keeps the lock, and what is kept of those that do not answer."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from pumice.cluster import survey as module
from pumice.cluster.address import Address
from pumice.cluster.connection import Unreachable
from pumice.cluster.facts import NodeFacts
from pumice.cluster.inventory import Cluster, Node
from pumice.cluster.survey import Survey, chosen, look, look_again
from pumice.errors import NotFoundError, PumiceError

NODES = tuple(Node(name, Address("ssh", name)) for name in ("dp-1", "cp-1", "cp-2", "gone"))
CLUSTER = Cluster("edge", NODES, "/cluster.toml")


class FakeEngine:
    """Reaches every node but `gone`; calls functions one by one."""

    def connect(self, nodes: Iterable[Node]) -> dict[str, Any]:
        return {node.name: Unreachable("no route") if node.name == "gone" else node.name for node in nodes}

    def map(self, function: Callable[[Any], Any], connections: dict[str, Any]) -> dict[str, Any]:
        answers: dict[str, Any] = {}
        for name, connection in connections.items():
            try:
                answers[name] = function(connection)
            except PumiceError as error:
                answers[name] = error
        return answers


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the probe answers, by node."""
    answers: dict[str, Any] = {
        name: NodeFacts(name, role={"c": "control_plane", "d": "data_plane"}[name[0]])
        for name in ("dp-1", "cp-1", "cp-2")
    }

    def probe(connection: Any) -> Any:
        answer = answers[connection]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(module, "probe", probe)
    return answers


def seen() -> Survey:
    return look(FakeEngine(), NODES)  # type: ignore[arg-type]


def test_only_names_nodes_in_the_order_of_the_file() -> None:
    assert [node.name for node in chosen(CLUSTER, ["cp-1,dp-1"])] == ["dp-1", "cp-1"]
    assert chosen(CLUSTER, []) == NODES
    with pytest.raises(NotFoundError, match="no node 'x'"):
        chosen(CLUSTER, ["cp-1", "x"])


def test_the_first_control_plane_that_answers_keeps_the_lock(probed: dict[str, Any]) -> None:
    assert seen().lock_node == "cp-1"
    probed["cp-1"] = Unreachable("died meanwhile")
    found = seen()
    assert found.lock_node == "cp-2"
    assert set(found.missing) == {"gone", "cp-1"}
    probed["cp-2"] = Unreachable("died, too")
    assert seen().lock_node == "dp-1"
    probed["dp-1"] = Unreachable("died, three")
    assert seen().lock_node is None


def test_some_nodes_are_looked_at_again(probed: dict[str, Any]) -> None:
    first = seen()
    probed["cp-1"] = probed["cp-1"].replace(generation=7)
    probed["dp-1"] = probed["dp-1"].replace(generation=7)
    second = look_again(FakeEngine(), first, ["cp-1"])  # type: ignore[arg-type]
    assert (second.facts["cp-1"].generation, second.facts["dp-1"].generation) == (7, 0)
    probed["cp-1"] = Unreachable("gone now")
    third = look_again(FakeEngine(), second, ["cp-1"])  # type: ignore[arg-type]
    assert "cp-1" not in third.facts
    assert third.missing["cp-1"].message == "gone now"
