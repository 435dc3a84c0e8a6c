"""A node's own LuaRocks tree: changed in place, whole or not at all, and true for luarocks afterwards."""

from __future__ import annotations

import subprocess

import pytest

from pumice.cluster.change import NodeChange
from pumice.cluster.content import Wish
from pumice.cluster.drift import drift
from pumice.cluster.enabling import enable
from pumice.cluster.payload import make_payload
from pumice.cluster.steps import recover, roll_out, undo

HANDLER = "share/lua/5.1/kong/plugins/demo/handler.lua"


def luarocks(node, *words: str) -> str:
    """What the real luarocks says of the node's tree."""
    done = subprocess.run(
        ["luarocks", "--lua-version=5.1", f"--tree={node.tree}", *words], capture_output=True, text=True
    )
    return done.stdout + done.stderr


def installed(node) -> list[str]:
    """Rocks by name and version, as luarocks lists them."""
    lines = luarocks(node, "list", "--porcelain").splitlines()
    return sorted(" ".join(line.split("\t")[:2]) for line in lines if "\t" in line)


def snapshot(node) -> dict[str, tuple[bytes, int]]:
    """Every file of the tree with its mode."""
    return {
        str(path.relative_to(node.tree)): (path.read_bytes(), path.stat().st_mode)
        for path in sorted(node.tree.rglob("*"))
        if path.is_file() and "rollouts" not in path.parts
    }


