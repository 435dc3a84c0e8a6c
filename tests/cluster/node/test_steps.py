"""The steps of a change on a node: whole or not at all, whatever fails, and with nothing left behind."""

from __future__ import annotations

import os
import subprocess

import pytest

from pumice.cluster.change import NodeChange
from pumice.cluster.enabling import enable
from pumice.cluster.payload import resend
from pumice.cluster.steps import activate, finish, log_since, migrate, recover, roll_out, stage, undo

HANDLER = "share/lua/5.1/kong/plugins/x/handler.lua"
FILES = {HANDLER: b"return 1\n", "bin/x": b"#!/bin/sh\n", "lib/luarocks/rocks-5.1/manifest": b"m\n"}


def statuses(results):
    """What came of each step."""
    return [f"{result.step} {result.status}" for result in results]


def rolled_out(node, files=FILES, rollout="r1", **settings):
    """The node after a whole rollout of these files."""
    change, payload = node.prepared(files, rollout=rollout, **settings)
    assert statuses(roll_out(node.connection, change, payload))[-1] == "reload done"
    assert statuses(finish(node.connection, change, b'{"version": 1}')) == ["finish done"]
    return change


class TestGoingWell:
    def test_a_first_installation_is_staged_checked_made_current_and_told_the_gateway(self, local_node):
        node = local_node()
        change, payload = node.prepared(FILES)

        results = roll_out(node.connection, change, payload)

        assert statuses(results) == ["stage done", "preflight done", "activate done", "reload done"]
        assert node.current == "generations/1"
        assert node.files() == FILES
        assert "plugins = bundled,x # all of them\n" in node.conf.read_text()
        assert [line.split()[0] for line in node.asked()] == ["config", "reload"]
        assert statuses(finish(node.connection, change, b'{"version": 1}')) == ["finish done"]
        assert (node.tree / "rollouts" / "r1.json").read_bytes() == b'{"version": 1}'
        assert node.litter() == []

    def test_the_tree_is_one_that_pumice_itself_would_have_made(self, local_node):
        node = local_node()
        rolled_out(node)
        path = node.tree / "current" / HANDLER

        assert (
            path.stat().st_mode & 0o777,
            path.stat().st_mtime,
            path.stat().st_nlink,
        ) == (0o444, 946684800, 2)
        assert (node.tree / "current/bin/x").stat().st_mode & 0o777 == 0o555
        from pumice.base.config import TreeSpec
        from pumice.tree.generations import GenerationTree

        tree = GenerationTree(TreeSpec.at(str(node.tree), "5.1"))
        assert [generation.number for generation in tree.history()] == [1]
        assert tree.verify() == ()

    def test_an_upgrade_sends_only_what_is_new(self, local_node):
        node = local_node()
        rolled_out(node)

        _, payload = node.prepared({**FILES, HANDLER: b"return 2\n"})

        assert len(payload.keys) == 1
        assert len(b"return 2\n") == payload.size

    def test_nothing_to_do_is_no_payload(self, local_node):
        node = local_node()
        rolled_out(node)

        change, payload = node.prepared(FILES)

        assert payload is None
        assert change.enabling.edits == ()

    def test_staging_migrating_and_activating_can_be_told_apart(self, local_node):
        node = local_node()
        change, payload = node.prepared(FILES)

        assert statuses(stage(node.connection, change, payload)) == ["stage done"]
        assert node.current is None
        assert "bundled # all" in node.conf.read_text()
        assert statuses(migrate(node.connection, change)) == ["migrate done"]
        assert statuses(activate(node.connection, change)) == [
            "preflight done",
            "activate done",
            "reload done",
        ]
        assert statuses(finish(node.connection, change, b"{}")) == ["finish done"]
        assert node.files() == FILES
        assert "generations/1/share" in node.conf.read_text()
        assert any(line.startswith("migrations up -c") and "new/edits" in line for line in node.asked())
        assert node.litter() == []

    def test_old_generations_and_what_only_they_had_go_in_the_end(self, local_node):
        node = local_node()
        for number in range(4):
            change, payload = node.prepared({HANDLER: b"%d" % number}, rollout=f"r{number}")
            roll_out(node.connection, change, payload)
            finish(node.connection, change, b"{}", keep=2)

        assert sorted(path.name for path in node.tree.glob("generations/*")) == ["3", "4"]
        assert len(list(node.tree.glob("store/??/*"))) == 2

    def test_going_back_to_an_earlier_generation_sends_nothing(self, local_node):
        node = local_node()
        rolled_out(node)
        rolled_out(node, {HANDLER: b"return 2\n"}, "r2")
        facts = node.probe()
        change = NodeChange("r3", 2, 1, enable(node.node, facts, 1, add=["x"]))

        assert statuses(roll_out(node.connection, change, None))[-1] == "reload done"
        finish(node.connection, change, b"{}")

        assert node.current == "generations/1"
        assert "generations/1/share" in node.conf.read_text()

    def test_a_configuration_reached_by_a_symlink_keeps_it_and_its_mode(self, local_node):
        node = local_node()
        real = node.root / "real.conf"
        node.conf.rename(real)
        node.conf.symlink_to(real)
        real.chmod(0o640)

        rolled_out(node)

        assert node.conf.is_symlink()
        assert real.stat().st_mode & 0o777 == 0o640
        assert "bundled,x" in real.read_text()

    def test_names_with_quotes_blanks_and_dollars_are_only_names(self, local_node, tmp_path):
        odd = tmp_path / "it's $(touch x) & `y`;"
        odd.mkdir()
        node = local_node()
        node.conf.rename(odd / "kong.conf")
        node.conf = odd / "kong.conf"
        node.node = node.node.replace(conf=str(node.conf))
        files = {"share/lua/5.1/a b/it's $HOME `id`.lua": b"1", "share/lua/5.1/-rf": b"2"}

        rolled_out(node, files)

        assert files == node.files()
        assert "bundled,x" in node.conf.read_text()

    def test_the_disk_has_it_before_anything_names_it(self, local_node):
        node = local_node()
        change, payload = node.prepared(FILES)
        connection = node.connection
        connection.durable = True

        assert statuses(roll_out(connection, change, payload))[-1] == "reload done"


