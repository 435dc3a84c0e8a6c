"""Where nodes differ from each other, from themselves and from cluster.toml."""

from typing import Any

from pumice.cluster.cluster_status import NodeStatus, PluginStatus, _compared
from pumice.cluster.earlier import plugins_in, rocks_in
from pumice.cluster.inventory import Cluster, PluginWish


def status(name: str, version: str | None = "1.0.0", **fields: Any) -> NodeStatus:
    plugins = (PluginStatus("x", version, True, version, True),) if version else ()
    return NodeStatus(name, "local:", "dbless", plugins=plugins, **fields)


def compared(*statuses: NodeStatus, wanted: str = "") -> dict[str, tuple[str, ...]]:
    wishes = (PluginWish(name=wanted),) if wanted else ()
    cluster = Cluster("edge", (), "/c.toml", plugins=wishes)
    return {each.node: each.drift for each in _compared(cluster, statuses)}


def test_equal_nodes_are_well() -> None:
    assert compared(status("a"), status("b")) == {"a": (), "b": ()}


def test_the_odd_one_out_is_marked() -> None:
    found = compared(status("a"), status("b"), status("c", "0.9.0"), status("d", None))
    assert found["a"] == ()
    assert found["c"] == ("x 0.9.0, where most nodes have 1.0.0",)
    assert found["d"] == ("x is not there, and other nodes have it",)


def test_what_the_file_wants_and_nobody_has_is_marked() -> None:
    assert compared(status("a"), wanted="y")["a"] == ("y is in cluster.toml, but not there",)
    assert compared(status("a"), wanted="x")["a"] == ()
    assert compared(status("a"), wanted="kong-plugin-x")["a"] == ()


def test_a_node_that_was_not_reached_has_no_drift() -> None:
    found = compared(status("a"), NodeStatus("b", "local:", error="no route"))
    assert found == {"a": (), "b": ()}


def test_plugins_and_rocks_are_read_off_the_paths_of_a_tree() -> None:
    files = [
        "share/lua/5.1/kong/plugins/x/handler.lua",
        "share/lua/5.1/kong/plugins/x/schema.lua",
        "share/lua/5.1/kong/plugins/y/handler/init.lua",
        "share/lua/5.1/kong/plugins/not-one/schema.lua",
        "share/lua/5.1/handler.lua",
        "lib/luarocks/rocks-5.1/kong-plugin-x/1.0-1/kong-plugin-x-1.0-1.rockspec",
        "lib/luarocks/rocks-5.1/kong-plugin-x/1.0-1/rock_manifest",
    ]
    assert plugins_in(files) == ("x", "y")
    assert rocks_in(files) == {"kong-plugin-x": "1.0-1"}
