"""The texts of Pumice's own index (docs/index-format.md): its head, and one record for each rock's name."""

from __future__ import annotations

from pumice.base.value import Value
from pumice.errors import DataError, VersionError
from pumice.index.release import Entry, Facts, File
from pumice.rock.dependency import parse_dependency
from pumice.rock.filename import is_safe_name
from pumice.rock.platform import OVERRIDE_ORDER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any

__all__ = [
    "FORMAT",
    "HEAD_FILE",
    "Graph",
    "Head",
    "facts_told",
    "json_object",
    "most_specific",
    "parse_head",
    "parse_record",
    "record_path",
]

HEAD_FILE = "pumice-index.json"
FORMAT = 1
_LISTS = ("dependencies", "build_dependencies", "test_dependencies", "supported_platforms")
_HINT = "tell whoever runs the server"


class Graph(Value):
    """The graph file of a server: all records in one."""

    path: str
    sha256: str
    """Of the file as it is sent, compressed."""
    size: int
    has_digests: bool
    """Whether its records hold the digests of files, or only the sparse ones do."""


class Head(Value):
    """What a server offers: the contents of `pumice-index.json`."""

    graph: Graph | None
    records: str | None
    """The path of a sparse record, with `{shard}` and `{name}` in it."""
    exclusive: bool
    """Names that this server lists are for it alone to serve; servers after it are not asked for them."""


def parse_head(data: bytes, server: str) -> Head:
    """The head of an index. Raises DataError for what is none, or of a later format."""
    table = json_object(data, f"the index of {server}")
    if table.get("format") != FORMAT:
        raise DataError(
            f"the index of {server} has the format {table.get('format')!r}, which this Pumice does not know",
            hint="upgrade Pumice; the server's manifest is used meanwhile",
        )
    graph = table.get("graph")
    found = None
    if isinstance(graph, dict):
        path, sha256, size = graph.get("path"), graph.get("sha256"), graph.get("size")
        if not (_is_path(path) and isinstance(sha256, str) and isinstance(size, int)):
            raise DataError(f"the index of {server} describes its graph wrongly", hint=_HINT)
        found = Graph(str(path), sha256, size, graph.get("digests") is True)
    records = table.get("records")
    if not _is_path(records) or "{name}" not in str(records):
        records = None
    if found is None and records is None:
        raise DataError(f"the index of {server} offers neither a graph nor records", hint=_HINT)
    return Head(found, records, table.get("exclusive") is True)


def record_path(template: str, name: str) -> str:
    """Where the sparse record of a rock is: its shard is the beginning of the SHA-256 of its name."""
    from pumice.net.cache import sha256_hex

    shard = sha256_hex(name.encode("utf-8", "surrogateescape"))[:2]
    return template.replace("{shard}", shard).replace("{name}", name)


def parse_record(data: bytes, name: str, server: str, platforms: Collection[str]) -> list[Entry]:
    """Every version in a record, with what it needs on these platforms. Raises DataError."""
    what = f"the record of {name} on {server}"
    table = json_object(data, what)
    versions = table.get("versions")
    if table.get("name") != name or not isinstance(versions, dict):
        raise DataError(f"{what} is broken", hint=_HINT)
    entries = []
    for version, told in versions.items():
        files = told.get("files") if isinstance(told, dict) else None
        if not isinstance(files, dict) or not is_safe_name(version):
            raise DataError(f"{what} is broken at {_shown(version)}", hint=_HINT)
        problem, facts = told.get("problem"), None
        if not problem:
            try:
                facts = facts_told(told, platforms, f"{what}, at {version},")
            except VersionError as error:
                problem = error.message
        yanked = told.get("yanked")
        entries.append(
            Entry(
                version,
                tuple([_file(arch, file) for arch, file in files.items()]),
                facts,
                _shown(problem or ""),
                None if yanked is None else _shown(yanked),
            )
        )
    return entries


def _shown(text: object) -> str:
    """A server's words, without what a terminal would obey."""
    words = str(text)
    return words if words.isprintable() else ascii(words)[1:-1]


def most_specific(platforms: Collection[str]) -> str:
    """The platform that says most of a system; under it stand whole lists that replace the usual ones."""
    for platform in reversed(OVERRIDE_ORDER):
        if platform in platforms:
            return platform
    return ""


def _file(arch: str, told: Any) -> File:
    if not isinstance(told, dict):
        return File(arch)
    sha256, size = told.get("sha256"), told.get("size")
    return File(arch, sha256 if isinstance(sha256, str) else None, size if isinstance(size, int) else None)


def facts_told(told: Mapping[str, Any], platforms: Collection[str], what: str) -> Facts:
    """What a version needs on these platforms; `what` is for messages. Raises DataError."""
    overrides = told.get("overrides")
    if isinstance(overrides, dict):
        chosen = overrides.get(most_specific(platforms))
        if isinstance(chosen, dict):
            told = {**told, **chosen}
    lists = []
    for field in _LISTS:
        texts = told.get(field, [])
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise DataError(f"{what} lists its {field} wrongly", hint=_HINT)
        lists.append(texts)
    dependencies, build, test = (tuple([parse_dependency(text) for text in texts]) for texts in lists[:3])
    return Facts(dependencies, build, test, tuple(lists[3]))


def json_object(data: bytes, what: str) -> dict[str, Any]:
    """The JSON object in `data`; `what` is for messages. Raises DataError."""
    import json

    try:
        table = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{what} is no JSON: {error}", hint=_HINT) from error
    if not isinstance(table, dict):
        raise DataError(f"{what} is no JSON object", hint=_HINT)
    return table


def _is_path(text: object) -> bool:
    """Whether `text` is a path below the server, which leads nowhere else."""
    if not isinstance(text, str) or not text or text.startswith("/") or not text.isprintable():
        return False
    return not any(sign in text for sign in "\\?#:") and ".." not in text.split("/")
