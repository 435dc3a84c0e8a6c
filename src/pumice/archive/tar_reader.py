"""Tar archives, plain or compressed, read as hostile: all headers are validated before anything is used.

What GNU tar, busybox, bsdtar, git and Python write passes: v7, ustar, GNU and pax headers, long names, a `./`
before every name. What does not: devices, pipes, sparse files, members twice, links that lead outside, and
anything that two readers could take in two ways (sizes in two places, global names, data after the end).
"""

from __future__ import annotations

from pumice.archive.expanded import Expanded, compression_of
from pumice.archive.member import Limits, Member, refused, shown
from pumice.archive.names import NameSet
from pumice.archive.source import Source, open_source
from pumice.archive.tar_header import BLOCK, Header, pax_records, read_header
from pumice.archive.zip_end import is_also_zip
from pumice.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["TarArchive", "open_tar"]

_CHUNK = 1 << 18
_LONGEST_EXTENSION = 1 << 20
_LONGEST_PADDING = 1 << 20


class TarArchive:
    """A validated tar: its members, and their bytes. Made by `open_tar`."""

    __slots__ = ("_data", "_places", "members", "path")

    def __init__(
        self, data: Source | Expanded, members: list[Member], places: dict[str, tuple[int, int]]
    ) -> None:
        self.path = data.path
        self.members = tuple(members)
        self._data = data
        self._places = places

    def read(self, name: str) -> bytes:
        """The bytes of the file `name`. Raises ArchiveError, NotFoundError. Cheapest in archive order."""
        return b"".join(self.chunks(name))

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of the file `name` piece by piece."""
        place = self._places.get(name)
        if place is None:
            raise NotFoundError(f"{self.path} has no file {shown(name)}")
        return self._pieces(name, *place)

    def _pieces(self, name: str, at: int, left: int) -> Iterator[bytes]:
        while left:
            piece = self._data.at(at, min(left, _CHUNK))
            if not piece:
                raise refused(self.path, f"the member {shown(name)} is cut off")
            yield piece
            at += len(piece)
            left -= len(piece)

    def close(self) -> None:
        """Gives the file back."""
        self._data.close()

    def __enter__(self) -> TarArchive:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


def open_tar(path: str, limits: Limits = Limits()) -> TarArchive:  # noqa: B008 - a frozen value
    """Opens the tar at `path`, plain or with gzip, bzip2 or xz, read to its end and validated.

    Hard links become files of their own. Raises ArchiveError if it is broken, hostile or over the limits,
    NotFoundError if it is not there.
    """
    source = open_source(path)
    try:
        if is_also_zip(source):
            raise refused(path, "it is a zip archive, or one hides in it")
        compression = compression_of(source)
        data = Expanded(source, compression) if compression else source
        scan = _Scan(data, limits)
        scan.run()
        return TarArchive(data, scan.members, scan.places)
    except BaseException:
        source.close()
        raise


class _Scan:
    """One pass over all headers."""

    def __init__(self, data: Source | Expanded, limits: Limits) -> None:
        self.members: list[Member] = []
        self.places: dict[str, tuple[int, int]] = {}
        """Where the bytes of each file are, and how many."""
        self._data = data
        self._path = data.path
        self._limits = limits
        self._names = NameSet(data.path)
        self._files: dict[str, Member] = {}
        self._directories: set[str] = set()
        self._links: dict[str, str] = {}
        self._total = 0
        self._at = 0
        self._long_name: str | None = None
        self._long_target: str | None = None

    def run(self) -> None:
        """Reads all of it. Raises ArchiveError."""
        extensions = count = 0
        while True:
            block = self._data.at(self._at, BLOCK)
            if len(block) < BLOCK:
                raise refused(self._path, "it is cut off" if self._at else "it is no tar archive")
            if not block.strip(b"\0"):
                break
            header = read_header(self._path, block)
            self._at += BLOCK
            if header.kind in "xgLK":
                extensions += 1
                self._extension(header)
            else:
                count += 1
                self._member(header)
            # An extended header or two may stand before each member.
            if count > self._limits.count or extensions > 3 * self._limits.count:
                raise refused(self._path, f"it has more than {self._limits.count} members")
        if self._long_name is not None or self._long_target is not None:
            raise refused(self._path, "it ends with a long name for no member")
        self._check_padding()
        self._names.check_links(self._links)

    def _check_padding(self) -> None:
        end = self._at + _LONGEST_PADDING
        while piece := self._data.at(self._at, _CHUNK):
            self._at += len(piece)
            if self._at > end or piece.strip(b"\0"):
                raise refused(self._path, "something follows its end")

    def _extension(self, header: Header) -> None:
        """Takes the long names out of a pax or GNU header, which are the next member's."""
        if header.size > _LONGEST_EXTENSION:
            raise refused(self._path, f"an extended header in it has more than {_LONGEST_EXTENSION} bytes")
        data = self._data.at(self._at, header.size)
        if len(data) < header.size:
            raise refused(self._path, "it is cut off")
        self._at += _padded(header.size)
        if header.kind in "LK":
            text = data.rstrip(b"\0").decode("utf-8", "surrogateescape")
            self._set_long(
                name=text if header.kind == "L" else None, target=text if header.kind == "K" else None
            )
            return
        for key, value in pax_records(self._path, data):
            if key.startswith("GNU.sparse"):
                raise refused(self._path, "it has sparse members")
            if key not in ("path", "linkpath", "size"):
                continue
            if header.kind == "g" or key == "size":
                raise refused(self._path, f"an extended header gives a {key} in place of a member's own")
            self._set_long(name=value if key == "path" else None, target=value if key == "linkpath" else None)

    def _set_long(self, name: str | None, target: str | None) -> None:
        if (name is not None and self._long_name is not None) or (
            target is not None and self._long_target is not None
        ):
            raise refused(self._path, "it has two long names for one member")
        if name is not None:
            self._long_name = name
        if target is not None:
            self._long_target = target

    def _member(self, header: Header) -> None:
        raw_name = header.name if self._long_name is None else self._long_name
        target = header.target if self._long_target is None else self._long_target
        self._long_name = self._long_target = None
        is_directory = header.kind == "5" or (header.kind == "0" and raw_name.endswith("/"))
        if header.kind not in "0125":
            raise refused(
                self._path, f"the member {shown(raw_name)} is {_KINDS.get(header.kind, 'of no known kind')}"
            )
        if header.size and (header.kind in "12" or is_directory):
            raise refused(self._path, f"the member {shown(raw_name)} has contents that it must not have")
        name = _without_dot(raw_name)
        if is_directory:
            name = name.removesuffix("/")
            # `tar -C dir .` begins with `./`; the same directory may come again and again.
            if name not in self._directories and not (name in ("", ".") and raw_name.startswith(".")):
                self._names.add(name, "directory")
                self._directories.add(name)
                self.members.append(Member(name, "directory", 0, False))
            return
        if header.kind == "2":
            self._names.add(name, "symlink")
            self._links[name] = target
            self.members.append(Member(name, "symlink", 0, False, target))
            return
        self._names.add(name, "file")
        self._file(header, name, _without_dot(target))

    def _file(self, header: Header, name: str, target: str) -> None:
        if header.kind == "1":
            original = self._files.get(target)
            if original is None:
                raise refused(
                    self._path, f"the hard link {shown(name)} leads to {shown(target)}, no file before it"
                )
            member = original.replace(name=name)
            self.places[name] = self.places[target]
        else:
            member = Member(name, "file", header.size, bool(header.mode & 0o111))
            self.places[name] = (self._at, header.size)
        if member.size > self._limits.member:
            raise refused(
                self._path,
                f"the member {shown(name)} has {member.size} bytes, more than {self._limits.member}",
            )
        self._total += member.size
        if self._total > self._limits.total:
            raise refused(self._path, f"its members have more than {self._limits.total} bytes together")
        self._files[name] = member
        self.members.append(member)
        self._at += _padded(header.size)


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _without_dot(name: str) -> str:
    """The name without the `./` that tar gives to everything below the current directory."""
    return name.removeprefix("./")


_KINDS = {
    "3": "a device",
    "4": "a device",
    "6": "a named pipe",
    "S": "a sparse file",
    "M": "the rest of a file on another volume",
}
