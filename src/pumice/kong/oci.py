"""OCI images made of a rock: the operator's, with two files, and the artifact of the manual's cosign flow.

Pure: blobs as bytes, the same for the same rock on every machine (Kong contract 4.6, 4.7). The operator looks
only at layers: exactly one, gzipped, with exactly handler.lua and schema.lua, within the first MiB.
"""

from __future__ import annotations

from pumice.base.value import Value
from pumice.errors import CheckError
from pumice.kong.package import module_of_path
from pumice.kong.plugin import find_plugins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pumice.rock.rock import Rock

__all__ = [
    "CREATED",
    "OCI_CONFIG",
    "OCI_INDEX",
    "OCI_LAYER",
    "OCI_MANIFEST",
    "Blob",
    "Image",
    "canonical",
    "image_labels",
    "operator_image",
    "plugin_artifact",
    "tag_of",
]

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_ARTIFACT_LAYER = "application/x-gzip"

CREATED = "1980-01-01T00:00:00Z"
"""The date of everything in our archives: the same rock gives the same bytes."""

_MOST = 1 << 20
"""The operator reads so much of the uncompressed tar, and no more."""
_TWO = ("handler.lua", "schema.lua")
_TAG = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"


class Blob(Value):
    """Bytes that others point to."""

    media_type: str
    data: bytes
    annotations: tuple[tuple[str, str], ...] = ()

    @property
    def digest(self) -> str:
        """`sha256:…`, by which a registry knows it."""
        import hashlib

        return "sha256:" + hashlib.sha256(self.data).hexdigest()

    def descriptor(self) -> dict[str, Any]:
        """How a manifest points to it."""
        described = {"mediaType": self.media_type, "digest": self.digest, "size": len(self.data)}
        return described | ({"annotations": dict(self.annotations)} if self.annotations else {})


class Image(Value):
    """A manifest and all that it points to."""

    manifest: Blob
    blobs: tuple[Blob, ...]
    """The config, then the layers."""
    tag: str


def operator_image(rock: Rock) -> Image:
    """The image that a KongPluginInstallation takes. Raises CheckError for a plugin that does not fit one."""
    from pumice.archive.member import Entry
    from pumice.archive.tar_writer import tar_gz_bytes

    modules = {name: file for file in rock.section("lua") if (name := module_of_path(file.path)) is not None}
    plugins = find_plugins(modules)
    problems = _misfits(rock, {name: file.path for name, file in modules.items()})
    if problems:
        raise _refused(rock, problems)
    plugin = plugins[0]
    files = {"handler.lua": modules[plugin.handler], "schema.lua": modules[plugin.schema]}
    # The tar is stored inside its gzip: a tar's block for each file, and the end.
    if sum(file.size + 1023 for file in files.values()) + 1024 > _MOST:
        raise _refused(rock, ["plugin size limit of 1.00 MiB exceeded"])
    layer = tar_gz_bytes("layer", [Entry(name, file.content.read) for name, file in files.items()])
    return _image(rock, Blob(OCI_LAYER, layer), image_labels(rock) | {"pumice.plugin": plugin.name})


def plugin_artifact(rock: Rock, archive: bytes, file_name: str) -> Image:
    """The manual's archive as the one layer of an artifact, as `cosign upload blob` makes it.

    `archive` is the tar.gz itself: whoever pulls the artifact has that very file, which `cosign sign` has
    signed by the manifest's digest.
    """
    title = (("org.opencontainers.image.title", file_name),)
    layer = Blob(_ARTIFACT_LAYER, archive, title)
    config = {
        "created": CREATED,
        "architecture": "",
        "os": "",
        "config": {},
        # No tar to be unpacked as a file system: its layer's identity is the blob's own.
        "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
        "history": [{"created": CREATED, "created_by": "pumice pack --format oci --artifact"}],
    }
    return _assembled(rock, Blob(OCI_CONFIG, canonical(config)), layer, image_labels(rock))


def image_labels(rock: Rock) -> dict[str, str]:
    """What an image says of the rock in it, by OCI's names."""
    description = rock.rockspec.description
    labels = {
        "org.opencontainers.image.title": rock.rockspec.package,
        "org.opencontainers.image.version": rock.version,
        "org.opencontainers.image.description": description.summary or "",
        "org.opencontainers.image.licenses": description.license or "",
        "org.opencontainers.image.url": description.homepage or "",
    }
    return {name: _text(value) for name, value in labels.items() if value}


def tag_of(rock: Rock) -> str:
    """The rock's version as a tag."""
    tag = "".join(letter if letter in _TAG else "_" for letter in rock.version)[:128]
    return tag if tag[0] not in ".-" else "_" + tag[1:]


def canonical(value: object) -> bytes:
    """JSON in one way only: sorted keys, no spaces."""
    import json

    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _image(rock: Rock, layer: Blob, labels: Mapping[str, str]) -> Image:
    import gzip
    import hashlib

    config = {
        "created": CREATED,
        "architecture": "amd64",
        "os": "linux",
        "config": {"Labels": dict(labels)},
        "rootfs": {
            "type": "layers",
            "diff_ids": ["sha256:" + hashlib.sha256(gzip.decompress(layer.data)).hexdigest()],
        },
        "history": [{"created": CREATED, "created_by": "pumice pack --format oci"}],
    }
    return _assembled(rock, Blob(OCI_CONFIG, canonical(config)), layer, labels)


def _assembled(rock: Rock, config: Blob, layer: Blob, annotations: Mapping[str, str]) -> Image:
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config.descriptor(),
        "layers": [layer.descriptor()],
        "annotations": dict(annotations),
    }
    return Image(Blob(OCI_MANIFEST, canonical(manifest)), (config, layer), tag_of(rock))


def _misfits(rock: Rock, modules: Mapping[str, str]) -> list[str]:
    """What the operator would say, or what would be missing on the node."""
    from pumice.kong.plugin_files import rocks_needed

    plugins = find_plugins(modules)
    if len(plugins) != 1:
        names = ", ".join(plugin.name for plugin in plugins) or "none"
        return [f"an installation is one plugin; this rock has: {names}"]
    plugin = plugins[0]
    wanted = (plugin.handler, plugin.schema)
    problems = []
    absent = [file for file, module in zip(_TWO, wanted, strict=True) if module not in modules]
    if absent:
        problems.append(f"required files not found in the image: {', '.join(absent)}")
    others = [path for name, path in modules.items() if name not in wanted]
    others += [file.rock_path for file in rock.section("lib")]
    problems += [
        f'file "{_text(path)}" is unexpected, required files are handler.lua and schema.lua'
        for path in others
    ]
    problems += [
        f"the dependency {dependency.text} is neither in the image nor brought by Kong"
        for dependency in rocks_needed(rock)
    ]
    return problems


def _refused(rock: Rock, problems: list[str]) -> CheckError:
    listed = "".join(f"\n   {problem}" for problem in problems)
    return CheckError(
        f"KongPluginInstallation would not take {rock.name} {rock.version}:{listed}",
        hint="The operator takes one handler.lua and one schema.lua below 1 MiB: fold the modules into them "
        "with --single-file, or ship the gateway's image with --format image.",
    )


def _text(value: str) -> str:
    """Text that JSON can hold, whatever bytes the file had."""
    return value.encode("utf-8", "replace").decode()
