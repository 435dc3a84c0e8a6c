"""The index of a directory: complete, the same every time, replaced whole, and cheap to ask at any size."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pumice.base.progress import Silent
from pumice.errors import DataError, NotFoundError
from pumice.index.build import build_index
from pumice.index.index import Query
from pumice.index.texts import LUA_VERSIONS


@pytest.fixture
def folder(tmp_path: Path, rocks: Any) -> Path:
    folder = tmp_path / "server"
    folder.mkdir()
    rocks.rockspec(folder, "foo", "1.0-1", ["lua >= 5.1", "bar >= 1"])
    rocks.rock(folder, "foo", "1.0-1", ["lua >= 5.1", "bar >= 1"])
    rocks.rock(folder, "foo", "2.0-1", ["lua >= 5.3"])
    rocks.rockspec(folder, "bar", "1.0-1", ["lua >= 5.1"])
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_file_is_written_and_described(folder: Path) -> None:
    built = build_index(str(folder), Silent())
    assert (built.rocks, built.versions, built.removed) == (2, 3, ())
    names = [f"manifest{suffix}" for suffix in ("", *(f"-{lua}" for lua in LUA_VERSIONS))]
    assert {f"{name}{kind}" for name in names for kind in ("", ".zip", ".json")} <= set(built.written)
    head = json.loads((folder / "pumice-index.json").read_text())
    graph = (folder / head["graph"]["path"]).read_bytes()
    assert head["graph"]["sha256"] == hashlib.sha256(graph).hexdigest()
    assert head["graph"]["size"] == len(graph)
    lines = gzip.decompress(graph).splitlines(keepends=True)
    assert [json.loads(line)["name"] for line in lines] == ["bar", "foo"]
    shard = hashlib.sha256(b"foo").hexdigest()[:2]
    record = (folder / head["records"].replace("{shard}", shard).replace("{name}", "foo")).read_bytes()
    assert record == lines[1]
    rock = (folder / "foo-1.0-1.all.rock").read_bytes()
    told = json.loads(record)["versions"]
    assert list(told) == ["2.0-1", "1.0-1"]
    assert told["1.0-1"]["dependencies"] == ["lua >= 5.1", "bar >= 1"]
    assert told["1.0-1"]["files"]["all"] == {"sha256": hashlib.sha256(rock).hexdigest(), "size": len(rock)}


def test_the_same_directory_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in sorted(os.listdir(folder), reverse=True):
        shutil.copyfile(folder / name, other / name)
    for each in (folder, other):
        build_index(str(each), Silent())
    assert files(folder) == files(other)


def test_building_again_writes_nothing(folder: Path) -> None:
    build_index(str(folder), Silent())
    before = files(folder)
    built = build_index(str(folder), Silent())
    assert (built.written, built.removed) == ((), ())
    assert files(folder) == before


def test_only_new_versions_are_evaluated(
    folder: Path, tmp_path: Path, rocks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what comes out is what a first build of the same directory gives."""
    from pumice.rock import rockspec

    linux = 'dependencies.platforms = { linux = { "lua", "inotify" } }\n'
    rocks.rockspec(folder, "platformed", "1.0-1", ["lua"], extra=linux)
    build_index(str(folder), Silent())
    rocks.rockspec(folder, "new", "1.0-1", ["lua"])
    rocks.rockspec(folder, "foo", "1.0-1", ["lua >= 5.2"])  # changed in place
    evaluated = []
    real = rockspec.load_rockspec

    def counted(data: bytes, name: str, *rest: Any, **named: Any) -> Any:
        evaluated.append(name)
        return real(data, name, *rest, **named)

    monkeypatch.setattr(rockspec, "load_rockspec", counted)
    build_index(str(folder), Silent())
    assert sorted(evaluated) == ["foo-1.0-1.rockspec", "new-1.0-1.rockspec"]
    other = tmp_path / "other"
    shutil.copytree(folder, other, ignore=shutil.ignore_patterns("manifest*", "pumice-*"))
    build_index(str(other), Silent())
    head = json.loads((folder / "pumice-index.json").read_text())
    assert head == json.loads((other / "pumice-index.json").read_text())
    for path in (other / "pumice-index").rglob("*.json"):
        assert (folder / path.relative_to(other)).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    "damage", [b"", b"{}", b"[]", b'{"versions": 1}', b'{"versions": {"1.0-1": {"files": 1}}}']
)
def test_a_damaged_record_is_made_anew(folder: Path, damage: bytes) -> None:
    build_index(str(folder), Silent())
    before = files(folder)
    next((folder / "pumice-index").rglob("foo.json")).write_bytes(damage)
    build_index(str(folder), Silent())
    assert files(folder) == before


