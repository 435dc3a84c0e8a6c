"""nginx, which gives files in parts, is asked for no more of a rock than its rockspec takes."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pumice.archive.member import Limits
from pumice.archive.zip_reader import read_member
from pumice.net.cache import Cache
from pumice.net.ranges import WholeOnly, open_ranges
from pumice.net.session import Session

pytestmark = pytest.mark.peer

CONFIGURATION = """
user root;
worker_processes 1;
pid nginx.pid;
error_log logs/error.log;
events { worker_connections 32; }
http {
    log_format sizes '$status $body_bytes_sent';
    access_log logs/access.log sizes;
    server {
        listen 127.0.0.1:PORT;
        root html;
        location /whole/ { alias html/; max_ranges 0; }
    }
}
"""


def test_parts_of_a_rock_come_from_nginx(nginx: Callable[[str], tuple[int, Path]], tmp_path: Path) -> None:
    port, folder = nginx(CONFIGURATION)
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("x-1.0-1.rockspec", "package = 'x'")
        archive.writestr("lua/x.lua", random.Random(7).randbytes(3 << 20))
    (folder / "html").mkdir()
    file = folder / "html/x.rock"
    file.write_bytes(body.getvalue())
    session = Session(Cache(str(tmp_path / "cache")), timeout=5.0, stall=5.0, tries=1)
    try:
        ranges = open_ranges(f"http://127.0.0.1:{port}/x.rock", session)
        assert ranges.size == file.stat().st_size
        assert read_member(ranges, "x-1.0-1.rockspec", Limits()) == b"package = 'x'"
        assert ranges.at(1 << 20, 5000) == body.getvalue()[1 << 20 :][:5000]
        file.write_bytes(body.getvalue()[::-1] + b"x")
        with pytest.raises(WholeOnly):
            ranges.at(2 << 20, 5000)
        with pytest.raises(WholeOnly):
            open_ranges(f"http://127.0.0.1:{port}/whole/x.rock", session)
    finally:
        session.close()
    logged = [line.split() for line in (folder / "logs/access.log").read_text().splitlines()]
    assert [status for status, _ in logged][:3] == ["206"] * 3
    assert sum(int(size) for _, size in logged[:3]) < 110_000
