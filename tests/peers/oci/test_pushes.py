"""Pushes into a real registry over a bad line, with every kind of login, and watched on a terminal."""

import base64
import http.client
import http.server
import json
import os
import pty
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.peer

Pumice = Callable[..., str]
Written = Callable[..., Any]
Unpacked = Callable[[Path, str, Path], Path]
Serving = Callable[..., Generator[str, None, None]]


class Line(http.server.ThreadingHTTPServer):
    """A proxy before a registry, which lets `trouble` decide over every request.

    It answers None (all is well), a status, or "cut": then half of the body goes through and the line is dead.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, behind: str) -> None:
        super().__init__(("127.0.0.1", 0), Relay)
        self.behind = behind
        self.trouble: Callable[[str, str], int | str | None] = lambda *_: None
        self.taken = 0
        self.methods: list[str] = []
        self.meeting: threading.Barrier | None = None
        self.waited = 0
        self.counting = threading.Lock()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class Relay(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Line

    def relayed(self) -> None:
        line = self.server
        with line.counting:
            line.methods.append(self.command)
            trouble = line.trouble(self.command, self.path)
        size = int(self.headers.get("content-length", "0"))
        if isinstance(trouble, int):
            self.rfile.read(size)
            self.send_response(trouble)
            self.send_header("Retry-After", "1")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if trouble == "cut" and size:
            self.cut_off(size)
            return
        body = self.rfile.read(size)
        with line.counting:
            line.taken += size
            waits = line.meeting is not None and size > 1 << 19 and line.waited < line.meeting.parties
            line.waited += waits
        if waits and line.meeting is not None:
            line.meeting.wait()
        headers = {name: value for name, value in self.headers.items() if name.lower() != "content-length"}
        behind = http.client.HTTPConnection(line.behind, timeout=30)
        behind.request(self.command, self.path, body, headers)
        answer = behind.getresponse()
        data = answer.read()
        behind.close()
        self.send_response(answer.status)
        length = answer.getheader("content-length", str(len(data)))
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if trouble == "cut" else data)
        if trouble == "cut":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def cut_off(self, size: int) -> None:
        """Half of the body reaches the registry, then both lines are dead."""
        host, _, port = self.server.behind.partition(":")
        with socket.create_connection((host, int(port)), 10) as behind:
            head = f"{self.command} {self.path} HTTP/1.1\r\n"
            head += "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
            behind.sendall(head.encode() + b"\r\n" + self.rfile.read(size // 2))
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = relayed  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def line(other_registry: str) -> Iterator[Line]:
    """The way to the other registry."""
    server = Line(other_registry)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)


def once(*troubles: tuple[str, str, int | str]) -> Callable[[str, str], int | str | None]:
    """Each trouble at the first request of its method whose path has its text."""
    left = list(troubles)

    def decide(method: str, path: str) -> int | str | None:
        for each in left:
            if each[0] == method and each[1] in path:
                left.remove(each)
                return each[2]
        return None

    return decide


def test_a_base_comes_whole_over_a_line_that_breaks(
    pack: Pumice,
    registry: str,
    other_registry: str,
    line: Line,
    tmp_path: Path,
    base_image: Written,
    skopeo: Pumice,
    unpacked: Unpacked,
) -> None:
    """Cut in the middle of a chunk and of the last one, 500 and 503 on the way: all is sent, little of it again."""
    size = 40 << 20
    base_image(registry, "kong", "3.9", ballast=size)
    line.trouble = once(
        ("POST", "/uploads/", 503),
        ("PATCH", "", "cut"),
        ("PATCH", "", 500),
        ("PUT", "/uploads/", "cut"),
        ("HEAD", "/blobs/", 502),
        ("PUT", "/manifests/", 500),
    )
    pack("--format", "image", "--base", f"{registry}/kong:3.9", "--push", f"{line.host}/gw:1")
    assert line.taken < 2.5 * size
    copied = tmp_path / "copied"
    skopeo("copy", "--src-tls-verify=false", f"docker://{other_registry}/gw:1", f"oci:{copied}:x")
    root = unpacked(copied, "x", tmp_path / "bundle")
    assert (root / "ballast").stat().st_size == size
    assert (root / "usr/local/share/lua/5.1/kong/plugins/demo/handler.lua").exists()


def test_a_layer_that_is_cut_off_on_its_way_here_goes_on(
    pack: Pumice, registry: str, other_registry: str, line: Line, base_image: Written, skopeo: Pumice
) -> None:
    """The base lies behind the bad line this time."""
    base_image(other_registry, "kong", "3.9", ballast=3 << 20)
    seen = []

    def trouble(method: str, path: str) -> str | None:
        if method == "GET" and "/blobs/" in path:
            seen.append(path)
            return "cut" if len(seen) == 2 else None
        return None

    line.trouble = trouble
    said = pack("--format", "image", "--base", f"{line.host}/kong:3.9", "--push", f"{registry}/gw:1")
    assert len(seen) == 3
    assert said.count("Carrying") == 1
    assert json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{registry}/gw:1"))


def test_a_registry_that_is_down_is_given_up_and_nothing_is_tagged(
    pack: Pumice, other_registry: str, line: Line
) -> None:
    line.trouble = lambda method, _: 500 if method == "PUT" else None
    began = time.monotonic()
    said = pack("--format", "oci", "--push", f"{line.host}/demo:1", fails=True)
    assert "it answers 500" in said
    assert time.monotonic() - began < 60
    with pytest.raises(OSError, match="404"):
        http_get(f"http://{other_registry}/v2/demo/manifests/1")


def http_get(url: str) -> bytes:
    import urllib.request

    with urllib.request.urlopen(url, timeout=10) as answer:
        return bytes(answer.read())


def test_layers_go_several_at_a_time(
    pack: Pumice, registry: str, line: Line, base_image: Written, put_manifest: Written
) -> None:
    """Four images of an index: the first two large bodies wait for each other, alone neither gets through."""
    names = ("amd64", "arm64", "386", "ppc64le")
    entries = [base_image(registry, "kong", one, architecture=one, ballast=1 << 20) for one in names]
    media_type = "application/vnd.oci.image.index.v1+json"
    put_manifest(
        registry, "kong", "all", media_type,
        {"schemaVersion": 2, "mediaType": media_type, "manifests": entries},
    )  # fmt: skip
    line.meeting = threading.Barrier(2, timeout=20)
    pack("--format", "image", "--base", f"{registry}/kong:all", "--push", f"{line.host}/gw:all")
    assert line.waited == 2


def test_a_push_is_watched_on_a_terminal(
    plugin: Path, environment: dict[str, str], registry: str, line: Line, base_image: Written
) -> None:
    """A bar for what is on its way, with the amount that has gone."""
    base_image(registry, "kong", "3.9", ballast=24 << 20)
    main, other = pty.openpty()
    words = ["pack", "--format", "image", "--base", f"{registry}/kong:3.9", "--push", f"{line.host}/gw:1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pumice", *words],
        cwd=plugin,
        env={**environment, "TERM": "xterm", "COLUMNS": "100"},
        stdin=other, stdout=other, stderr=other,
    )  # fmt: skip
    os.close(other)
    line.trouble = once(("PATCH", "", 503))
    shown = b""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if select.select([main], [], [], 1)[0]:
            try:
                piece = os.read(main, 65536)
            except OSError:
                break
            shown += piece
        if process.poll() is not None and not select.select([main], [], [], 0.2)[0]:
            break
    os.close(main)
    assert process.wait(10) == 0
    assert b"Pushed: " in shown
    assert b" / 25.2 MB" in shown


def test_a_log_tells_of_what_is_sent(
    plugin: Path, environment: dict[str, str], registry: str, other_registry: str, base_image: Written
) -> None:
    base_image(registry, "kong", "3.9", ballast=1 << 20)
    words = ["pack", "--format", "image", "--base", f"{registry}/kong:3.9"]
    done = subprocess.run(
        [sys.executable, "-m", "pumice", *words, "--push", f"{other_registry}/gw:1"],
        cwd=plugin, env=environment, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "Downloading " in done.stderr
    assert "Uploading " in done.stderr


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=60)


def test_tls_of_a_private_authority_and_a_user_of_a_credential_helper(
    pack: Pumice, environment: dict[str, str], tmp_path: Path, home: Path, serving: Serving
) -> None:
    """The authority signs the server's certificate; htpasswd knows the user; the password is the helper's."""
    openssl(tmp_path, *["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=ours", "-keyout", "ca.key"],
            "-out", "ca", "-addext", "basicConstraints=critical,CA:TRUE",
            "-addext", "keyUsage=critical,keyCertSign")  # fmt: skip
    openssl(
        tmp_path,
        *[
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=localhost",
            "-keyout",
            "key",
            "-out",
            "request",
        ],
    )
    (tmp_path / "more").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl(
        tmp_path,
        *[
            "x509",
            "-req",
            "-in",
            "request",
            "-CA",
            "ca",
            "-CAkey",
            "ca.key",
            "-days",
            "2",
            "-out",
            "cert",
            "-extfile",
            "more",
        ],
    )
    from ctypes import CDLL, c_char_p

    crypt = CDLL("libcrypt.so.1").crypt
    crypt.restype = c_char_p
    hashed = crypt(b"secret", b"$2y$05$abcdefghijklmnopqrstuu").decode()
    (tmp_path / "htpasswd").write_text(f"me:{hashed}\n")
    serve = serving(
        tmp_path / "safe",
        auth=f"auth: {{htpasswd: {{realm: here, path: {tmp_path}/htpasswd}}}}\n",
        tls=f", tls: {{certificate: {tmp_path}/cert, key: {tmp_path}/key}}",
    )
    host = next(serve)
    try:
        words = ("--format", "oci", "--push", f"https://{host}/demo:1")
        assert "is not safe" in pack(*words, fails=True)
        environment["SSL_CERT_FILE"] = f"{tmp_path}/ca"
        assert "docker login" in pack(*words, fails=True)
        helper = tmp_path / "docker-credential-here"
        helper.write_text(
            f'#!/bin/sh\nread -r host\n[ "$1 $host" = "get {host}" ] || exit 1\n'
            'echo \'{"Username": "me", "Secret": "secret"}\'\n'
        )
        helper.chmod(0o755)
        (home / ".docker").mkdir()
        (home / ".docker" / "config.json").write_text(json.dumps({"credHelpers": {host: "here"}}))
        environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
        assert "Pushed: " in pack(*words)
    finally:
        serve.close()


class Tokens(http.server.BaseHTTPRequestHandler):
    """A token service whose tokens the registry believes: signed with the key of the certificate it knows."""

    folder: Path
    asked: list[str]

    def do_GET(self) -> None:
        import urllib.parse

        self.asked.append(self.path)
        wanted = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        me = "Basic " + base64.b64encode(b"me:secret").decode()
        status, body = 401, b"{}"
        if self.headers.get("authorization") == me:
            status, body = 200, json.dumps({"token": self.token(wanted["scope"])}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def token(self, scopes: list[str]) -> str:
        pem = (self.folder / "cert").read_text()
        der = "".join(line for line in pem.splitlines() if not line.startswith("-"))
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        now = int(time.time())
        claims = {"iss": "ours", "sub": "me", "aud": "here", "exp": now + 300, "nbf": now - 5, "iat": now,
                  "jti": os.urandom(8).hex(), "access": access}  # fmt: skip
        header = {"typ": "JWT", "alg": "RS256", "x5c": [der]}
        text = ".".join(encoded(json.dumps(each).encode()) for each in (header, claims))
        done = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", f"{self.folder}/key"],
            input=text.encode(), capture_output=True, check=True, timeout=20,
        )  # fmt: skip
        return f"{text}.{encoded(done.stdout)}"

    def log_message(self, *_: object) -> None:
        """Nothing."""


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_a_registry_with_a_token_service(pack: Pumice, tmp_path: Path, home: Path, serving: Serving) -> None:
    """The real registry asks for tokens; one does for the whole push."""
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key -out cert"
    openssl(tmp_path, *words.split())
    kind = type("Chosen", (Tokens,), {"folder": tmp_path, "asked": []})
    service = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    realm = f"http://127.0.0.1:{service.server_address[1]}/token"
    auth = f"auth: {{token: {{realm: '{realm}', service: here, issuer: ours, rootcertbundle: {tmp_path}/cert}}}}\n"
    serve = serving(tmp_path / "guarded", auth=auth)
    host = next(serve)
    try:
        to = ("--push", f"{host}/team/demo:1")
        assert "docker login" in pack("--format", "oci", *to, fails=True)
        (home / ".docker").mkdir()
        login = base64.b64encode(b"me:secret").decode()
        (home / ".docker" / "config.json").write_text(json.dumps({"auths": {host: {"auth": login}}}))
        before = len(kind.asked)
        pushed = pack("--format", "oci", *to)
        digest = pushed.strip().rpartition("@")[2]
        assert digest.startswith("sha256:")
        assert any("scope=repository%3Ateam%2Fdemo%3Apull%2Cpush" in path for path in kind.asked)
        assert len(kind.asked) == before + 1
    finally:
        serve.close()
        service.shutdown()
        service.server_close()
        thread.join(10)
