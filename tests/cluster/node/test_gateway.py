"""The steps against a gateway that really loads plugins: the stand-in (no Kong), started and reloaded."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from pumice.cluster.change import NodeChange
from pumice.cluster.content import Wish
from pumice.cluster.enabling import enable
from pumice.cluster.loaded_plugins import PROBE, PROBE_PATH, not_as_installed, read_loaded
from pumice.cluster.payload import make_payload
from pumice.cluster.probe import probe_workers
from pumice.cluster.steps import activate, finish, log_since, migrate, roll_out, stage, undo
from pumice.errors import PumiceError
from pumice.kong.standin.write import find_programs, write_conf, write_gateway

pytestmark = pytest.mark.peer


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def tools(tmp_path, link_tools):
    """The gateway needs no more than the steps do."""
    return link_tools(tmp_path / "tools", "coreutils")


class Gateway:
    """A node with a running stand-in."""

    def __init__(self, node, kong: str, admin: int) -> None:
        self.node = node
        self.kong = kong
        self.admin = admin

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [self.kong, *words, "-c", str(self.node.conf)],
            capture_output=True,
            text=True,
            timeout=30,
            env={"PATH": os.environ["PATH"], **environment},
        )

    def available(self) -> dict[str, str]:
        """The plugins that are loaded, with their versions."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/", timeout=5) as reply:
            told = json.load(reply)["plugins"]["available_on_server"]
        return {name: about["version"] for name, about in told.items()}

    def becomes(self, name: str, version: str | None) -> bool:
        """Whether the gateway comes to have a plugin within two seconds."""
        until = time.monotonic() + 4
        while time.monotonic() < until:
            try:
                if self.available().get(name) == version:
                    return True
            except OSError:
                pass
            time.sleep(0.05)
        return False


@pytest.fixture
def gateway(local_node, tmp_path):
    """Starts one; `conf` are settings of its kong.conf, `node` fields of its node, `environment` its own."""
    tmp_path.chmod(0o755)
    try:
        programs = find_programs(os.environ["PATH"])
    except PumiceError as error:
        pytest.skip(error.message)
    started = []

    def start(conf=None, environment=None, database=None, **settings) -> Gateway:
        made = write_gateway(
            str(tmp_path / f"gateway{len(started)}"), programs=programs, version="3.9.1", database=database
        )
        node = local_node(**settings)
        node.node = node.node.replace(kong=str(made.kong))
        shutil.rmtree(node.prefix)
        admin = free_port()
        write_conf(
            str(node.conf),
            {
                "prefix": str(node.prefix),
                "role": "traditional",
                "database": "off",
                "plugins": "bundled",
                "admin_listen": f"127.0.0.1:{admin}",
                "proxy_listen": f"127.0.0.1:{free_port()}",
                "status_listen": "off",
                **(conf or {}),
            },
        )
        running = Gateway(node, str(made.kong), admin)
        started.append(running)
        if database is not None:
            running.run("migrations", "bootstrap")
        done = running.run("start", **(environment or {}))
        assert done.returncode == 0, done.stderr
        return running

    yield start
    for running in started:
        running.run("stop")


def prepared(gateway, maker, wish, rollout="r1", **settings):
    """(change, payload) of a wish."""
    node = gateway.node
    facts = node.probe()
    content = maker.content(node.connection, facts, wish)
    payload = make_payload(content, facts, command="test", now=1000.0)
    after = payload.generation if payload is not None else facts.generation
    enabling = enable(node.node, facts, after, add=content.plugins)
    assert enabling.refusals == ()
    return NodeChange(rollout, facts.generation, after, enabling, **settings), payload


def test_a_plugin_is_loaded_by_new_workers(gateway, maker, plugin):
    running = gateway()
    node = running.node
    facts = node.probe()
    assert (facts.lua, facts.libc, facts.role) == ("5.1", "glibc", "dbless")
    change, payload = prepared(running, maker, Wish((f"{plugin()}/",)))

    results = roll_out(node.connection, change, payload)

    assert [result.status for result in results] == ["done"] * 4, results
    assert running.becomes("demo", "0.1.0")
    master, workers, _ = probe_workers(node.connection)
    assert master == facts.master
    assert workers
    assert any(worker.started >= int(results[2].data["uptime"]) for worker in workers)
    assert str(facts.workers[0].pid) in results[3].data["workers"].split()
    assert finish(node.connection, change, b"{}")[-1].ok
    assert node.litter() == []


def test_one_that_the_gateway_refuses_does_not_get_past_the_preflight(gateway, maker, plugin):
    running = gateway()
    source = plugin(files={"handler.lua": "return nothing at all"})
    change, payload = prepared(running, maker, Wish((f"{source}/",)))

    results = roll_out(running.node.connection, change, payload)

    assert [result.status for result in results] == ["done", "failed"]
    assert "kong.plugins.demo.handler" in results[-1].text
    assert running.node.current is None


def test_the_silent_failure_is_in_the_log_and_can_be_undone(gateway, maker, plugin):
    """`kong reload` says that all is well, and the old workers go on."""
    running = gateway()
    node = running.node
    before = node.conf.read_bytes()
    source = plugin(files={"handler.lua": 'error("no such luck")'})
    change, payload = prepared(running, maker, Wish((f"{source}/",)), preflight=False)
    workers = node.probe().workers

    results = roll_out(node.connection, change, payload)

    assert [result.status for result in results] == ["done"] * 3
    until = time.monotonic() + 3
    while not any("no such luck" in line for line in log_since(node.connection)) and time.monotonic() < until:
        time.sleep(0.05)
    assert any("no such luck" in line for line in log_since(node.connection))
    assert probe_workers(node.connection)[1] == workers
    (result,) = undo(node.connection, change)
    assert result.ok, result
    assert "no such luck" in result.data["log"]
    assert node.conf.read_bytes() == before
    assert running.becomes("demo", None)
    assert running.run("health").returncode == 0
    assert node.litter() == []


