"""Blobs into a registry, several at once, and base images with a layer more into the target's repository.

A base image is extended in the registry: its manifests and configs are read, its layers stay where they are.
Only a layer that the target registry does not have, and cannot take over from its own repository, is carried.
"""

from __future__ import annotations

import os

from pumice.base.progress import Shared
from pumice.base.value import Value
from pumice.errors import DataError, PumiceError
from pumice.kong.oci_base import (
    IMAGES,
    INDEXES,
    extended_config,
    extended_index,
    extended_manifest,
    parse_document,
)
from pumice.net.parallel import attempt_all
from pumice.net.reference import is_digest
from pumice.net.registry_upload import upload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from pumice.base.progress import Progress
    from pumice.kong.oci import Blob
    from pumice.kong.oci_base import Layer
    from pumice.net.registry import Document, Registry
    from pumice.operation.work_dir import WorkDir

    T = TypeVar("T")

__all__ = ["ImageCarrier", "send_blobs"]

_LARGEST_CONFIG = 8 << 20
_WIDTH = 4
"""Blobs under way at once: each holds a chunk in memory."""


def send_blobs(registry: Registry, repository: str, blobs: Sequence[Blob], progress: Progress) -> None:
    """The repository has all of the blobs. Raises FetchError, when those under way have ended."""
    shared = Shared(progress)
    try:
        _together([_sending(registry, repository, blob, shared) for blob in blobs])
    finally:
        shared.stop()


class ImageCarrier:
    """Brings a base image, or all images of an index, with one layer more into the target's repository."""

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

    def extended(self, wanted: str, layer: Layer) -> Blob:
        """The manifest or index of the base `wanted` with the layer; all that it points to is in the target.

        Raises DataError for a base that is no image, CheckError where the layer cannot run on it, FetchError.
        """
        found = self._source.manifest(self._from, wanted, (*IMAGES, *INDEXES))
        if found.media_type not in INDEXES:
            image = self._image(found, layer)
            self._send([image])
            return image.manifest
        index = parse_document(found.data, "the base image's index")
        entries = index.get("manifests")
        if not isinstance(entries, list):
            raise _no_image("its index lists nothing")
        images = [(entry, digest) for entry in entries if (digest := _image_of(entry)) is not None]
        if not images:
            raise _no_image("its index has no images")
        made = _together([self._reading(digest, layer) for _, digest in images])
        self._send(made)
        _together([self._writing(image.manifest) for image in made])
        pairs = [(entry, image.manifest) for (entry, _), image in zip(images, made, strict=True)]
        return extended_index(index, found.media_type, pairs)

    def _reading(self, digest: str, layer: Layer) -> Callable[[], _Extended]:
        return lambda: self._image(self._source.manifest(self._from, digest, IMAGES), layer)

    def _writing(self, manifest: Blob) -> Callable[[], str]:
        return lambda: self._target.put_manifest(
            self._to, manifest.digest, manifest.media_type, manifest.data
        )

    def _image(self, found: Document, layer: Layer) -> _Extended:
        manifest = parse_document(found.data, "the base image's manifest")
        digest, size = _pointed(manifest.get("config"))
        if size > _LARGEST_CONFIG:
            raise _no_image(f"its config has {size} bytes")
        config = extended_config(self._source.blob(self._from, digest, size), layer)
        extended, new_config, new_layer = extended_manifest(manifest, found.media_type, config, layer)
        # with `urls`: a layer that registries do not hold
        base = [_pointed(each) for each in manifest["layers"] if not _elsewhere(each)]
        return _Extended(extended, (new_config, new_layer), tuple(base))

    def _send(self, images: Sequence[_Extended]) -> None:
        """Every blob of the images once, several at a time."""
        layers = {digest: size for image in images for digest, size in image.base}
        blobs = {blob.digest: blob for image in images for blob in image.blobs}
        shared = Shared(self._progress)
        carrying = [self._carrying(digest, size, shared) for digest, size in layers.items()]
        sending = [_sending(self._target, self._to, blob, shared) for blob in blobs.values()]
        try:
            _together([*carrying, *sending])
        finally:
            shared.stop()

    def _carrying(self, digest: str, size: int, progress: Progress) -> Callable[[], None]:
        path = os.path.join(self._work.make(), digest.partition(":")[2])

        def carry() -> None:
            if self._target.has_blob(self._to, digest):
                return
            if self._source is self._target and self._target.mount(self._to, digest, self._from):
                return
            progress.message("info", f"Carrying {digest[:19]} ({size} bytes) over")
            self._source.save_blob(self._from, digest, size, path, progress=progress)
            upload(self._target, self._to, digest, size, _reader(path), progress=progress)
            os.unlink(path)

        return carry


class _Extended(Value):
    """An image with the layer."""

    manifest: Blob
    blobs: tuple[Blob, ...]
    """Its new ones."""
    base: tuple[tuple[str, int], ...]
    """Digest and size of the base's layers."""


def _sending(registry: Registry, repository: str, blob: Blob, progress: Progress) -> Callable[[], None]:
    def send() -> None:
        data = blob.data
        upload(
            registry,
            repository,
            blob.digest,
            len(data),
            lambda start, length: data[start : start + length],
            progress=progress,
        )

    return send


def _together(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """What the tasks give. Raises the first error, in their order, when all have ended."""
    results = []
    for result in attempt_all(tasks, width=_WIDTH):
        if isinstance(result, PumiceError):
            raise result
        results.append(result)
    return results


def _image_of(entry: object) -> str | None:
    """The digest of an index's entry that is an image; attestations are none. Raises DataError."""
    digest, _ = _pointed(entry)
    assert isinstance(entry, dict)
    platform = entry.get("platform")
    unknown = isinstance(platform, dict) and platform.get("os") == "unknown"
    return None if entry.get("mediaType") not in IMAGES or unknown else digest


def _elsewhere(described: object) -> bool:
    return isinstance(described, dict) and bool(described.get("urls"))


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


def _no_image(why: str) -> DataError:
    return DataError(f"the base image cannot be used: {why}", hint="Look at it with `skopeo inspect --raw`.")