def test_what_is_gone_leaves_the_index_and_the_graph_before_stays_once(folder: Path, rocks: Any) -> None:
    build_index(str(folder), Silent())
    first = json.loads((folder / "pumice-index.json").read_text())["graph"]["path"]
    (folder / "bar-1.0-1.rockspec").unlink()
    built = build_index(str(folder), Silent())
    assert (folder / first).exists()
    assert [path for path in built.removed if "bar.json" in path]
    assert b"bar" not in (folder / "manifest-5.1").read_bytes()
    rocks.rockspec(folder, "baz", "1.0-1")
    build_index(str(folder), Silent())
    assert not (folder / first).exists()


def test_manifests_hold_what_their_lua_may_use(folder: Path) -> None:
    """Also of versions without a rockspec file, which LuaRocks never filters (contract 12, B31)."""
    build_index(str(folder), Silent())
    for lua, expected in (("5.1", {"1.0-1"}), ("5.3", {"1.0-1", "2.0-1"})):
        table = json.loads((folder / f"manifest-{lua}.json").read_text())
        assert set(table["repository"]["foo"]) == expected


def test_a_rockspec_that_cannot_be_read_is_warned_of_and_told(folder: Path, ask: Any) -> None:
    (folder / "bar-1.0-1.rockspec").write_text("while true do end")
    ask.notes.messages.clear()
    build_index(str(folder), ask.notes)
    assert "bar 1.0-1 cannot be installed from here" in ask.notes.warnings[0]
    index = ask(str(folder))
    with pytest.raises(DataError, match="cannot be used"):
        index.facts(index.candidates("bar")[0])


def test_a_withdrawn_version_is_offered_to_nobody(folder: Path, ask: Any) -> None:
    (folder / "pumice-yanked.json").write_text(json.dumps({"foo": {"1.0-1": "it loses data"}}))
    build_index(str(folder), Silent())
    assert [each.version for each in ask(str(folder), lua="5.3").candidates("foo")] == ["2.0-1"]
    assert b"foo" not in (folder / "manifest-5.1").read_bytes()
    assert b"it loses data" in next((folder / "pumice-index").rglob("foo.json")).read_bytes()


def test_needs_that_differ_by_platform_are_told_for_each(tmp_path: Path, rocks: Any, ask: Any) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    rocks.rockspec(
        folder,
        "foo",
        "1.0-1",
        extra='dependencies.platforms = { linux = { "lua", "inotify" }, macosx = { "lua", "fsevents" } }\n',
    )
    build_index(str(folder), Silent())
    index = ask(str(folder))
    facts = index.facts(index.candidates("foo")[0])
    assert [dependency.name for dependency in facts.dependencies] == ["lua", "inotify"]
    told = json.loads(next((folder / "pumice-index").rglob("foo.json")).read_text())["versions"]["1.0-1"]
    assert set(told["overrides"]) == {"linux", "macosx"}
    assert "dependencies" not in told


