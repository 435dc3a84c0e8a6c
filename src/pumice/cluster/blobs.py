"""Contents by their digests: made in this command, kept by a cache, or fetched from a node.

The cache is `blobs/ab/cdef…` in Pumice's own cache directory; what is read from it, or comes from a node, is
hashed before it is believed.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import threading
from typing import TYPE_CHECKING

from pumice.cluster.connection import quote
from pumice.errors import TreeError
from pumice.tree.store import Blob

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pumice.cluster.connection import Connection

__all__ = ["BlobCache", "fetch_blobs", "tar_members"]

_BATCH = 6 * 1024 * 1024
"""Bytes that one run brings; a run's output is limited."""
_COUNT = 300


class BlobCache:
    """Contents that are at hand here. Safe to use from several threads."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._known: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def add(self, data: bytes, *, executable: bool) -> Blob:
        """The blob of a content, which can be read from now on."""
        key = hashlib.sha256(data).hexdigest() + ("-x" if executable else "")
        self.put(key, data)
        return Blob(key, len(data))

    def put(self, key: str, data: bytes) -> None:
        """A content whose digest is known to be right."""
        digest = key[:64]
        with self._lock:
            if digest in self._known:
                return
            self._known[digest] = data
        self._write(digest, data)

    def read(self, key: str) -> bytes:
        """The bytes of a content. Raises TreeError when they are not at hand."""
        data = self.find(key)
        if data is None:
            raise TreeError(
                f"the content {key} is not at hand", hint="Run the command again; it is fetched anew."
            )
        return data

    def find(self, key: str) -> bytes | None:
        """The bytes of a content, or None."""
        digest = key[:64]
        data = self._known.get(digest)
        if data is not None:
            return data
        try:
            with open(self._path(digest), "rb") as file:
                data = file.read()
        except OSError:
            return None
        if hashlib.sha256(data).hexdigest() != digest:
            return None
        with self._lock:
            self._known[digest] = data
        return data

    def _path(self, digest: str) -> str:
        return f"{self._directory}/{digest[:2]}/{digest[2:]}"

    def _write(self, digest: str, data: bytes) -> None:
        """For the next command; a cache that cannot be written is none."""
        path = self._path(digest)
        fresh = f"{path}.{os.getpid()}.{threading.get_ident()}"
        try:
            if os.path.exists(path):
                return
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(fresh, "xb") as file:
                file.write(data)
            os.rename(fresh, path)
        except OSError:
            return


def fetch_blobs(connection: Connection, blobs: Iterable[Blob], cache: BlobCache) -> int:
    """The cache has these contents of the node's store; gives how many the node does not have whole.

    Nothing that the node sends is believed: each content is what its digest says, or none.
    """
    wanted = {blob.key: blob.size for blob in blobs if cache.find(blob.key) is None}
    store = f"{connection.node.tree}/store"
    for key in [key for key, size in wanted.items() if size > _BATCH]:
        _fetch_large(connection, f"{store}/{key[:2]}/{key[2:]}", key, wanted[key], cache)
    for batch in _batches({key: size for key, size in wanted.items() if size <= _BATCH}):
        names = " ".join(f"{key[:2]}/{key[2:]}" for key in batch)
        answer = connection.run(f"tar -cf - -C {quote(store)} {names}")
        for name, data in tar_members(answer.output).items():
            key = name.replace("/", "", 1)
            if key in batch and hashlib.sha256(data).hexdigest() == key[:64]:
                cache.put(key, data)
    return sum(cache.find(key) is None for key in wanted)


def _fetch_large(connection: Connection, path: str, key: str, size: int, cache: BlobCache) -> None:
    """A content that is more than one run can bring."""
    parts: list[bytes] = []
    for at in range(0, size, _BATCH):
        parts.append(connection.run(f"tail -c +{at + 1} {quote(path)} | head -c {_BATCH}").output)
    data = b"".join(parts)
    if hashlib.sha256(data).hexdigest() == key[:64]:
        cache.put(key, data)


def _batches(sizes: Mapping[str, int]) -> Iterator[list[str]]:
    batch: list[str] = []
    total = 0
    for key, size in sorted(sizes.items()):
        if batch and (total + size > _BATCH or len(batch) >= _COUNT):
            yield batch
            batch, total = [], 0
        batch.append(key)
        total += size
    if batch:
        yield batch


def tar_members(data: bytes) -> dict[str, bytes]:
    """The files of a tar that a node sent, as far as it can be read."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isreg() else None
                if file is not None:
                    found[member.name] = file.read()
    except (tarfile.TarError, ValueError, OSError, OverflowError, EOFError, IndexError):
        pass  # what did arrive is looked at; the rest is missing
    return found
