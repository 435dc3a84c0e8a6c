"""What an index answers: versions over servers, what they need, and what it costs to know."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pumice.base.progress import Silent
from pumice.errors import FetchError, NotFoundError, UsageError
from pumice.index.build import build_index
from pumice.index.index import Query, default_archs
from pumice.index.release import Candidate, Offer
from pumice.rock.constraint import parse_constraints
from pumice.rock.version import is_changing


def plain(folder: Path) -> None:
    """The server is one that LuaRocks runs: manifests, no index of Pumice's."""
    build_index(str(folder), Silent())
    (folder / "pumice-index.json").unlink()


@pytest.fixture
def folders(tmp_path: Path, rocks: Any) -> tuple[Path, Path]:
    """Two servers' directories."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    rocks.rockspec(first, "own", "1.0-1", ["lua >= 5.1", "base"])
    rocks.rockspec(first, "both", "1.0-1", ["lua >= 5.1"])
    rocks.rockspec(second, "both", "1.0-1", ["lua >= 5.1"])
    rocks.rockspec(second, "both", "9.0-1", ["lua >= 5.1"])
    rocks.rockspec(second, "base", "1.0-1", ["lua >= 5.1"])
    rocks.rock(second, "base", "1.0-1", ["lua >= 5.1"])
    rocks.rock(second, "base", "1.0-1", ["lua >= 5.1"], arch="linux-x86_64")
    rocks.rock(second, "base", "1.0-1", ["lua >= 5.1"], arch="macosx-aarch64")
    for folder in (first, second):
        plain(folder)
    return first, second


def versions(index: Any, name: str) -> list[str]:
    return [candidate.version for candidate in index.candidates(name)]


def test_all_servers_are_merged_and_the_highest_version_wins(folders: tuple[Path, Path], ask: Any) -> None:
    index = ask(*map(str, folders))
    assert versions(index, "both") == ["9.0-1", "1.0-1"]
    assert [offer.server for offer in index.candidates("both")[1].offers] == [
        str(folder) for folder in folders
    ]
    newest = index.newest(Query("both", constraints=parse_constraints("< 9")))
    assert newest is not None
    assert newest.version == "1.0-1"
    assert index.newest(Query("both", constraints=parse_constraints("> 9.0-1"))) is None
    assert versions(index, "absent") == []


@pytest.mark.adversary(69)
def test_a_private_server_may_have_its_names_for_itself(folders: tuple[Path, Path], ask: Any) -> None:
    """The higher version of the same name on the server after it is not seen at all."""
    index = ask(*map(str, folders), exclusive=True)
    assert versions(index, "both") == ["1.0-1"]
    assert versions(index, "base") == ["1.0-1"]
    assert [row.version for row in index.search(Query("both"))] == ["1.0-1"]


@pytest.mark.adversary(69)
def test_a_private_server_can_demand_it_in_its_own_index(folders: tuple[Path, Path], ask: Any) -> None:
    build_index(str(folders[0]), Silent(), exclusive=True)
    assert versions(ask(*map(str, folders)), "both") == ["1.0-1"]
    # only those after it: an earlier server is the user's first choice
    assert versions(ask(*map(str, folders[::-1])), "both") == ["9.0-1", "1.0-1"]


@pytest.mark.adversary(69)
def test_an_exclusive_server_that_fails_is_not_replaced_by_another(
    folders: tuple[Path, Path], ask: Any, serve: Callable[[Path], Any]
) -> None:
    """While the private server is down nobody may step in for its names."""
    private = serve(folders[0])
    private.actions["*"] = lambda handler: handler.reply(500)
    index = ask(private.url, str(folders[1]), exclusive=True)
    assert versions(index, "both") == []
    assert "answers 500" in index.not_found().hint


def test_files_for_other_machines_are_not_offered(folders: tuple[Path, Path], ask: Any) -> None:
    index = ask(str(folders[1]))
    candidate = index.candidates("base")[0]
    assert {offer.arch for offer in candidate.offers} == {"rockspec", "all", "linux-x86_64"}
    assert candidate.best.arch in ("all", "linux-x86_64")
    assert not candidate.built
    source = candidate.only(("rockspec", "src"))
    assert source is not None
    assert source.built
    assert candidate.only(("macosx-aarch64",)) is None
    rows = index.search(Query("base", archs=frozenset(["macosx-aarch64"])))
    assert [row.arch for row in rows] == ["macosx-aarch64"]


@pytest.mark.parametrize(
    ("archs", "best"),
    [
        ("rockspec", "rockspec"),
        ("rockspec src", "src"),
        ("src rockspec", "src"),
        ("all src rockspec", "all"),
        ("rockspec src all", "all"),
        ("all linux-x86_64", "linux-x86_64"),
        ("linux-x86_64 all", "all"),
        ("linux-x86_64 src", "linux-x86_64"),
    ],
)
def test_the_best_file_is_luarocks_choice(archs: str, best: str) -> None:
    """Contract 6.4: built before source before rockspec; of several built ones the last."""
    offers = tuple(Offer(arch, (f"/r/x.{arch}",), "/r") for arch in archs.split())
    assert Candidate("x", "1-1", None, offers).best.arch == best


def test_the_first_of_several_source_rocks_is_taken() -> None:
    offers = (Offer("src", ("/a/x.src.rock",), "/a"), Offer("src", ("/b/x.src.rock",), "/b"))
    assert Candidate("x", "1-1", None, offers).best.server == "/a"


def test_needs_come_from_rockspecs_once_and_together(
    folders: tuple[Path, Path], ask: Any, serve: Callable[[Path], Any]
) -> None:
    server = serve(folders[1])
    index = ask(server.url)
    index.announce([("both", None), ("base", None)])
    wanted = [*index.candidates("both"), *index.candidates("base")]
    index.announce([], wanted)
    fetched = [path for path in server.requests if path.endswith(".rockspec")]
    assert len(fetched) == 3
    for candidate in wanted:
        assert [dependency.text for dependency in index.facts(candidate).dependencies] == ["lua >= 5.1"]
    ask.now += 10**6
    again = ask(server.url)
    for candidate in [*again.candidates("both"), *again.candidates("base")]:
        again.facts(candidate)
    assert [path for path in server.requests if path.endswith(".rockspec")] == fetched


def test_needs_of_a_rock_without_rockspec_file_come_from_within(
    tmp_path: Path, rocks: Any, ask: Any, serve: Callable[[Path], Any]
) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    rocks.rock(folder, "only", "1.0-1", ["lua >= 5.1", "other > 2"])
    plain(folder)
    for server in (serve(folder).url, str(folder)):
        index = ask(server)
        facts = index.facts(index.candidates("only")[0])
        assert [dependency.text for dependency in facts.dependencies] == ["lua >= 5.1", "other > 2"]


def test_a_line_of_development_is_looked_at_again(
    tmp_path: Path, rocks: Any, ask: Any, serve: Callable[[Path], Any]
) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    rocks.rockspec(folder, "dev", "scm-1", ["lua >= 5.1"])
    plain(folder)
    server = serve(folder)
    index = ask(server.url)
    index.facts(index.candidates("dev")[0])
    rocks.rockspec(folder, "dev", "scm-1", ["lua >= 5.1", "more"])
    ask.now += 61
    index = ask(server.url)
    assert len(index.facts(index.candidates("dev")[0]).dependencies) == 2
    assert is_changing("dev-1")
    assert not is_changing("1.0-1")


def test_namespaces_have_a_manifest_of_their_own(
    folders: tuple[Path, Path], tmp_path: Path, rocks: Any, ask: Any, serve: Callable[[Path], Any]
) -> None:
    space = folders[0] / "manifests" / "someone"
    space.mkdir(parents=True)
    rocks.rockspec(space, "theirs", "3.0-1", ["lua >= 5.1"])
    plain(space)
    server = serve(folders[0])
    index = ask(server.url)
    candidates = index.candidates("theirs", "someone")
    assert [(each.version, each.namespace) for each in candidates] == [("3.0-1", "someone")]
    assert candidates[0].best.urls == (f"{server.url}/manifests/someone/theirs-3.0-1.rockspec",)
    assert versions(index, "theirs") == []
    row = index.search(Query("theirs", namespace="someone"))[0]
    assert (row.server, row.namespace) == (f"{server.url}/manifests/someone", "someone")
    with pytest.raises(UsageError):
        index.candidates("theirs", "../x")


def test_digests_of_what_is_chosen_come_from_sparse_records(
    tmp_path: Path, rocks: Any, ask: Any, serve: Callable[[Path], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the graph is too large to hold them; only the records of what is chosen are fetched."""
    folder = tmp_path / "server"
    folder.mkdir()
    for name in ("a", "b", "c"):
        rocks.rock(folder, name, "1.0-1")
    monkeypatch.setattr("pumice.index.build._DIGESTS_UP_TO", 2)
    build_index(str(folder), Silent())
    server = serve(folder)
    index = ask(server.url)
    chosen = [index.candidates(name)[0] for name in ("a", "b")]
    assert [candidate.has_digests for candidate in chosen] == [False, False]
    before = len(server.requests)
    full = index.with_digests(chosen)
    assert [candidate.has_digests for candidate in full] == [True, True]
    assert len(server.requests) - before == 2
    assert index.with_digests(full) == full


