"""A plugin as one more layer on a base image: what changes in its config, its manifest and its index.

Pure. Everything that the base says stays as it is, in its order, but for what the layer needs: its digest,
one line of history, `KONG_PLUGINS`, and labels (Kong contract 4.3; OCI image-spec; Docker manifest v2.2).
"""

from __future__ import annotations

from pumice.base.value import Value
from pumice.errors import CheckError, DataError
from pumice.kong.oci import (
    CREATED,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Blob,
)
from pumice.kong.package import module_of_path
from pumice.kong.plugin import find_plugins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pumice.rock.rock import Rock

__all__ = [
    "IMAGES",
    "INDEXES",
    "Layer",
    "dockerfile",
    "extended_config",
    "extended_index",
    "extended_manifest",
    "parse_document",
    "plugin_layer",
    "plugin_names",
]

_DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
_DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
_DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"

IMAGES = (OCI_MANIFEST, _DOCKER_MANIFEST)
INDEXES = (OCI_INDEX, _DOCKER_LIST)

_LUA = "usr/local/share/lua/5.1/"
_LIB = "usr/local/lib/lua/5.1/"


class Layer(Value):
    """The plugin's own layer, and what the image has to say of it."""

    data: bytes
    """A gzipped tar."""
    diff_id: str
    """`sha256:…` of the tar itself."""
    plugins: tuple[str, ...]
    """What `KONG_PLUGINS` has to name."""
    labels: tuple[tuple[str, str], ...]
    comment: str
    native: str | None
    """The architecture that its C modules are for, as rocks call it; None where every machine can run it."""


def plugin_names(rock: Rock) -> tuple[str, ...]:
    """The plugins in a rock. Raises CheckError where there is none."""
    modules = [name for file in rock.section("lua") if (name := module_of_path(file.path)) is not None]
    found = tuple(
        plugin.name
        for plugin in find_plugins(modules)
        if plugin.handler in modules and plugin.schema in modules
    )
    if not found:
        raise CheckError(
            f"There is no Kong plugin in {rock.name} {rock.version}",
            hint="A plugin has the modules kong.plugins.NAME.handler and .schema.",
        )
    return found


def plugin_layer(rock: Rock, dependencies: Sequence[Rock] = ()) -> Layer:
    """The modules of the rock and its dependencies, where every Kong image looks for them.

    Commands, documents and rock manifests stay out: a gateway needs none, and the tree of the image's own
    LuaRocks would not list them. No directories: those of the base keep owner and mode. Raises CheckError for
    a rock without a plugin or with modules for another Lua, ArchiveError for two files of one name.
    """
    import gzip
    import hashlib

    from pumice.archive.member import Entry
    from pumice.archive.tar_writer import tar_gz_bytes

    rocks = (rock, *dependencies)
    places = {"lua": _LUA, "lib": _LIB}
    entries = [
        Entry(places[file.section] + file.path, file.content.read, file.section == "lib")
        for each in rocks
        for file in each.files
        if file.section in places
    ]
    data = tar_gz_bytes("layer", entries)
    native = {each.arch for each in rocks if each.section("lib")}
    if len(native) > 1:
        raise CheckError(f"The rocks are for several machines: {', '.join(sorted(native))}")
    return Layer(
        data,
        "sha256:" + hashlib.sha256(gzip.decompress(data)).hexdigest(),
        plugin_names(rock),
        tuple((f"pumice.rock.{each.name}", each.version) for each in rocks),
        ", ".join(f"{each.name} {each.version}" for each in rocks),
        next(iter(native), None),
    )


def parse_document(data: bytes, what: str) -> dict[str, Any]:
    """The JSON object in `data`. Raises DataError for anything else; `what` names it."""
    import json

    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _broken(what, "it is no JSON") from error
    if not isinstance(found, dict):
        raise _broken(what, "it is no JSON object")
    return found


def extended_config(data: bytes, layer: Layer) -> bytes:
    """The base's config with the layer on top; user, entrypoint, health check and all else are the base's.

    Raises DataError for a config that is none, CheckError where the layer's C modules cannot run.
    """
    config = parse_document(data, "the base image's config")
    _check_machine(config, layer)
    root = config.get("rootfs")
    if not isinstance(root, dict) or not isinstance(root.get("diff_ids"), list):
        raise _broken("the base image's config", "it lists no layers (rootfs.diff_ids)")
    inner = config.get("config")
    inner = {} if inner is None else inner
    history = config.get("history") or []
    environment = inner.get("Env") or [] if isinstance(inner, dict) else None
    labels = inner.get("Labels") or {} if isinstance(inner, dict) else None
    if (
        not isinstance(environment, list)
        or not all(isinstance(entry, str) for entry in environment)
        or not isinstance(labels, dict)
        or not isinstance(history, list)
    ):
        raise _broken("the base image's config", "its settings are not what they must be")
    line = {
        "created": CREATED,
        "created_by": "pumice pack --format image",
        "comment": layer.comment,
    }
    changed = {
        **config,
        "config": {
            **inner,
            "Env": _environment(environment, layer.plugins),
            "Labels": {**labels, **dict(layer.labels)},
        },
        "rootfs": {**root, "diff_ids": [*root["diff_ids"], layer.diff_id]},
        "history": [*history, line],
    }
    return _written(changed)


