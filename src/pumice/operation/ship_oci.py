"""A plugin into OCI layouts and registries: the operator's image, the artifact, a layer on a base image.

A base image is extended in the registry: its manifests and configs are read, its layers stay where they are.
Only a layer that the target registry does not have, and cannot take over from its own repository, is carried.
"""

from __future__ import annotations

import os

from pumice.errors import CheckError, DataError, UsageError
from pumice.kong.oci_base import (
    IMAGES,
    INDEXES,
    extended_config,
    extended_index,
    extended_manifest,
    parse_document,
    plugin_layer,
)
from pumice.net.reference import is_digest, parse_reference
from pumice.net.registry_upload import upload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from pumice.base.config import Config, TreeSpec
    from pumice.base.progress import Progress
    from pumice.kong.oci import Blob, Image
    from pumice.kong.oci_base import Layer
    from pumice.net.connections import Connections
    from pumice.net.reference import Reference
    from pumice.net.registry import Document, Registry
    from pumice.operation.work_dir import WorkDir
    from pumice.rock.rock import Rock

__all__ = ["check_lua", "needed_rocks", "oci_image", "push_image", "push_on_base", "write_image"]

_LARGEST_CONFIG = 8 << 20
_STALL = 120.0
"""A registry may sum up a large layer, or move it to a store of its own, before it answers."""


def oci_image(rock: Rock, work: WorkDir, *, artifact: bool = False) -> Image:
    """The operator's image of the rock, or the manual's archive as an artifact. Raises CheckError."""
    from pumice.kong.oci import operator_image, plugin_artifact

    if not artifact:
        return operator_image(rock)
    from pumice.kong.manual_tar import manual_tar_name, write_manual_tar

    path = os.path.join(work.make("artifact"), manual_tar_name(rock))
    write_manual_tar(rock, path)
    with open(path, "rb") as file:
        return plugin_artifact(rock, file.read(), os.path.basename(path))


def write_image(image: Image, rock: Rock, config: Config) -> str:
    """The path of the OCI layout, written into the current directory."""
    from pumice.kong.oci_layout import layout_name, write_layout

    path = os.path.join(config.cwd, layout_name(rock.name, rock.version))
    write_layout(image, path)
    return path


def push_image(image: Image, to: str, config: Config) -> str:
    """The reference, with its digest, of the image in its registry. Raises FetchError, UsageError."""
    target = _target(to)
    with _connections(config) as connections:
        registry = _registry(target, connections, config, (_scope(target, "pull,push"),))
        for blob in image.blobs:
            _put(registry, target.repository, blob)
        tag = target.tag or image.tag
        digest = registry.put_manifest(target.repository, tag, image.manifest.media_type, image.manifest.data)
    return str(target.replace(tag=tag, digest=digest))


def push_on_base(
    rock: Rock,
    dependencies: Sequence[Rock],
    base: str,
    to: str,
    config: Config,
    progress: Progress,
    work: WorkDir,
) -> str:
    """The reference, with its digest, of the base image with the plugin on it, in the target's registry.

    An index stays an index, of the same platforms. Raises CheckError for a rock without a plugin, or with C
    modules for another machine; DataError for a base that is no image; FetchError; UsageError.
    """
    from pumice.kong.oci import tag_of

    layer = plugin_layer(rock, dependencies)
    origin, target = parse_reference(base), _target(to)
    target = target.replace(tag=target.tag or tag_of(rock))
    with _connections(config) as connections:
        scopes = [_scope(target, "pull,push")]
        if origin.base == target.base:
            registry = _registry(target, connections, config, (*scopes, _scope(origin, "pull")))
            source = registry
        else:
            registry = _registry(target, connections, config, scopes)
            source = _registry(origin, connections, config, (_scope(origin, "pull"),))
        found = source.manifest(origin.repository, origin.wanted, (*IMAGES, *INDEXES))
        carrier = _Carrier(source, origin.repository, registry, target.repository, progress, work)
        if found.media_type in INDEXES:
            final = carrier.index(found, layer)
        else:
            final = carrier.image(found, layer)
        digest = registry.put_manifest(target.repository, target.wanted, final.media_type, final.data)
    return str(target.replace(digest=digest))


def needed_rocks(
    rock: Rock, trees: Sequence[TreeSpec], config: Config, progress: Progress
) -> tuple[Rock, ...]:
    """What the rock needs beyond what Kong brings, from the trees; what is not there is warned of."""
    from pumice.kong.plugin_files import rocks_needed
    from pumice.operation.listing import find_installed
    from pumice.tree.installed import open_installed

    seen = {rock.name}
    found: list[Rock] = []
    waiting = list(rocks_needed(rock))
    while waiting:
        wanted = waiting.pop(0)
        if wanted.name in seen:
            continue
        seen.add(wanted.name)
        # newest first
        installed = find_installed(trees, wanted.name, None, progress, substring=False)
        fitting = [each for each in installed if wanted.accepts(each.version)]
        if not fitting:
            progress.message(
                "warning",
                f"{wanted.text} is neither installed here nor brought by Kong: the base must have it",
            )
            continue
        at = fitting[0]
        found.append(open_installed(at.tree, at.name, at.version, config.platforms))
        waiting += rocks_needed(found[-1])
    return tuple(found)


