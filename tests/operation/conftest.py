"""What the tests of operations share."""

import http.server
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def serve() -> Iterator[Callable[[Path], str]]:
    """Serves a directory on the loopback interface; gives its URL."""
    running: list[http.server.ThreadingHTTPServer] = []

    def start(folder: Path) -> str:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        running.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


class _PrivateHandler(_Handler):
    def do_GET(self) -> None:
        if self.headers.get("Authorization") != "Basic c29tZW9uZTpzZWNyZXQ=":
            self.send_error(401)
            return
        super().do_GET()


@pytest.fixture
def serve_private() -> Iterator[Callable[[Path], str]]:
    """Serves a directory to `someone` with the password `secret`; gives the URL with both."""
    running: list[http.server.ThreadingHTTPServer] = []

    def start(folder: Path) -> str:
        handler = partial(_PrivateHandler, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        running.append(server)
        return f"http://someone:secret@127.0.0.1:{server.server_address[1]}"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()
