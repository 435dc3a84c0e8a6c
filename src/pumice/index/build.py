"""`build_index`: the index files of any directory of rocks, for LuaRocks clients and for Pumice's own.

Each file appears whole, by a rename, and only if its contents change, so that what a client has stays valid;
the head of Pumice's index comes last, and the graph that the head before it named stays until the next time:
whoever reads meanwhile sees the old state or the new one.
"""

from __future__ import annotations

import os
import zlib

from pumice.base.disk import make_directories, translate
from pumice.base.locks import FileLock
from pumice.base.output import AtomicFile
from pumice.base.value import Value
from pumice.errors import DataError, NotFoundError, PumiceError
from pumice.index.previous import Previous
from pumice.index.record import HEAD_FILE, parse_head, record_path
from pumice.index.release import Facts, File
from pumice.index.texts import (
    SYSTEMS,
    Release,
    graph_text,
    head_text,
    manifests,
    override_key,
    record_text,
)
from pumice.net.cache import sha256_hex
from pumice.rock.filename import is_safe_name, parse_filename, rockspec_filename
from pumice.rock.platform import platforms_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pumice.base.progress import Progress
    from pumice.rock.rockspec import Rockspec

__all__ = ["Built", "build_index", "read_directory"]

_FOLDER = "pumice-index"
_RECORDS = _FOLDER + "/{shard}/{name}.json"
_YANKED = "pumice-yanked.json"
_DIGESTS_UP_TO = 2000
"""Up to so many versions the graph holds the digests of files; beyond, they would be nearly all of it."""
_LOCK_TIMEOUT = 60.0
_CHUNK = 1 << 20


class Built(Value):
    """What an index was built from, and what that changed."""

    rocks: int
    versions: int
    written: tuple[str, ...]
    """Files that are new or changed, relative to the directory."""
    removed: tuple[str, ...]


def build_index(directory: str, progress: Progress, *, exclusive: bool = False) -> Built:
    """The index files of `directory` are those of the rocks and rockspecs in it.

    Written are `manifest`, `manifest-5.1` … `manifest-5.5`, each also as `.json` and zipped, and
    `pumice-index.json` with the folder `pumice-index`. A rockspec that cannot be read is warned of.
    `exclusive`: clients shall ask no other server for the rocks of this one.
    Raises NotFoundError, DataError, DiskError, PermissionDenied.
    """
    if not os.path.isdir(directory):
        raise NotFoundError(f"Cannot access repository at {directory}", hint="name a directory of rocks")
    lock = f"{directory}/.pumice-index.lock"
    with FileLock(
        lock, timeout=_LOCK_TIMEOUT, describe=f"the index of {directory}", command="pumice index build"
    ):
        releases = read_directory(directory, progress)
        return _written(directory, releases, exclusive)


def read_directory(directory: str, progress: Progress) -> list[Release]:
    """Every version of which a directory has files, sorted by name. Raises DataError, DiskError.

    All files are read for their digests, but only of new versions is the rockspec evaluated.
    """
    found: dict[tuple[str, str], dict[str, str]] = {}
    try:
        names = sorted(os.listdir(directory))
    except OSError as error:
        raise translate(error, f"read {directory}") from error
    for file in names:
        parsed = parse_filename(file)
        path = f"{directory}/{file}"
        if parsed is not None and is_safe_name(parsed.name) and os.path.isfile(path):
            found.setdefault((parsed.name, parsed.version), {})[parsed.arch] = path
    yanked = _yanked(directory)
    previous = Previous(directory)
    releases = []
    for name, version in sorted(found):
        paths = found[name, version]
        files = tuple([_file(arch, path) for arch, path in paths.items()])
        reason = yanked.get(name, {}).get(version)
        known = previous.release(name, version, files)
        if known is not None:
            releases.append(known.replace(yanked=reason))
            continue
        facts: Facts | None = None
        overrides: dict[str, Facts] = {}
        problem = ""
        try:
            data = _rockspec_text(name, version, paths)
            facts, overrides = _needs(data, rockspec_filename(name, version))
        except (DataError, NotFoundError) as error:
            problem = error.message.replace(f"{directory}/", "")
            progress.message("warning", f"{name} {version} cannot be installed from here: {problem}")
        releases.append(Release(name, version, files, facts, overrides, problem, reason))
    return releases


def _needs(data: bytes, file_name: str) -> tuple[Facts, dict[str, Facts]]:
    """What a rockspec needs, and on which systems that differs."""
    from pumice.rock.rockspec import load_rockspec

    rockspec = load_rockspec(data, file_name, ())
    usual = _facts(rockspec)
    overrides = {}
    fields = ("dependencies", "build_dependencies", "test_dependencies")
    tables = [rockspec.globals.get(field) for field in fields]
    if any(isinstance(table, dict) and "platforms" in table for table in tables):
        for system in SYSTEMS:
            facts = _facts(load_rockspec(data, file_name, platforms_of(system)))
            if facts != usual:
                overrides[override_key(system)] = facts
    return usual, overrides


def _facts(rockspec: Rockspec) -> Facts:
    return Facts(
        rockspec.dependencies,
        rockspec.build_dependencies,
        rockspec.test_dependencies,
        rockspec.supported_platforms,
    )


