"""Plain http without a library: what is an answer, what is none, and which connection serves again."""

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pumice.errors import FetchError
from pumice.net.address import parse_address
from pumice.net.connections import Connections
from pumice.net.fetch import fetch
from pumice.net.http import TransientError, request

Scripted = Callable[..., str]


class Peer:
    """A server that sends, for each request, the next of the given bytes; `None` ends the connection."""

    def __init__(self, answers: list[bytes | None]) -> None:
        self.answers = answers
        self.requests: list[bytes] = []
        self.connections = 0
        self.ended = False
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.settimeout(0.05)
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/file?a=b"
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while self.answers and not self.ended:
            try:
                connection, _ = self.socket.accept()
            except TimeoutError:
                continue
            self.connections += 1
            with connection:
                connection.settimeout(5)
                while self.answers and self.asked(connection):
                    answer = self.answers.pop(0)
                    if answer is None:
                        break
                    connection.sendall(answer)
                    if b"close" in answer or b"HTTP/1.0" in answer:
                        break

    def asked(self, connection: socket.socket) -> bool:
        text = b""
        while not text.endswith(b"\r\n\r\n"):
            try:
                piece = connection.recv(4096)
            except OSError:
                return False
            if not piece:
                return False
            text += piece
        self.requests.append(text)
        return True


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    """Starts peers."""
    running: list[Peer] = []

    def start(*answers: bytes | None) -> Peer:
        running.append(Peer(list(answers)))
        return running[-1]

    yield start
    for each in running:
        each.ended = True
        each.thread.join(10)
        each.socket.close()


@pytest.fixture
def connections() -> Iterator[Connections]:
    """Connections of one command."""
    with Connections(timeout=2, stall=1, environment={}) as made:
        yield made


def asked(url: str, connections: Connections) -> bytes:
    """The body of one answer."""
    response = request(url, connections, headers={}, user_agent="test")
    try:
        return b"".join(response.pieces())
    finally:
        response.close()


OK = b"HTTP/1.1 200 OK\r\n"
BODY = OK + b"Content-Length: 4\r\n\r\nbody"


@pytest.mark.parametrize(
    "answer",
    [
        BODY,
        OK.replace(b"\r", b"") + b"content-length:4\n\nbody",
        b"HTTP/1.1 200\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nbody",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1;x=y\r\nb\r\n3\r\nody\r\n0\r\nTrailer: x\r\n\r\n",
        OK + b"Transfer-Encoding: Chunked\r\nContent-Length: 9\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
        OK + b"Connection: close\r\n\r\nbody",
        b"HTTP/1.0 200 OK\r\n\r\nbody",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + BODY,
    ],
)
def test_an_answer_in_any_form_that_has_an_end(peer, connections, answer: bytes) -> None:
    assert asked(peer(answer).url, connections) == b"body"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        OK + b"no colon\r\n\r\n",
        OK + b" folded: x\r\n\r\n",
        OK + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nbody!",
        OK + b"Content-Length: -4\r\n\r\nbody",
        OK + b"Content-Length: 4x\r\n\r\nbody",
        OK + b"Content-Length: 9999999999999999999\r\n\r\nbody",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\nbody",
        OK + b"X: y\r\n" * 200 + b"\r\n",
        OK + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20 + BODY,
        OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nbody",
        OK + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n",
        OK + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbodyyy\r\n0\r\n\r\n",
        OK + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n-4\r\nbody\r\n0\r\n\r\n",
        OK + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n0x4\r\nbody\r\n0\r\n\r\n",
        OK + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 9999,
    ],
)
def test_what_is_no_whole_answer_is_an_error_that_may_pass(peer, connections, answer: bytes) -> None:
    # A connection that ends after it: the answers without `close` are followed by the peer's own end.
    running = peer(answer)
    with pytest.raises(TransientError):
        asked(running.url, connections)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\nX", OK + b"Content-Length: 9\r\n\r\nbody"])
def test_silence_in_the_middle_ends_after_the_stall(peer, connections, answer: bytes) -> None:
    with pytest.raises(TransientError, match="1 seconds"):
        asked(peer(answer, b"").url, connections)


def test_a_connection_serves_again_and_one_that_ended_meanwhile_is_replaced(peer, connections) -> None:
    running = peer(BODY, BODY, None, BODY, BODY)
    url = running.url
    assert [asked(url, connections) for _ in range(4)] == [b"body"] * 4
    assert running.connections == 2
    assert len(running.requests) == 5
    first = running.requests[0]
    assert first.startswith(b"GET /file?a=b HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"User-Agent: test\r\n" in first and b"Accept-Encoding: identity\r\n" in first


@pytest.mark.parametrize(
    "answer",
    [BODY + b"more", OK + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"],
)
def test_after_an_answer_of_doubtful_length_the_connection_serves_nobody(
    peer, connections, answer: bytes
) -> None:
    running = peer(answer, BODY)
    assert asked(running.url, connections) == b"body"
    assert asked(running.url, connections) == b"body"
    assert running.connections == 2


def test_a_header_cannot_be_smuggled_into_a_request(connections) -> None:
    address = parse_address("http://127.0.0.1:1/")
    for value in ("a\r\nb: c", "a\nb", "\0", "\u20ac"):
        with pytest.raises(FetchError):
            connections.plain(address).get(address, {"X": value})


def test_no_library_is_imported_for_it(peer, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pumice.net.fetch import fetch\n"
        f"fetch({peer(BODY).url!r}, {str(tmp_path / 'file')!r})\n"
        "assert not {'urllib3', 'http.client', 'ssl', 'email'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert (tmp_path / "file").read_bytes() == b"body"


def test_a_proxy_and_names_that_are_not_ascii_take_the_other_way(tmp_path: Path, server) -> None:
    server.routes["http://elsewhere.invalid/file"] = lambda handler: handler.reply(200, b"by proxy")
    environment = {"http_proxy": server.url("")}
    with Connections(environment=environment) as connections:
        assert connections.plain(parse_address("http://elsewhere.invalid/file")) is None
        assert connections.plain(parse_address("https://elsewhere.invalid/file")) is None
    fetch("http://elsewhere.invalid/file", str(tmp_path / "file"), environment=environment)
    assert (tmp_path / "file").read_bytes() == b"by proxy"
