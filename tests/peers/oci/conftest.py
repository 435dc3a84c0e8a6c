"""Registries of this machine, a plugin to push there, and what reads what was pushed."""

import ctypes
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

ROCKSPEC = """
package = "kong-plugin-demo"
version = "1.0.0-1"
source = { url = "git+https://example.com/demo.git", tag = "1.0.0" }
description = { summary = "A demonstration" }
dependencies = { "lua >= 5.1" }
build = { type = "builtin", modules = {
  ["kong.plugins.demo.handler"] = "kong/plugins/demo/handler.lua",
  ["kong.plugins.demo.schema"] = "kong/plugins/demo/schema.lua",
} }
"""
HANDLER = 'return { PRIORITY = 1, VERSION = "1.0.0", access = function() end }\n'
SCHEMA = 'return { name = "demo", fields = { { config = { type = "record", fields = {} } } } }\n'

Pumice = Callable[..., str]


def program(name: str) -> str:
    """A peer's path; without it the test fails rather than skips."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is not installed")
    return found


def registry_in(folder: Path, port: int, auth: str, tls: str) -> subprocess.Popen[bytes]:
    folder.mkdir()
    config = folder / "config.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {folder}/data}}\n"
        f"http: {{addr: '127.0.0.1:{port}'{tls}}}\n{auth}"
    )
    return subprocess.Popen(
        ["timeout", "-k", "5", "300", program("docker-registry"), "serve", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OTEL_TRACES_EXPORTER": "none"},
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_registry(folder: Path, auth: str = "", tls: str = "") -> Generator[str, None, None]:
    port = free_port()
    process = registry_in(folder, port, auth, tls)
    try:
        until = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < until, "the registry does not start"
                time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


@pytest.fixture
def serving() -> Callable[..., Generator[str, None, None]]:
    """Starts a registry with more of a configuration; closing the generator ends it."""
    return run_registry


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """Debian's docker-registry, on this machine."""
    yield from run_registry(tmp_path / "registry")


@pytest.fixture
def other_registry(tmp_path: Path) -> Iterator[str]:
    """Another one, which has nothing of the first."""
    yield from run_registry(tmp_path / "other")


@pytest.fixture
def private_registry(tmp_path: Path) -> Iterator[str]:
    """One that wants user `me` and password `secret`."""
    # bcrypt of `secret`, written once with htpasswd.
    line = "me:" + bcrypt_of_secret(tmp_path)
    (tmp_path / "htpasswd").write_text(line + "\n")
    auth = f"auth: {{htpasswd: {{realm: here, path: {tmp_path}/htpasswd}}}}\n"
    yield from run_registry(tmp_path / "private", auth)


def bcrypt_of_secret(folder: Path) -> str:
    """crypt(3) writes what the registry reads."""
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    hashed = library.crypt(b"secret", b"$2y$05$abcdefghijklmnopqrstuu")
    assert isinstance(hashed, bytes)
    assert hashed.startswith(b"$2y$")
    return hashed.decode()


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A plugin's directory."""
    folder = tmp_path / "plugin"
    files = folder / "kong" / "plugins" / "demo"
    files.mkdir(parents=True)
    (files / "handler.lua").write_text(HANDLER)
    (files / "schema.lua").write_text(SCHEMA)
    (folder / "kong-plugin-demo-1.0.0-1.rockspec").write_text(ROCKSPEC)
    return folder


@pytest.fixture
def pack(plugin: Path, environment: dict[str, str]) -> Pumice:
    """`pumice pack` in the plugin's directory."""

    def pack(*words: str, fails: bool = False, verb: str = "pack", cwd: Path = plugin) -> str:
        command = [sys.executable, "-m", "pumice", verb, *words]
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=100)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stderr if fails else done.stdout

    return pack


@pytest.fixture
def skopeo() -> Callable[..., str]:
    """The program, as far as it succeeds."""
    return run_skopeo


