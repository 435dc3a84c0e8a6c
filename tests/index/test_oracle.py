"""The same server directory, asked by Pumice and by the real LuaRocks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pumice.base.progress import Silent
from pumice.index.build import build_index
from pumice.index.index import Query, Row

pytestmark = pytest.mark.peer


def porcelain(rows: tuple[Row, ...]) -> list[str]:
    """Rows as `search --porcelain` prints them: sources first, then what is built."""
    ordered = [row for row in rows if row.is_source] + [row for row in rows if not row.is_source]
    return ["\t".join((row.name, row.version, row.arch, row.server)) for row in ordered]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, rocks: Any) -> Path:
    """A hundred rocks, a few versions of each."""
    folder = tmp_path_factory.mktemp("many")
    rocks.generated(folder, 100, seed=7)
    return folder


def own_removed(folder: Path) -> None:
    """The server is one without Pumice's own index."""
    (folder / "pumice-index.json").unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("writer", "transport", "lua"),
    [
        ("luarocks-admin", "http", "5.1"),
        ("luarocks-admin", "path", "5.4"),
        ("pumice", "http", "5.4"),
        ("pumice", "file", "5.1"),
        ("pumice's own index", "http", "5.1"),
        ("pumice's own index", "path", "5.4"),
    ],
)
def test_search_gives_the_rows_of_luarocks(
    many: Path, writer: str, transport: str, lua: str, serve: Callable[[Path], Any], ask: Any, luarocks: Any
) -> None:
    for manifest in many.glob("manifest*"):
        manifest.unlink()
    own_removed(many)
    if writer == "luarocks-admin":
        done = luarocks.run("make_manifest", str(many), program="luarocks-admin")
        assert done.returncode == 0, done.stderr
    else:
        build_index(str(many), Silent())
        if writer == "pumice":
            own_removed(many)
    server = {"http": serve(many).url, "file": f"file://{many}", "path": str(many)}[transport]
    index = ask(server, lua=lua)
    for name in ("rock01", "", "absent"):
        theirs = luarocks.run("search", "--porcelain", f"--only-server={server}", name or "--all", lua=lua)
        assert theirs.returncode == 0, theirs.stderr
        rows = index.search(Query(name, substring=True), {"lua": f"{lua}-1"})
        expected = [line for line in theirs.stdout.splitlines() if "\tinstalled\t" not in line]
        actual = [line for line in porcelain(rows) if "\tinstalled\t" not in line]
        assert actual == expected
        assert bool(actual) == (name != "absent")
    assert ask.notes.warnings == []


def test_mirrors_and_servers_are_asked_as_luarocks_does(
    tmp_path: Path, many: Path, serve: Callable[[Path], Any], ask: Any, luarocks: Any, rocks: Any
) -> None:
    """The second mirror of the first server, the second server, and a third that is down."""
    other, empty = tmp_path / "other", tmp_path / "empty"
    for folder in (other, empty):
        folder.mkdir()
    rocks.generated(other, 12, seed=9)
    for folder in (many, other):
        own_removed(folder)
        assert luarocks.run("make_manifest", str(folder), program="luarocks-admin").returncode == 0
    down = serve(empty)
    down.shutdown()
    down.server_close()
    servers = ((serve(empty).url, serve(many).url), serve(other).url, down.url)
    (luarocks.home / ".luarocks").mkdir()
    (luarocks.home / ".luarocks" / "config-5.1.lua").write_text(
        f'rocks_servers = {{ {{ "{servers[0][0]}", "{servers[0][1]}" }}, "{servers[1]}", "{servers[2]}" }}\n'
    )
    theirs = luarocks.run("search", "--porcelain", "rock00")
    index = ask(*servers)
    rows = index.search(Query("rock00", substring=True))
    assert porcelain(rows) == theirs.stdout.splitlines()
    assert len(rows) > 10
    assert len(ask.notes.warnings) == theirs.stderr.count("Warning: Failed searching manifest:") == 2