class TestAUserWhoIsNotRoot:
    @pytest.fixture
    def node(self, local_node, tmp_path):
        """A node of which everything belongs to nobody, who does all that is done there."""
        if os.geteuid() != 0:
            pytest.skip("only root can become somebody else")
        for folder in (tmp_path, *tmp_path.parents):
            if not folder.stat().st_mode & 0o001:
                folder.chmod(folder.stat().st_mode & 0o777 | 0o011)
        node = local_node()
        subprocess.run(["chown", "-R", "nobody", node.root], check=True)
        node.user = "nobody"
        return node

    def test_rolls_out(self, node):
        rolled_out(node)

        assert node.files() == FILES
        assert node.litter() == []

    def test_writes_a_configuration_in_place_where_he_may_make_no_file_and_takes_it_back(self, node):
        os.chown(node.conf.parent, 0, 0)
        before = node.conf.read_bytes()
        change, payload = node.prepared(FILES)

        assert statuses(roll_out(node.connection, change, payload))[-1] == "reload done"
        assert b"bundled,x" in node.conf.read_bytes()
        assert statuses(undo(node.connection, change)) == ["undo done"]
        assert node.conf.read_bytes() == before
        assert node.litter() == []

    def test_is_told_what_he_may_not_write(self, node):
        os.chown(node.conf.parent, 0, 0)
        os.chown(node.conf, 0, 0)
        change, payload = node.prepared(FILES)

        results = roll_out(node.connection, change, payload)

        assert statuses(results)[-1] == "activate failed"
        assert "kong.conf cannot be written" in results[-1].text
        assert node.current is None
        assert node.litter() == []


