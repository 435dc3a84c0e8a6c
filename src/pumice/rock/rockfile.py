"""The `.rock` file, built or source: read as hostile, written reproducibly (LuaRocks contract 4).

LuaRocks never looks at the MD5s of a rock_manifest, deploys what it lists, and leaves the rest in the rock's
directory. Here whatever is listed must be there with that MD5, and no file in `lua/`, `lib/` or `bin/` may be
unlisted, since no check would cover it; others (a `luarocks.lock`, a signature that LuaRocks put beside them)
are kept, and become listed.
"""

from __future__ import annotations

from pumice.archive.member import Entry, Limits, refused, shown
from pumice.archive.zip_reader import ZipArchive, open_zip
from pumice.archive.zip_writer import write_zip
from pumice.base.value import Value
from pumice.errors import DataError
from pumice.rock.content import Content
from pumice.rock.filename import parse_rock_filename, rock_filename, rockspec_filename
from pumice.rock.rock import Rock, RockFile
from pumice.rock.rock_manifest import empty_directories, md5_hex, read_rock_manifest, rock_manifest_of
from pumice.rock.rockspec import Rockspec, load_rockspec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from pumice.archive.member import Member
    from pumice.rock.filename import RockName

__all__ = [
    "SourceRock",
    "open_rock",
    "open_source_rock",
    "rock_filename_of",
    "write_rock",
    "write_source_rock",
]

_MANIFEST = "rock_manifest"
_NAMESPACE = "rock_namespace"
_DEPLOYED = ("lua", "lib", "bin")
_LONGEST_NAMESPACE = 255


def open_rock(
    path: str,
    *,
    platforms: Collection[str],
    limits: Limits = Limits(),  # noqa: B008 - a frozen value
) -> Rock:
    """The rock in the `.rock` file at `path`, checked whole against its rock_manifest.

    The arch comes from the file's name; contents are read from the file again when asked for. A rock of
    LuaRocks 1 without rock_manifest gets one. Raises DataError for a name that is no rock's or a source
    rock's, ArchiveError, ManifestError, RockspecError, NotFoundError.
    """
    name = parse_rock_filename(path)
    if name.arch == "src":
        raise DataError(
            f"{path} is a source rock",
            hint="build it with 'pumice build', or look into it with 'pumice unpack'",
        )
    archive = open_zip(path, limits)
    rockspec, rockspec_name = _root_rockspec(archive, name, platforms)
    files = {member.name: member for member in archive.members if member.kind != "directory"}
    for member in files.values():
        if member.kind != "file" or member.name in _DEPLOYED:
            raise refused(path, f"{shown(member.name)} must not be {_indefinite(member)}")
    del files[rockspec_name]
    listed: dict[str, str] | None = None
    listed_directories: tuple[str, ...] = ()
    if files.pop(_MANIFEST, None):
        manifest = archive.read(_MANIFEST)
        listed = read_rock_manifest(manifest, f"{path}: {_MANIFEST}")
        listed_directories = empty_directories(manifest, f"{path}: {_MANIFEST}")
        _check_listed(archive, listed, rockspec, rockspec_name)
    namespace = _namespace(archive) if files.pop(_NAMESPACE, None) else None
    rock_files = tuple(
        sorted(_rock_files(archive, files.values(), listed), key=lambda f: (f.section, f.path))
    )
    named = (member.name for member in archive.members if member.kind == "directory")
    directories = _empty_directories(archive, (*named, *listed_directories))
    return Rock(rockspec, rock_files, name.arch, namespace, directories)


def _empty_directories(archive: ZipArchive, named: Collection[str]) -> tuple[str, ...]:
    """Those of the directories that stay empty; what is deployed has none.

    LuaRocks lists them in rock_manifest, and packs them where it has the program `zip`; here both count.
    """
    files = {member.name for member in archive.members if member.kind != "directory"}
    filled = {parent for name in (*files, *named) for parent in _parents(name)}
    empty = {name for name in named if name.partition("/")[0] not in _DEPLOYED}
    return tuple(sorted(empty - files - filled))


def _parents(name: str) -> Iterator[str]:
    while name := name.rpartition("/")[0]:
        yield name


def _root_rockspec(archive: ZipArchive, name: RockName, platforms: Collection[str]) -> tuple[Rockspec, str]:
    """The rockspec that a rock file of this name must hold at its root, and the member's name."""
    member = f"{name.name}-{name.version}.rockspec"
    if not any(one.name == member and one.kind == "file" for one in archive.members):
        raise refused(archive.path, f"it holds no {shown(member)}, as its name demands")
    return load_rockspec(archive.read(member), member, platforms), member


def _indefinite(member: Member) -> str:
    return "a symlink" if member.kind == "symlink" else "a file"


