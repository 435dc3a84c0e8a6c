"""What proves a new version on a node, and what is said where it is not proved."""

import time
from typing import Any

import pytest

from pumice.cluster.address import Address
from pumice.cluster.connection import ConnectionCut, NodeError
from pumice.cluster.facts import Process
from pumice.cluster.gate_rules import (
    admin_lacks,
    answer_lacks,
    data_plane_lacks,
    fatal_lines,
    loaded_plugins,
    ready_lacks,
    told_lacks,
    workers_lack,
)
from pumice.cluster.gates import ControlPlane, Gate, prove
from pumice.cluster.inventory import Expect, Node
from pumice.cluster.loaded_plugins import LoadedPlugin
from pumice.cluster.rollout import StepFailed

OLD, NEW = frozenset((11, 12)), [21, 22]


def info(version: Any = "1.1.0", workers: Any = NEW) -> dict[str, Any]:
    plugins = {"x": {"version": version, "priority": 1}} if version else {}
    return {"plugins": {"available_on_server": plugins}, "pids": {"master": 1, "workers": workers}}


def test_new_workers_with_the_version_are_a_proof() -> None:
    assert admin_lacks(info(), [("x", "1.1.0")], OLD) == ""


@pytest.mark.parametrize(
    ("answer", "proof", "text"),
    [
        (info("1.0.0", [11, 12]), "1.1.0", "it answers x 1.0.0; the workers 11, 12 are those of before"),
        (info(None), "1.1.0", "x is not loaded"),
        (info("1.0.0"), "-", "x 1.0.0 is still loaded"),
        (info("1.1.0", [12, 21]), "1.1.0", "the workers 12 are those of before the reload"),
        (info("1.1.0", []), "1.1.0", "it tells no workers"),
        ({"message": "x" * 500}, "1.1.0", "without available_on_server"),
        (None, "1.1.0", "without available_on_server"),
        ([], "1.1.0", "without available_on_server"),
        ({"plugins": {"available_on_server": [1]}}, "1.1.0", "without available_on_server"),
    ],
)
def test_anything_else_is_not(answer: Any, proof: str, text: str) -> None:
    lacks = admin_lacks(answer, [("x", proof)], OLD)
    assert text in lacks
    assert len(lacks) < 300


def test_the_same_version_in_old_workers_is_no_proof() -> None:
    assert admin_lacks(info("1.1.0", [11]), [("x", "1.1.0")], OLD) != ""
    assert admin_lacks(info("1.1.0", [11]), [("x", "1.1.0")], OLD, reloaded=False) == ""


def test_a_gateway_that_tells_no_versions_is_believed_the_name() -> None:
    """Kong 2.x says `true`."""
    answer = {"plugins": {"available_on_server": {"x": True}}, "pids": {"workers": NEW}}
    assert loaded_plugins(answer) == {"x": ""}
    assert admin_lacks(answer, [("x", "1.1.0")], OLD) == ""


@pytest.mark.parametrize(
    ("workers", "lacks"),
    [([500, 501], False), ([499, 501], True), ([], True)],
)
def test_workers_must_be_younger_than_the_files(workers: list[int], lacks: bool) -> None:
    processes = [Process(pid, started) for pid, started in enumerate(workers)]
    assert bool(workers_lack(Process(1, 10), processes, 500)) == lacks
    assert workers_lack(None, processes, 500) == "the gateway does not run"


def entry(**fields: Any) -> dict[str, Any]:
    return {"id": "a", "hostname": "h", "last_seen": 1000, "sync_status": "normal", **fields}


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        ([entry()], ""),
        ([entry(last_seen=900)], "has not seen it for 100 s"),
        ([entry(sync_status="plugin_set_incompatible")], "plugin_set_incompatible"),
        ([entry(id="b")], "does not know the data plane a"),
        ([], "does not know"),
        ([entry(last_seen="soon")], "has not seen it"),
        ([entry(id="b", sync_status="unknown"), entry()], ""),
    ],
)
def test_a_control_plane_has_to_have_seen_the_data_plane_since(entries: Any, text: str) -> None:
    found = data_plane_lacks(entries, node_id="a", hostname="h", since=1000.0)
    assert found == "" if not text else text in found


def test_without_an_id_the_hostname_that_was_seen_last_counts() -> None:
    entries = [entry(id="dead", last_seen=10, sync_status="unknown"), entry(id="alive")]
    assert data_plane_lacks(entries, node_id=None, hostname="h", since=1000.0) == ""


