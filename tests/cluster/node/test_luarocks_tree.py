"""A node's own LuaRocks tree: changed in place, whole or not at all, and true for luarocks afterwards."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from pumice.cluster.change import NodeChange
from pumice.cluster.content import Wish
from pumice.cluster.drift import drift
from pumice.cluster.enabling import enable, enabled_plugins, plugin_words
from pumice.cluster.luarocks_earlier import earlier_files
from pumice.cluster.luarocks_tree import PlainPayload
from pumice.cluster.payload import make_payload
from pumice.cluster.steps import finish, recover, roll_out, undo
from pumice.errors import TreeError

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


def rolled(node, change, payload, *, keep: int = 10) -> None:
    """A change, rolled out and proved, with what its record says of the plugins that it enabled."""
    before = enabled_plugins(node.node, node.probe())
    after = plugin_words(change.enabling.plugins)
    record = {
        "version": 1,
        "id": change.rollout,
        "changes": [["kong-plugin-demo", "0.1.0-1", "0.2.0-1"]],
        "before": [["demo", "0.1.0"]],
        "enabled": [name for name in after if name not in before],
        "disabled": [name for name in before if name not in after],
    }
    results = roll_out(node.connection, change, payload)
    assert all(each.ok for each in results), results
    (result,) = finish(node.connection, change, json.dumps(record).encode(), keep=keep)
    assert (result.ok, result.text) == (True, ""), result


def rolled_back(node, rollout: str = "back"):
    """(change, payload) that take the newest rollout back."""
    earlier = earlier_files(node.connection)
    enabling = enable(node.node, node.probe(), 0, add=earlier.add, remove=earlier.remove)
    return NodeChange(rollout, 0, 0, enabling), PlainPayload(earlier.change, None, earlier.state)


def take_back(node, rollout: str = "back") -> None:
    change, payload = rolled_back(node, rollout)
    rolled(node, change, payload)
    assert node.probe().state == payload.digest
    assert node.litter() == []


def kept(node) -> list[str]:
    """The rollouts of which a node keeps what they replaced."""
    places = (node.tree / "share/pumice/rollouts/kept").glob("*")
    return sorted((place / "rollout").read_text().strip() for place in places)


class TestTakenBack:
    def test_rollouts_are_taken_back_one_after_the_other_byte_for_byte(self, node, maker, plugin):
        states, listed = [snapshot(node)], [installed(node)]
        wishes = (Wish((f"{plugin()}/",)), Wish((f"{plugin(version='0.2.0')}/",)), Wish(remove=("demo",)))
        for number, wish in enumerate(wishes):
            rolled(node, *prepared(node, maker, wish, f"r{number}"))
            states.append(snapshot(node))
            listed.append(installed(node))
        assert kept(node) == ["r0", "r1", "r2"]

        for number in (2, 1, 0):
            take_back(node, f"back{number}")

            assert snapshot(node) == states[number]
            assert installed(node) == listed[number]
            assert kept(node) == [f"r{each}" for each in range(number)]
        assert not (node.tree / HANDLER).parent.exists()
        with pytest.raises(TreeError, match="no rollout has left there"):
            earlier_files(node.connection)

    def test_plugins_are_enabled_as_before(self, node, maker, plugin):
        rolled(node, *prepared(node, maker, Wish((f"{plugin()}/",)), "r1"))
        assert "demo" in enabled_plugins(node.node, node.probe())

        earlier = earlier_files(node.connection)
        take_back(node)

        assert (earlier.remove, earlier.proof) == (("demo",), (("demo", "-"),))
        assert enabled_plugins(node.node, node.probe()) == ("bundled",)

    def test_a_rollout_that_only_enabled_a_plugin_is_one_too(self, node, maker, plugin):
        rolled(node, *prepared(node, maker, Wish((f"{plugin()}/",)), "r1"))
        before = snapshot(node)
        change = NodeChange("r2", 0, 0, enable(node.node, node.probe(), 0, add=("theirs",)))
        rolled(node, change, None)
        assert "theirs" in enabled_plugins(node.node, node.probe())

        take_back(node)

        assert enabled_plugins(node.node, node.probe()) == ("bundled", "demo")
        assert snapshot(node) == before
        assert kept(node) == ["r1"]

    def test_what_it_says_is_the_rollout_the_other_way_round(self, node, maker, plugin):
        rolled(node, *prepared(node, maker, Wish((f"{plugin()}/",)), "r1"))
        rolled(node, *prepared(node, maker, Wish((f"{plugin(version='0.2.0')}/",)), "r2"))

        earlier = earlier_files(node.connection)

        assert [str(each) for each in earlier.changes] == ["kong-plugin-demo 0.2.0-1 → 0.1.0-1"]
        assert earlier.proof == (("demo", "0.1.0"),)
        assert "rollout r2 is taken back" in earlier.told

    def test_files_keep_their_modes(self, node, maker, plugin):
        rolled(node, *prepared(node, maker, Wish((f"{plugin()}/",)), "r1"))
        (node.tree / HANDLER).chmod(0o640)
        before = snapshot(node)
        rolled(node, *prepared(node, maker, Wish((f"{plugin(version='0.2.0')}/",)), "r2"))

        take_back(node)

        assert snapshot(node) == before

    def test_a_tree_that_luarocks_changed_since_is_left_alone(self, node, maker, plugin):
        rolled(node, *prepared(node, maker, Wish((f"{plugin()}/",)), "r1"))
        luarocks(node, "remove", "other")
        before = snapshot(node)

        with pytest.raises(TreeError, match="changed by somebody else since rollout r1") as caught:
            earlier_files(node.connection)

        assert "cluster install" in str(caught.value.hint)
        assert snapshot(node) == before

    def test_a_removed_file_that_is_there_again_is_left_alone(self, node, maker, plugin):
        rolled(node, *prepared(node, maker, Wish((f"{plugin()}/",)), "r1"))
        rolled(node, *prepared(node, maker, Wish(remove=("demo",)), "r2"))
        (node.tree / HANDLER).parent.mkdir(parents=True)
        (node.tree / HANDLER).write_text("mine")

        with pytest.raises(TreeError, match="changed by somebody else"):
            earlier_files(node.connection)

    def test_a_tree_that_changes_after_the_look_is_left_alone(self, node, maker, plugin):
        rolled(node, *prepared(node, maker, Wish((f"{plugin()}/",)), "r1"))
        change, payload = rolled_back(node)
        (node.tree / HANDLER).write_text("mine")
        before = snapshot(node)

        results = roll_out(node.connection, change, payload)

        assert results[-1].status == "failed"
        assert snapshot(node) == before
        assert node.litter() == []

    @pytest.mark.parametrize("lost", ["plan", "after", f"files/{HANDLER}"])
    def test_kept_files_that_are_not_whole_are_not_used(self, node, maker, plugin, lost):
        rolled(node, *prepared(node, maker, Wish((f"{plugin()}/",)), "r1"))
        rolled(node, *prepared(node, maker, Wish((f"{plugin(version='0.2.0')}/",)), "r2"))
        (node.tree / "share/pumice/rollouts/kept/2" / lost).unlink()

        with pytest.raises(TreeError, match="is not kept there whole"):
            earlier_files(node.connection)

    def test_what_cannot_be_kept_is_told_and_the_rollout_stands(self, node, maker, plugin):
        rolled(node, *prepared(node, maker, Wish((f"{plugin()}/",)), "r1"))
        shutil.rmtree(node.tree / "share/pumice/rollouts/kept")
        (node.tree / "share/pumice/rollouts/kept").write_text("in the way")
        change, payload = prepared(node, maker, Wish((f"{plugin(version='0.2.0')}/",)), "r2")
        assert roll_out(node.connection, change, payload)[-1].ok

        (result,) = finish(node.connection, change, b"{}")

        assert result.ok
        assert "could not be kept" in result.text
        assert node.litter() == []
        with pytest.raises(TreeError, match="no rollout has left there"):
            earlier_files(node.connection)

    def test_only_so_many_are_kept(self, node, maker, plugin):
        for number in range(4):
            wish = Wish((f"{plugin(version=f'0.{number}.0')}/",))
            rolled(node, *prepared(node, maker, wish, f"r{number}"), keep=2)

        assert kept(node) == ["r2", "r3"]

    def test_taking_back_can_be_undone(self, node, maker, plugin):
        rolled(node, *prepared(node, maker, Wish((f"{plugin()}/",)), "r1"))
        rolled(node, *prepared(node, maker, Wish((f"{plugin(version='0.2.0')}/",)), "r2"))
        before, conf = snapshot(node), node.conf.read_bytes()
        change, payload = rolled_back(node)
        assert roll_out(node.connection, change, payload)[-1].ok
        assert snapshot(node) != before

        assert undo(node.connection, change)[-1].ok

        assert snapshot(node) == before
        assert node.conf.read_bytes() == conf
        assert node.litter() == []
        take_back(node)

    @pytest.mark.sweep
    def test_killed_anywhere_until_it_is_finished_it_can_still_be_taken_back(
        self, node, maker, plugin, killing, tmp_path
    ):
        """A rollout at every command of its `finish`; then the taking back, at every one of its commands."""
        rolled(node, *prepared(node, maker, Wish((f"{plugin()}/",)), "r1"))
        old, source = snapshot(node), plugin(version="0.2.0")
        backup = tmp_path / "backup"
        for back in (False, True):
            if back:
                rolled(node, *prepared(node, maker, Wish((f"{source}/",)), "r2"))
            new = snapshot(node) if back else None
            shutil.rmtree(backup, ignore_errors=True)
            subprocess.run(["cp", "-a", node.root, backup], check=True)
            number, after, killed, seen = 0, True, True, set()
            while killed or not after:
                after = not after
                number += not after
                if back:
                    change, payload = rolled_back(node)
                else:
                    change, payload = prepared(node, maker, Wish((f"{source}/",)), "r2")
                    assert roll_out(node.connection, change, payload)[-1].ok
                    new = {path: file for path, file in snapshot(node).items() if ".pumice/" not in path}

                def work(back=back, change=change, payload=payload):
                    results = roll_out(node.connection, change, payload) if back else ()
                    if results and not results[-1].ok:
                        return results
                    return finish(node.connection, change, (backup / "record").read_bytes())

                record = {"enabled": [], "disabled": [], "before": [], "changes": []}
                (backup / "record").write_text(json.dumps(record))
                killed = not killing(node, number, work, after=after)[-1].ok
                if node.probe().pending is not None:
                    assert recover(node.connection)[-1].ok
                else:
                    undo(node.connection, change)
                assert node.litter() == [], number
                now = snapshot(node)
                assert now in (old, new), number
                seen.add("old" if now == old else "new")
                if now == new:
                    assert kept(node) == ["r1", "r2"], number
                    take_back(node, "again")
                    assert snapshot(node) == old
                assert kept(node) == ["r1"], number
                shutil.rmtree(node.root)
                subprocess.run(["cp", "-a", backup, node.root], check=True)
            assert seen == {"old", "new"}
            assert 5 < number < 100

    @pytest.mark.sweep
    def test_undoing_it_that_is_killed_anywhere_can_be_undone_again(self, node, maker, plugin, killing):
        rolled(node, *prepared(node, maker, Wish((f"{plugin()}/",)), "r1"))
        rolled(node, *prepared(node, maker, Wish((f"{plugin(version='0.2.0')}/",)), "r2"))
        before, conf = snapshot(node), node.conf.read_bytes()
        number, after, killed = 0, True, True
        while killed or not after:
            after = not after
            number += not after
            change, payload = rolled_back(node)
            assert roll_out(node.connection, change, payload)[-1].ok

            def work(change=change):
                return undo(node.connection, change)

            killed = not killing(node, number, work, after=after)[-1].ok
            assert undo(node.connection, change)[-1].ok
            assert snapshot(node) == before, number
            assert node.conf.read_bytes() == conf, number
            assert (node.litter(), kept(node)) == ([], ["r1", "r2"]), number
        assert 3 < number < 40
        take_back(node)