def test_the_file_that_luarocks_would_take_is_taken(
    tmp_path: Path, many: Path, serve: Callable[[Path], Any], ask: Any, luarocks: Any, rocks: Any
) -> None:
    """Highest version first; built before source before rockspec; over two servers."""
    other = tmp_path / "other"
    other.mkdir()
    rocks.generated(other, 12, seed=8)
    for folder in (many, other):
        own_removed(folder)
        assert luarocks.run("make_manifest", str(folder), program="luarocks-admin").returncode == 0
    servers = [serve(many).url, serve(other).url]
    listed = ", ".join(f'"{url}"' for url in servers)
    (luarocks.home / ".luarocks").mkdir()
    (luarocks.home / ".luarocks" / "config-5.1.lua").write_text(f"rocks_servers = {{ {listed} }}\n")
    index = ask(*servers)
    taken = 0
    for number in range(12):
        name = f"rock{number:03}"
        for file in luarocks.home.glob("rock*"):
            file.unlink()
        theirs = luarocks.run("download", name)
        newest = index.newest(Query(name))
        files = [file.name for file in luarocks.home.glob("rock*")]
        assert files == ([] if newest is None else [newest.best.file_name]), theirs.stderr
        taken += len(files)
    assert taken > 6


@pytest.mark.corpus
def test_the_real_manifest_gives_the_rows_of_luarocks(
    shared: Path, tmp_path: Path, ask: Any, luarocks: Any
) -> None:
    """All 52,012 of them; only versions that LuaRocks leaves unordered may stand in another order."""
    import tarfile

    with tarfile.open(shared / "corpus" / "manifests.tar.xz") as archive:
        file = archive.extractfile("manifest-5.1")
        assert file is not None
        (tmp_path / "manifest-5.1").write_bytes(file.read())
    theirs = luarocks.run("search", "--porcelain", "--all", f"--only-server={tmp_path}").stdout.splitlines()
    ours = porcelain(ask(str(tmp_path)).search(Query("", substring=True), {"lua": "5.1-1"}))
    assert len(ours) > 50_000
    assert sorted(ours) == sorted(theirs)
    assert [line.split("\t")[0] for line in ours] == [line.split("\t")[0] for line in theirs]
    assert sum(mine != other for mine, other in zip(ours, theirs, strict=True)) < 100


def test_manifests_are_those_of_luarocks_admin(many: Path, tmp_path: Path, luarocks: Any) -> None:
    """Byte for byte but for the order of archs within a version, which there is that of the directory."""
    import shutil

    from pumice.index.manifest_text import read_manifest

    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder in (ours, theirs):
        shutil.copytree(many, folder, ignore=shutil.ignore_patterns("manifest*", "pumice-*"))
    build_index(str(ours), Silent())
    assert luarocks.run("make_manifest", str(theirs), program="luarocks-admin").returncode == 0
    for name in ("manifest", "manifest-5.1", "manifest-5.3", "manifest-5.4"):
        mine, other = (folder / name for folder in (ours, theirs))
        assert sorted(other.read_text().splitlines()) == sorted(mine.read_text().splitlines())
        read = [read_manifest(path.read_bytes(), name) for path in (other, mine)]
        sets = [
            {
                rock: {version: set(archs) for version, archs in versions.items()}
                for rock, versions in each.items()
            }
            for each in read
        ]
        assert sets[0] == sets[1]


@pytest.mark.parametrize("transport", ["http", "path"])
def test_luarocks_installs_from_a_directory_that_pumice_indexed(
    tmp_path: Path, transport: str, serve: Callable[[Path], Any], luarocks: Any, rocks: Any
) -> None:
    folder = tmp_path / "rocks"
    folder.mkdir()
    rocks.rock(folder, "base", "1.0-1", ["lua >= 5.1"])
    rocks.rock(folder, "base", "2.0-1", ["lua >= 5.1"])
    rocks.rock(folder, "top", "1.0-1", ["lua >= 5.1", "base < 2"])
    build_index(str(folder), Silent())
    server = serve(folder).url if transport == "http" else str(folder)
    done = luarocks.run("install", f"--tree={tmp_path}/tree", f"--only-server={server}", "top")
    assert done.returncode == 0, done.stdout + done.stderr
    listed = luarocks.run("list", "--porcelain", f"--tree={tmp_path}/tree").stdout
    assert [line.split("\t")[:2] for line in listed.splitlines()] == [["base", "1.0-1"], ["top", "1.0-1"]]
