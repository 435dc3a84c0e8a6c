"""Every transport keeps the same promises."""

from __future__ import annotations

import http.server
import os
import threading

import pytest

from pumice.cluster.address import Address
from pumice.cluster.connection import TooSlow, quote
from pumice.cluster.inventory import Node


@pytest.fixture(params=["local", pytest.param("ssh", marks=pytest.mark.peer)])
def connection(request, engine):
    """A connection of each kind to one node."""
    if request.param == "local":
        node = Node("here", Address("local"))
    else:
        fleet = request.getfixturevalue("fleet")
        node = fleet.node(fleet.start("n1"))
    answer = engine.connect([node])[node.name]
    if isinstance(answer, Exception):
        raise answer
    return answer


def test_a_script_answers_code_and_both_outputs(connection):
    answer = connection.run("echo out; echo err >&2; exit 7")
    assert (answer.code, answer.output, answer.errors) == (7, b"out\n", b"err\n")


def test_bytes_go_through_unchanged(connection):
    data = os.urandom(300_000)
    assert connection.run("cat", stdin=[data[:1], b"", data[1:]]).output == data


def test_what_is_quoted_means_itself(connection):
    for word in ("", "a b", "it's", "$(id)", "`id`", "a\nb", "-n", "\\", "!x", "ü", '"', "*", "~"):
        assert connection.run(f"printf %s {quote(word)}").output == word.encode()


def test_a_script_that_hangs_is_ended(connection):
    with pytest.raises(TooSlow):
        connection.run("sleep 60", timeout=0.5)


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
