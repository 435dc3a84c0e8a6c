"""What makes a gateway take its plugins from a generation, by file, environment or unit."""

from __future__ import annotations

import hashlib

import pytest

from pumice.cluster.address import Address
from pumice.cluster.enabling import enable, enabled_plugins, plugins_value
from pumice.cluster.facts import FileState, NodeFacts
from pumice.cluster.inventory import Node
from pumice.errors import ConfigError

NODE = Node("n1", Address("local"))


def facts(conf: str | None = "", **more) -> NodeFacts:
    """Of a node with this kong.conf."""
    return NodeFacts("n1", conf=state("/etc/kong/kong.conf", conf), **more)


def state(path: str, text: str | None) -> FileState:
    """A file with this text; None: no file."""
    data = text.encode() if text is not None else None
    return FileState(path, hashlib.sha256(data).hexdigest() if data is not None else None, data)


class TestPlugins:
    @pytest.mark.parametrize(
        ("value", "add", "remove", "expected"),
        [
            ("bundled", ["x"], [], "bundled,x"),
            ("bundled , a", ["x"], [], "bundled,a,x"),
            ("bundled , a", ["a"], [], "bundled , a"),
            ("bundled,x", [], ["x"], "bundled"),
            ("x", [], ["x"], "off"),
            ("off", ["x"], [], "x"),
            ("bundled,x", ["y"], ["x"], "bundled,y"),
        ],
    )
    def test_keep_the_words_of_the_user(self, value, add, remove, expected):
        assert plugins_value(value, add, remove) == expected


class TestAFile:
    def test_gets_our_path_before_that_of_the_user(self):
        enabling = enable(NODE, facts("lua_package_path = /mine/?.lua;;\n"), 3, add=["x"])

        assert enabling.lua_package_path == (
            "/opt/pumice/generations/3/share/lua/5.1/?.lua;"
            "/opt/pumice/generations/3/share/lua/5.1/?/init.lua;/mine/?.lua;;"
        )
        (edit,) = enabling.edits
        assert (
            edit.data
            == (
                f"lua_package_path = {enabling.lua_package_path}\nplugins = bundled,x\n"
                "lua_package_cpath = /opt/pumice/generations/3/lib/lua/5.1/?.so\n"
            ).encode()
        )

    def test_moves_from_generation_to_generation_and_back_to_none(self):
        first = enable(NODE, facts("# words\n"), 1, add=["x"])
        conf = first.edits[0].data.decode()
        second = enable(NODE, facts(conf), 2)
        conf = second.edits[0].data.decode()
        none = enable(NODE, facts(conf), 0, remove=["x"])

        assert conf.count("generations/2") == 3
        assert "generations/1" not in conf
        assert none.lua_package_path == "./?.lua;./?/init.lua;"
        assert none.plugins == "bundled"
        assert "generations" not in none.edits[0].data.decode()

    def test_that_says_it_already_is_not_edited(self):
        conf = enable(NODE, facts("# words\n"), 1, add=["x"]).edits[0].data.decode()

        assert enable(NODE, facts(conf), 1, add=["x"]).edits == ()

    def test_that_is_not_there_is_made(self):
        (edit,) = enable(NODE, facts(None), 1, add=["x"]).edits

        assert edit.before is None
        assert edit.data.startswith(b"plugins = bundled,x\n")

    def test_that_a_variable_beats_is_refused(self):
        enabling = enable(NODE, facts(environment={"KONG_PLUGINS": "bundled"}), 1, add=["x"])

        assert "KONG_PLUGINS is set in the environment" in enabling.refusals[0]
        assert "env:FILE" in enabling.refusals[0]

    def test_never_shows_what_else_is_in_it(self):
        enabling = enable(NODE, facts("pg_password = hunter2\n"), 1, add=["x"])

        assert "hunter2" not in repr(enabling)


class TestAnEnvironmentFile:
    def test_is_edited_and_the_gateways_command_is_told(self):
        node = NODE.replace(enable="env:/etc/kong.env")
        file = state("/etc/kong.env", "KONG_PG_PASSWORD=x\nKONG_PLUGINS=bundled,a\n")

        enabling = enable(node, facts(enable_file=file), 2, add=["x"])

        assert enabling.edits[0].data.decode().startswith("KONG_PG_PASSWORD=x\nKONG_PLUGINS=bundled,a,x\n")
        assert enabling.exports["KONG_PLUGINS"] == "bundled,a,x"
        assert enabling.exports_before["KONG_PLUGINS"] == "bundled,a"
        assert enabling.refusals == ()
        assert enabled_plugins(node, facts(enable_file=file)) == ("bundled", "a")

    def test_a_drop_in_is_ours_alone(self):
        node = NODE.replace(enable="systemd:kong")
        path = "/etc/systemd/system/kong.service.d/50-pumice.conf"

        enabling = enable(node, facts("plugins = bundled,a\n", enable_file=state(path, None)), 1, add=["x"])

        assert enabling.edits[0].path == path
        assert b'Environment="KONG_PLUGINS=bundled,a,x"\n' in enabling.edits[0].data


class TestALuarocksTree:
    def test_that_the_gateway_searches_anyway_needs_no_path(self):
        node = NODE.replace(layout="luarocks", tree="/usr/local")

        enabling = enable(node, facts("plugins = bundled\n"), 0, add=["x"])

        assert enabling.edits[0].data == b"plugins = bundled,x\n"

    def test_elsewhere_is_named(self):
        node = NODE.replace(layout="luarocks", tree="/opt/rocks")

        path = enable(node, facts(), 0, add=["x"]).lua_package_path

        assert path.startswith("/opt/rocks/share/lua/5.1/?.lua;")


def test_a_tree_that_cannot_stand_in_a_path_is_refused():
    with pytest.raises(ConfigError, match="cannot stand in lua_package_path"):
        enable(NODE.replace(tree="/opt/a;b"), facts(), 1)
