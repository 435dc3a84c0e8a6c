"""Compressed files (gzip, bzip2, xz) as bytes by position, inflated piece by piece."""

from __future__ import annotations

from pumice.archive.member import refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Literal, Protocol

    from pumice.archive.source import Source

    Compression = Literal["gzip", "bzip2", "xz"]

    class _Inflater(Protocol):
        @property
        def eof(self) -> bool: ...
        @property
        def unused_data(self) -> bytes: ...
        def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


__all__ = ["Expanded", "compression_of", "inflated"]

_CHUNK = 1 << 18
# Concatenated streams are honest (bgzip, pbzip2, `cat a.gz b.gz`); a million empty ones are not.
_MOST_STREAMS = 10_000
# `xz -8` needs 33 MiB; more than this and the archive is refused.
_XZ_MEMORY = 48 << 20

_MAGIC: tuple[tuple[bytes, Compression], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
)


def compression_of(source: Source) -> Compression | None:
    """How a file is compressed, by its first bytes."""
    head = source.at(0, 6)
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)


def inflated(source: Source, compression: Compression) -> Iterator[bytes]:
    """The contents in pieces of at most 256 KiB, every stream checked to its end.

    Raises ArchiveError for broken data and for anything after the last stream but zeros.
    """
    start, errors = _inflater(compression)
    at = 0
    streams = 0
    pending = b""
    while True:
        if not pending:
            pending = source.at(at, _CHUNK)
            at += len(pending)
        if not pending:
            if streams == 0:
                raise refused(source.path, "it is empty")
            return
        if streams and not pending.strip(b"\0"):
            pending = b""
            continue
        streams += 1
        if streams > _MOST_STREAMS:
            raise refused(source.path, f"it has more than {_MOST_STREAMS} compressed streams")
        inflater = start()
        while not inflater.eof:
            try:
                piece = inflater.decompress(pending, _CHUNK)
            except errors as error:
                raise refused(source.path, f"its compressed data are broken ({error})")
            pending = getattr(inflater, "unconsumed_tail", b"")
            if piece:
                yield piece
            elif not inflater.eof and not pending:
                pending = source.at(at, _CHUNK)
                at += len(pending)
                if not pending:
                    raise refused(source.path, "it is cut off")
        pending = inflater.unused_data


def _inflater(compression: Compression) -> tuple[Callable[[], _Inflater], tuple[type[Exception], ...]]:
    if compression == "gzip":
        import zlib

        return lambda: zlib.decompressobj(16 + zlib.MAX_WBITS), (zlib.error,)
    if compression == "bzip2":
        import bz2

        return bz2.BZ2Decompressor, (OSError, ValueError)
    import lzma

    return lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY), (lzma.LZMAError,)


class Expanded:
    """A compressed file read like a `Source`: cheap forwards; backwards it begins again."""

    __slots__ = ("_buffer", "_compression", "_pieces", "_position", "_source", "path")

    def __init__(self, source: Source, compression: Compression) -> None:
        self.path = source.path
        self._source = source
        self._compression: Compression = compression
        self._pieces = inflated(source, compression)
        self._buffer = b""
        self._position = 0

    def at(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`; fewer only where the contents end. Raises ArchiveError."""
        if offset < self._position:
            self._pieces = inflated(self._source, self._compression)
            self._buffer = b""
            self._position = 0
        while offset - self._position >= len(self._buffer):
            self._position += len(self._buffer)
            self._buffer = next(self._pieces, b"")
            if not self._buffer:
                return b""
        skipped = offset - self._position
        self._position = offset
        if len(self._buffer) - skipped >= length:
            self._buffer = self._buffer[skipped:]
            return self._buffer[:length]
        parts = [self._buffer[skipped:]]
        have = len(parts[0])
        while have < length:
            piece = next(self._pieces, b"")
            if not piece:
                break
            parts.append(piece)
            have += len(piece)
        self._buffer = b"".join(parts)
        return self._buffer[:length]

    def close(self) -> None:
        """Gives the file back."""
        self._source.close()
