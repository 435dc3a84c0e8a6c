"""A layer on a base image: what must change changes, everything else stays, hostile bases are refused."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.errors import ArchiveError, CheckError, DataError
from pumice.kong.oci_base import (
    IMAGES,
    Layer,
    dockerfile,
    extended_config,
    extended_index,
    extended_manifest,
    parse_document,
    plugin_layer,
)
from pumice.rock.content import Content
from pumice.rock.rock import Rock, RockFile
from pumice.rock.rockspec import load_rockspec

TWO = {"lua/kong/plugins/demo/handler.lua": "return {}", "lua/kong/plugins/demo/schema.lua": "return {}"}
OCI, DOCKER = IMAGES


def rock(files: Mapping[str, str] = TWO, *, name: str = "kong-plugin-demo", arch: str = "all") -> Rock:
    """A built rock of these files."""
    made = []
    for path, text in sorted(files.items()):
        section, _, rest = path.partition("/")
        data = text.encode()
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
        made.append(RockFile(section, rest, False, digest, len(data), Content.of_bytes(data)))
    text = f'package = "{name}" version = "1.0.0-1" source = {{ url = "x.zip" }} build = {{ type = "none" }}'
    return Rock(load_rockspec(text.encode(), f"{name}-1.0.0-1.rockspec", ("linux",)), tuple(made), arch)


def config(**inner: object) -> dict[str, Any]:
    return {
        "os": "linux",
        "architecture": "amd64",
        "config": inner,
        "rootfs": {"type": "layers", "diff_ids": ["sha256:base"]},
        "history": [{"created_by": "base"}],
        "variant.of.somebody": [1, {"x": None}],
    }


def extended(base: Mapping[str, Any], layer: Layer | None = None) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        extended_config(json.dumps(base).encode(), layer or plugin_layer(rock()))
    )
    return found


def names(layer: Layer) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(layer.data))) as archive:
        return archive.getnames()


def test_a_layer_holds_modules_where_kong_looks_and_nothing_else() -> None:
    made = rock(
        {**TWO, "lib/demo/core.so": "ELF", "bin/demo": "x", "doc/README.md": "x"}, arch="linux-x86_64"
    )
    layer = plugin_layer(made, [rock({"lua/helper.lua": "return 1"}, name="helper")])
    assert names(layer) == [
        "usr/local/lib/lua/5.1/demo/core.so",
        "usr/local/share/lua/5.1/helper.lua",
        "usr/local/share/lua/5.1/kong/plugins/demo/handler.lua",
        "usr/local/share/lua/5.1/kong/plugins/demo/schema.lua",
    ]
    assert layer.comment == "kong-plugin-demo 1.0.0-1, helper 1.0.0-1"
    assert layer.diff_id == "sha256:" + hashlib.sha256(gzip.decompress(layer.data)).hexdigest()
    assert layer == plugin_layer(made, [rock({"lua/helper.lua": "return 1"}, name="helper")])


def test_two_rocks_with_the_same_file_are_refused() -> None:
    with pytest.raises(ArchiveError):
        plugin_layer(rock(), [rock(TWO, name="helper")])


@pytest.mark.parametrize("files", [{"lua/a.lua": ""}, {"lua/kong/plugins/demo/handler.lua": ""}])
def test_a_rock_without_a_plugin_is_refused(files: Mapping[str, str]) -> None:
    with pytest.raises(CheckError):
        plugin_layer(rock(files))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, ["KONG_PLUGINS=bundled,demo"]),
        (["A=1"], ["A=1", "KONG_PLUGINS=bundled,demo"]),
        (["KONG_PLUGINS=off", "A=1"], ["KONG_PLUGINS=demo", "A=1"]),
        (["KONG_PLUGINS=bundled, x ,", "A=1"], ["KONG_PLUGINS=bundled,x,demo", "A=1"]),
        (["KONG_PLUGINS=demo,bundled"], ["KONG_PLUGINS=demo,bundled"]),
        (["KONG_PLUGINS_X=1"], ["KONG_PLUGINS_X=1", "KONG_PLUGINS=bundled,demo"]),
    ],
)
def test_the_plugin_joins_those_that_are_named(before: list[str] | None, after: list[str]) -> None:
    assert extended(config(Env=before))["config"]["Env"] == after


def test_everything_else_of_the_config_stays() -> None:
    base = config(User="kong", Entrypoint=["/e"], Cmd=["c"], Labels={"a": "b"}, Healthcheck={"Test": ["x"]})
    found = extended(base)
    assert list(found) == list(base)
    assert found["variant.of.somebody"] == base["variant.of.somebody"]
    for key in ("User", "Entrypoint", "Cmd", "Healthcheck"):
        assert found["config"][key] == base["config"][key]
    assert found["config"]["Labels"] == {"a": "b", "pumice.rock.kong-plugin-demo": "1.0.0-1"}
    assert len(found["history"]) == len(found["rootfs"]["diff_ids"]) == 2


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b"{", b"{}", b"[" * 100_000, b'{"rootfs": []}', b'{"rootfs": {"diff_ids": {}}}',
        b'{"rootfs": {"diff_ids": []}, "config": []}',
        b'{"rootfs": {"diff_ids": []}, "config": 1}',
        b'{"rootfs": {"diff_ids": []}, "history": {"a": 1}}',
        b'{"rootfs": {"diff_ids": []}, "config": {"Env": [1]}}',
        b'{"rootfs": {"diff_ids": []}, "config": {"Env": {"A": 1}}}',
        b'{"rootfs": {"diff_ids": []}, "config": {"Labels": ["a"]}}',
        b"\xff\xfe", b'{"a": ' + b"9" * 5000 + b"}",
    ],
)  # fmt: skip
def test_a_config_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(DataError):
        extended_config(data, plugin_layer(rock()))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(root=JSON, diff_ids=JSON, inner=JSON, environment=JSON, labels=JSON, history=JSON, kind=st.booleans())
def test_any_config_gives_a_config_or_a_data_error(
    root: Any, diff_ids: Any, inner: Any, environment: Any, labels: Any, history: Any, kind: bool
) -> None:
    made = {
        "rootfs": {"diff_ids": diff_ids} if kind else root,
        "config": {"Env": environment, "Labels": labels} if kind else inner,
        "history": history,
    }
    try:
        found = extended(made)
    except DataError:
        return
    assert found["config"]["Env"][-1].startswith("KONG_PLUGINS=")
    assert found["rootfs"]["diff_ids"][:-1] == diff_ids


def test_c_modules_go_on_their_own_machine_only() -> None:
    layer = plugin_layer(rock({**TWO, "lib/demo.so": "ELF"}, arch="linux-aarch64"))
    with pytest.raises(CheckError, match="linux/arm64"):
        extended(config(), layer)
    assert extended({**config(), "architecture": "arm64"}, layer)


@pytest.mark.parametrize("media_type", [OCI, DOCKER])
def test_a_manifest_speaks_the_dialect_of_its_base(media_type: str) -> None:
    base = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": {},
        "layers": [{"x": 1}],
        "annotations": {},
    }
    manifest, new_config, new_layer = extended_manifest(base, media_type, b"{}", plugin_layer(rock()))
    found = json.loads(manifest.data)
    assert list(found) == list(base)
    assert found["layers"] == [{"x": 1}, new_layer.descriptor()]
    assert found["config"] == new_config.descriptor()
    assert ("docker" in new_layer.media_type) == ("docker" in new_config.media_type) == (media_type == DOCKER)
    with pytest.raises(DataError):
        extended_manifest({"layers": {}}, media_type, b"{}", plugin_layer(rock()))


def test_an_index_points_to_the_new_manifests() -> None:
    entry = {"mediaType": OCI, "digest": "old", "size": 1, "platform": {"architecture": "arm64"}}
    manifest, _, _ = extended_manifest({"layers": []}, OCI, b"{}", plugin_layer(rock()))
    index = extended_index({"manifests": [entry, {"digest": "attestation"}]}, "index", [(entry, manifest)])
    found = json.loads(index.data)["manifests"]
    assert found == [{**entry, "digest": manifest.digest, "size": len(manifest.data)}]


def test_a_document_is_an_object() -> None:
    assert parse_document(b'{"a": 1}', "x") == {"a": 1}
    with pytest.raises(DataError, match="x cannot be used"):
        parse_document(b"1", "x")


def test_a_dockerfile_copies_every_root() -> None:
    made = rock({**TWO, "lua/demo.lua": "", "lib/demo.so": ""}, arch="linux-x86_64")
    assert dockerfile(made, "kong:3.9").splitlines()[2:] == [
        "FROM kong:3.9",
        "COPY --chown=0:0 kong-plugin-demo-1.0.0-1/demo.lua /usr/local/share/lua/5.1/demo.lua",
        "COPY --chown=0:0 kong-plugin-demo-1.0.0-1/kong /usr/local/share/lua/5.1/kong",
        "COPY --chown=0:0 kong-plugin-demo-1.0.0-1/lib /usr/local/lib/lua/5.1/",
        "ENV KONG_PLUGINS=${KONG_PLUGINS:-bundled},demo",
    ]
