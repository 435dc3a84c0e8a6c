"""The record of a node's generation, read as somebody else's word and written as Pumice writes its own."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from pumice.errors import TreeError
from pumice.tree.generations import Generation
from pumice.tree.layout import is_safe_path
from pumice.tree.store import Blob

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["parse_record", "record_bytes", "state_of"]

_HEX = frozenset("0123456789abcdef")
_SIZE = 1 << 40


def parse_record(data: bytes, number: int) -> Generation:
    """The record in `data`. Raises TreeError when it is none, or names a file outside of its generation."""
    try:
        read = json.loads(data)
        if read["version"] != 1:
            raise TreeError("its record is of another version of Pumice")
        files = {str(path): Blob(str(key), int(size)) for path, (key, size) in read["files"].items()}
        generation = Generation(
            number,
            float(read["time"]),
            str(read["command"]),
            int(read["parent"]),
            tuple((str(name), str(version)) for name, version in read["added"]),
            tuple((str(name), str(version)) for name, version in read["removed"]),
            files,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        raise TreeError("its record is damaged") from None
    for path, blob in files.items():
        try:
            path.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise TreeError(f"its record names {path!r}, which cannot be a file of it") from None
        digest = blob.key.removesuffix("-x")
        if not is_safe_path(path) or len(digest) != 64 or not _HEX.issuperset(digest):
            raise TreeError(f"its record names {path!r}, which cannot be a file of it")
        if not 0 <= blob.size < _SIZE:
            raise TreeError(f"its record gives {path!r} an impossible size")
    return generation


def record_bytes(generation: Generation) -> bytes:
    """The record as `parse_record` and every Pumice reads it."""
    return json.dumps(
        {
            "version": 1,
            "time": generation.time,
            "command": generation.command,
            "parent": generation.parent,
            "added": list(generation.added),
            "removed": list(generation.removed),
            "files": {path: (blob.key, blob.size) for path, blob in sorted(generation.files.items())},
        }
    ).encode()


def state_of(files: Mapping[str, Blob]) -> str:
    """A digest of what a tree holds, by paths and contents alone: trees that hold the same agree."""
    digest = hashlib.sha256()
    for path, blob in sorted(files.items()):
        digest.update(f"{path}\0{blob.key}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