class TestFailing:
    def test_a_script_that_is_still_at_work_is_waited_for(self, local_node):
        """Its connection was cut, and the same command runs again."""
        node = local_node()
        place = node.tree / ".pumice" / "cluster"
        place.mkdir(parents=True)
        with open("/proc/self/stat") as file:
            started = file.read().rpartition(")")[2].split()[19]
        (place / "running").write_text(f"{os.getpid()} {started}\n")
        change, payload = node.prepared(FILES)
        connection = node.connection
        run = connection.run
        connection.run = lambda script, **named: run(script.replace("WAIT=20", "WAIT=1"), **named)

        (result,) = roll_out(connection, change, payload)

        assert result.status == "failed"
        assert f"process {os.getpid()}" in result.text
        (place / "running").write_text(f"{os.getpid()} 1\n")
        assert statuses(roll_out(connection, change, payload))[-1] == "reload done"

    def test_what_is_cut_on_the_way_changes_nothing(self, local_node):
        node = local_node()
        change, payload = node.prepared(FILES)
        connection = node.connection
        whole = []
        connection.run = lambda script, stdin, timeout: whole.append((script, b"".join(stdin))) or pytest.skip
        try:
            roll_out(connection, change, payload)
        except AttributeError:
            pass
        ((script, sent),) = whole

        for length in (0, 1, 511, 512, 1024, 5000, len(sent) // 2, len(sent) - 3000):
            answer = node.connection.run(script, stdin=sent[:length])
            assert b"step stage failed" in answer.output, length
            assert node.current is None
            assert node.litter() == []

    def test_what_changes_on_the_way_is_not_linked(self, local_node):
        node = local_node()
        change, payload = node.prepared({HANDLER: os.urandom(20)})
        (key,) = payload.keys
        node.blobs.known[key] = b"X" * 20

        (result,) = roll_out(node.connection, change, payload)

        assert result.status == "failed"
        assert "not what was sent" in result.text
        assert node.litter() == []

    def test_a_damaged_content_of_the_store_is_set_aside_and_sent_again(self, local_node):
        node = local_node()
        rolled_out(node)
        victim = node.tree / "current" / HANDLER
        victim.chmod(0o644)
        victim.write_bytes(b"return 9\n")
        change, payload = node.prepared({**FILES, "share/lua/5.1/new.lua": b"1"}, rollout="r2")

        (result,) = roll_out(node.connection, change, payload)
        assert result.status == "failed"
        again = resend(payload, result.data["damaged"].split("\n"))
        assert statuses(roll_out(node.connection, change, again))[-1] == "reload done"
        finish(node.connection, change, b"{}")

        assert node.files()[HANDLER] == b"return 1\n"
        assert node.litter() == []

    def test_a_preflight_that_fails_leaves_the_node_as_it_was(self, local_node):
        node = local_node()
        before = node.conf.read_bytes()
        (node.root / "kong-fails").write_text("parse\n")
        change, payload = node.prepared(FILES)

        results = roll_out(node.connection, change, payload)

        assert statuses(results) == ["stage done", "preflight failed"]
        assert "parse went wrong" in results[-1].text
        assert before == node.conf.read_bytes()
        assert node.litter() == []

    def test_a_reload_that_fails_is_undone_byte_for_byte(self, local_node):
        node = local_node()
        before, prepared = node.conf.read_bytes(), (node.prefix / ".kong_env").read_bytes()
        (node.root / "kong-fails").write_text("reload\n")
        change, payload = node.prepared(FILES)

        assert statuses(roll_out(node.connection, change, payload))[-1] == "reload failed"
        (node.root / "kong-fails").unlink()
        assert statuses(undo(node.connection, change)) == ["undo done"]

        assert node.current is None
        assert before == node.conf.read_bytes()
        assert prepared == (node.prefix / ".kong_env").read_bytes()
        assert node.litter() == []

    def test_what_the_gateway_logged_since_comes_back(self, local_node):
        node = local_node()
        change, payload = node.prepared(FILES)
        roll_out(node.connection, change, payload)

        assert log_since(node.connection) == ("a line of the log",)
        assert undo(node.connection, change)[0].data["log"] == "a line of the log"

    def test_undoing_twice_or_without_anything_to_undo_is_no_harm(self, local_node):
        node = local_node()
        change = rolled_out(node)

        assert statuses(undo(node.connection, change)) == ["undo done"]
        assert node.current == "generations/1"

    def test_a_configuration_that_somebody_changed_meanwhile_is_not_overwritten(self, local_node):
        node = local_node()
        change, payload = node.prepared(FILES)
        node.conf.write_text("plugins = bundled,other\n")

        results = roll_out(node.connection, change, payload)

        assert statuses(results) == ["stage failed"]
        assert "configuration has changed" in results[0].text
        assert node.conf.read_text() == "plugins = bundled,other\n"
        assert node.litter() == []

    def test_what_somebody_wrote_after_the_activation_is_kept_beside_when_undone(self, local_node):
        node = local_node()
        before = node.conf.read_bytes()
        change, payload = node.prepared(FILES)
        roll_out(node.connection, change, payload)
        node.conf.write_text("theirs\n")

        (result,) = undo(node.connection, change)

        assert before == node.conf.read_bytes()
        assert (node.conf.parent / "kong.conf.pumice-kept").read_text() == "theirs\n"
        assert "changed by somebody else" in result.text

    def test_a_tree_that_moved_on_meanwhile_is_refused(self, local_node):
        node = local_node()
        stale = node.prepared({HANDLER: b"old plan"})
        rolled_out(node)

        results = roll_out(node.connection, *stale)

        assert statuses(results) == ["stage failed"]
        assert "changed meanwhile" in results[0].text
        assert node.current == "generations/1"

    def test_a_tree_that_somebody_changes_on_the_node_is_waited_for(self, local_node):
        node = local_node()
        node.tree.mkdir()
        host = os.uname().nodename
        (node.tree / "lockfile.lfs").symlink_to(f"pumice lock: process {os.getpid()} on {host}")
        change, payload = node.prepared(FILES)
        connection = node.connection
        run = connection.run
        connection.run = lambda script, **named: run(script.replace("WAIT=20", "WAIT=1"), **named)

        results = roll_out(connection, change, payload)

        assert statuses(results) == ["stage failed"]
        assert "somebody else changes" in results[0].text
        assert (node.tree / "lockfile.lfs").is_symlink()

    def test_the_lock_of_a_dead_process_is_taken_over(self, local_node):
        node = local_node()
        node.tree.mkdir()
        (node.tree / "lockfile.lfs").symlink_to(f"pumice lock: process 4194305 on {os.uname().nodename}")

        rolled_out(node)

        assert node.litter() == []

    def test_a_node_without_room_says_so_and_stays_as_it_was(self, local_node):
        node = local_node()
        node.tree.mkdir()
        if subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "x", node.tree], capture_output=True
        ).returncode:
            pytest.skip("no tmpfs can be mounted here")
        try:
            rolled_out(node)
            before = node.conf.read_bytes()
            facts = node.probe()
            large = {**FILES, "share/lua/5.1/large.lua": os.urandom(1_200_000)}
            with pytest.raises(Exception, match="do not fit"):
                node.prepared(large)
            change, payload = node.prepared_for(facts.replace(free=None), large, rollout="r2")

            results = roll_out(node.connection, change, payload)

            assert statuses(results) == ["stage failed"]
            assert "o space left" in results[0].text
            assert before == node.conf.read_bytes()
            assert node.current == "generations/1"
            assert node.litter() == []
        finally:
            subprocess.run(["umount", node.tree], check=True)

    def test_a_read_only_node_says_so(self, local_node):
        node = local_node()
        node.tree.mkdir()
        change, payload = node.prepared(FILES)
        if subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "ro", "x", node.tree], capture_output=True
        ).returncode:
            pytest.skip("no tmpfs can be mounted here")
        try:
            assert node.probe().broken
            results = roll_out(node.connection, change, payload)
        finally:
            subprocess.run(["umount", node.tree], check=True)

        assert statuses(results) == ["stage failed"]
        assert "ead-only file system" in results[0].text

    def test_a_shell_that_ends_early_has_failed_at_the_step_where_it_was(self, local_node):
        node = local_node()
        change, payload = node.prepared(FILES)
        connection = node.connection
        run = connection.run
        connection.run = lambda script, **named: run("echo no such thing >&2; exit 3", **named)

        assert [
            (f"{each.step} {each.status}", each.text) for each in roll_out(connection, change, payload)
        ] == [("stage failed", "no such thing")]


