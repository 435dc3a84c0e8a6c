"""`explain`: the log of a gateway, read from a file or a stream, and what it means."""

from __future__ import annotations

import os

from pumice.base.disk import translate
from pumice.errors import NotFoundError
from pumice.kong.explain import Explanation, explain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

__all__ = ["Explanation", "explain_log", "explain_stream"]

_LIMIT = 32 << 20
"""Bytes of a log that are looked at: its end, where the last start is told."""
_CHUNK = 1 << 20


def explain_log(path: str) -> tuple[Explanation, ...]:
    """What the log at `path` (absolute) tells of. Raises NotFoundError, DiskError, PermissionDenied."""
    if os.path.isdir(path):
        raise NotFoundError(f"{path} is a directory", hint="Give the log itself, or - for what is piped in.")
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > _LIMIT:
                file.seek(size - _LIMIT)
            return explain_stream(file)
    except FileNotFoundError:
        raise NotFoundError(
            f"{path} does not exist",
            hint="Give a gateway's error.log, or - and pipe what `kong start` printed.",
        ) from None
    except OSError as error:
        raise translate(error, f"read {path}") from error


def explain_stream(stream: BinaryIO) -> tuple[Explanation, ...]:
    """What a stream tells of: its last 32 MiB, whatever it holds."""
    kept = bytearray()
    while chunk := stream.read(_CHUNK):
        kept += chunk
        if len(kept) > 2 * _LIMIT:
            del kept[:-_LIMIT]
    return explain(bytes(kept[-_LIMIT:]).decode("utf-8", "replace"))
