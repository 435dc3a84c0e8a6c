"""An OCI image layout: a directory of blobs that skopeo, umoci and crane read (OCI image-spec)."""

from __future__ import annotations

import os

from pumice.errors import DiskError
from pumice.kong.oci import OCI_INDEX, canonical

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.kong.oci import Image

__all__ = ["layout_name", "write_layout"]

_MARK = "oci-layout"


def layout_name(name: str, version: str) -> str:
    """The directory's name: `kong-plugin-my-plugin-0.1.0-1.oci`."""
    return f"{name}-{version}.oci"


def write_layout(image: Image, directory: str) -> None:
    """`directory` holds this image and no other, in place of a layout that was there.

    It gets its name when it is complete. Raises DiskError for anything else of that name, PermissionDenied.
    """
    from pumice.base.disk import make_directories, random_name, remove_tree, translate, write_atomic

    if os.path.lexists(directory) and not os.path.isfile(os.path.join(directory, _MARK)):
        raise DiskError(
            f"{directory} is there already, and is no OCI layout", hint="Move it away, and pack again."
        )
    temporary = os.path.join(os.path.dirname(directory), random_name("oci"))
    blobs = os.path.join(temporary, "blobs", "sha256")
    try:
        make_directories(blobs)
        for blob in (*image.blobs, image.manifest):
            write_atomic(os.path.join(blobs, blob.digest.partition(":")[2]), blob.data)
        described = image.manifest.descriptor()
        index = {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [{**described, "annotations": {"org.opencontainers.image.ref.name": image.tag}}],
        }
        write_atomic(os.path.join(temporary, "index.json"), canonical(index))
        write_atomic(os.path.join(temporary, _MARK), canonical({"imageLayoutVersion": "1.0.0"}))
        if os.path.lexists(directory):
            remove_tree(directory)
        os.rename(temporary, directory)
    except OSError as error:
        raise translate(error, f"write {directory}") from error
    finally:
        if os.path.lexists(temporary):
            remove_tree(temporary)
