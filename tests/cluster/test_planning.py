"""What is known and wanted becomes a plan in Kong's safe order, or is refused with the way out."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.cluster.address import Address
from pumice.cluster.change import Edit, Enabling
from pumice.cluster.compatibility import CONTROL_FIRST, DATA_FIRST, judge
from pumice.cluster.facts import FileState, NodeFacts
from pumice.cluster.inventory import Cluster, Node
from pumice.cluster.node_content import NodeContent, PluginContent
from pumice.cluster.plan import Artifact, Change, EntityStep, Plan
from pumice.cluster.plan_json import plan_json, read_plan
from pumice.cluster.plan_text import plan_lines
from pumice.cluster.planning import Asked, NodeInput, RolloutRefused, facts_digest, make_plan
from pumice.cluster.sync_order import goes_in_two

ASKED = Asked("install", (Artifact("kong-plugin-x", "1.1.0-1"),), id="r1", made="now", by="alice@laptop")


def schema(*fields: dict[str, Any]) -> dict[object, object]:
    """A plugin's schema with these fields in `config`, as Lua's tables come to Python."""
    listed = {number: {each["name"]: {**each, "name": None}} for number, each in enumerate(fields, 1)}
    for entry in listed.values():
        for field in entry.values():
            field.pop("name")
    config = {"type": "record", "fields": listed}
    return {"name": "x", "fields": {1: {"config": config}}}


def plugin(version: str | None, *fields: dict[str, Any], **more: Any) -> PluginContent:
    digest = f"digest of {version} {fields}"
    return PluginContent(
        "x", ("kong-plugin-x", f"{version}-1"), version, 1000, digest, (), schema=schema(*fields), **more
    )


def content(before: PluginContent | None, after: PluginContent | None, base: str = "old") -> NodeContent:
    return NodeContent(
        files={},
        source=None,  # type: ignore[arg-type]
        added=(after.rock,) if after else (),
        removed=(before.rock,) if before else (),
        rocks=(after.rock,) if after else (),
        plugins={"x": after} if after else {},
        plugins_before={"x": before} if before else {},
        base=base,
        state=base if before == after else "new",
    )


ENABLING = Enabling((Edit("/etc/kong/kong.conf", "d" * 64, b"", ("plugins = bundled,x",)),), {}, "", "", "")
SETTLED = Enabling((), {}, "", "", "")


def given_node(
    name: str,
    role: str | None = None,
    *,
    before: PluginContent | None = None,
    after: PluginContent | None = None,
    facts: dict[str, Any] | None = None,
    **more: Any,
) -> NodeInput:
    known = {"role": role, "writable": True, "free": 10**9, "generation": 3, "state": "old"}
    given = {
        "node": Node(name, Address("ssh", name)),
        "facts": NodeFacts(name, **{**known, **(facts or {})}),
        "content": content(before, after),
        "digest": "new",
        "enabling": ENABLING,
        "target": 4,
        "files": 2,
        "size": 4000,
        "proof": (("x", "1.1.0"),),
    }
    return NodeInput(**{**given, **more})


def cluster(**fields: Any) -> Cluster:
    return Cluster("edge", (), "/cluster.toml", **{"timeout": 30.0, **fields})


def planned(inputs: list[NodeInput], asked: Asked = ASKED, **more: Any) -> Plan:
    options = {"missing": {}, "configured": {"x": 1}, **more}
    fields = options.pop("cluster", {})
    return make_plan(cluster(**fields), inputs, options["missing"], asked, options["configured"])


OLD, NEW = plugin("1.0.0"), plugin("1.1.0")


def hybrid(before: PluginContent | None = OLD, after: PluginContent | None = NEW) -> list[NodeInput]:
    roles = {"dp-1": "data_plane", "cp-1": "control_plane", "dp-2": "data_plane", "cp-2": "control_plane"}
    return [given_node(name, role, before=before, after=after) for name, role in roles.items()]


def groups(plan: Plan) -> list[tuple[str, tuple[str, ...]]]:
    return [(batch.name, batch.nodes) for batch in plan.batches]


def test_upwards_control_planes_go_first_each_wave_with_its_canary() -> None:
    assert groups(planned(hybrid(), cluster={"batch": "100%"})) == [
        ("control planes, canary", ("cp-1",)),
        ("control planes", ("cp-2",)),
        ("data planes, canary", ("dp-1",)),
        ("data planes", ("dp-2",)),
    ]


def test_downwards_data_planes_go_first() -> None:
    found = planned(hybrid(NEW, OLD), cluster={"canary": 0, "batch": "100%"})
    assert groups(found) == [("data planes", ("dp-1", "dp-2")), ("control planes", ("cp-1", "cp-2"))]


def test_removal_takes_data_planes_first() -> None:
    found = planned(hybrid(OLD, None), ASKED.replace(action="remove"), cluster={"canary": 0})
    assert found.batches[0].nodes[0] == "dp-1"
    assert found.batches[-1].nodes[-1] == "cp-2"


@pytest.mark.parametrize(
    ("change", "first"),
    [
        (Change("x", "1.1.0-1", "1.0.0-1"), "dp-1"),
        (Change("x", "1.0.0-1", "1.10.0-1"), "cp-1"),
        (Change("x", "1.0.0-1", ""), "dp-1"),
        (Change("x", "", "1.0.0-1"), "cp-1"),
    ],
)
def test_a_rollback_goes_the_way_that_its_versions_go(change: Change, first: str) -> None:
    back = [each.replace(content=None, target=2, changes=(change,)) for each in hybrid()]
    found = planned(back, ASKED.replace(action="rollback"))
    assert found.batches[0].nodes == (first,)
    assert found.nodes[0].target == 2


def test_a_new_plugin_goes_to_control_planes_first() -> None:
    assert planned(hybrid(None, NEW)).batches[0].nodes == ("cp-1",)


@pytest.mark.parametrize(("old", "new"), [("1.9.0", "2.0.0"), ("2.0.0", "1.9.0")])
def test_another_major_version_of_a_configured_plugin_is_refused_with_the_way_out(old: str, new: str) -> None:
    with pytest.raises(RolloutRefused) as caught:
        planned(hybrid(plugin(old), plugin(new)), configured={"x": 2})
    assert "No order is safe for x (2 entities use it)" in caught.value.message
    assert "x-v2" in caught.value.hint
    assert "--window" in caught.value.hint


def test_in_a_window_or_while_nobody_uses_it_any_version_may_come() -> None:
    major = hybrid(plugin("1.9.0"), plugin("2.0.0"))
    assert any("differ in the major" in text for text in planned(major, ASKED.replace(window=True)).warnings)
    assert planned(major, configured={"x": 0}).warnings == ()
    with pytest.raises(RolloutRefused):
        planned(major, configured={"x": None})


def test_traditional_nodes_are_warned_at_most() -> None:
    inputs = [
        given_node(f"n{n}", "traditional", before=plugin("1.0.0"), after=plugin("2.0.0")) for n in (1, 2)
    ]
    assert len(planned(inputs).nodes) == 2


FIELD = {"name": "added", "type": "string"}


@pytest.mark.parametrize(
    ("field", "safe"),
    [
        (FIELD, True),
        ({**FIELD, "default": "a"}, False),
        ({**FIELD, "required": True}, False),
    ],
)
def test_a_stricter_schema_is_refused_where_data_planes_would_not_take_it(
    field: dict[str, Any], safe: bool
) -> None:
    verdict = judge(OLD, plugin("1.1.0", field), hybrid=True, nodes=4, configured=1, window=False)
    assert verdict.order == CONTROL_FIRST
    assert (verdict.refusal == "") == safe
    if not safe:
        assert "config.added" in verdict.refusal


def test_what_was_an_optional_field_goes_downwards_from_the_data_planes() -> None:
    verdict = judge(plugin("1.1.0", FIELD), OLD, hybrid=True, nodes=4, configured=1, window=False)
    assert verdict.order == DATA_FIRST
    assert verdict.refusal == ""


def test_versions_that_kong_cannot_compare_are_a_warning() -> None:
    verdict = judge(plugin("0.1"), plugin("0.2"), hybrid=True, nodes=2, configured=1, window=False)
    assert "Kong compares no versions" in verdict.warnings[0]


def test_two_plugins_that_want_opposite_orders_are_refused() -> None:
    inputs = []
    for each in hybrid():
        assert each.content is not None
        up, down = OLD.replace(name="y"), NEW.replace(name="y")
        both = each.content.replace(plugins={"x": NEW, "y": up}, plugins_before={"x": OLD, "y": down})
        inputs.append(each.replace(content=both))
    with pytest.raises(RolloutRefused, match="x has to go to the control planes first, and y to the data"):
        planned(inputs, configured={"x": 1, "y": 1})


def test_nodes_that_are_as_they_shall_be_are_left_alone() -> None:
    same = given_node("b", "traditional", before=NEW, after=NEW, enabling=SETTLED, target=3, files=0, size=0)
    found = planned([given_node("a", "traditional", before=OLD, after=NEW), same])
    assert [node.node for node in found.nodes] == ["a"]
    assert found.unchanged == ("b",)
    assert planned([same]).empty


@pytest.mark.parametrize(
    "change",
    [{"enabling": ENABLING}, {"reason": "files were changed there"}, {"target": 4}],
)
def test_equal_files_that_are_not_enabled_or_not_loaded_are_work(change: dict[str, Any]) -> None:
    same = given_node("b", "traditional", before=NEW, after=NEW, enabling=SETTLED, target=3, files=0, size=0)
    assert len(planned([same.replace(**change)]).nodes) == 1


def test_more_missing_nodes_than_may_fail_are_refused_before_anything_is_sent() -> None:
    one = [given_node("a", "traditional", after=NEW)]
    with pytest.raises(RolloutRefused) as caught:
        planned(one, missing={"b": "no route to host"})
    assert "Nothing was sent. b cannot go: no route to host." in caught.value.message
    assert "--only" in caught.value.hint
    found = planned(one, missing={"b": "no route to host"}, cluster={"max_failures": 1})
    assert found.missing == (("b", "no route to host"),)
    assert found.max_failures == 0


def test_missing_nodes_do_not_matter_where_nothing_is_to_be_done() -> None:
    same = given_node("a", "traditional", before=NEW, after=NEW, enabling=SETTLED, target=3, files=0, size=0)
    assert planned([same], missing={"b": "gone"}).empty


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"facts": {"broken": True, "problems": ("no gateway there",)}}, "a: no gateway there"),
        ({"facts": {"writable": False}}, "a: /opt/pumice cannot be written"),
        ({"facts": {"free": 10}}, "4,000 bytes have to go to /opt/pumice, where 10 are free"),
        ({"enabling": ENABLING.replace(refusals=("KONG_PLUGINS beats the file",))}, "KONG_PLUGINS beats"),
        (
            {"node": Node("a", Address("local"), role="data_plane")},
            "a is a traditional node, and cluster.toml calls it a data plane",
        ),
    ],
)
def test_a_node_that_would_fail_refuses_the_rollout(change: dict[str, Any], text: str) -> None:
    with pytest.raises(RolloutRefused, match=text):
        planned([given_node("a", "traditional", after=NEW, **change)])


def test_an_entity_needs_a_node_with_a_database() -> None:
    wanted = ASKED.replace(entities=(EntityStep("x", "apply", "/e.json", ""),))
    with pytest.raises(RolloutRefused) as caught:
        planned([given_node("a", "dbless", after=NEW)], wanted)
    assert "declarative configuration" in caught.value.hint
    assert planned([given_node("a", "traditional", after=NEW)], wanted).entities


def test_migrations_run_on_the_first_node_that_goes_and_has_the_database() -> None:
    found = planned(hybrid(None, plugin("1.1.0", migrations=True)))
    assert found.migrate == ("cp-1", ("x",))
    assert planned(hybrid(None, NEW)).migrate is None
    assert "once, on cp-1" in "\n".join(plan_lines(found))


def test_the_plan_shows_edits_and_their_undoing_but_no_file() -> None:
    text = "\n".join(plan_lines(planned([given_node("a", "traditional", before=OLD, after=NEW)])))
    assert "generation 3 → generation 4; plugins = bundled,x" in text
    assert "back to generation 3, /etc/kong/kong.conf byte for byte" in text
    assert "the Admin API answers x 1.1.0 from new workers, within 30 s" in text


def test_no_plan_holds_the_bytes_of_a_configuration() -> None:
    secret = b"pg_password = hunter2"
    conf = FileState("/etc/kong/kong.conf", "d" * 64, secret)
    one = given_node("a", "traditional", after=NEW, facts={"conf": conf})
    text = plan_json(planned([one]))
    assert "hunter2" not in text
    assert "hunter2" not in "\n".join(plan_lines(planned([one])))


def test_the_digest_of_facts_changes_with_what_matters() -> None:
    facts = NodeFacts("a", generation=3, state="s", conf=FileState("/c", "1", b""))
    others = [
        facts.replace(generation=4),
        facts.replace(state="t"),
        facts.replace(conf=FileState("/c", "2", b"")),
        facts.replace(kong_version="3.9.0"),
    ]
    assert len({facts_digest(each) for each in (facts, *others)}) == 5
    assert facts_digest(facts.replace(time=9.0, free=1)) == facts_digest(facts)


roles = st.sampled_from(["traditional", "control_plane", "data_plane", "dbless"])


@given(
    st.lists(roles, min_size=1, max_size=30),
    st.integers(0, 3),
    st.one_of(st.integers(1, 9).map(str), st.integers(1, 100).map("{}%".format)),
    st.booleans(),
)
def test_every_node_goes_once_in_batches_of_the_size_and_control_planes_apart(
    kinds: list[str], canary: int, batch: str, up: bool
) -> None:
    versions = (OLD, NEW) if up else (NEW, OLD)
    inputs = [
        given_node(f"n{number}", role, before=versions[0], after=versions[1])
        for number, role in enumerate(kinds)
    ]
    found = planned(inputs, cluster={"canary": canary, "batch": batch, "pause": 1.0})
    order = [name for each in found.batches for name in each.nodes]
    assert sorted(order) == sorted(each.node.name for each in inputs)
    role = {each.node.name: each.facts.role for each in inputs}
    places = {kind: [n for n, name in enumerate(order) if role[name] == kind] for kind in set(kinds)}
    if "control_plane" in places and "data_plane" in places:
        first, last = ("control_plane", "data_plane") if up else ("data_plane", "control_plane")
        assert max(places[first]) < min(places[last])
    for each in found.batches:
        assert len({role[name] == "control_plane" for name in each.nodes}) == 1
        assert len(each.nodes) <= (canary if each.canary else cluster(batch=batch).batch_size(len(kinds)))
    assert [each.pause for each in found.batches] == [0.0] + [1.0] * (len(found.batches) - 1)
    assert read_plan(plan_json(found), "p") == found


SYNC = ASKED.replace(action="sync", exact=True)


def test_what_a_sync_takes_away_goes_from_the_data_planes_first() -> None:
    found = planned(hybrid(OLD, None), SYNC, cluster={"canary": 0, "batch": "100%"})
    assert groups(found) == [("data planes", ("dp-1", "dp-2")), ("control planes", ("cp-1", "cp-2"))]
    assert found.exact
    assert "    kong-plugin-x 1.0.0-1 goes" in plan_lines(found)


def test_a_sync_that_takes_nothing_away_goes_to_the_control_planes_first() -> None:
    assert planned(hybrid(None, NEW), SYNC).batches[0].nodes == ("cp-1",)


@pytest.mark.parametrize(
    ("roles", "changes", "two"),
    [
        (("control_plane", "data_plane"), ((OLD, None), (None, NEW)), True),
        (("control_plane", "data_plane"), ((None, NEW), (OLD, None)), True),
        (("control_plane", "data_plane"), ((OLD, None), (OLD, NEW)), True),
        (("control_plane", "data_plane"), ((OLD, None), (OLD, None)), False),
        (("control_plane", "data_plane"), ((OLD, None), (OLD, OLD)), False),
        (("control_plane", "data_plane"), ((OLD, NEW), (None, NEW)), False),
        (("control_plane", "control_plane"), ((OLD, None), (None, NEW)), False),
        (("traditional", "dbless"), ((OLD, None), (None, NEW)), False),
    ],
)
def test_a_sync_is_two_rollouts_only_where_a_hybrid_cluster_gets_and_loses_plugins(
    roles: tuple[str, str],
    changes: tuple[tuple[PluginContent | None, PluginContent | None], ...],
    two: bool,
) -> None:
    inputs = [
        given_node(f"n-{number}", role, before=before, after=after)
        for number, (role, (before, after)) in enumerate(zip(roles, changes, strict=True))
    ]
    assert goes_in_two(inputs) is two


def test_a_plan_says_what_goes_after_it() -> None:
    found = planned(hybrid(None, NEW), SYNC.replace(exact=False, later=("old",)))
    assert [warning for warning in found.warnings if warning.startswith("old ")]
    assert not found.exact