def test_offline_the_last_answer_holds(
    folders: tuple[Path, Path], ask: Any, serve: Callable[[Path], Any]
) -> None:
    server = serve(folders[1])
    index = ask(server.url)
    index.facts(index.candidates("both")[0])
    asked = len(server.requests)
    ask.now += 10**7
    offline = ask(server.url, offline=True)
    assert offline.facts(offline.candidates("both")[0]).dependencies
    with pytest.raises(FetchError, match="--offline"):
        offline.facts(offline.candidates("base")[0])
    assert len(server.requests) == asked


def test_within_a_minute_nothing_is_asked(
    folders: tuple[Path, Path], ask: Any, serve: Callable[[Path], Any]
) -> None:
    """As LuaRocks's own cache; after that one conditional request."""
    server = serve(folders[1])
    for _ in range(3):
        assert versions(ask(server.url), "both") == ["9.0-1", "1.0-1"]
        ask.now += 19
    asked = len(server.requests)
    ask.now += 60
    versions(ask(server.url), "both")
    assert server.requests[asked:] == server.unmodified == ["/manifest-5.1.zip"]


def test_without_any_cache_everything_works(
    folders: tuple[Path, Path], ask: Any, serve: Callable[[Path], Any]
) -> None:
    (ask.folder / "cache").write_text("in the way")
    index = ask(serve(folders[1]).url)
    assert [len(index.facts(each).dependencies) for each in index.candidates("both")] == [1, 1]


