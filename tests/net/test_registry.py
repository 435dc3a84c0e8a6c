"""Registries that misbehave: none gets a token that is not its own, a wrong blob in, or an endless upload."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pumice.base.progress import UPLOAD
from pumice.errors import FetchError, PumiceError, UsageError
from pumice.net.connections import Connections
from pumice.net.parallel import attempt_all
from pumice.net.reference import parse_reference
from pumice.net.registry import Registry
from pumice.net.registry_auth import Login, find_login
from pumice.net.registry_upload import upload

OCI = "application/vnd.oci.image.manifest.v1+json"
DATA = bytes(range(256)) * 16
DIGEST = "sha256:" + hashlib.sha256(DATA).hexdigest()
BLOB = f"/v2/team/demo/blobs/{DIGEST}"
UPLOADS = "/v2/team/demo/blobs/uploads/"

Answer = tuple[int, dict[str, str], bytes]


class Fake(http.server.ThreadingHTTPServer):
    """A registry on 127.0.0.1 that answers as the test's function says."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer: Callable[[str, str, dict[str, str], bytes], Answer] = lambda *_: (404, {}, b"")
        self.seen: list[tuple[str, str, dict[str, str]]] = []

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def tokens(self) -> list[str]:
        """Every Authorization header that came here."""
        return [headers["authorization"] for _, _, headers in self.seen if "authorization" in headers]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Fake

    def answered(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", "0")))
        self.server.seen.append((self.command, self.path, headers))
        status, sent, data = self.server.answer(self.command, self.path, headers, body)
        self.send_response(status)
        for name, value in sent.items():
            self.send_header(name, value)
        if status != 204 and "content-length" not in {name.lower() for name in sent}:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            try:
                self.wfile.write(data)
            except OSError:
                self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = answered  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Nothing."""


def _running() -> Iterator[Fake]:
    fake = Fake()
    thread = threading.Thread(target=fake.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield fake
    fake.shutdown()
    fake.server_close()
    thread.join(10)


@pytest.fixture
def fake() -> Iterator[Fake]:
    """A registry."""
    yield from _running()


@pytest.fixture
def other() -> Iterator[Fake]:
    """Another origin."""
    yield from _running()


@pytest.fixture
def client(fake: Fake) -> Iterator[Registry]:
    """Asks the registry as user `me`, and never waits between two tries."""
    with Connections(timeout=5, stall=3) as connections:
        yield Registry(
            fake.base,
            connections,
            login=Login("me", "secret"),
            scopes=("repository:team/demo:pull,push",),
            user_agent="test",
            pause=lambda _: None,
        )


def reader(start: int, length: int) -> bytes:
    return DATA[start : start + length]


def send(client: Registry, *, chunk: int = 1 << 20) -> bool:
    return upload(client, "team/demo", DIGEST, len(DATA), reader, chunk=chunk)


class Honest:
    """A registry as the specification has it; a test takes single answers away from it."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.parts = b""
        self.uploads = 0

    def __call__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        place = UPLOADS + "one?state=x"
        if method == "HEAD":
            return (200 if path.rpartition("/")[2] in self.blobs else 404), {}, b""
        if method == "POST":
            self.parts = b""
            self.uploads += 1
            return 202, {"Location": place}, b""
        if method == "PATCH":
            assert headers["content-range"] == f"{len(self.parts)}-{len(self.parts) + len(body) - 1}"
            self.parts += body
            return 202, {"Location": place, "Range": f"0-{len(self.parts) - 1}"}, b""
        if method == "PUT":
            whole = self.parts + body
            digest = path.rpartition("digest=")[2]
            if "sha256:" + hashlib.sha256(whole).hexdigest() != digest:
                return 400, {}, b'{"errors": [{"code": "DIGEST_INVALID", "message": "no"}]}'
            self.blobs[digest] = whole
            return 201, {"Docker-Content-Digest": digest}, b""
        if method == "GET" and path.startswith(UPLOADS):
            return 204, {"Location": place, "Range": f"0-{max(len(self.parts) - 1, 0)}"}, b""
        return 404, {}, b""


@pytest.mark.parametrize("chunk", [1 << 20, 4096, 1000, 4095])
def test_a_blob_is_sent_once_whole_or_in_chunks(chunk: int, fake: Fake, client: Registry) -> None:
    honest = fake.answer = Honest()
    assert send(client, chunk=chunk) is True
    assert honest.blobs == {DIGEST: DATA}
    assert send(client, chunk=chunk) is False
    assert honest.uploads == 1


def test_an_upload_goes_on_where_it_was(fake: Fake, client: Registry) -> None:
    honest = Honest()
    broken = iter([True])

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if method == "PATCH" and len(honest.parts) == 2000 and next(broken, False):
            honest.parts += body[:500]
            return 503, {}, b""
        return honest(method, path, headers, body)

    fake.answer = answer
    assert send(client, chunk=1000)
    assert honest.blobs == {DIGEST: DATA}
    assert honest.uploads == 1
    assert any(headers.get("content-range", "").startswith("2500-") for _, _, headers in fake.seen)


def test_an_upload_that_was_forgotten_begins_anew(fake: Fake, client: Registry) -> None:
    honest = Honest()
    broken = iter([True])

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if method == "GET" or (method == "PATCH" and honest.parts and next(broken, False)):
            return 404, {}, b""
        return honest(method, path, headers, body)

    fake.answer = answer
    assert send(client, chunk=1000)
    assert honest.uploads == 2


@pytest.mark.parametrize("reached", ["0-0", "0-1", "0-998"])
def test_an_upload_that_never_gets_on_ends(reached: str, fake: Fake, client: Registry) -> None:
    """A registry that takes less than it was sent, for ever, is left after a few tries."""
    honest = Honest()

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if method == "PATCH" or (method == "GET" and path.startswith(UPLOADS)):
            status = 202 if method == "PATCH" else 204
            return status, {"Location": UPLOADS + "one", "Range": reached}, b""
        return honest(method, path, headers, body)

    fake.answer = answer
    with pytest.raises(FetchError):
        send(client, chunk=1000)
    assert len(fake.seen) < 40


@pytest.mark.parametrize("said", ["0-99999999", "5-10", "x", "0-", "0-1" + "0" * 40])
def test_a_senseless_range_is_refused(said: str, fake: Fake, client: Registry) -> None:
    honest = Honest()

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if method == "PATCH":
            return 202, {"Range": said}, b""
        return honest(method, path, headers, body)

    fake.answer = answer
    with pytest.raises(FetchError, match=r"bytes|how far"):
        send(client, chunk=1000)


def test_another_digest_than_was_sent_is_refused(fake: Fake, client: Registry) -> None:
    honest = Honest()

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        status, sent, data = honest(method, path, headers, body)
        return status, {**sent, "Docker-Content-Digest": "sha256:" + "0" * 64}, data

    fake.answer = answer
    with pytest.raises(FetchError, match="took the blob"):
        send(client)
    fake.answer = lambda *_: (201, {"Docker-Content-Digest": "sha256:" + "0" * 64}, b"")
    with pytest.raises(FetchError, match="took the manifest"):
        client.put_manifest("team/demo", "1", OCI, b"{}")


@pytest.mark.parametrize("said", [None, "sha256:" + "0" * 64])
def test_a_blob_or_manifest_that_is_not_its_digest_is_refused(
    said: str | None, fake: Fake, client: Registry, tmp_path: Path
) -> None:
    sent = {"Content-Type": OCI} | ({"Docker-Content-Digest": said} if said else {})
    fake.answer = lambda *_: (200, sent, b"X" * len(DATA))
    with pytest.raises(FetchError, match="digest"):
        client.blob("team/demo", DIGEST, len(DATA))
    with pytest.raises(FetchError, match="digest"):
        client.manifest("team/demo", DIGEST, (OCI,))
    with pytest.raises(FetchError, match="digest"):
        client.save_blob("team/demo", DIGEST, len(DATA), str(tmp_path / "blob"))
    assert not (tmp_path / "blob").exists()


def test_an_endless_body_ends_at_its_limit(fake: Fake, client: Registry, tmp_path: Path) -> None:
    endless = {"Content-Type": OCI, "Content-Length": str(1 << 40)}
    fake.answer = lambda *_: (200, endless, bytes(8 << 20))
    with pytest.raises(FetchError, match="more than"):
        client.manifest("team/demo", "1", (OCI,))
    with pytest.raises(FetchError, match="more than"):
        client.blob("team/demo", DIGEST, len(DATA))
    with pytest.raises(FetchError, match="larger"):
        client.save_blob("team/demo", DIGEST, len(DATA), str(tmp_path / "blob"))


def test_a_download_that_was_cut_off_goes_on(fake: Fake, client: Registry, tmp_path: Path) -> None:
    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        start = int(headers.get("range", "bytes=0-")[6:-1])
        if start == 0:
            return 200, {"Connection": "close"}, DATA[:1000]
        return 206, {"Content-Range": f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"}, DATA[start:]

    fake.answer = answer
    client.save_blob("team/demo", DIGEST, len(DATA), str(tmp_path / "blob"))
    assert (tmp_path / "blob").read_bytes() == DATA
    assert [headers.get("range") for _, _, headers in fake.seen] == [None, "bytes=1000-"]


def challenge(realm: str) -> dict[str, str]:
    return {"WWW-Authenticate": f'Bearer realm="{realm}/token",service="here",scope="repository:x:*"'}


def test_a_token_is_fetched_once_and_used(fake: Fake, client: Registry) -> None:
    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if path.startswith("/token"):
            return 200, {}, b'{"token": "T"}'
        if headers.get("authorization") != "Bearer T":
            return 401, challenge(fake.base), b""
        return 200, {}, b""

    fake.answer = answer
    assert client.has_blob("team/demo", DIGEST)
    assert client.has_blob("team/demo", DIGEST)
    asked = [path for _, path, _ in fake.seen if path.startswith("/token")]
    assert asked == ["/token?service=here&scope=repository%3Ateam%2Fdemo%3Apull%2Cpush"]
    assert fake.tokens() == ["Basic bWU6c2VjcmV0", "Bearer T", "Bearer T"]


def test_a_registry_that_takes_no_token_is_asked_twice(fake: Fake, client: Registry) -> None:
    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        return (200, {}, b'{"token": "T"}') if path.startswith("/token") else (401, challenge(fake.base), b"")

    fake.answer = answer
    with pytest.raises(FetchError, match="401"):
        client.has_blob("team/demo", DIGEST)
    assert len(fake.seen) == 3


@pytest.mark.parametrize(
    "answered",
    [b"", b"[]", b"{", b'{"token": 1}', b'{"token": "a\\r\\nX: y"}', b'{"token": ""}', b"[" * 100_000],
)
def test_a_token_that_is_none_is_refused(answered: bytes, fake: Fake, client: Registry) -> None:
    fake.answer = lambda method, path, headers, body: (
        (200, {}, answered) if path.startswith("/token") else (401, challenge(fake.base), b"")
    )
    with pytest.raises(FetchError, match="gives no token"):
        client.has_blob("team/demo", DIGEST)


@pytest.mark.parametrize("realm", ["", "file:///etc/passwd", "ftp://x", "http://[", "//x"])
def test_a_realm_that_is_no_url_is_refused(realm: str, fake: Fake, client: Registry) -> None:
    fake.answer = lambda *_: (401, {"WWW-Authenticate": f'Bearer realm="{realm}"'}, b"")
    with pytest.raises(FetchError):
        client.has_blob("team/demo", DIGEST)


def test_a_password_does_not_go_from_https_to_http(other: Fake) -> None:
    from pumice.net.registry_auth import answer

    with Connections(timeout=5, stall=3) as connections, pytest.raises(FetchError, match="not safe"):
        answer(
            [challenge(other.base)["WWW-Authenticate"]],
            (),
            Login("me", "secret"),
            connections,
            registry="https://registry.example.com",
            user_agent="test",
        )
    assert other.seen == []


def test_a_token_does_not_follow_a_redirect_to_another_host(
    fake: Fake, other: Fake, client: Registry
) -> None:
    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if "authorization" not in headers:
            return 401, {"WWW-Authenticate": 'Basic realm="x"'}, b""
        return 307, {"Location": other.base + "/elsewhere"}, b""

    fake.answer = answer
    other.answer = lambda *_: (200, {}, DATA)
    assert client.blob("team/demo", DIGEST, len(DATA)) == DATA
    assert fake.tokens() == ["Basic bWU6c2VjcmV0"]
    assert len(other.seen) == 1
    assert other.tokens() == []


def test_another_host_that_asks_for_a_login_gets_none(fake: Fake, other: Fake, client: Registry) -> None:
    fake.answer = lambda *_: (307, {"Location": other.base + "/elsewhere"}, b"")
    other.answer = lambda *_: (401, {"WWW-Authenticate": 'Basic realm="x"'}, b"")
    with pytest.raises(FetchError, match="401"):
        client.blob("team/demo", DIGEST, len(DATA))
    assert other.tokens() == []


def test_a_token_does_not_follow_an_upload_to_another_host(fake: Fake, other: Fake, client: Registry) -> None:
    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if "authorization" not in headers:
            return 401, {"WWW-Authenticate": 'Basic realm="x"'}, b""
        return (404, {}, b"") if method == "HEAD" else (202, {"Location": other.base + "/up"}, b"")

    fake.answer = answer
    other.answer = lambda *_: (201, {}, b"")
    assert send(client)
    assert [method for method, _, _ in other.seen] == ["PUT"]
    assert other.tokens() == []


@pytest.mark.parametrize("location", ["file:///etc/passwd", "gopher://x/", "http://[::1", ""])
def test_a_redirect_to_no_url_is_refused(location: str, fake: Fake, client: Registry) -> None:
    fake.answer = lambda *_: (302, {"Location": location}, b"")
    with pytest.raises(FetchError):
        client.blob("team/demo", DIGEST, len(DATA))


def test_redirects_in_circles_end(fake: Fake, client: Registry) -> None:
    fake.answer = lambda *_: (302, {"Location": BLOB}, b"")
    with pytest.raises(FetchError, match="circles"):
        client.blob("team/demo", DIGEST, len(DATA))
    assert len(fake.seen) < 10


def test_what_may_pass_is_tried_again_and_not_for_ever(fake: Fake, client: Registry) -> None:
    answers = iter([503, 429, 200])
    fake.answer = lambda *_: (next(answers), {}, b"")
    assert client.has_blob("team/demo", DIGEST)
    fake.answer = lambda *_: (503, {}, b"")
    fake.seen.clear()
    with pytest.raises(FetchError, match="503"):
        client.has_blob("team/demo", DIGEST)
    assert len(fake.seen) == client.tries


def test_a_mount_that_is_refused_is_no_error(fake: Fake, client: Registry) -> None:
    for status, took in ((201, True), (202, False), (403, False), (404, False)):
        fake.answer = lambda *_, status=status: (status, {"Location": UPLOADS + "one"}, b"")
        assert client.mount("team/demo", DIGEST, "library/kong") is took
    assert f"{UPLOADS}?mount={DIGEST}&from=library/kong" == fake.seen[0][1]


def test_what_a_registry_says_is_shown_without_its_control_characters(fake: Fake, client: Registry) -> None:
    said = {"errors": [{"code": "DENIED", "message": "\x1b[2J" + "x" * 1000}]}
    fake.answer = lambda *_: (403, {}, json.dumps(said).encode())
    with pytest.raises(FetchError, match="DENIED") as raised:
        client.put_manifest("team/demo", "1", OCI, b"{}")
    assert raised.value.message.isprintable()
    assert len(raised.value.message) < 400


@pytest.mark.parametrize(
    ("text", "base", "repository", "wanted"),
    [
        ("kong:3.9", "https://registry-1.docker.io", "library/kong", "3.9"),
        ("kong/kong-gateway", "https://registry-1.docker.io", "kong/kong-gateway", "latest"),
        ("localhost:5000/a/b:c", "http://localhost:5000", "a/b", "c"),
        ("https://localhost:5000/a", "https://localhost:5000", "a", "latest"),
        ("http://host.example/a", "http://host.example", "a", "latest"),
        ("[::1]:5000/a", "http://[::1]:5000", "a", "latest"),
        (f"docker://ghcr.io/a/b:c@{DIGEST}", "https://ghcr.io", "a/b", DIGEST),
    ],
)
def test_a_reference_is_read_as_docker_reads_it(text: str, base: str, repository: str, wanted: str) -> None:
    found = parse_reference(text)
    assert (found.base, found.repository, found.wanted) == (base, repository, wanted)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A/b",
        "a/../b",
        "a:",
        "a:-x",
        "a@sha256:12",
        "a b",
        "x.y:99999/a",
        "u:p@x.y/a",
        "x.y/a/",
        "a\nb",
        "a/-",
    ],
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_reference(text)


def test_the_nearest_login_is_taken() -> None:
    auths = {
        "x.y": {"auth": "YTpi"},
        "x.y/team": {"username": "c", "password": "d"},
        "https://index.docker.io/v1/": {"auth": "ZTpm", "identitytoken": "T"},
    }
    config: dict[str, object] = {"auths": auths}
    assert find_login(config, "x.y", "other") == Login("a", "b")
    assert find_login(config, "x.y", "team/demo") == Login("c", "d")
    assert find_login(config, "docker.io", "library/kong") == Login("e", "f", "T")
    assert find_login(config, "z.y", "team") is None
    assert "b" not in repr(Login("a", "b")).removeprefix("Login")


@pytest.mark.parametrize("auths", [[], {"x.y": {"auth": "%"}}, {"x.y": {"auth": "/w=="}}, {"x.y": 1}])
def test_a_broken_login_is_no_traceback(auths: object) -> None:
    try:
        assert find_login({"auths": auths}, "x.y", "a") is None
    except PumiceError as error:
        assert "docker login" in error.hint


class Told:
    """Progress that is written down."""

    def __init__(self) -> None:
        self.done: dict[str, int] = {}
        self.least = 0
        self.under_way: set[str] = set()

    def started(self, task: str, label: str, total: int | None = None) -> None:
        assert label == DIGEST[7:19]
        assert total == len(DATA)
        self.done[task] = 0
        self.under_way.add(task)

    def advanced(self, task: str, amount: int = 1) -> None:
        self.done[task] += amount
        self.least = min(self.least, self.done[task])

    def finished(self, task: str) -> None:
        self.under_way.discard(task)

    def message(self, level: str, text: str) -> None:
        raise AssertionError(text)


@pytest.mark.parametrize("chunk", [1000, 1 << 20])
def test_the_progress_of_an_upload_is_what_the_registry_has(
    chunk: int, fake: Fake, client: Registry, tmp_path: Path
) -> None:
    """Bytes that have to be sent again, after a failure or a log-in, count once; the same on the way back."""
    honest = Honest()
    trouble = iter([503, 401, 503])

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if body and (status := next(trouble, None)):
            return status, {"WWW-Authenticate": "Basic realm=x"}, b""
        return honest(method, path, headers, body)

    fake.answer = answer
    told = Told()
    assert upload(client, "team/demo", DIGEST, len(DATA), reader, chunk=chunk, progress=told)
    (task,) = told.done
    assert task.startswith(UPLOAD)
    assert told.done[task] == len(DATA)
    assert (told.least, told.under_way) == (0, set())
    fake.answer = lambda *_: (200, {}, DATA)
    client.save_blob("team/demo", DIGEST, len(DATA), str(tmp_path / "blob"), progress=told)
    assert list(told.done.values()) == [len(DATA)] * 2
    assert told.under_way == set()


def test_a_long_upload_survives_more_failures_than_there_are_tries(fake: Fake, client: Registry) -> None:
    honest = Honest()
    count = iter(range(1000))

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if method == "PATCH" and next(count) % 3 != 0:
            return 500, {}, b""
        return honest(method, path, headers, body)

    fake.answer = answer
    assert send(client, chunk=300)
    assert honest.uploads == 1
    assert honest.blobs == {DIGEST: DATA}


def test_a_registry_is_not_asked_again_before_it_wants_to_be(fake: Fake) -> None:
    pauses: list[float] = []
    answers = iter([(429, "7"), (503, "99999"), (503, ""), (200, "")])

    def answer(*_: object) -> Answer:
        status, after = next(answers)
        return status, {"Retry-After": after} if after else {}, b""

    fake.answer = answer
    with Connections(timeout=5, stall=3) as connections:
        client = Registry(
            fake.base, connections, login=None, scopes=(), user_agent="test", pause=pauses.append
        )
        assert client.has_blob("team/demo", DIGEST)
    assert pauses == [7.0, 60.0, 2.0]


def test_threads_that_are_refused_at_once_log_in_once(fake: Fake, client: Registry) -> None:
    """All four are refused before the first has its token."""
    refused = threading.Barrier(4, timeout=20)

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if path.startswith("/token"):
            return 200, {}, b'{"token": "T"}'
        if headers.get("authorization") != "Bearer T":
            refused.wait()
            return 401, challenge(fake.base), b""
        return 200, {}, b""

    fake.answer = answer
    tasks = [lambda: client.has_blob("team/demo", DIGEST)] * 4
    assert attempt_all(tasks, width=4) == [True] * 4
    assert len([path for _, path, _ in fake.seen if path.startswith("/token")]) == 1