def _check_listed(
    archive: ZipArchive, listed: dict[str, str], rockspec: Rockspec, rockspec_name: str
) -> None:
    """Everything listed is there, and the rockspec is as listed; other files are compared when read."""
    present = {member.name for member in archive.members if member.kind == "file"}
    for path in listed:
        if path not in present:
            raise refused(archive.path, f"its rock_manifest lists {shown(path)}, which it does not hold")
    if listed.get(rockspec_name, md5_hex(rockspec.text)) != md5_hex(rockspec.text):
        raise _differs(archive, rockspec_name)


def _rock_files(
    archive: ZipArchive, members: Collection[Member], listed: dict[str, str] | None
) -> Iterator[RockFile]:
    for member in members:
        section, slash, path = member.name.partition("/")
        if not slash:
            section, path = "", member.name
        md5 = md5_hex(archive.read(member.name))
        if listed is not None and listed.get(member.name) != md5:
            if member.name in listed:
                raise _differs(archive, member.name)
            if section in _DEPLOYED:
                raise refused(archive.path, f"its rock_manifest does not list {shown(member.name)}")
        # What LuaRocks makes of the mode bits depends on who packed; the section decides where it deploys.
        executable = section in ("bin", "lib") or (section != "lua" and member.executable)
        content = Content(lambda name=member.name: archive.read(name))  # type: ignore[misc]
        yield RockFile(section, path, executable, md5, member.size, content)


def _differs(archive: ZipArchive, name: str) -> DataError:
    return refused(archive.path, f"{shown(name)} is not the file whose MD5 its rock_manifest lists")


def _namespace(archive: ZipArchive) -> str:
    text = archive.read(_NAMESPACE).decode("utf-8", "surrogateescape").strip()
    if not text or len(text) > _LONGEST_NAMESPACE or not text.isprintable() or "/" in text or "\\" in text:
        raise refused(archive.path, f"its namespace is {shown(text)}")
    return text


def rock_filename_of(rock: Rock) -> str:
    """The name that the rock's file must have: `<name>-<version>.<arch>.rock`."""
    return rock_filename(rock.name, rock.version, rock.arch)


def write_rock(rock: Rock, path: str) -> None:
    """The file at `path` is the rock, in LuaRocks's layout; the same rock gives the same bytes everywhere.

    Raises DataError if a file is not what its MD5 says (a tree's file that somebody edited), ArchiveError for
    names that no reader takes, DiskError, PermissionDenied; then nothing is left behind.
    """
    manifest = rock_manifest_of(rock)
    entries = [
        Entry(rockspec_filename(rock.name, rock.version), lambda: rock.rockspec.text),
        Entry(_MANIFEST, lambda: manifest),
        *(Entry(file.rock_path, _checked(rock, file), file.executable) for file in rock.files),
    ]
    if rock.namespace is not None:
        namespace = rock.namespace.encode()
        entries.append(Entry(_NAMESPACE, lambda: namespace))
    write_zip(path, entries, directories=rock.directories)


def _checked(rock: Rock, file: RockFile) -> Callable[[], bytes]:
    """Reads a file of a rock, and holds it against its MD5."""

    def read() -> bytes:
        data = file.content.read()
        if md5_hex(data) != file.md5:
            raise DataError(
                f"{file.rock_path} of {rock.name} {rock.version} has been changed",
                hint="install the rock again, or build it anew, and pack that",
            )
        return data

    return read


class SourceRock(Value):
    """A source rock: beside the rockspec the file `source.file`, or the directory of a checkout."""

    rockspec: Rockspec
    rockspec_name: str
    """The rockspec's own name in the rock."""
    archive: ZipArchive

    def unpack(self, into: str) -> tuple[str, ...]:
        """Everything in the rock comes to lie in the directory `into`; gives the members' names.

        An archive that it holds stays packed: `archive.unpack` goes on from there. Raises what that raises.
        """
        from pumice.archive.unpack import unpack_members

        return unpack_members(self.archive, into)


def open_source_rock(
    path: str,
    *,
    platforms: Collection[str],
    limits: Limits = Limits(),  # noqa: B008 - a frozen value
) -> SourceRock:
    """The source rock at `path`.

    Raises DataError for the name of another file, ArchiveError, RockspecError, NotFoundError.
    """
    name = parse_rock_filename(path)
    if name.arch != "src":
        raise DataError(
            f"{path} is no source rock", hint="install it with 'pumice install': it has been built already"
        )
    archive = open_zip(path, limits)
    rockspec, rockspec_name = _root_rockspec(archive, name, platforms)
    return SourceRock(rockspec, rockspec_name, archive)


def write_source_rock(
    rockspec_text: bytes, rockspec_filename: str, source_files: Iterable[Entry], path: str
) -> None:
    """The file at `path` is the source rock of these files; the same files give the same bytes everywhere.

    Raises ArchiveError for names that no reader takes, DiskError, PermissionDenied, and what reading raises.
    """
    write_zip(path, [Entry(rockspec_filename, lambda: rockspec_text), *source_files])
