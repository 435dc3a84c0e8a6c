"""The tar that goes to a node, piece by piece: files and hard links, for GNU tar and busybox tar alike."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["END", "INCOMING", "file_member", "link_member", "symlink_member"]

INCOMING = ".pumice/cluster/new"
"""Where what is sent arrives, in a node's tree."""
_BLOCK = 512
_TIME = 946_684_800
"""2000-01-01, as every file of a store says (tree/store.py)."""
END = bytes(2 * _BLOCK)
"""What ends a tar."""


def file_member(name: str, data: bytes, mode: int) -> Iterator[bytes]:
    """A file of a tar."""
    yield _header(name, mode, size=len(data))
    yield data
    if len(data) % _BLOCK:
        yield bytes(_BLOCK - len(data) % _BLOCK)


def link_member(name: str, target: str) -> bytes:
    """A hard link to a file that is there already, or comes earlier in the same tar."""
    return _header(name, 0o644, target=target, kind=tarfile.LNKTYPE)


def symlink_member(name: str, target: str) -> bytes:
    """A symlink."""
    return _header(name, 0o777, target=target, kind=tarfile.SYMTYPE)


def _header(name: str, mode: int, *, size: int = 0, target: str = "", kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = mode
    info.mtime = _TIME
    info.type = kind
    info.linkname = target
    # Longer names than 100 bytes: busybox knows GNU's way, not that of POSIX.
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