@pytest.mark.parametrize(
    ("expect", "status", "headers", "text"),
    [
        (Expect("/a"), 500, {}, ""),
        (Expect("/a", 200), 404, {}, "/a is answered with 404, not 200"),
        (Expect("/a", None, (("X-Stamp", None),)), 200, {}, "without the header X-Stamp"),
        (Expect("/a", None, (("X-Stamp", "2"),)), 200, {"x-stamp": "1"}, "with X-Stamp: 1, not 2"),
        (Expect("/a", 200, (("X-Stamp", "2"),)), 200, {"x-stamp": "2"}, ""),
    ],
)
def test_a_real_request_is_answered_as_expected(
    expect: Expect, status: int, headers: dict[str, str], text: str
) -> None:
    found = answer_lacks(expect, status, headers)
    assert found == "" if not text else text in found


def test_readiness_is_not_asked_of_gateways_that_do_not_know_it() -> None:
    assert ready_lacks(200, "") == ready_lacks(404, "no such page") == ""
    assert "503: no configuration" in ready_lacks(503, "no configuration")


def test_a_gateway_without_any_configuration_need_not_be_ready() -> None:
    assert ready_lacks(503, "no configuration available (empty configuration present)") == ""


def test_lines_that_end_the_waiting_are_found() -> None:
    log = ["2026/11/23 [notice] reloading", "[error] init_by_lua error: kong/init.lua: x"]
    assert fatal_lines(log) == (log[1],)


def test_a_message_of_several_lines_is_told_without_its_trace() -> None:
    log = [
        "2026/11/23 19:20:51 [error] 303#303: init_by_lua error: error loading module 'x':",
        "/opt/x.lua:3: what is wrong",
        "stack traceback:",
        "\t[C]: in function 'error'",
        "2026/11/23 19:20:52 [notice] 303#303: exiting",
    ]
    assert fatal_lines(log) == ("init_by_lua error: error loading module 'x':", "/opt/x.lua:3: what is wrong")