def check_lua(rock: Rock, config: Config) -> None:
    """Raises CheckError for C modules that no gateway can load: those for another Lua than 5.1."""
    if rock.section("lib") and config.lua_version != "5.1":
        raise CheckError(
            f"The C modules of {rock.name} are for Lua {config.lua_version}, and Kong runs LuaJIT",
            hint="Build them with --lua-version 5.1.",
        )


class _Carrier:
    """What of one image, or of all of an index, has to come into the target's repository."""

    def __init__(
        self,
        source: Registry,
        source_repository: str,
        target: Registry,
        repository: str,
        progress: Progress,
        work: WorkDir,
    ) -> None:
        self._source = source
        self._from = source_repository
        self._target = target
        self._to = repository
        self._progress = progress
        self._work = work
        self._there: set[str] = set()

    def index(self, found: Document, layer: Layer) -> Blob:
        """The base's index over the extended images, which are in the target by then."""
        index = parse_document(found.data, "the base image's index")
        entries = index.get("manifests")
        if not isinstance(entries, list):
            raise _no_image("its index lists nothing")
        made = []
        for entry in entries:
            digest, _ = _pointed(entry)
            platform = entry.get("platform")
            unknown = isinstance(platform, dict) and platform.get("os") == "unknown"
            if entry.get("mediaType") not in IMAGES or unknown:
                continue
            one = self._source.manifest(self._from, digest, IMAGES)
            manifest = self.image(one, layer)
            self._target.put_manifest(self._to, manifest.digest, manifest.media_type, manifest.data)
            made.append((entry, manifest))
        if not made:
            raise _no_image("its index has no images")
        return extended_index(index, found.media_type, made)

    def image(self, found: Document, layer: Layer) -> Blob:
        """The extended manifest; all that it points to is in the target by then."""
        manifest = parse_document(found.data, "the base image's manifest")
        digest, size = _pointed(manifest.get("config"))
        if size > _LARGEST_CONFIG:
            raise _no_image(f"its config has {size} bytes")
        config = extended_config(self._source.blob(self._from, digest, size), layer)
        extended, new_config, new_layer = extended_manifest(manifest, found.media_type, config, layer)
        for each in manifest["layers"]:
            self._carry(each)
        _put(self._target, self._to, new_layer)
        _put(self._target, self._to, new_config)
        return extended

    def _carry(self, described: Mapping[str, Any]) -> None:
        digest, size = _pointed(described)
        if digest in self._there or described.get("urls"):
            # with `urls`: a layer that registries do not hold
            return
        self._there.add(digest)
        if self._target.has_blob(self._to, digest):
            return
        if self._source is self._target and self._target.mount(self._to, digest, self._from):
            return
        self._progress.message("info", f"Carrying {digest[:19]} ({size} bytes) over")
        path = os.path.join(self._work.make(), digest.partition(":")[2])
        self._source.save_blob(self._from, digest, size, path)
        upload(self._target, self._to, digest, size, _reader(path))
        os.unlink(path)


def _pointed(described: object) -> tuple[str, int]:
    """Digest and size of a descriptor. Raises DataError for what is none."""
    if isinstance(described, dict):
        digest, size = described.get("digest"), described.get("size")
        if is_digest(digest) and isinstance(digest, str) and isinstance(size, int) and 0 <= size < 1 << 40:
            return digest, size
    raise _no_image("a descriptor lacks its digest or size")


def _reader(path: str) -> Callable[[int, int], bytes]:
    def read(start: int, length: int) -> bytes:
        with open(path, "rb") as file:
            file.seek(start)
            return file.read(length)

    return read


def _put(registry: Registry, repository: str, blob: Blob) -> None:
    data = blob.data
    upload(registry, repository, blob.digest, len(data), lambda start, length: data[start : start + length])


def _target(text: str) -> Reference:
    target = parse_reference(text)
    if target.digest is not None:
        raise UsageError(
            f"'{text}' names a digest, which only what is there already has", hint="Push to a tag."
        )
    return target


def _scope(reference: Reference, actions: str) -> str:
    return f"repository:{reference.repository}:{actions}"


def _connections(config: Config) -> Connections:
    from pumice.net.connections import Connections

    return Connections(
        timeout=config.connection_timeout,
        stall=_STALL,
        verify_tls=config.check_certificates,
        environment=config.environment,
    )


def _registry(
    reference: Reference, connections: Connections, config: Config, scopes: Sequence[str]
) -> Registry:
    from pumice.net.fetch import USER_AGENT
    from pumice.net.registry import Registry
    from pumice.operation.registry_login import login_for

    login = login_for(reference, config.environment)
    return Registry(reference.base, connections, login=login, scopes=scopes, user_agent=USER_AGENT)


def _no_image(why: str) -> DataError:
    return DataError(f"the base image cannot be used: {why}", hint="Look at it with `skopeo inspect --raw`.")
