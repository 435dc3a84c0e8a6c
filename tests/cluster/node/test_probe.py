"""The probe: one run, facts of whatever answers, and nothing changed."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.cluster.address import Address
from pumice.cluster.connection import Answer
from pumice.cluster.inventory import Node
from pumice.cluster.probe import probe, probe_workers, read_facts
from pumice.cluster.steps import finish, roll_out

NODE = Node("n1", Address("local"))
KEYS = [
    "begin",
    "system",
    "uid",
    "uptime",
    "time",
    "master",
    "worker",
    "libc",
    "lua",
    "environ",
    "env",
    "envname",
    "has",
    "kong",
    "prepared",
    "writable",
    "df",
    "mount",
    "rollout",
    "current",
    "generation",
    "key",
    "files",
    "hostname",
    "node-id",
    "unreadable",
]


def names(path) -> list[str]:
    """Every path below one."""
    return sorted(str(each.relative_to(path)) for each in path.rglob("*"))


class TestAFreshNode:
    def test_tells_what_it_is_and_has(self, local_node):
        facts = local_node().probe()

        assert not facts.broken
        assert facts.problems == ()
        assert (facts.system, facts.arch) == (os.uname().sysname, os.uname().machine)
        assert facts.hostname == os.uname().nodename
        assert facts.libc == "glibc"
        assert facts.user == os.getuid()
        assert facts.kong_version == "3.9.1"
        assert facts.role == "dbless"
        assert facts.generation == 0
        assert facts.writable
        assert facts.free > 1_000_000
        assert abs(facts.time - time.time()) < 60

    def test_is_not_changed(self, local_node):
        node = local_node()
        node.probe()
        (node.root / "kong.log").unlink()
        before = names(node.root)

        node.probe()

        assert names(node.root) == sorted([*before, "kong.log"])

    def test_gives_its_configuration_byte_for_byte_and_never_shows_it(self, local_node):
        node = local_node()
        node.conf.write_bytes(b"pg_password = hunter2\nplugins = bundled\xff\x00\n\n")

        facts = node.probe()

        assert facts.conf.data == node.conf.read_bytes()
        assert "hunter2" not in repr(facts)

    def test_does_not_send_what_the_gateway_was_prepared_with_but_for_a_few_settings(self, local_node):
        node = local_node()

        answer = node.connection.run("true")
        seen = []
        connection = node.connection
        run = connection.run
        connection.run = lambda script, **named: seen.append(run(script, **named)) or seen[-1]
        probe(connection)

        assert answer.ok
        assert b"secret" not in seen[0].output
        assert b"prepared plugins = bundled" in seen[0].output


class TestAnOddNode:
    def test_without_a_gateway_is_told(self, local_node):
        node = local_node()
        (node.root / "kong").unlink()

        facts = node.probe()

        assert facts.kong_version is None
        assert any("there is no program" in problem for problem in facts.problems)

    def test_whose_current_leads_nowhere_is_broken(self, local_node):
        node = local_node()
        node.tree.mkdir()
        (node.tree / "current").symlink_to("generations/7")

        facts = node.probe()

        assert facts.broken
        assert any("has no record" in problem for problem in facts.problems)

    def test_whose_current_is_a_directory_is_broken(self, local_node):
        node = local_node()
        (node.tree / "current").mkdir(parents=True)

        assert node.probe().broken

    @pytest.mark.parametrize(
        "record",
        [
            b"",
            b"{}",
            b"[" * 5000,
            b'{"version": 1}',
            b'{"version":1,"time":1,"command":"x","parent":0,"added":[],"removed":[],"files":{"../x":["%s",1]}}'
            % (b"a" * 64),
            b'{"version":1,"time":1,"command":"x","parent":0,"added":[],"removed":[],"files":{"x":["../../x",1]}}',
            b'{"version":1,"time":1,"command":"x","parent":0,"added":[],"removed":[],"files":{"\\ud800":["%s",1]}}'
            % (b"a" * 64),
        ],
    )
    def test_whose_record_is_damaged_or_hostile_is_broken(self, local_node, record):
        node = local_node()
        place = node.tree / "generations" / "1"
        place.mkdir(parents=True)
        (place / "generation.json").write_bytes(record)
        (node.tree / "current").symlink_to("generations/1")

        facts = node.probe()

        assert facts.broken
        assert facts.record is None

    def test_that_a_rollout_left_tells_of_it(self, local_node):
        node = local_node()
        change, payload = node.prepared({"share/lua/5.1/x.lua": b"1"}, rollout="r7")
        roll_out(node.connection, change, payload)

        pending = node.probe().pending

        assert (pending.rollout, pending.phase, pending.before, pending.after) == ("r7", "reloading", 0, 1)
        finish(node.connection, change, b"{}")
        assert node.probe().pending is None
        assert node.probe().rollouts == ("r7",)

    def test_whose_pid_file_names_another_process_has_no_gateway_running(self, local_node):
        node = local_node()
        (node.prefix / "pids" / "nginx.pid").write_text(f"{os.getpid()}\n")

        assert node.probe().master is None


class TestARunningGateway:
    @pytest.fixture
    def running(self, local_node, tmp_path):
        """A node, and a process called nginx with a child, as its gateway."""
        node = local_node()
        nginx = tmp_path / "nginx"
        nginx.symlink_to(sys.executable)
        code = "import os,time; print(os.fork() and 1, flush=True); time.sleep(60)"
        process = subprocess.Popen(
            [str(nginx), "-c", code],
            stdout=subprocess.PIPE,
            env={"KONG_PLUGINS": "bundled,a", "KONG_PG_PASSWORD": "hunter2", "OTHER": "x\nKONG_DATABASE=no"},
            start_new_session=True,
        )
        process.stdout.readline()
        (node.prefix / "pids" / "nginx.pid").write_text(f"{process.pid}\n")
        yield node, process
        os.killpg(process.pid, 9)
        process.wait()
        process.stdout.close()

    def test_tells_its_processes_their_ages_and_its_environment_without_secrets(self, running):
        node, process = running

        facts = node.probe()

        assert facts.master.pid == process.pid
        assert len(facts.workers) == 1
        assert facts.workers[0].pid != process.pid
        assert 0 < facts.master.started <= facts.workers[0].started <= facts.uptime
        assert facts.environment["KONG_PLUGINS"] == "bundled,a"
        assert facts.environment["KONG_PG_PASSWORD"] is None
        assert "KONG_DATABASE" not in facts.environment
        assert (facts.master, facts.workers) == probe_workers(node.connection)[:2]


class TestAHostileNode:
    @pytest.mark.parametrize(
        "output",
        [
            b"",
            b"Welcome to the machine\n",
            b"@@pumice \n@@pumice\n@@pumice files\n",
            b"@@pumice system\n@@pumice files 3\n" + b"\xff" * 2000,
            b"@@pumice system Linux x86_64\n@@pumice uptime nan\n@@pumice uid inf\n@@pumice time 1e999\n",
            b"@@pumice uid " + b"9" * 5000,
            b"@@pumice current generations/" + b"9" * 5000 + b"\n@@pumice files 0\n",
        ],
    )
    def test_gives_facts_with_problems(self, output):
        facts = read_facts(NODE, output)

        assert facts.broken
        assert facts.problems

    @settings(max_examples=200, deadline=None)
    @given(
        st.lists(st.tuples(st.sampled_from(KEYS), st.binary(max_size=60))),
        st.binary(max_size=1500),
        st.booleans(),
    )
    def test_never_raises(self, lines, tail, luarocks):
        output = b"".join(b"@@pumice " + key.encode() + b" " + value + b"\n" for key, value in lines) + tail
        node = NODE.replace(layout="luarocks") if luarocks else NODE

        facts = read_facts(node, output)

        repr(facts)
        assert facts.node == "n1"

    def test_that_prints_before_the_probe_does_no_harm(self, local_node):
        node = local_node()
        connection = node.connection
        run = connection.run

        def noisy(script, **named):
            answer = run(script, **named)
            return Answer(answer.code, b"Last login: yesterday\n" + answer.output, answer.errors)

        connection.run = noisy

        facts = probe(connection)
        assert not facts.broken
        assert facts.conf == node.probe().conf
