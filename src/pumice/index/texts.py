"""Every text of a server's index, from what the server has: a pure function, the same bytes every time.

For LuaRocks clients the manifests (contract 6.2), for Pumice's own the head, the graph and the sparse records
(docs/index-format.md).
"""

from __future__ import annotations

from pumice.base.value import Value
from pumice.index.record import FORMAT, most_specific
from pumice.rock.platform import platforms_of
from pumice.rock.version import newest_first

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from pumice.index.release import Facts, File

__all__ = [
    "LUA_VERSIONS",
    "SYSTEMS",
    "Release",
    "graph_text",
    "head_text",
    "manifests",
    "override_key",
    "record_text",
]

LUA_VERSIONS = ("5.1", "5.2", "5.3", "5.4", "5.5")
SYSTEMS = (
    "unix",
    "linux",
    "macosx",
    "freebsd",
    "openbsd",
    "netbsd",
    "dragonfly",
    "solaris",
    "haiku",
    "cygwin",
    "msys",
    "windows",
    "mingw",
    "msys2_mingw_w64",
)
"""The systems for which a version's needs are worked out; any other is `unix`."""


class Release(Value):
    """One version on a server."""

    name: str
    version: str
    files: tuple[File, ...]
    """With digests and sizes."""
    facts: Facts | None
    """What it needs where no platform changes that; None: its rockspec cannot be read."""
    overrides: Mapping[str, Facts] = {}
    """By the most specific platform of a system, where that differs."""
    problem: str = ""
    yanked: str | None = None

    def accepts(self, lua_version: str) -> bool:
        """Whether the version is for this Lua; one that cannot be read is not said to be for none."""
        return self.facts is None or all(
            dependency.accepts(lua_version)
            for dependency in self.facts.dependencies
            if dependency.full_name == "lua"
        )


def manifests(releases: Sequence[Release]) -> dict[str, tuple[bytes, bytes]]:
    """The manifests by their names, each as Lua and as JSON; withdrawn versions are in none of them."""
    import json

    from pumice.lua.write import format_globals

    found = {}
    for lua_version in (None, *LUA_VERSIONS):
        repository: dict[str, dict[str, list[dict[str, str]]]] = {}
        for release in releases:
            if release.yanked is None and (lua_version is None or release.accepts(lua_version)):
                items = [{"arch": file.arch} for file in _sorted(release.files)]
                repository.setdefault(release.name, {})[release.version] = items
        table: dict[str, Any] = {"commands": {}, "modules": {}, "repository": repository}
        as_lua: dict[Any, Any] = {
            **table,
            "repository": {name: _arrays(versions) for name, versions in repository.items()},
        }
        text = format_globals(as_lua).encode("utf-8", "surrogateescape")
        name = "manifest" if lua_version is None else f"manifest-{lua_version}"
        found[name] = (
            text,
            _json(json.dumps(table, ensure_ascii=False, sort_keys=True, separators=(",", ":"))),
        )
    return found


def record_text(name: str, releases: Iterable[Release], *, digests: bool = True) -> bytes:
    """The record of one rock, on one line; the newest version first."""
    import json

    by_version = {release.version: release for release in releases}
    versions = {version: _told(by_version[version], digests) for version in newest_first(sorted(by_version))}
    table = {"name": name, "versions": versions}
    return _json(json.dumps(table, ensure_ascii=False, separators=(",", ":")))


def graph_text(releases: Sequence[Release], *, digests: bool) -> bytes:
    """The graph, not yet compressed: all records, sorted by the bytes of their names, one a line."""
    by_name: dict[str, list[Release]] = {}
    for release in releases:
        by_name.setdefault(release.name, []).append(release)
    return b"".join(
        record_text(name, by_name[name], digests=digests)
        for name in sorted(by_name, key=lambda text: text.encode("utf-8", "surrogateescape"))
    )


def head_text(
    *,
    graph_path: str,
    graph_sha256: str,
    graph_size: int,
    digests: bool,
    records: str,
    rocks: int,
    exclusive: bool,
) -> bytes:
    """The head of the index."""
    import json

    table = {
        "format": FORMAT,
        "graph": {"path": graph_path, "sha256": graph_sha256, "size": graph_size, "digests": digests},
        "records": records,
        "rocks": rocks,
        "exclusive": exclusive,
    }
    return _json(json.dumps(table, indent=2))


def override_key(system: str) -> str:
    """Under which platform the needs on a system are told."""
    return most_specific(platforms_of(system))


def _told(release: Release, digests: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"files": {file.arch: _file(file, digests) for file in _sorted(release.files)}}
    if release.facts is not None:
        told.update(_lists(release.facts, None))
        overrides = {
            platform: _lists(facts, release.facts) for platform, facts in sorted(release.overrides.items())
        }
        if overrides:
            told["overrides"] = overrides
    if release.problem:
        told["problem"] = release.problem
    if release.yanked is not None:
        told["yanked"] = release.yanked
    return told


def _lists(facts: Facts, usual: Facts | None) -> dict[str, list[str]]:
    """The lists that are not empty, or those that differ from the usual ones."""
    found = {}
    for field in ("dependencies", "build_dependencies", "test_dependencies"):
        texts = [dependency.text for dependency in getattr(facts, field)]
        if texts if usual is None else getattr(facts, field) != getattr(usual, field):
            found[field] = texts
    if usual is None and facts.supported_platforms:
        found["supported_platforms"] = list(facts.supported_platforms)
    return found


def _file(file: File, digests: bool) -> dict[str, Any]:
    return {"sha256": file.sha256, "size": file.size} if digests else {}


def _sorted(files: Iterable[File]) -> list[File]:
    return sorted(files, key=lambda file: file.arch)


def _arrays(versions: Mapping[str, list[dict[str, str]]]) -> dict[str, dict[int, dict[str, str]]]:
    return {version: dict(enumerate(items, 1)) for version, items in versions.items()}


def _json(text: str) -> bytes:
    # JSON is UTF-8; bytes of a name that are not, cannot be told in it.
    return text.encode("utf-8", "replace") + b"\n"