@pytest.mark.corpus
def test_the_index_of_real_rockspecs_tells_what_they_say(shared: Path, tmp_path: Path, ask: Any) -> None:
    """Thousands of published rockspecs, for Linux and for macOS: the index gives the same needs."""
    import tarfile

    from pumice.rock.platform import platforms_of
    from pumice.rock.rockspec import load_rockspec

    folder = tmp_path / "server"
    folder.mkdir()
    with tarfile.open(shared / "corpus" / "rockspecs.tar.xz") as archive:
        for number, member in enumerate(archive):
            file = archive.extractfile(member) if member.isfile() and number % 3 == 0 else None
            if file is not None:
                (folder / Path(member.name).name).write_bytes(file.read())
    built = build_index(str(folder), Silent())
    assert built.versions > 5000
    compared = unreadable = differing = 0
    for system in ("linux", "macosx"):
        platforms = platforms_of(system)
        index = ask(str(folder), platforms=platforms)
        for row in index.search(Query("", substring=True, archs=frozenset(["rockspec"]))):
            candidate = next(each for each in index.candidates(row.name) if each.version == row.version)
            if candidate.facts is None:
                unreadable += 1
                continue
            data = (folder / f"{row.name}-{row.version}.rockspec").read_bytes()
            real = load_rockspec(data, f"{row.name}-{row.version}.rockspec", platforms)
            told = candidate.facts
            for field in ("dependencies", "build_dependencies", "test_dependencies"):
                assert [each.text for each in getattr(real, field)] == [
                    each.text for each in getattr(told, field)
                ]
            assert real.supported_platforms == told.supported_platforms
            compared += 1
            differing += "platforms" in (real.globals.get("dependencies") or {})
    assert compared > 8000
    assert unreadable < 40
    assert differing > 3


def test_what_is_no_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="Cannot access repository at"):
        build_index(str(tmp_path / "none"), Silent())


@pytest.mark.sweep
@pytest.mark.parametrize("form", ["own index", "manifests"])
def test_readers_beside_a_builder_see_one_state_or_the_other(
    folder: Path, form: str, rocks: Any, serve: Callable[[Path], Any], ask: Any
) -> None:
    """A builder that changes the directory over and over, and clients of it: every answer is whole."""
    import threading

    build_index(str(folder), Silent())
    server = serve(folder)
    if form == "manifests":
        server.actions["/pumice-index.json"] = lambda handler: handler.reply(404)
    stop = threading.Event()

    def build() -> None:
        path = folder / "extra-1.0-1.rockspec"
        while not stop.is_set():
            rocks.rockspec(folder, "extra", "1.0-1")
            build_index(str(folder), Silent())
            path.unlink()
            build_index(str(folder), Silent())

    builder = threading.Thread(target=build)
    builder.start()
    try:
        for _ in range(25):
            ask.now += 100
            index = ask(server.url)
            assert {row.version for row in index.search(Query("foo"))} == {"1.0-1"}
            assert ask.notes.warnings == []
            assert [text for _, text in ask.notes.messages if "manifest is used" in text] == []
    finally:
        stop.set()
        builder.join()


@pytest.mark.parametrize("count", [300, 30_000])
def test_the_cost_of_sparse_records_does_not_grow_with_the_server(
    tmp_path: Path, count: int, serve: Callable[[Path], Any], ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests and bytes for a question are those of the rocks that it asks for."""
    from pumice.index.record import record_path
    from pumice.index.release import Facts, File
    from pumice.index.texts import Release, head_text, record_text

    folder = tmp_path / "server"
    template = "r/{shard}/{name}.json"
    for number in range(count - 3, count):
        release = Release(f"rock{number}", "1.0-1", (File("all", "0" * 64, 1),), Facts())
        path = folder / record_path(template, release.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(record_text(release.name, [release]))
    head = head_text(
        graph_path="g.gz",
        graph_sha256="0" * 64,
        graph_size=count * 1000,
        digests=False,
        records=template,
        rocks=count,
        exclusive=False,
    )
    (folder / "pumice-index.json").write_bytes(head)
    monkeypatch.setattr("pumice.index.own._SMALL_GRAPH", 1000)
    server = serve(folder)
    index = ask(server.url)
    wanted = [f"rock{number}" for number in range(count - 3, count)]
    index.announce([(name, None) for name in wanted])
    assert [len(index.candidates(name)) for name in wanted] == [1, 1, 1]
    assert len(server.requests) == 4
