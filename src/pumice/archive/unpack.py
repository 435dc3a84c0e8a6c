"""Any archive into a directory: everything judged first, then written so that nothing can land outside."""

from __future__ import annotations

from pumice.archive.destination import Destination
from pumice.archive.expanded import compression_of, inflated
from pumice.archive.member import Limits, refused
from pumice.archive.names import NameSet
from pumice.archive.source import open_source
from pumice.archive.tar_reader import open_tar
from pumice.archive.zip_end import is_also_zip
from pumice.archive.zip_reader import open_zip
from pumice.errors import ArchiveError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pumice.archive.tar_reader import TarArchive
    from pumice.archive.zip_reader import ZipArchive

__all__ = ["unpack", "unpack_members"]

_ZIPS = (".zip", ".rock")
_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_SINGLE = (".lua", ".c")
_CHUNK = 1 << 18


def unpack(
    path: str,
    into: str,
    *,
    limits: Limits = Limits(),  # noqa: B008 - a frozen value
    file_name: str | None = None,
) -> tuple[str, ...]:
    """Unpacks the archive at `path` into the directory `into`, made if missing; gives the members' names.

    The kind is told by the end of `file_name` (default: of `path`), as in LuaRocks: zip and rock, tar plain
    or with gzip, bzip2 or xz; a `.gz` holds one file; `.lua` and `.c` are copied. Nothing that exists is
    overwritten, and after an error nothing new is left. Raises ArchiveError, NotFoundError, DiskError,
    PermissionDenied.
    """
    name = (file_name or path).rsplit("/", 1)[-1]
    lower = name.lower()
    if lower.endswith(_ZIPS):
        with open_zip(path, limits) as zipped:
            return unpack_members(zipped, into)
    if lower.endswith(_TARS):
        with open_tar(path, limits) as tar:
            return unpack_members(tar, into)
    if lower.endswith(".gz"):
        return _unpack_single(path, name[: -len(".gz")], into, limits, gzipped=True)
    if lower.endswith(_SINGLE):
        return _unpack_single(path, name, into, limits, gzipped=False)
    if lower.endswith((".zst", ".7z", ".lz", ".lzma", ".tar.z", ".rar")):
        hint = "repack the source as .tar.gz or .zip"
    else:
        hint = "name it after what it is: .zip, .tar.gz, .tgz, .tar.bz2, .tar.xz, .tar, .gz, .lua or .c"
    raise ArchiveError(f"Couldn't extract archive {name}: unrecognized filename extension", hint=hint)


def unpack_members(
    archive: ZipArchive | TarArchive, into: str, names: Iterable[str] | None = None
) -> tuple[str, ...]:
    """Writes the members of an open archive (only those of `names`, if given) into `into`; gives their names.

    Raises as `unpack` does.
    """
    wanted = None if names is None else set(names)
    members = [member for member in archive.members if wanted is None or member.name in wanted]
    with Destination(into) as destination:
        for member in members:
            if member.kind == "directory":
                destination.directory(member.name)
            elif member.kind == "file":
                destination.file(member.name, archive.chunks(member.name), executable=member.executable)
        # Links come last, so that no file can go through one.
        for member in members:
            if member.kind == "symlink":
                destination.symlink(member.name, member.target)
    return tuple(member.name for member in members)


def _unpack_single(path: str, name: str, into: str, limits: Limits, *, gzipped: bool) -> tuple[str, ...]:
    """One file, gzipped or as it is."""
    NameSet(path).add(name, "file")
    source = open_source(path)
    try:
        if gzipped:
            if compression_of(source) != "gzip":
                raise refused(path, "it is no gzip file")
            if is_also_zip(source):
                raise refused(path, "a zip archive hides in it")
            # Once without writing, so that a bomb or a broken file never gets to the disk.
            for _ in _limited(path, inflated(source, "gzip"), limits.member):
                pass
            pieces = inflated(source, "gzip")
        else:
            pieces = (source.at(at, _CHUNK) for at in range(0, source.size, _CHUNK))
        with Destination(into) as destination:
            destination.file(name, _limited(path, pieces, limits.member))
    finally:
        source.close()
    return (name,)


def _limited(path: str, pieces: Iterator[bytes], limit: int) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > limit:
            raise refused(path, f"it has more than {limit} bytes")
        yield piece