@pytest.fixture
def node(local_node, tmp_path):
    """A node with a tree in which luarocks itself has put a rock."""
    node = local_node(layout="luarocks")
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "o.lua").write_text("return 1\n")
    (folder / "other-1.0-1.rockspec").write_text(
        'package = "other"\nversion = "1.0-1"\nsource = { url = "." }\n'
        'build = { type = "builtin", modules = { other = "o.lua" } }\n'
    )
    subprocess.run(
        ["luarocks", "--lua-version=5.1", f"--tree={node.tree}", "make"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return node


def prepared(node, maker, wish, rollout="r1"):
    """(change, payload) of a wish."""
    facts = node.probe()
    content = maker.content(node.connection, facts, wish)
    payload = make_payload(content, facts, command="test", now=1.0)
    gone = set(content.plugins_before) - set(content.plugins)
    return NodeChange(rollout, 0, 0, enable(node.node, facts, 0, add=content.asked, remove=gone)), payload


@pytest.mark.peer
class TestWithLuarocks:
    def test_what_came_is_listed_and_can_be_removed_by_it(self, node, maker, plugin):
        node.roll_out(maker, Wish((f"{plugin()}/",)))

        assert installed(node) == ["kong-plugin-demo 0.1.0-1", "other 1.0-1"]
        assert "kong.plugins.demo.handler" in luarocks(node, "show", "kong-plugin-demo")
        assert "Removal successful" in luarocks(node, "remove", "kong-plugin-demo")
        assert installed(node) == ["other 1.0-1"]
        assert not (node.tree / HANDLER).exists()

    def test_it_makes_the_same_tree(self, node, maker, plugin, tmp_path):
        source = plugin()
        subprocess.run(["cp", "-a", node.tree, tmp_path / "theirs"], check=True)
        node.roll_out(maker, Wish((f"{source}/",)))
        subprocess.run(
            ["luarocks", "--lua-version=5.1", f"--tree={tmp_path}/theirs", "make", "--deps-mode=none"],
            cwd=source,
            check=True,
            capture_output=True,
        )

        theirs = {
            str(path.relative_to(tmp_path / "theirs")): (path.read_bytes(), path.stat().st_mode)
            for path in (tmp_path / "theirs").rglob("*")
            if path.is_file()
        }
        assert snapshot(node) == theirs

    def test_doing_it_again_sends_nothing(self, node, maker, plugin):
        source = plugin()
        node.roll_out(maker, Wish((f"{source}/",)))

        assert maker.content(node.connection, node.probe(), Wish((f"{source}/",))).unchanged
        assert prepared(node, maker, Wish((f"{source}/",)))[1] is None

    def test_an_upgrade_and_a_removal_leave_nothing_of_the_old(self, node, maker, plugin):
        before = snapshot(node)
        node.roll_out(maker, Wish((f"{plugin()}/",)), "r1")
        content = node.roll_out(maker, Wish((f"{plugin(version='0.2.0')}/",)), "r2")

        assert (content.plugins_before["demo"].version, content.plugins["demo"].version) == ("0.1.0", "0.2.0")
        assert installed(node) == ["kong-plugin-demo 0.2.0-1", "other 1.0-1"]
        assert node.probe().state == content.state
        node.roll_out(maker, Wish(remove=("demo",)), "r3")
        assert snapshot(node).keys() == before.keys()
        assert installed(node) == ["other 1.0-1"]
        assert node.litter() == []
        assert node.probe().rollouts == ("r1", "r2", "r3")


class TestDrift:
    @pytest.mark.parametrize("without", ["", "md5sum"])
    def test_what_was_changed_or_removed_is_named_and_installed_again(self, node, maker, plugin, without):
        (node.tools / without).unlink() if without else None
        wish = Wish((f"{plugin()}/",))
        node.roll_out(maker, wish, "r1")
        sound = snapshot(node)
        assert drift(node.connection, node.probe()).sound
        (node.tree / HANDLER).write_text("return 2\n")
        schema = HANDLER.replace("handler", "schema")
        (node.tree / schema).unlink()

        found = drift(node.connection, node.probe())

        assert (found.changed, found.missing) == ((HANDLER,), (schema,))
        again = maker.content(node.connection, node.probe(), wish)
        assert not again.unchanged
        node.roll_out(maker, wish, "r2")
        now = snapshot(node)
        assert now.pop(f"{HANDLER}~")[0] == b"return 2\n"
        assert now == sound


class TestUndone:
    def test_everything_is_as_before_byte_for_byte(self, node, maker, plugin):
        node.roll_out(maker, Wish((f"{plugin()}/",)), "r1")
        before, conf = snapshot(node), node.conf.read_bytes()
        change, payload = prepared(node, maker, Wish((f"{plugin(version='0.2.0')}/",)), "r2")
        assert roll_out(node.connection, change, payload)[-1].ok
        assert snapshot(node) != before

        (result,) = undo(node.connection, change)

        assert result.ok
        assert snapshot(node) == before
        assert node.conf.read_bytes() == conf
        assert node.litter() == []

    def test_what_luarocks_changed_meanwhile_is_not_overwritten(self, node, maker, plugin):
        change, payload = prepared(node, maker, Wish((f"{plugin()}/",)))
        luarocks(node, "remove", "other")
        before = snapshot(node)

        results = roll_out(node.connection, change, payload)

        assert results[-1].status == "failed"
        assert snapshot(node) == before

    def test_a_file_that_nobody_listed_is_not_overwritten(self, node, maker, plugin):
        change, payload = prepared(node, maker, Wish((f"{plugin()}/",)))
        (node.tree / HANDLER).parent.mkdir(parents=True)
        (node.tree / HANDLER).write_text("mine")

        results = roll_out(node.connection, change, payload)

        assert "has appeared meanwhile" in results[-1].text
        assert (node.tree / HANDLER).read_text() == "mine"

    def test_a_file_that_was_there_before_is_kept_beside(self, node, maker, plugin):
        (node.tree / HANDLER).parent.mkdir(parents=True)
        (node.tree / HANDLER).write_text("mine")

        node.roll_out(maker, Wish((f"{plugin()}/",)))

        assert (node.tree / f"{HANDLER}~").read_text() == "mine"
        assert "0.1.0" in (node.tree / HANDLER).read_text()

    @pytest.mark.sweep
    def test_a_node_that_is_killed_anywhere_is_old_or_new(self, node, maker, plugin, killing):
        """At every command of the scripts, before and after it."""
        node.roll_out(maker, Wish((f"{plugin()}/",)), "r1")
        source = plugin(version="0.2.0")
        before, conf = snapshot(node), node.conf.read_bytes()
        number, after, killed = 0, True, True
        while killed or not after:
            after = not after
            number += not after
            change, payload = prepared(node, maker, Wish((f"{source}/",)), "r2")

            def work(change=change, payload=payload):
                return roll_out(node.connection, change, payload)

            killed = not killing(node, number, work, after=after)[-1].ok
            if node.probe().pending is not None:
                assert recover(node.connection)[-1].ok
            else:
                undo(node.connection, change)
            assert snapshot(node) == before, number
            assert node.conf.read_bytes() == conf, number
            assert node.litter() == []
        assert 10 < number < 80
