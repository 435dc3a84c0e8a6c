"""Every transport keeps the same promises."""

from __future__ import annotations

import http.server
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from pumice.cluster.address import Address, parse_address
from pumice.cluster.connection import NodeError, Refused, TooSlow, quote
from pumice.cluster.engine import Engine
from pumice.cluster.inventory import Node


@pytest.fixture(
    params=[
        "local",
        "docker",  # a stand-in: not seen on the real one
        "kubectl",  # a stand-in: not seen on the real one
        pytest.param("ssh", marks=pytest.mark.peer),
        pytest.param("podman", marks=pytest.mark.peer),
    ]
)
def connection(request, environment):
    """A connection of each kind to one node."""
    if request.param == "local":
        node = Node("n1", Address("local"))
    elif request.param == "ssh":
        fleet = request.getfixturevalue("fleet")
        node = fleet.node(fleet.start("n1"))
    elif request.param == "podman":
        folder, start = request.getfixturevalue("podman")
        name = f"n{os.urandom(4).hex()}"
        start(name)
        environment["PATH"] = f"{folder}:{environment['PATH']}"
        node = Node("n1", parse_address(f"podman://{name}"))
    else:
        request.getfixturevalue("standins")
        node = Node(
            "n1", parse_address("docker://gw" if request.param == "docker" else "kubectl://kong/gw-0")
        )
    with Engine(environment) as engine:
        answer = engine.connect([node])[node.name]
        if isinstance(answer, Exception):
            raise answer
        yield answer


def test_a_script_answers_code_and_both_outputs(connection):
    answer = connection.run("echo out; echo err >&2; exit 7")
    assert (answer.code, answer.output, answer.errors) == (7, b"out\n", b"err\n")


def test_bytes_go_through_unchanged(connection):
    data = os.urandom(300_000)
    assert connection.run("cat", stdin=[data[:1], b"", data[1:]]).output == data


def test_what_is_quoted_means_itself(connection):
    words = ("", "a b", "it's", "$(id)", "`id`", "a\nb", "-n", "\\", "!x", "ü", '"', "*", "~")
    script = "; ".join(f"printf '%s|' {quote(word)}" for word in words)
    assert connection.run(script).output == "".join(f"{word}|" for word in words).encode()


def gone(connection, marker):
    """Whether no process with this word in its command line is left where the node's processes are."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        count = 0
        for entry in os.listdir("/proc"):
            try:
                count += entry.isdigit() and marker in Path(f"/proc/{entry}/cmdline").read_bytes()
            except OSError:
                continue
        if count == 0:
            return True
        time.sleep(0.05)
    return False


def test_a_script_that_hangs_is_ended_on_the_node(connection):
    marker = os.urandom(8).hex()
    with pytest.raises(TooSlow, match=r"n1 did not finish within 0.7 seconds"):
        connection.run(f": {marker}; sleep 60; sleep 60", timeout=0.7)
    assert gone(connection, marker.encode())
    assert connection.run("echo still here").output == b"still here\n"


def test_output_without_end_is_cut(connection):
    with pytest.raises(NodeError, match="n1 wrote more than 16 MiB"):
        connection.run("while :; do cat /dev/zero; done")


def test_a_stream_to_where_nothing_listens_is_refused(connection):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        with pytest.raises(Refused, match="nothing listens"):
            connection.dial("127.0.0.1", probe.getsockname()[1])


def test_a_stream_reaches_what_the_node_sees(connection):
    class Hello(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_words):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stream = connection.dial("127.0.0.1", server.server_address[1])
        stream.sendall(b"GET / HTTP/1.0\r\n\r\n")
        received = b""
        while piece := stream.recv(65536):
            received += piece
        stream.close()
        server.shutdown()
    assert received.endswith(b"hello")