def test_provided_rocks_are_found_by_search(folders: tuple[Path, Path], ask: Any) -> None:
    index = ask(str(folders[0]))
    provided = {"lua": "5.1-1", "own": "7-1"}
    rows = index.search(Query("own", substring=True), provided)
    assert [(row.version, row.arch, row.is_source) for row in rows] == [
        ("7-1", "installed", True),
        ("1.0-1", "rockspec", True),
    ]
    assert rows[0].server == "provided by VM or rocks_provided"
    assert index.search(Query("lua", namespace="x"), provided) == ()
    assert default_archs("linux-x86_64") == {"src", "all", "rockspec", "linux-x86_64"}


def test_nothing_found_is_told_as_luarocks_does(folders: tuple[Path, Path], ask: Any) -> None:
    error = ask(str(folders[0])).not_found(hint="look elsewhere")
    assert isinstance(error, NotFoundError)
    assert (error.message, error.hint) == (
        "No results matching query were found for Lua 5.1.",
        "look elsewhere",
    )


_LOOKUP = """
import sys, time
from pumice.base.config import Config, TreeSpec
from pumice.base.progress import Silent
from pumice.index.index import Index, Query
from pumice.net.downloader import Downloader
tree = TreeSpec.at("/tree", "5.1")
config = Config("5.1", tree, (tree,), "linux-x86_64", ("unix", "linux"), {}, "/", "/", sys.argv[2], "/", {},
                ((sys.argv[1],),))
start = time.process_time()
with Downloader.of(config, Silent()) as downloader:
    newest = Index(config, downloader, Silent()).newest(Query("penlight"))
seconds = time.process_time() - start
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(newest.version, seconds, peak)
print(*sorted(sys.modules))
"""


@pytest.mark.corpus
def test_a_warm_look_up_in_the_real_manifest_is_quick_and_small(
    shared: Path, tmp_path: Path, serve: Callable[[Path], Any]
) -> None:
    """Measured: 2 ms beyond the imports and 12 MB; LuaRocks takes 370 ms from start to end."""
    with tarfile.open(shared / "corpus" / "manifests.tar.xz") as archive:
        file = archive.extractfile("manifest-5.1")
        assert file is not None
        (tmp_path / "manifest-5.1").write_bytes(file.read())
    server = serve(tmp_path)

    def look_up() -> tuple[float, int, set[str]]:
        done = subprocess.run(
            [sys.executable, "-c", _LOOKUP, server.url, str(tmp_path / "cache")],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env={"PATH": os.environ["PATH"]},
        )
        version, seconds, memory = done.stdout.splitlines()[0].split()
        assert version == "1.14.0-2"
        return float(seconds), int(memory) * 1024, set(done.stdout.splitlines()[1].split())

    look_up()
    asked = len(server.requests)
    seconds, memory, modules = look_up()
    assert len(server.requests) == asked
    assert seconds < 0.05
    assert memory < 40 << 20
    assert not modules & {
        "urllib3",
        "json",
        "lupa",
        "hashlib",
        "urllib.parse",
        "sqlite3",
        "threading",
        "typing",
    }


@pytest.mark.corpus
def test_the_graph_of_the_public_server_is_small(shared: Path, tmp_path: Path, ask: Any) -> None:
    """Every name, version and dependency string of the public server: 127 kB where digests are left out."""
    import lzma

    from pumice.index.build import _gzipped
    from pumice.index.release import Facts, File
    from pumice.index.texts import Release, graph_text
    from pumice.rock.dependency import parse_dependency

    table = json.loads(lzma.decompress((shared / "corpus" / "graph.json.xz").read_bytes()))
    releases = []
    for name, told in table.items():
        for version, facts in told.items():
            lists = []
            for field in ("dependencies", "build_dependencies", "test_dependencies"):
                try:
                    lists.append(tuple(parse_dependency(text) for text in facts.get(field, ())))
                except Exception:
                    lists.append(())
            releases.append(Release(name, version, (File("rockspec"), File("src")), Facts(*lists)))
    assert len(releases) > 29_000
    assert len(_gzipped(graph_text(releases, digests=False))) < 512 << 10
