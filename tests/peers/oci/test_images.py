"""Images in a real registry: what Pumice pushes, skopeo reads and copies, and umoci unpacks."""

import base64
import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pumice.net.connections import Connections
from pumice.net.registry import Registry
from pumice.net.registry_upload import upload

pytestmark = pytest.mark.peer

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

Pumice = Callable[..., str]
Unpacked = Callable[[Path, str, Path], Path]
Written = Callable[..., Any]

OCI = "application/vnd.oci.image.manifest.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"


def test_the_operators_image_is_read_by_skopeo_and_unpacked_by_umoci(
    pack: Pumice, plugin: Path, tmp_path: Path, skopeo: Pumice, unpacked: Unpacked
) -> None:
    pack("--format", "oci")
    layout = plugin / "kong-plugin-demo-1.0.0-1.oci"
    seen = json.loads(skopeo("inspect", f"oci:{layout}:1.0.0-1"))
    assert len(seen["Layers"]) == 1
    root = unpacked(layout, "1.0.0-1", tmp_path / "bundle")
    assert sorted(path.name for path in root.iterdir()) == ["handler.lua", "schema.lua"]
    assert (root / "handler.lua").read_text() == HANDLER


def test_the_operators_image_is_pushed_and_copied_by_skopeo(
    pack: Pumice, registry: str, tmp_path: Path, skopeo: Pumice, unpacked: Unpacked
) -> None:
    said = pack("--format", "oci", "--push", f"{registry}/team/demo:1.0")
    digest = said.strip().rpartition("@")[2]
    seen = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{registry}/team/demo:1.0"))
    assert seen["Digest"] == digest
    copied = tmp_path / "copied"
    skopeo("copy", "--src-tls-verify=false", f"docker://{registry}/team/demo@{digest}", f"oci:{copied}:x")
    root = unpacked(copied, "x", tmp_path / "bundle")
    assert sorted(path.name for path in root.iterdir()) == ["handler.lua", "schema.lua"]
    again = pack("--format", "oci", "--push", f"{registry}/team/demo:1.0")
    assert said == again


def test_an_artifact_is_copied_by_skopeo(
    pack: Pumice, registry: str, plugin: Path, tmp_path: Path, skopeo: Pumice
) -> None:
    said = pack("--format", "oci", "--artifact", "--push", f"{registry}/team/signed")
    assert f"{registry}/team/signed:1.0.0-1@sha256:" in said
    skopeo("copy", "--src-tls-verify=false", f"docker://{registry}/team/signed:1.0.0-1", f"dir:{tmp_path}/d")
    pack("--format", "tar")
    archive = (plugin / "kong-plugin-demo-1.0.0-1.tar.gz").read_bytes()
    assert archive == (tmp_path / "d" / hashlib.sha256(archive).hexdigest()).read_bytes()


@pytest.mark.parametrize("docker", [False, True])
def test_a_base_image_gets_one_layer_and_keeps_everything(
    docker: bool,
    pack: Pumice,
    registry: str,
    tmp_path: Path,
    skopeo: Pumice,
    unpacked: Unpacked,
    base_image: Written,
) -> None:
    base_image(registry, "library/kong", "3.9", docker=docker)
    pack("--format", "image", "--base", f"{registry}/library/kong:3.9", "--push", f"{registry}/team/gw:1")
    where = f"docker://{registry}/team/gw:1"
    config = json.loads(skopeo("inspect", "--config", "--tls-verify=false", where))
    inner = config["config"]
    assert inner["Env"] == ["PATH=/usr/bin", "KONG_PLUGINS=bundled,first,demo", "KONG_VERSION=3.9.0"]
    assert (inner["User"], inner["Entrypoint"]) == ("kong", ["/entrypoint.sh"])
    assert inner["Cmd"] == ["kong", "docker-start"]
    assert inner["Labels"] == {"maintainer": "Kong", "pumice.rock.kong-plugin-demo": "1.0.0-1"}
    assert len(config["history"]) == len(config["rootfs"]["diff_ids"]) == 2
    raw = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", where))
    assert raw["mediaType"] == (DOCKER if docker else OCI)
    copied = tmp_path / "copied"
    skopeo("copy", "--src-tls-verify=false", where, f"oci:{copied}:x")
    root = unpacked(copied, "x", tmp_path / "bundle") / "usr/local/share/lua/5.1/kong"
    assert (root / "plugins" / "demo" / "handler.lua").read_text() == HANDLER
    assert (root / "init.lua").read_text() == "return 1"


def test_base_layers_are_not_carried_within_a_registry(
    pack: Pumice, registry: str, base_image: Written
) -> None:
    base_image(registry, "library/kong", "3.9")
    said = pack("--format", "image", "--base", f"{registry}/library/kong:3.9", "--push", f"{registry}/a/b:1")
    assert "Carrying" not in said


def test_base_layers_are_carried_to_another_registry_once(
    pack: Pumice, registry: str, other_registry: str, skopeo: Pumice, base_image: Written
) -> None:
    base_image(registry, "kong", "3.9")
    words = ("--format", "image", "--base", f"{registry}/kong:3.9", "--push", f"{other_registry}/gw:1")
    first, second = pack(*words), pack(*words)
    assert ("Carrying" in first, "Carrying" in second) == (True, False)
    assert json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{other_registry}/gw:1"))


