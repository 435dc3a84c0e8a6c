"""The operator's image: exactly what it takes, the same bytes always, refused where it would be refused."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from pumice.errors import CheckError, DiskError
from pumice.kong.oci import Image, operator_image, plugin_artifact, tag_of
from pumice.kong.oci_layout import write_layout
from pumice.rock.content import Content
from pumice.rock.rock import Rock, RockFile
from pumice.rock.rockspec import load_rockspec

ROCKSPEC = """
package = "kong-plugin-demo"
version = "1.0.0-1"
source = {{ url = "https://example.com/demo.tar.gz" }}
description = {{ summary = "A demonstration", license = "MIT" }}
dependencies = {{ "lua >= 5.1"{more} }}
build = {{ type = "none" }}
"""
HANDLER = "return { PRIORITY = 1, VERSION = '1.0.0' }"
SCHEMA = "return { name = 'demo', fields = {} }"
TWO = {"lua/kong/plugins/demo/handler.lua": HANDLER, "lua/kong/plugins/demo/schema.lua": SCHEMA}


def rock(files: Mapping[str, str] = TWO, *, more: str = "", arch: str = "all") -> Rock:
    """A built rock of these files."""
    made = []
    for path, text in sorted(files.items()):
        section, _, rest = path.partition("/")
        data = text.encode()
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
        made.append(RockFile(section, rest, False, digest, len(data), Content.of_bytes(data)))
    text = ROCKSPEC.format(more=more).encode()
    return Rock(
        load_rockspec(text, "kong-plugin-demo-1.0.0-1.rockspec", ("linux", "unix")), tuple(made), arch
    )


def layer_of(image: Image) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(gzip.decompress(image.blobs[1].data)))


def test_the_layer_holds_exactly_the_two_files_at_its_root() -> None:
    image = operator_image(rock({**TWO, "doc/README.md": "# Demo"}))
    with layer_of(image) as layer:
        assert layer.getnames() == ["handler.lua", "schema.lua"]
        assert HANDLER.encode() == layer.extractfile("handler.lua").read()  # type: ignore[union-attr]
    manifest = json.loads(image.manifest.data)
    assert [one["mediaType"] for one in manifest["layers"]] == ["application/vnd.oci.image.layer.v1.tar+gzip"]


def test_every_digest_and_size_is_that_of_its_blob() -> None:
    image = operator_image(rock())
    manifest = json.loads(image.manifest.data)
    config, layer = image.blobs
    for described, blob in ((manifest["config"], config), (manifest["layers"][0], layer)):
        assert "sha256:" + hashlib.sha256(blob.data).hexdigest() == described["digest"]
        assert len(blob.data) == described["size"]
    tar = gzip.decompress(layer.data)
    assert ["sha256:" + hashlib.sha256(tar).hexdigest()] == json.loads(config.data)["rootfs"]["diff_ids"]


def test_the_same_rock_gives_the_same_image() -> None:
    assert operator_image(rock()) == operator_image(rock())
    # Recorded when first written: neither the machine, nor its zlib, nor the day may change it.
    again = operator_image(rock()).blobs[1].digest
    assert again == "sha256:f855f52ebad870d409aa8937307c11cf398ff56bcb4e1c6e43f5a06a99dcd0e6"


@pytest.mark.parametrize(
    ("files", "more", "words"),
    [
        (
            {**TWO, "lua/kong/plugins/demo/util.lua": "return 1"},
            "",
            'file "kong/plugins/demo/util.lua" is unexp',
        ),
        ({**TWO, "lib/demo.so": "ELF"}, "", 'file "lib/demo.so" is unexpected'),
        (
            {"lua/kong/plugins/demo/handler.lua": HANDLER},
            "",
            "required files not found in the image: schema.lua",
        ),
        ({"lua/demo.lua": "return 1"}, "", "this rock has: none"),
        ({**TWO, "lua/kong/plugins/b/handler.lua": "", "lua/kong/plugins/b/schema.lua": ""}, "", "b, demo"),
        ({**TWO, "lua/kong/plugins/demo/schema.lua": "-" * (1 << 20)}, "", "plugin size limit of 1.00 MiB"),
        (TWO, ', "lua-resty-jwt"', "the dependency lua-resty-jwt is neither"),
    ],
)
def test_what_the_operator_would_refuse_is_refused(files: Mapping[str, str], more: str, words: str) -> None:
    with pytest.raises(CheckError) as raised:
        operator_image(rock(files, more=more))
    assert words in raised.value.message
    assert "--format image" in raised.value.hint


def test_what_kong_brings_is_no_missing_dependency() -> None:
    assert operator_image(rock(more=', "lua-cjson", "penlight"'))


def test_an_artifact_is_the_archive_itself() -> None:
    image = plugin_artifact(rock(), b"the archive", "kong-plugin-demo-1.0.0-1.tar.gz")
    layer = json.loads(image.manifest.data)["layers"][0]
    assert "sha256:" + hashlib.sha256(b"the archive").hexdigest() == layer["digest"]
    assert layer["annotations"] == {"org.opencontainers.image.title": "kong-plugin-demo-1.0.0-1.tar.gz"}
    assert image.blobs[1].data == b"the archive"


def test_a_tag_is_the_version() -> None:
    assert tag_of(rock()) == "1.0.0-1"


def test_a_layout_replaces_a_layout_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "demo.oci"
    for _ in range(2):
        write_layout(operator_image(rock()), str(target))
        assert {"blobs", "index.json", "oci-layout"} == {path.name for path in target.iterdir()}
    for blob in (target / "blobs" / "sha256").iterdir():
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    other = tmp_path / "other"
    other.mkdir()
    (other / "precious").write_text("x")
    with pytest.raises(DiskError):
        write_layout(operator_image(rock()), str(other))
    assert (other / "precious").read_text() == "x"
    assert {"demo.oci", "other"} == {path.name for path in tmp_path.iterdir()}