def extended_manifest(
    manifest: Mapping[str, Any], media_type: str, config: bytes, layer: Layer
) -> tuple[Blob, Blob, Blob]:
    """The new manifest, its config and its layer, in the base's own dialect. Raises DataError."""
    docker = media_type == _DOCKER_MANIFEST
    layers = manifest.get("layers")
    if not isinstance(layers, list):
        raise _broken("the base image's manifest", "it lists no layers")
    new_config = Blob(_DOCKER_CONFIG if docker else OCI_CONFIG, config)
    new_layer = Blob(_DOCKER_LAYER if docker else OCI_LAYER, layer.data)
    changed = {**manifest, "config": new_config.descriptor(), "layers": [*layers, new_layer.descriptor()]}
    return Blob(media_type, _written(changed)), new_config, new_layer


def extended_index(
    index: Mapping[str, Any], media_type: str, manifests: Sequence[tuple[Mapping[str, Any], Blob]]
) -> Blob:
    """The base's index with each of these entries pointing to its new manifest.

    Entries that are not named are left out: attestations (provenance, SBOM) speak of the base by digest.
    """
    entries = [
        {**entry, "digest": manifest.digest, "size": len(manifest.data)} for entry, manifest in manifests
    ]
    return Blob(media_type, _written({**index, "manifests": entries}))


def dockerfile(rock: Rock, base: str, dependencies: Sequence[Rock] = ()) -> str:
    """The text of a Dockerfile that builds the same with the files of `pack --format tar` unpacked beside it.

    It re-declares neither user nor entrypoint: a copy needs neither, and they differ between base images.
    """
    names = ",".join(plugin_names(rock))
    lines = [
        f"# {rock.rockspec.package} {rock.version} on {base}: unpack the archives of",
        "# `pumice pack --format tar` here, then `docker build .`",
        f"FROM {base}",
    ]
    for each in (rock, *dependencies):
        top = f"{each.name}-{each.version}"
        roots = sorted({file.path.split("/", 1)[0] for file in each.section("lua")})
        for root in roots:
            lines.append(f"COPY --chown=0:0 {top}/{root} /{_LUA}{root}")
        if each.section("lib"):
            lines.append(f"COPY --chown=0:0 {top}/lib /{_LIB}")
    lines.append(f"ENV KONG_PLUGINS=${{KONG_PLUGINS:-bundled}},{names}")
    return "\n".join(lines) + "\n"


def _environment(entries: Sequence[str], plugins: Sequence[str]) -> list[str]:
    """The variables, in their order; the last one of a name is the one that counts."""
    name = "KONG_PLUGINS="
    current = [entry[len(name) :] for entry in entries if entry.startswith(name)]
    listed = [part.strip() for part in current[-1].split(",") if part.strip()] if current else ["bundled"]
    if listed == ["off"]:
        listed = []
    value = name + ",".join([*listed, *(plugin for plugin in plugins if plugin not in listed)])
    if not current:
        return [*entries, value]
    return [value if entry.startswith(name) else entry for entry in entries]


_MACHINES: Mapping[str, str] = {"x86_64": "amd64", "aarch64": "arm64", "x86": "386", "ppc64le": "ppc64le"}


def _check_machine(config: Mapping[str, Any], layer: Layer) -> None:
    if layer.native is None:
        return
    system, _, processor = layer.native.partition("-")
    wanted = (system, _MACHINES.get(processor, processor))
    found = (config.get("os"), config.get("architecture"))
    if wanted != found:
        raise CheckError(
            f"The C modules are for {wanted[0]}/{wanted[1]}, and the base image is for {found[0]}/{found[1]}",
            hint="Name a base image of the one platform that the rock was built for, by its digest.",
        )


def _written(value: object) -> bytes:
    """JSON with the keys in the base's order."""
    import json

    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


def _broken(what: str, why: str) -> DataError:
    return DataError(f"{what} cannot be used: {why}", hint="Look at it with `skopeo inspect --raw`.")
