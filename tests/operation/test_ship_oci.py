"""Base images out of registries that lie: refused in words, and nothing is tagged."""

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pumice.base.progress import Silent
from pumice.errors import ConfigError, PumiceError, UsageError
from pumice.net.reference import parse_reference
from pumice.net.registry_auth import Login
from pumice.operation.registry_login import login_for
from pumice.operation.settings import Flags, load_config
from pumice.operation.ship_oci import push_on_base
from pumice.operation.work_dir import WorkDir
from pumice.rock.content import Content
from pumice.rock.rock import Rock, RockFile
from pumice.rock.rockspec import load_rockspec

OCI = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = json.dumps({"rootfs": {"type": "layers", "diff_ids": []}}).encode()
DIGEST = "sha256:" + hashlib.sha256(CONFIG).hexdigest()


class Registry(http.server.BaseHTTPRequestHandler):
    """Has one base image, as the test wants it, and every blob that is looked for."""

    protocol_version = "HTTP/1.1"
    manifest: tuple[str, bytes]
    tagged: list[str]

    def reply(self, status: int, kind: str = "", body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:
        if "/manifests/" in self.path:
            self.reply(200, *self.manifest)
        else:
            self.reply(200, "", CONFIG)

    def do_HEAD(self) -> None:
        self.reply(200)

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.tagged.append(self.path)
        self.reply(201)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def registry() -> Iterator[tuple[str, type[Registry]]]:
    """Its host and its class, on which the test puts the manifest."""
    kind = type("Chosen", (Registry,), {"tagged": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}", kind
    server.shutdown()
    server.server_close()
    thread.join(10)


def rock() -> Rock:
    """A plugin."""
    files = []
    for name in ("handler", "schema"):
        digest = hashlib.md5(b"return {}", usedforsecurity=False).hexdigest()
        content = Content.of_bytes(b"return {}")
        files.append(RockFile("lua", f"kong/plugins/demo/{name}.lua", False, digest, 9, content))
    text = b'package = "demo" version = "1.0-1" source = { url = "x.zip" } build = { type = "none" }'
    return Rock(load_rockspec(text, "demo-1.0-1.rockspec", ("linux",)), tuple(files), "all")


def push(host: str, to: str, tmp_path: Path) -> str:
    config = load_config(Flags(), {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}, str(tmp_path))
    with WorkDir(config, "test") as work:
        return push_on_base(rock(), (), f"{host}/base:1", to, config, Silent(), work)


def manifest(**changes: Any) -> dict[str, Any]:
    config = {"mediaType": "c", "digest": DIGEST, "size": len(CONFIG)}
    return {"schemaVersion": 2, "mediaType": OCI, "config": config, "layers": [], **changes}


def test_an_honest_base_is_extended(registry: tuple[str, type[Registry]], tmp_path: Path) -> None:
    host, kind = registry
    kind.manifest = OCI, json.dumps(manifest()).encode()
    assert push(host, f"{host}/gateway", tmp_path).startswith(f"{host}/gateway:1.0-1@sha256:")
    assert kind.tagged == ["/v2/gateway/manifests/1.0-1"]


@pytest.mark.parametrize(
    "lie",
    [
        [], {}, "x", manifest(config=None), manifest(config=[]), manifest(config={"digest": DIGEST}),
        manifest(config={"digest": "../../etc/passwd", "size": 1}),
        manifest(config={"digest": DIGEST, "size": 1 << 39}), manifest(config={"digest": DIGEST, "size": -1}),
        manifest(config={"digest": DIGEST, "size": 5}), manifest(layers=None), manifest(layers=[1]),
        manifest(layers=[{"digest": "sha256:../x", "size": 1}]), manifest(layers=[{"digest": DIGEST}]),
    ],
)  # fmt: skip
def test_a_manifest_that_lies_is_refused(
    lie: object, registry: tuple[str, type[Registry]], tmp_path: Path
) -> None:
    host, kind = registry
    kind.manifest = OCI, json.dumps(lie).encode()
    with pytest.raises(PumiceError):
        push(host, f"{host}/gateway:1", tmp_path)
    assert kind.tagged == []


@pytest.mark.parametrize(
    "entries",
    [
        None, [], {}, [1], [{}], [{"digest": DIGEST, "size": 1}],
        [{"digest": DIGEST, "size": 1, "mediaType": INDEX}],
        [{"digest": DIGEST, "size": 1, "mediaType": OCI, "platform": []}],
        [{"digest": DIGEST, "size": 1, "mediaType": OCI, "platform": {"os": "unknown"}}],
    ],
)  # fmt: skip
def test_an_index_that_lies_is_refused(
    entries: object, registry: tuple[str, type[Registry]], tmp_path: Path
) -> None:
    """The one that names an image gets the index for it, which is not what the digest says."""
    host, kind = registry
    kind.manifest = INDEX, json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    with pytest.raises(PumiceError):
        push(host, f"{host}/gateway:1", tmp_path)
    assert kind.tagged == []


def test_a_digest_cannot_be_pushed_to(registry: tuple[str, type[Registry]], tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        push(registry[0], f"{registry[0]}/gateway@{DIGEST}", tmp_path)


def test_logins_come_from_where_docker_keeps_them(tmp_path: Path) -> None:
    reference = parse_reference("x.y/team/demo")
    environment = {"HOME": str(tmp_path), "PATH": str(tmp_path)}
    assert login_for(reference, environment) is None
    (tmp_path / ".docker").mkdir()
    config = tmp_path / ".docker" / "config.json"
    config.write_text('{"auths": {"x.y": {"auth": "YTpi"}}}')
    assert login_for(reference, environment) == Login("a", "b")
    other = tmp_path / "other.json"
    other.write_text('{"auths": {"x.y": {"auth": "Yzpk"}}}')
    assert login_for(reference, {**environment, "REGISTRY_AUTH_FILE": str(other)}) == Login("c", "d")
    config.write_text("{")
    with pytest.raises(ConfigError):
        login_for(reference, environment)


def test_a_credential_helper_is_asked_first(tmp_path: Path) -> None:
    helper = tmp_path / "docker-credential-test"
    helper.write_text(
        '#!/bin/sh\nread -r host\n[ "$1 $host" = "get x.y" ] || exit 1\n'
        'echo \'{"Username": "me", "Secret": "s"}\'\n'
    )
    helper.chmod(0o755)
    config = tmp_path / "config.json"
    config.write_text('{"credsStore": "test", "auths": {"z.y": {"auth": "YTpi"}}}')
    environment = {"DOCKER_CONFIG": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin"}
    assert login_for(parse_reference("x.y/demo"), environment) == Login("me", "s")
    assert login_for(parse_reference("z.y/demo"), environment) == Login("a", "b")