def run_skopeo(*words: str) -> str:
    done = subprocess.run([program("skopeo"), *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def unpacked() -> Callable[[Path, str, Path], Path]:
    """The root of an image's files, by umoci."""
    return run_umoci


def run_umoci(layout: Path, tag: str, folder: Path) -> Path:
    command = [program("umoci"), "unpack", "--rootless", "--image", f"{layout}:{tag}", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return folder / "rootfs"


def asked(registry: str, method: str, path: str, data: bytes | None = None, **headers: str) -> Any:
    request = urllib.request.Request(f"http://{registry}{path}", data, method=method)
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    return urllib.request.urlopen(request, timeout=20)


def put_blob(registry: str, repository: str, data: bytes) -> str:
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    begun = asked(registry, "POST", f"/v2/{repository}/blobs/uploads/", b"")
    place = re.sub(r"^https?://[^/]+", "", begun.headers["Location"])
    asked(registry, "PUT", f"{place}&digest={digest}", data, Content_Type="application/octet-stream")
    return digest


def write_manifest(
    registry: str, repository: str, name: str, media_type: str, value: object
) -> tuple[str, int]:
    data = json.dumps(value).encode()
    asked(registry, "PUT", f"/v2/{repository}/manifests/{name}", data, Content_Type=media_type)
    return "sha256:" + hashlib.sha256(data).hexdigest(), len(data)


OCI = "application/vnd.oci.image.manifest.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"


@pytest.fixture
def put_manifest() -> Callable[..., tuple[str, int]]:
    """Writes any manifest; gives its digest and size."""
    return write_manifest


@pytest.fixture
def base_image() -> Callable[..., dict[str, object]]:
    """Writes a small gateway image."""
    return write_base_image


def write_base_image(
    registry: str,
    repository: str,
    tag: str,
    *,
    architecture: str = "amd64",
    docker: bool = False,
    ballast: int = 0,
) -> dict[str, object]:
    """A small gateway image with all that must not be lost; gives its entry for an index."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        folder = tarfile.TarInfo("usr/local/share/lua/5.1/kong/plugins")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o775
        archive.addfile(folder)
        files = {
            "etc/passwd": b"kong:x:1000:1000::/:/bin/sh\n",
            "usr/local/share/lua/5.1/kong/init.lua": b"return 1",
            "ballast": os.urandom(ballast),
        }
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    layer = gzip.compress(tar.getvalue(), 1, mtime=0)
    config = json.dumps(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {
                "User": "kong",
                "Env": ["PATH=/usr/bin", "KONG_PLUGINS=bundled,first", "KONG_VERSION=3.9.0"],
                "Entrypoint": ["/entrypoint.sh"],
                "Cmd": ["kong", "docker-start"],
                "Labels": {"maintainer": "Kong"},
                "Healthcheck": {"Test": ["CMD", "kong-health"]},
            },
            "rootfs": {
                "type": "layers",
                "diff_ids": ["sha256:" + hashlib.sha256(tar.getvalue()).hexdigest()],
            },
            "history": [{"created_by": "ADD"}],
        }
    ).encode()
    kinds = (
        "application/vnd.docker.container.image.v1+json",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
    )
    if not docker:
        kinds = ("application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar+gzip")
    manifest = {
        "schemaVersion": 2,
        "mediaType": DOCKER if docker else OCI,
        "config": {
            "mediaType": kinds[0],
            "digest": put_blob(registry, repository, config),
            "size": len(config),
        },
        "layers": [
            {"mediaType": kinds[1], "digest": put_blob(registry, repository, layer), "size": len(layer)}
        ],
    }
    media_type = DOCKER if docker else OCI
    digest, size = write_manifest(registry, repository, tag, media_type, manifest)
    return {
        "mediaType": media_type,
        "digest": digest,
        "size": size,
        "platform": {"os": "linux", "architecture": architecture},
    }
