"""A signal in the middle of many downloads ends them at once, and no part of a file stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

_PROGRAM = """
import os, sys
from pumice.net.cache import Cache
from pumice.net.downloader import Downloader, Wanted
url, folder = sys.argv[1:]
os.makedirs(folder + "/work")
wanted = [Wanted((f"{url}/{number}",), f"{folder}/work/{number}") for number in range(40)]
try:
    with Downloader(Cache(folder + "/cache"), width=6) as downloader:
        downloader.fetch_many(wanted)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.adversary(52)
@pytest.mark.parametrize("pace", ["drip", "silence"])
def test_a_signal_ends_all_downloads(server: Any, tmp_path: Path, pace: str) -> None:
    """Also those whose server says nothing: nobody waits for it."""

    def action(handler: Any) -> None:
        handler.close_connection = True
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        while not server.ended.wait(0.02):
            if pace == "drip":
                handler.wfile.write(b"x" * 1000)

    for number in range(40):
        server.routes[f"/{number}"] = action
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, server.url(""), str(tmp_path)], stderr=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + 30
        while len(server.requests) < 6 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=8)
    finally:
        process.kill()
    assert (process.returncode, errors) == (130, b"")
    assert len(server.requests) <= 12
    # parts under way have names of their own, in the command's own work directory, which it removes
    assert [name for name in os.listdir(tmp_path / "work") if not name.startswith(".pumice-part-")] == []
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []
