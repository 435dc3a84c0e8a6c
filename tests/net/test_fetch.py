"""One file from a URL: from servers that behave, and from those that do not."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from pumice.errors import DiskError, FetchError, NotFoundError, PumiceError
from pumice.net import fetch as fetch_module
from pumice.net.fetch import Fetched, fetch

adversary = pytest.mark.adversary

ZIP = b"PK\3\4" + bytes(range(256)) * 1000
DIGEST = hashlib.sha256(ZIP).hexdigest()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries without the waiting between them."""
    monkeypatch.setattr(fetch_module, "_FIRST_PAUSE", 0.001)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where files should go; its directory is watched for leftovers."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    return folder / "file"


def _fails(url: str, target: Path, **options: Any) -> str:
    """The error's text; nothing is left at the target or beside it, and an old file stays."""
    with pytest.raises(PumiceError) as caught:
        fetch(url, str(target), **options)
    assert os.listdir(target.parent) == []
    target.write_bytes(b"old")
    with pytest.raises(PumiceError):
        fetch(url, str(target), **options)
    assert target.read_bytes() == b"old"
    assert os.listdir(target.parent) == ["file"]
    target.unlink()
    return f"{caught.value.message}\n{caught.value.hint}"


def test_a_file_comes_with_its_digest(server: Any, target: Path) -> None:
    server.routes["/a.rock"] = lambda handler: handler.reply(200, ZIP)
    assert fetch(server.url("/a.rock"), str(target)) == Fetched(server.url("/a.rock"), DIGEST, len(ZIP))
    assert target.read_bytes() == ZIP
    assert os.listdir(target.parent) == ["file"]
    assert server.requests[0][1]["User-Agent"].startswith("Pumice/")


def test_chunked_answers_are_understood(server: Any, target: Path) -> None:
    def chunked(handler: Any) -> None:
        handler.start(Transfer_Encoding="chunked")
        for at in range(0, len(ZIP), 10_000):
            piece = ZIP[at : at + 10_000]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        handler.wfile.write(b"0\r\n\r\n")

    server.routes["/a"] = chunked
    assert fetch(server.url("/a"), str(target)).sha256 == DIGEST


def test_an_encoded_body_is_kept_as_it_came(server: Any, target: Path) -> None:
    server.routes["/a.gz"] = lambda handler: handler.reply(200, ZIP, Content_Encoding="gzip")
    assert fetch(server.url("/a.gz"), str(target)).sha256 == DIGEST


def test_an_empty_file_is_a_file(server: Any, target: Path) -> None:
    server.routes["/a"] = lambda handler: handler.reply(200, b"")
    assert fetch(server.url("/a"), str(target)).size == 0
    assert target.read_bytes() == b""


def test_progress_is_told(server: Any, target: Path) -> None:
    class Watcher:
        def __init__(self) -> None:
            self.told: list[Any] = []

        def started(self, task: str, label: str, total: int | None = None) -> None:
            self.told.append((label, total))

        def advanced(self, task: str, amount: int = 1) -> None:
            self.told.append(amount)

        def finished(self, task: str) -> None:
            self.told.append("finished")

        def message(self, level: str, text: str) -> None:
            self.told.append(text)

    watcher = Watcher()
    server.routes["/a.rock"] = lambda handler: handler.reply(200, ZIP)
    fetch(server.url("/a.rock"), str(target), progress=watcher)
    assert watcher.told[0] == ("a.rock", len(ZIP))
    assert sum(watcher.told[1:-1]) == len(ZIP)
    assert watcher.told[-1] == "finished"


@adversary(60)
def test_a_truncated_body_is_tried_again_and_then_complete(server: Any, target: Path) -> None:
    def truncated_twice(handler: Any) -> None:
        handler.start(Content_Length=str(len(ZIP)))
        handler.wfile.write(ZIP if len(server.requests) == 3 else ZIP[:5000])

    server.routes["/a"] = truncated_twice
    assert fetch(server.url("/a"), str(target)).sha256 == DIGEST
    assert len(server.requests) == 3


@adversary(60)
def test_a_body_that_is_always_truncated_is_given_up(server: Any, target: Path) -> None:
    def truncated(handler: Any) -> None:
        handler.start(Content_Length=str(len(ZIP)))
        handler.wfile.write(ZIP[:5000])

    server.routes["/a"] = truncated
    assert "cut off (tried 3 times)" in _fails(server.url("/a"), target)


@adversary(60)
def test_a_truncated_chunked_body_is_given_up(server: Any, target: Path) -> None:
    def truncated(handler: Any) -> None:
        handler.start(Transfer_Encoding="chunked")
        handler.wfile.write(b"5\r\nhello\r\n")

    server.routes["/a"] = truncated
    assert "cut off" in _fails(server.url("/a"), target)


@adversary(60)
@pytest.mark.parametrize("sent", [0, 100], ids=["before-the-body", "within-the-body"])
def test_a_stall_is_ended_and_tried_again(sent: int, server: Any, target: Path) -> None:
    def stalled(handler: Any) -> None:
        handler.start(Content_Length=str(len(ZIP)))
        handler.wfile.write(ZIP[:sent])
        server.ended.wait(20)

    server.routes["/a"] = stalled
    start = time.monotonic()
    assert "for 0.2 seconds" in _fails(server.url("/a"), target, stall=0.2, tries=2)
    assert time.monotonic() - start < 8
    assert len(server.requests) == 4


@adversary(60)
def test_a_body_that_only_drips_is_a_stall(server: Any, target: Path) -> None:
    def dripping(handler: Any) -> None:
        handler.start(Content_Length=str(len(ZIP)))
        for at in range(200):
            handler.wfile.write(ZIP[at : at + 1])
            handler.wfile.flush()
            if server.ended.wait(0.05):
                return

    server.routes["/a"] = dripping
    assert "bytes came in 0.3 seconds" in _fails(server.url("/a"), target, stall=0.3, tries=1)


@adversary(60)
def test_the_stall_limit_is_ten_seconds() -> None:
    assert fetch_module._STALL == 10


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
def test_trouble_of_the_server_is_tried_again(status: int, server: Any, target: Path) -> None:
    server.routes["/a"] = lambda handler: (
        handler.reply(200, ZIP) if len(server.requests) == 2 else handler.reply(status, b"wait")
    )
    assert fetch(server.url("/a"), str(target)).sha256 == DIGEST


@pytest.mark.parametrize(
    ("told", "least", "most"),
    [
        ("7", 7, 7),
        (lambda: formatdate(time.time() + 20, usegmt=True), 15, 20),
        (lambda: formatdate(time.time() - 20, usegmt=True), 0, 0.01),
        ("0", 0, 0.01),
        ("-5", 0, 0.01),
        ("soon", 0, 0.01),
        ("", 0, 0.01),
        ("Fri, 99 Foo 9999 99:99:99 GMT", 0, 0.01),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_wants_time_gets_it(
    status: int,
    told: Any,
    least: float,
    most: float,
    server: Any,
    target: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(fetch_module.time, "sleep", pauses.append)
    header = told() if callable(told) else told
    server.routes["/a"] = lambda handler: (
        handler.reply(200, ZIP)
        if len(server.requests) == 2
        else handler.reply(status, b"wait", Retry_After=header)
    )
    assert fetch(server.url("/a"), str(target)).sha256 == DIGEST
    (pause,) = pauses
    assert least <= pause <= most


@pytest.mark.parametrize("told", ["3600", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_server_that_wants_too_much_time_is_given_up_at_once(
    told: str, server: Any, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_module.time, "sleep", lambda _: pytest.fail("it waits"))
    server.routes["/a"] = lambda handler: handler.reply(429, b"wait", Retry_After=told)
    assert "wants to be left alone for" in _fails(server.url("/a"), target)
    assert len(server.requests) == 2, "once for each fetch of _fails"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_refusal_is_final(status: int, server: Any, target: Path) -> None:
    server.routes["/a"] = lambda handler: handler.reply(status, b"no")
    assert f"answers {status}" in _fails(server.url("/a"), target)
    assert len(server.requests) == 2


def test_a_refused_connection_is_told(target: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    text = _fails(f"http://127.0.0.1:{port}/a", target)
    assert f"the connection to 127.0.0.1:{port} failed (tried 3 times)" in text


def test_an_answer_that_is_no_http_is_told(target: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        import threading

        def serve() -> None:
            for _ in range(2):
                connection, _ = listener.accept()
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-nonsense\r\n\r\n")
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        text = _fails(f"http://127.0.0.1:{listener.getsockname()[1]}/a", target, tries=1)
        thread.join()
    assert "failed" in text


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(status: int, server: Any, other_server: Any, target: Path) -> None:
    server.routes["/a"] = lambda handler: handler.reply(status, Location="b/c")
    server.routes["/b/c"] = lambda handler: handler.reply(status, Location=other_server.url("/d"))
    other_server.routes["/d"] = lambda handler: handler.reply(200, ZIP)
    assert fetch(server.url("/a"), str(target)).url == other_server.url("/d")


def test_redirects_in_circles_are_refused(server: Any, target: Path) -> None:
    server.routes["/a"] = lambda handler: handler.reply(302, Location="/b")
    server.routes["/b"] = lambda handler: handler.reply(302, Location="/a")
    assert "circles" in _fails(server.url("/a"), target)


def test_endless_redirects_are_refused(server: Any, target: Path) -> None:
    server.routes["/a"] = lambda handler: handler.reply(302, Location=f"/a?{len(server.requests)}")
    assert "redirects" in _fails(server.url("/a"), target)


@adversary(61)
@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://127.0.0.1/a", "gopher://x/", "", "data:,x", "http://[::1/"]
)
def test_redirects_to_other_schemes_are_refused(location: str, server: Any, target: Path) -> None:
    server.routes["/a"] = lambda handler: handler.reply(302, Location=location)
    text = _fails(server.url("/a"), target)
    assert "no http or https URL" in text or "circles" in text


@adversary(61)
@pytest.mark.peer
def test_a_redirect_from_https_to_http_is_refused(tls_server: Any, server: Any, target: Path) -> None:
    tls_server.routes["/a"] = lambda handler: handler.reply(302, Location=server.url("/a"))
    server.routes["/a"] = lambda handler: handler.reply(200, ZIP)
    assert "from https to http" in _fails(tls_server.url("/a"), target, verify_tls=False)
    assert server.requests == []


@adversary(61)
def test_credentials_do_not_follow_to_another_host(server: Any, other_server: Any, target: Path) -> None:
    server.routes["/a"] = lambda handler: handler.reply(302, Location="/b")
    server.routes["/b"] = lambda handler: handler.reply(302, Location=other_server.url("/c"))
    other_server.routes["/c"] = lambda handler: handler.reply(302, Location=other_server.url("/d"))
    other_server.routes["/d"] = lambda handler: handler.reply(200, ZIP)
    url = server.url("/a").replace("://", "://user:pass%40word@")
    fetched = fetch(url, str(target), headers={"X-Token": "secret-token"})
    expected = "Basic " + base64.b64encode(b"user:pass@word").decode()
    for _, headers in server.requests:
        assert headers["Authorization"] == expected
        assert headers["X-Token"] == "secret-token"
    assert len(other_server.requests) == 2
    for _, headers in other_server.requests:
        assert "Authorization" not in headers
        assert "X-Token" not in headers
    assert fetched.url == other_server.url("/d")


@adversary(61)
def test_credentials_that_a_redirect_brings_are_not_used(
    server: Any, other_server: Any, target: Path
) -> None:
    location = other_server.url("/b").replace("://", "://evil:evil@")
    server.routes["/a"] = lambda handler: handler.reply(302, Location=location)
    other_server.routes["/b"] = lambda handler: handler.reply(200, ZIP)
    fetch(server.url("/a"), str(target))
    assert "Authorization" not in other_server.requests[0][1]


def test_errors_never_show_credentials(server: Any, target: Path) -> None:
    url = server.url("/a").replace("://", "://user:hunter2@") + "?token=hunter2"
    text = _fails(url, target)
    assert "answers 404" in text
    assert "hunter2" not in text
    assert "hunter2" not in _fails(url.replace(f":{server.port}", ":1"), target)
    assert "hunter2" not in _fails(url.replace(f":{server.port}", ":port"), target)


@adversary(62)
@pytest.mark.parametrize("declared", [False, True])
def test_an_endless_body_is_ended_at_the_limit(declared: bool, server: Any, target: Path) -> None:
    sent = 0

    def endless(handler: Any) -> None:
        nonlocal sent
        handler.start(**({"Content_Length": str(1 << 40)} if declared else {}))
        while not server.ended.is_set():
            handler.wfile.write(bytes(65536))
            sent += 65536

    server.routes["/a"] = endless
    assert "more than 1000000 bytes" in _fails(server.url("/a"), target, max_bytes=1_000_000)
    assert sent < 64 << 20


@adversary(63)
@pytest.mark.parametrize("kind", ["zip", "gzip"])
@pytest.mark.parametrize("body", [b"<!DOCTYPE html><title>Log in</title>", b"  \n<html>", b"<", b""])
def test_a_web_page_is_no_archive(kind: Any, body: bytes, server: Any, target: Path) -> None:
    server.routes["/a"] = lambda handler: handler.reply(200, body, Content_Type="text/html")
    text = _fails(server.url("/a"), target, expect=kind)
    assert f"answers with a web page, not with a {kind} file" in text
    assert "login" in text


@adversary(63)
def test_an_archive_is_one_whatever_its_type(server: Any, target: Path) -> None:
    server.routes["/a"] = lambda handler: handler.reply(200, ZIP, Content_Type="text/html")
    assert fetch(server.url("/a"), str(target), expect="zip").sha256 == DIGEST


def test_another_digest_is_refused_with_both(server: Any, target: Path) -> None:
    server.routes["/a"] = lambda handler: handler.reply(200, ZIP)
    text = _fails(server.url("/a"), target, sha256="0" * 64)
    assert "0" * 64 in text
    assert DIGEST in text
    assert fetch(server.url("/a"), str(target), sha256=DIGEST.upper()).sha256 == DIGEST


@pytest.mark.peer
def test_an_unknown_certificate_is_refused_unless_told(tls_server: Any, target: Path) -> None:
    tls_server.routes["/a"] = lambda handler: handler.reply(200, ZIP)
    text = _fails(tls_server.url("/a"), target)
    assert "not safe" in text
    assert tls_server.requests == []
    assert fetch(tls_server.url("/a"), str(target), verify_tls=False).sha256 == DIGEST


def test_the_proxy_of_the_environment_is_used(server: Any, target: Path) -> None:
    url = "http://rocks.invalid/a"
    server.routes[url] = lambda handler: handler.reply(200, ZIP)
    proxy = server.url("").replace("://", "://me:secret@")
    assert fetch(url, str(target), environment={"http_proxy": proxy}).sha256 == DIGEST
    path, headers = server.requests[0]
    assert path == url
    assert headers["Proxy-Authorization"] == "Basic " + base64.b64encode(b"me:secret").decode()


def test_a_proxy_is_not_used_for_exceptions(server: Any, target: Path) -> None:
    server.routes["/a"] = lambda handler: handler.reply(200, ZIP)
    environment = {"HTTP_PROXY": "http://127.0.0.1:1", "NO_PROXY": "example.org, 127.0.0.1"}
    assert fetch(server.url("/a"), str(target), environment=environment).sha256 == DIGEST
    target.unlink()
    assert "proxy" in _fails(
        server.url("/a"), target, environment={"HTTP_PROXY": "http://127.0.0.1:1"}, tries=1
    )
    assert "proxy" in _fails(server.url("/a"), target, environment={"http_proxy": "socks5://127.0.0.1:1"})


@pytest.mark.parametrize("prefix", ["", "file://", "file://localhost", "FILE://"])
def test_files_of_this_machine_are_copied(prefix: str, tmp_path: Path, target: Path) -> None:
    source = tmp_path / "a rock%20.zip"
    source.write_bytes(ZIP)
    assert fetch(f"{prefix}{source}", str(target)).sha256 == DIGEST
    assert target.read_bytes() == ZIP
    assert "more than 5 bytes" in _fails_once(f"{prefix}{source}", target, max_bytes=5)
    assert "no gzip file" in _fails_once(f"{prefix}{source}", target, expect="gzip")


def _fails_once(url: str, target: Path, **options: Any) -> str:
    with pytest.raises(FetchError) as caught:
        fetch(url, str(target), **options)
    return caught.value.message


def test_a_file_may_be_fetched_onto_itself(tmp_path: Path) -> None:
    source = tmp_path / "a"
    source.write_bytes(ZIP)
    assert fetch(str(source), str(source)).sha256 == DIGEST
    assert source.read_bytes() == ZIP


def test_what_is_no_file_is_refused(tmp_path: Path, target: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "no regular file" in _fails(str(tmp_path / "pipe"), target)
    assert "no regular file" in _fails(str(tmp_path), target)
    with pytest.raises(NotFoundError, match="Local file not found"):
        fetch(f"file://{tmp_path}/missing", str(target))


@pytest.mark.parametrize(
    "url", ["http://", "http:///a", "http://[::1/a", "http://a:b/c", "ftp://a/b", "x://y"]
)
def test_broken_urls_are_refused(url: str, target: Path) -> None:
    assert _fails(url, target)


def test_a_missing_directory_is_told(server: Any, tmp_path: Path) -> None:
    server.routes["/a"] = lambda handler: handler.reply(200, ZIP)
    with pytest.raises(DiskError, match="cannot write"):
        fetch(server.url("/a"), str(tmp_path / "missing" / "file"))


def test_no_time_out_is_none_whichever_way_is_taken(server: Any, tls_server: Any, target: Path) -> None:
    """As `--timeout 0` says in LuaRocks."""
    for each in (server, tls_server):
        each.routes["/a"] = lambda handler: handler.reply(200, b"data")
        assert fetch(each.url("/a"), str(target), timeout=0, verify_tls=False).size == 4
