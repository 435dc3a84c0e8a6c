"""Containers and pods: what is not there is told with the command that shows it; streams find a way in.

`docker` and `kubectl` are stand-ins here (not seen on the real ones); podman is real in test_transports.py.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading

import pytest

from pumice.cluster.address import parse_address
from pumice.cluster.connection import NodeError, Refused, Unreachable
from pumice.cluster.engine import Engine
from pumice.cluster.inventory import Node


@pytest.fixture
def reach(standins, environment):
    """Connects to one node, or raises why that cannot be."""
    engines = []

    def reaching(address, **fields):
        engine = Engine(environment, connect_timeout=10)
        engines.append(engine)
        made = engine.connect([Node("n1", parse_address(address)).replace(**fields)])["n1"]
        if isinstance(made, Exception):
            raise made
        return made

    yield reaching
    for engine in engines:
        engine.close()


@pytest.fixture
def server():
    """A port where one connection is greeted with its own first bytes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                taken, _ = listener.accept()
            except OSError:
                return
            with taken:
                taken.sendall(b"you said " + taken.recv(100))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def said(stream) -> bytes:
    with stream:
        stream.sendall(b"hello")
        return b"".join(iter(lambda: stream.recv(100), b""))


def without_pipes(environment, folder):
    """A PATH on which neither socat nor bash nor nc are, as in an image of almost nothing."""
    programs = folder / "few"
    programs.mkdir()
    for name in ("sh", "cat", "printf", "kill", "setsid"):
        (programs / name).symlink_to(shutil.which(name) or "/bin/sh")
    first = environment["PATH"].split(":")[0]
    environment["PATH"] = f"{first}:{programs}"


def test_a_container_that_is_not_there_is_told(reach):
    with pytest.raises(Unreachable, match="No such container: other") as caught:
        reach("docker://other")
    assert caught.value.hint == "Is it running? `docker ps -a` tells."


def test_a_container_that_is_stopped_is_told(reach, standins):
    (standins / "gw").write_text('[{"State": {"Running": false}}]')
    with pytest.raises(Unreachable, match="not running") as caught:
        reach("docker://gw")
    assert caught.value.hint == "docker start gw"


@pytest.mark.parametrize("text", ["", "[]", "{}", "[1]", "nonsense", '[{"State": 1}]'])
def test_nonsense_of_the_program_is_an_error(reach, standins, text):
    (standins / "gw").write_text(text)
    with pytest.raises(Unreachable):
        reach("docker://gw")


def test_a_program_that_is_not_there_is_told(reach, environment):
    environment["PATH"] = "/nowhere"
    with pytest.raises(Unreachable, match="podman cannot be started") as caught:
        reach("docker://gw")
    assert "Install podman" in caught.value.hint
    with pytest.raises(Unreachable, match="kubectl cannot be started"):
        reach("kubectl://kong/gw-0")


def test_podman_serves_where_docker_is_not(reach, environment, standins):
    os.rename(standins.parent / "docker", standins.parent / "podman")
    environment["PATH"] = f"{standins.parent}:{os.path.dirname(shutil.which('sh'))}"
    if shutil.which("docker", path=environment["PATH"]):
        pytest.skip("docker lies beside sh")
    assert reach("docker://gw").run("echo in").output == b"in\n"


@pytest.mark.parametrize(
    ("address", "fields", "user"),
    [
        ("docker://kong@gw", {}, "kong"),
        ("docker://gw", {"sudo": "root"}, "root"),
        ("docker://a@gw", {"sudo": "b"}, "b"),
    ],
)
def test_a_user_of_a_container_is_become_by_the_program(reach, standins, address, fields, user):
    assert reach(address, **fields).run("echo in").ok
    assert (standins / "user").read_text().strip() == user


def test_a_pod_is_found_by_context_namespace_and_container(reach, standins):
    assert reach("kubectl://prod@kong/gw-0/proxy").run("echo in").ok
    assert (standins / "context").read_text().strip() == "prod"
    assert (standins / "container").read_text().strip() == "proxy"


def test_a_pod_that_does_not_run_is_told(reach, standins):
    (standins / "kong.gw-0").write_text("Pending")
    with pytest.raises(Unreachable, match="the pod gw-0 cannot be reached: Pending"):
        reach("kubectl://kong/gw-0")
    with pytest.raises(Unreachable, match="NotFound") as caught:
        reach("kubectl://kong/gw-1")
    assert "`kubectl -n kong get pod gw-1`" in caught.value.hint


def test_ports_of_a_pod_without_programs_are_forwarded(reach, environment, tmp_path, server):
    without_pipes(environment, tmp_path)
    connection = reach("kubectl://kong/gw-0")
    for _ in range(3):
        assert said(connection.dial("127.0.0.1", server)) == b"you said hello"
    with pytest.raises(NodeError, match="neither socat, bash nor nc"):
        connection.dial("10.0.0.1", server)


def test_a_forwarded_port_where_nothing_listens_is_refused_at_the_second_question(
    reach, environment, tmp_path, server
):
    without_pipes(environment, tmp_path)
    connection = reach("kubectl://kong/gw-0")
    # Now it is known that ports have to be forwarded.
    said(connection.dial("127.0.0.1", server))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        with connection.dial("127.0.0.1", port) as stream:
            assert stream.recv(1) == b""
        with pytest.raises(Refused):
            connection.dial("127.0.0.1", port)


@pytest.mark.parametrize(
    "network",
    [
        {"HostConfig": {"NetworkMode": "host"}},
        {"NetworkSettings": {"Ports": {"PORT/tcp": [{"HostIp": "0.0.0.0", "HostPort": "PORT"}]}}},
        {"NetworkSettings": {"Ports": {"PORT/tcp": None}, "Networks": {"a": {"IPAddress": "127.0.0.1"}}}},
    ],
)
def test_a_container_without_programs_is_asked_over_the_network(
    reach, environment, standins, tmp_path, server, network
):
    facts = [{"State": {"Running": True}, **network}]
    (standins / "gw").write_text(json.dumps(facts).replace("PORT", str(server)))
    without_pipes(environment, tmp_path)
    assert said(reach("docker://gw").dial("127.0.0.1", server)) == b"you said hello"


def test_a_container_without_any_way_in_is_told(reach, environment, tmp_path, server):
    without_pipes(environment, tmp_path)
    with pytest.raises(NodeError, match="neither socat, bash nor nc") as caught:
        reach("docker://gw").dial("127.0.0.1", server)
    assert "Publish the port" in caught.value.hint


def test_a_container_that_goes_away_is_told(reach, standins):
    connection = reach("docker://gw")
    (standins / "gw").unlink()
    with pytest.raises(NodeError, match="No such container"):
        connection.run("echo in")