def test_a_restart_that_the_new_version_does_not_survive_is_undone_to_a_running_gateway(
    gateway, maker, plugin
):
    running = gateway(restart="restart")
    node = running.node
    source = plugin(files={"handler.lua": 'error("no such luck")'})
    change, payload = prepared(running, maker, Wish((f"{source}/",)), preflight=False)

    results = roll_out(node.connection, change, payload)

    assert results[-1].status == "failed"
    assert "no such luck" in results[-1].text
    assert undo(node.connection, change)[-1].ok
    assert running.becomes("demo", None)
    assert node.probe().master is not None


def test_a_gateway_that_gets_its_plugins_from_the_environment_is_told_so(gateway, maker, plugin, tmp_path):
    file = tmp_path / "kong.env"
    file.write_text("KONG_PLUGINS=bundled\n")
    running = gateway(environment={"KONG_PLUGINS": "bundled"}, enable=f"env:{file}")
    node = running.node
    change, payload = prepared(running, maker, Wish((f"{plugin()}/",)))

    results = roll_out(node.connection, change, payload)

    assert results[-1].ok, results
    assert running.becomes("demo", "0.1.0")
    assert "KONG_PLUGINS=bundled,demo\n" in file.read_text()
    assert undo(node.connection, change)[-1].ok
    assert running.becomes("demo", None)
    assert file.read_text() == "KONG_PLUGINS=bundled\n"


def test_a_variable_that_beats_the_file_is_noticed(gateway):
    """An nginx wipes its environment; what it was prepared with still tells."""
    running = gateway({"plugins": "bundled,cors"}, environment={"KONG_PLUGINS": "bundled"})
    node = running.node

    enabling = enable(node.node, node.probe(), 1, add=["demo"])

    assert "was prepared with plugins = bundled, although" in enabling.refusals[0]
    assert "KONG_PLUGINS" in enabling.refusals[0]
    os.utime(node.conf)
    (node.prefix / ".kong_env").touch()
    os.utime(node.prefix / ".kong_env", (0, 0))
    enabling = enable(node.node, node.probe(), 1, add=["demo"])
    assert enabling.refusals == ()
    assert "somebody edited it since" in enabling.warnings[0]


def test_a_variable_of_a_container_is_noticed(gateway):
    running = gateway()
    node = running.node
    node.environment["KONG_PLUGINS"] = "bundled"

    assert "KONG_PLUGINS" in enable(node.node, node.probe(), 1, add=["demo"]).refusals[0]


def test_a_tree_of_luarocks_is_seen_by_the_preflight_before_it_is_in_place(gateway, maker, plugin):
    running = gateway(layout="luarocks")
    node = running.node
    change, payload = prepared(running, maker, Wish((f"{plugin()}/",)))

    results = roll_out(node.connection, change, payload)

    assert [result.status for result in results] == ["done"] * 4, results
    assert running.becomes("demo", "0.1.0")
    assert finish(node.connection, change, b"{}")[-1].ok


def answer_of(url):
    """The JSON at an address; just after a reload an old worker, which does not know it, may answer first."""
    until = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != 404 or time.monotonic() > until:
                raise
            time.sleep(0.05)


def test_the_probe_plugin_tells_what_is_loaded_and_from_which_files(gateway, maker, plugin):
    status = free_port()
    running = gateway({"status_listen": f"127.0.0.1:{status}"})
    node = running.node
    wish = Wish((f"{plugin()}/", PROBE))
    content = maker.content(node.connection, node.probe(), wish)
    change, payload = prepared(running, maker, wish)
    assert roll_out(node.connection, change, payload)[-1].ok
    assert running.becomes(PROBE, "0.1.0")

    loaded = read_loaded(answer_of(f"http://127.0.0.1:{status}{PROBE_PATH}"))

    assert loaded["demo"].version == "0.1.0"
    assert not_as_installed(loaded, content) == ()
    other = maker.content(node.connection, node.probe(), Wish((f"{plugin(version='0.2.0')}/",)))
    assert not_as_installed(loaded, other) == ("demo",)
    assert not_as_installed({}, content) == ("demo", PROBE)
    assert finish(node.connection, change, b"{}")[-1].ok


@pytest.mark.parametrize("answer", [None, [], {}, {"plugins": []}, {"plugins": 3}])
def test_what_is_no_answer_of_the_probe_plugin_is_none(answer):
    assert read_loaded(answer) is None


def test_migrations_run_before_the_gateway_knows_of_the_plugin(gateway, maker, plugin, tmp_path):
    running = gateway({"database": "postgres"}, database=str(tmp_path / "database"))
    node = running.node
    source = plugin(
        files={
            "migrations/init.lua": 'return {{ "000_base_demo" }}',
            "migrations/000_base_demo.lua": 'return {{ postgres = {{ up = "SELECT 1" }} }}',
        }
    )
    change, payload = prepared(running, maker, Wish((f"{source}/",)))

    assert stage(node.connection, change, payload)[-1].ok
    (migrated,) = migrate(node.connection, change)
    assert migrated.ok, migrated
    results = activate(node.connection, change)

    assert results[-1].ok, results
    assert running.becomes("demo", "0.1.0")
    assert finish(node.connection, change, b"{}")[-1].ok
    assert migrate(node.connection, change, finish=True)[-1].ok
    assert node.litter() == []
