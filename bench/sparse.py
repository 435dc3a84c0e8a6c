"""A server of any number of rocks with Pumice's sparse index: records and rocks are made when asked for."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading

from bench.rocks import rock_bytes

RECORDS = "pumice-index/{shard}/{name}.json"
GRAPH = "pumice-index/graph.gz"


def rock(number: int) -> str:
    """The name of the rock with this number."""
    return f"rock{number:06}"


def needs(number: int) -> list[str]:
    """What it needs: the rock with half its number, so that a rock's closure is the same in every size."""
    return [f"{rock(number // 2)} >= 1.0"] if number else []


class SparseServer(http.server.ThreadingHTTPServer):
    """Serves `count` rocks on 127.0.0.1 and remembers what it was asked for. `stop` ends it."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, count: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.count = count
        self.requests: list[str] = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def stop(self) -> None:
        """It answers no more."""
        self.shutdown()
        self.server_close()

    def answer(self, path: str) -> bytes | None:
        """What is at a path."""
        if path == "/pumice-index.json":
            # A graph of this size is what so many rocks take; nobody should ask for it.
            graph = {"path": GRAPH, "sha256": "0" * 64, "size": (1 << 20) + 100 * self.count}
            return json.dumps({"format": 1, "graph": graph, "records": RECORDS}).encode()
        file = path.rpartition("/")[2]
        digits = file[4:10]
        if not (file.startswith("rock") and digits.isdigit() and int(digits) < self.count):
            return None
        name = rock(int(digits))
        if file == f"{name}-1.0-1.all.rock":
            return rock_bytes(name, needs(int(digits)))
        shard = hashlib.sha256(name.encode()).hexdigest()[:2]
        if path == "/" + RECORDS.format(shard=shard, name=name):
            return self._record(int(digits))
        return None

    def _record(self, number: int) -> bytes:
        data = rock_bytes(rock(number), needs(number))
        files = {"all": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}}
        version = {"dependencies": ["lua >= 5.1", *needs(number)], "files": files}
        return json.dumps({"name": rock(number), "versions": {"1.0-1": version}}).encode()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: SparseServer

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        data = self.server.answer(self.path)
        self.send_response(404 if data is None else 200)
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()
        self.wfile.write(data or b"")

    def log_message(self, *_words: object) -> None:
        """Nothing."""