def test_dependencies_that_are_installed_come_along(
    pack: Pumice,
    plugin: Path,
    registry: str,
    tmp_path: Path,
    skopeo: Pumice,
    unpacked: Unpacked,
    base_image: Written,
) -> None:
    """What Kong brings does not, and what is nowhere is told of."""
    helper = tmp_path / "helper"
    helper.mkdir()
    (helper / "helper.lua").write_text("return 1")
    (helper / "helper-2.0-1.rockspec").write_text(
        'package = "helper" version = "2.0-1" source = { url = "git+https://example.com/h.git" }\n'
        'build = { type = "builtin", modules = { helper = "helper.lua" } }'
    )
    tree = f"--tree={tmp_path}/tree"
    pack(tree, verb="make", cwd=helper)
    spec = plugin / "kong-plugin-demo-1.0.0-1.rockspec"
    more = '"helper >= 2", "lua-cjson", "nowhere"'
    spec.write_text(ROCKSPEC.replace('"lua >= 5.1"', more))
    base_image(registry, "kong", "3.9")
    words = (tree, "--format", "image", "--base", f"{registry}/kong:3.9")
    pack(*words, "--push", f"{registry}/gw:1")
    copied = tmp_path / "copied"
    skopeo("copy", "--src-tls-verify=false", f"docker://{registry}/gw:1", f"oci:{copied}:x")
    root = unpacked(copied, "x", tmp_path / "bundle") / "usr/local/share/lua/5.1"
    assert sorted(path.name for path in root.iterdir()) == ["helper.lua", "kong"]


def test_an_index_stays_an_index(
    pack: Pumice, registry: str, skopeo: Pumice, base_image: Written, put_manifest: Written
) -> None:
    entries = [base_image(registry, "kong", one, architecture=one) for one in ("amd64", "arm64")]
    media_type = "application/vnd.oci.image.index.v1+json"
    index = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}
    put_manifest(registry, "kong", "all", media_type, index)
    pack("--format", "image", "--base", f"{registry}/kong:all", "--push", f"{registry}/gw:all")
    raw = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{registry}/gw:all"))
    assert [one["platform"]["architecture"] for one in raw["manifests"]] == ["amd64", "arm64"]
    for one in ("amd64", "arm64"):
        command = ("inspect", "--config", "--tls-verify=false", f"--override-arch={one}")
        config = json.loads(skopeo(*command, f"docker://{registry}/gw:all"))
        assert config["architecture"] == one
        assert "KONG_PLUGINS=bundled,first,demo" in config["config"]["Env"]


def test_a_private_registry_takes_the_login_of_docker(
    pack: Pumice, private_registry: str, home: Path
) -> None:
    words = ("--format", "oci", "--push", f"{private_registry}/demo:1")
    assert "docker login" in pack(*words, fails=True)
    login = base64.b64encode(b"me:secret").decode()
    (home / ".docker").mkdir()
    (home / ".docker" / "config.json").write_text(json.dumps({"auths": {private_registry: {"auth": login}}}))
    assert "Pushed: " in pack(*words)


def test_a_registry_behind_tls_is_believed_only_if_somebody_vouches_for_it(
    pack: Pumice, environment: dict[str, str], tmp_path: Path, serving: Written
) -> None:
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key -out cert"
    command += " -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    serve = serving(tmp_path / "safe", tls=f", tls: {{certificate: {tmp_path}/cert, key: {tmp_path}/key}}")
    registry = next(serve)
    try:
        words = ("--format", "oci", "--push", f"https://{registry}/demo:1")
        assert "is not safe" in pack(*words, fails=True)
        environment["SSL_CERT_FILE"] = f"{tmp_path}/cert"
        assert "Pushed: " in pack(*words)
    finally:
        serve.close()


def test_a_real_registry_takes_a_blob_in_chunks(registry: str, tmp_path: Path) -> None:
    data = bytes(range(256)) * 20_000
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    with Connections(timeout=5, stall=20) as connections:
        client = Registry(f"http://{registry}", connections, login=None, scopes=(), user_agent="test")
        sent = upload(client, "big/blob", digest, len(data), lambda at, n: data[at : at + n], chunk=1 << 20)
        assert sent
        assert client.mount("other/place", digest, "big/blob")
        client.save_blob("other/place", digest, len(data), str(tmp_path / "blob"))
    assert (tmp_path / "blob").read_bytes() == data


def test_a_dockerfile_names_the_base_and_the_plugin(pack: Pumice) -> None:
    text = pack("--format", "image", "--base", "kong:3.9", "--dockerfile")
    assert "FROM kong:3.9\n" in text
    assert "COPY --chown=0:0 kong-plugin-demo-1.0.0-1/kong /usr/local/share/lua/5.1/kong\n" in text
    assert "ENV KONG_PLUGINS=${KONG_PLUGINS:-bundled},demo\n" in text