@pytest.mark.sweep
class TestKilled:
    def test_a_node_that_is_killed_anywhere_is_old_or_new_and_goes_on(self, local_node, killing, tmp_path):
        """At every command of the scripts, before and after it: the node is whole, and can be rolled out to."""
        node = local_node()
        rolled_out(node, {HANDLER: b"old\n", "share/lua/5.1/gone.lua": b"1"}, "r0")
        old_conf, old_files = node.conf.read_bytes(), node.files()
        node.conf.write_text(node.conf.read_text() + "# a word of the user's\n")
        old_conf = node.conf.read_bytes()
        backup = tmp_path / "backup"
        subprocess.run(["cp", "-a", node.root, backup], check=True)
        outcomes = set()
        self.recovered = set()
        number, after, killed = 0, True, True
        while killed or not after:
            after = not after
            number += not after
            change, payload = node.prepared({HANDLER: b"new\n"}, rollout="r1", add=("x", "y"))

            def work(change=change, payload=payload):
                results = roll_out(node.connection, change, payload)
                return results if not results[-1].ok else finish(node.connection, change, b"{}")

            killed = not killing(node, number, work, after=after)[-1].ok
            assert node.files() in (old_files, {HANDLER: b"new\n"}), number
            assert node.conf.read_bytes() == old_conf or b"bundled,x,y" in node.conf.read_bytes(), number
            outcomes.add(self.settled(node, old_conf, old_files))
            rolled_out(node, {HANDLER: b"newest\n"}, "r2", add=("x",))
            assert node.files() == {HANDLER: b"newest\n"}
            assert node.litter() == [], number
            subprocess.run(["rm", "-rf", node.root], check=True)
            subprocess.run(["cp", "-a", backup, node.root], check=True)
        assert {"old", "new"} == outcomes
        assert self.recovered == {"undone", "finished"}
        assert 15 < number < 80

    def settled(self, node, old_conf, old_files) -> str:
        facts = node.probe()
        if facts.pending is not None:
            (result,) = recover(node.connection)
            assert result.status == "done", result
            self.recovered.add(result.data["outcome"])
        facts = node.probe()
        assert facts.pending is None
        assert not facts.broken
        if node.files() == old_files:
            assert old_conf == node.conf.read_bytes()
            return "old"
        assert node.files() == {HANDLER: b"new\n"}
        assert b"bundled,x,y" in node.conf.read_bytes()
        return "new"

    def test_undoing_that_is_killed_anywhere_can_be_undone_again(self, local_node, killing):
        node = local_node()
        rolled_out(node, {HANDLER: b"old\n"}, "r0")
        old_conf = node.conf.read_bytes()
        number, after, killed = 0, True, True
        while killed or not after:
            after = not after
            number += not after
            change, payload = node.prepared({HANDLER: b"new\n"}, rollout="r1", add=("x", "y"))
            assert statuses(roll_out(node.connection, change, payload))[-1] == "reload done"
            killed = not killing(
                node, number, lambda change=change: undo(node.connection, change), after=after
            )[-1].ok
            if node.probe().pending is not None:
                assert statuses(recover(node.connection)) == ["recover done"]
            assert old_conf == node.conf.read_bytes(), number
            assert node.files() == {HANDLER: b"old\n"}, number
        change = rolled_out(node, {HANDLER: b"newest\n"}, "r2")
        assert node.litter() == []
        assert 8 < number < 60