def _rockspec_text(name: str, version: str, paths: Mapping[str, str]) -> bytes:
    """The rockspec beside the rocks, or that in the first of them. Raises DataError, NotFoundError."""
    if "rockspec" in paths:
        return _read(paths["rockspec"])
    from pumice.archive.zip_reader import open_zip

    wanted = rockspec_filename(name, version)
    path = paths[min(paths)]
    with open_zip(path) as archive:
        if any(member.name == wanted and member.kind == "file" for member in archive.members):
            return archive.read(wanted)
    raise DataError(f"{path} holds no {wanted}", hint="pack the rock anew")


def _yanked(directory: str) -> dict[str, dict[str, str]]:
    """Versions that are withdrawn, by name, and why; from a file that whoever runs the server keeps."""
    path = f"{directory}/{_YANKED}"
    if not os.path.exists(path):
        return {}
    import json

    try:
        table = json.loads(_read(path))
        return {
            str(name): {str(version): str(reason) for version, reason in versions.items()}
            for name, versions in table.items()
        }
    except (ValueError, AttributeError) as error:
        raise DataError(
            f"{path} is not of the form {{name: {{version: reason}}}}", hint="mend the file"
        ) from error


def _written(directory: str, releases: list[Release], exclusive: bool) -> Built:
    """All files of the index, in an order that no reader can trip over."""
    output = _Output(directory)
    before = _graph_before(directory)
    records = set()
    by_name: dict[str, list[Release]] = {}
    for release in releases:
        by_name.setdefault(release.name, []).append(release)
    for name, versions in by_name.items():
        path = record_path(_RECORDS, name)
        records.add(path)
        output.put(path, record_text(name, versions))
    digests = len(releases) <= _DIGESTS_UP_TO
    graph = _gzipped(graph_text(releases, digests=digests))
    digest = sha256_hex(graph)
    graph_path = f"{_FOLDER}/graph-{digest[:16]}.gz"
    output.put(graph_path, graph)
    for file, (as_lua, as_json) in manifests(releases).items():
        output.put(file, as_lua)
        output.put(f"{file}.json", as_json)
        output.zip(f"{file}.zip", file, as_lua)
    head = head_text(
        graph_path=graph_path,
        graph_sha256=digest,
        graph_size=len(graph),
        digests=digests,
        records=_RECORDS,
        rocks=len(by_name),
        exclusive=exclusive,
    )
    output.put(HEAD_FILE, head)
    output.prune(_FOLDER, records | {graph_path, before})
    return Built(len(by_name), len(releases), tuple(output.written), tuple(output.removed))


def _graph_before(directory: str) -> str:
    """The graph that the head still names; readers of that head may ask for it yet."""
    try:
        graph = parse_head(_read(f"{directory}/{HEAD_FILE}"), directory).graph
    except PumiceError:
        return ""
    return graph.path if graph is not None else ""


def _gzipped(data: bytes) -> bytes:
    """As `gzip` does it, without name and time."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return deflate.compress(data) + deflate.flush()


class _Output:
    """Files below a directory, written only where they differ."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self.written: list[str] = []
        self.removed: list[str] = []

    def put(self, path: str, data: bytes) -> None:
        target = f"{self._directory}/{path}"
        if _same(target, data):
            return
        make_directories(os.path.dirname(target))
        with AtomicFile(target) as file:
            file.write(data)
        self.written.append(path)

    def zip(self, path: str, member: str, data: bytes) -> None:
        from pumice.archive.member import Entry
        from pumice.archive.zip_writer import write_zip

        draft = f"{self._directory}/.{path}.draft"
        try:
            write_zip(draft, [Entry(member, lambda: data, False)], compress=True)
            self.put(path, _read(draft))
        finally:
            try:
                os.unlink(draft)
            except OSError:
                pass

    def prune(self, folder: str, kept: set[str]) -> None:
        """Files of the folder that are not `kept` go, unless somebody else put them there."""
        for place, _, files in os.walk(f"{self._directory}/{folder}"):
            for file in files:
                path = os.path.relpath(f"{place}/{file}", self._directory)
                if path not in kept and (file.endswith(".json") or file.startswith("graph-")):
                    try:
                        os.unlink(f"{place}/{file}")
                    except OSError as error:
                        raise translate(error, f"remove {place}/{file}") from error
                    self.removed.append(path)


def _same(path: str, data: bytes) -> bool:
    try:
        if os.path.getsize(path) != len(data):
            return False
    except OSError:
        return False
    return _read(path) == data


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError as error:
        raise NotFoundError(f"{path} does not exist", hint="check the path") from error
    except OSError as error:
        raise translate(error, f"read {path}") from error


def _file(arch: str, path: str) -> File:
    from hashlib import sha256

    digest = sha256()
    size = 0
    try:
        with open(path, "rb") as file:
            while piece := file.read(_CHUNK):
                digest.update(piece)
                size += len(piece)
    except OSError as error:
        raise translate(error, f"read {path}") from error
    return File(arch, digest.hexdigest(), size)