class Answer:
    def __init__(self, data: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.data, self.status, self.text, self.headers = data, status, str(data), headers or {}


class Asked:
    """A node that answers what the test says, each list one answer a question, the last for ever."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {"admin": [Answer(info())], "status": [Answer("", 200)], "log": [()], **answers}

    def _next(self, what: str) -> Any:
        given = self.answers[what]
        answer = given.pop(0) if len(given) > 1 else given[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def admin(self, path: str) -> Any:
        return self._next("admin")

    def status(self, path: str) -> Any:
        return self._next("status")

    def proxied(self) -> Any:
        return self._next("proxied")

    def workers(self) -> Any:
        return self._next("workers")

    def log(self) -> Any:
        return self._next("log")

    def alive(self) -> None:
        self._next("alive")


def gate(**fields: Any) -> Gate:
    node = Node("n", Address("local"), expect=fields.pop("expect", None), **fields.pop("node", {}))
    given = {"role": "traditional", "proof": (("x", "1.1.0"),), "workers_before": OLD, "activated": 500}
    return Gate(node, **{**given, "timeout": 0.3, **fields})


def test_a_gate_waits_for_the_reload() -> None:
    old = Answer(info("1.0.0", [11, 12]))
    refused = NodeError("n: 127.0.0.1:8001 does not answer")
    asked = Asked(
        admin=[None, refused, old, Answer(info())], status=[Answer("not yet", 503), Answer("", 200)]
    )
    assert prove(gate(timeout=5.0), asked, None) == "runs x 1.1.0 in new workers"


def test_a_gate_that_is_not_passed_tells_the_last_answer_and_the_log() -> None:
    asked = Asked(admin=[Answer(info("1.0.0", [11, 12]))], log=[("line one", "line two")])
    with pytest.raises(StepFailed) as caught:
        prove(gate(), asked, None)
    assert "it answers x 1.0.0; the workers 11, 12" in caught.value.message
    assert caught.value.log == ("line one", "line two")
    assert caught.value.step == "gate"
    assert not caught.value.untouched


def test_a_log_that_says_no_ends_the_waiting_at_once() -> None:
    """The silent case: `kong reload` said 'Kong reloaded'."""
    asked = Asked(
        admin=[Answer(info("1.0.0", [11, 12]))], log=[("[error] init_by_lua error: x.lua:1: boom",)]
    )
    begun = time.monotonic()
    with pytest.raises(StepFailed, match=r"its old workers go on: .*boom"):
        prove(gate(timeout=60.0), asked, None)
    assert time.monotonic() - begun < 10


def test_a_log_that_cannot_be_read_does_not_hide_the_failure() -> None:
    asked = Asked(admin=[None], log=[NodeError("no")])
    with pytest.raises(StepFailed, match="nothing listens on the Admin API"):
        prove(gate(), asked, None)


def test_a_cut_connection_is_told_at_once() -> None:
    with pytest.raises(ConnectionCut):
        prove(
            gate(timeout=60.0),
            Asked(admin=[ConnectionCut("n: cut")], alive=[ConnectionCut("n: cut")]),
            None,
        )


def test_an_answer_that_breaks_off_is_none_and_is_asked_for_again() -> None:
    """A plugin that fails in a phase, or a gateway that restarts at this moment."""
    asked = Asked(admin=[ConnectionCut("n: no answer"), Answer(info())], alive=[None])
    assert prove(gate(timeout=5.0), asked, None)


def test_a_status_api_that_is_not_there_is_no_failure() -> None:
    assert prove(gate(timeout=5.0), Asked(status=[None]), None)


def control_plane(*lists: Any) -> ControlPlane:
    answers = list(lists)
    return ControlPlane(lambda: answers.pop(0) if len(answers) > 1 else answers[0], lambda: 1000.0, every=0.0)


WORKERS = (Process(1, 10), (Process(21, 600),))


def test_a_data_plane_is_proved_by_its_workers_and_its_control_plane() -> None:
    asked = Asked(workers=[(Process(1, 10), (Process(11, 20),)), WORKERS])
    plane = control_plane([entry(sync_status="unknown")], [entry()])
    assert prove(gate(role="data_plane", node_id="a", timeout=5.0), asked, plane)


def test_a_data_plane_that_lags_fails() -> None:
    asked = Asked(workers=[WORKERS])
    with pytest.raises(StepFailed, match="has not seen it for 500 s"):
        prove(gate(role="data_plane", node_id="a"), asked, control_plane([entry(last_seen=500)]))


def test_a_data_plane_is_not_asked_for_plugins_over_http() -> None:
    asked = Asked(workers=[WORKERS], admin=[AssertionError("asked")])
    assert prove(gate(role="data_plane", timeout=5.0), asked, None)


TOLD = {"plugins": {"x": {"version": "v1.1.0"}, "pumice-probe": {"version": "1.0.0"}}}


def test_a_data_plane_with_the_probe_plugin_proves_its_versions() -> None:
    proof = (("x", "1.1.0"), ("pumice-probe", "1.0.0"))
    old = {"plugins": {**TOLD["plugins"], "x": {"version": "1.0.0"}}}
    asked = Asked(workers=[WORKERS], status=[Answer("", 200), Answer(old), Answer("", 200), Answer(TOLD)])
    assert prove(gate(role="data_plane", proof=proof, timeout=5.0), asked, None)
    with pytest.raises(StepFailed, match=r"it has loaded x 1\.0\.0"):
        prove(gate(role="data_plane", proof=proof), Asked(workers=[WORKERS], status=[Answer(old)]), None)


@pytest.mark.parametrize(
    ("told", "proof", "text"),
    [
        (None, (("x", "1.0.0"),), "does not answer"),
        ({}, (("x", "1.0.0"),), "x is not loaded"),
        ({"x": LoadedPlugin("1.0.0", {})}, (("x", "-"),), "x is still loaded"),
        ({"x": LoadedPlugin("2.0.0", {})}, (("x", "1.0.0"),), "it has loaded x 2.0.0"),
        ({"x": LoadedPlugin(None, {})}, (("x", "1.0.0"),), ""),
        ({"x": LoadedPlugin("1.0.0", {})}, (("x", ""),), ""),
    ],
)
def test_what_the_probe_plugin_tells_is_compared(told: Any, proof: Any, text: str) -> None:
    assert text in told_lacks(told, proof)
    assert bool(told_lacks(told, proof)) == bool(text)


def test_an_expected_header_has_to_come() -> None:
    expect = Expect("/a", 200, (("X-Stamp", None),))
    missing, there = Answer("", 200), Answer("", 200, {"x-stamp": "1"})
    assert prove(gate(expect=expect, timeout=5.0), Asked(proxied=[None, missing, there]), None)
    with pytest.raises(StepFailed, match="without the header X-Stamp") as caught:
        prove(gate(expect=expect), Asked(proxied=[missing]), None)
    assert "expect" in caught.value.hint
    assert prove(gate(expect=expect, expects=False), Asked(proxied=[missing]), None)


def test_a_control_plane_is_asked_once_for_many_data_planes() -> None:
    calls: list[int] = []

    def ask() -> list[dict[str, Any]]:
        calls.append(1)
        return [entry()]

    plane = ControlPlane(ask, lambda: 0.0, every=60.0)
    assert plane.entries() is plane.entries()
    assert len(calls) == 1
