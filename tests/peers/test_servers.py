"""From the same server, Pumice and LuaRocks install the same set, over http and from a directory."""

import hashlib
import http.server
import random
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from pumice.archive.member import Entry
from pumice.archive.zip_writer import write_zip
from pumice.rock.rock_manifest import rock_manifest_bytes

Run = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.peer

_ROCKS = 200


def _write_rock(folder: Path, name: str, version: str, dependencies: list[str]) -> None:
    listed = ", ".join(f'"{each}"' for each in dependencies)
    rockspec = (
        f'package = "{name}"\nversion = "{version}"\nsource = {{ url = "http://localhost/{name}.zip" }}\n'
        f'description = {{ license = "MIT" }}\ndependencies = {{ {listed} }}\n'
        f'build = {{ type = "builtin", modules = {{ ["{name}"] = "{name}.lua" }} }}\n'
    )
    contents = {
        f"{name}-{version}.rockspec": rockspec.encode(),
        f"lua/{name}.lua": f"return '{version}'\n".encode(),
    }
    contents["rock_manifest"] = rock_manifest_bytes(
        {path: hashlib.md5(data).hexdigest() for path, data in contents.items()}
    )
    write_zip(
        str(folder / f"{name}-{version}.all.rock"),
        [Entry(path, lambda data=data: data) for path, data in contents.items()],  # type: ignore[misc]
    )
    (folder / f"{name}-{version}.rockspec").write_text(rockspec)


@pytest.fixture(scope="module")
def server_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 rocks in one to three versions; each depends on earlier ones, in ways that a greedy walk can meet."""
    folder = tmp_path_factory.mktemp("server")
    chance = random.Random(42)
    names = [f"rock{number:03}" for number in range(_ROCKS)]
    for number, name in enumerate(names):
        for major in range(1, chance.randint(1, 3) + 1):
            earlier = chance.sample(names[:number], min(number, chance.randint(1, 3)))
            constraints = [f"{each}{chance.choice(['', ' >= 1.0'])}" for each in sorted(earlier)]
            _write_rock(folder, name, f"{major}.0-1", ["lua >= 5.1", *constraints])
    subprocess.run(
        ["luarocks-admin", "make_manifest", str(folder)], check=True, capture_output=True, timeout=120
    )
    return folder


@pytest.fixture(scope="module")
def server_url(server_directory: Path) -> Iterator[str]:
    """The same directory over http on loopback."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_words: object) -> None:
            """Nothing."""

    handler = partial(Quiet, directory=str(server_directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join(10)


@pytest.fixture(params=["directory", "http"])
def server(request: pytest.FixtureRequest, server_directory: Path) -> str:
    """The server in both forms."""
    if request.param == "directory":
        return str(server_directory)
    return str(request.getfixturevalue("server_url"))


@pytest.mark.parametrize("name", ["rock199", "rock150", "rock077"])
def test_the_same_rocks_are_installed(name: str, server: str, tree: Path, luarocks: Run, pumice: Run) -> None:
    luarocks("install", f"--only-server={server}", name)
    expected = luarocks("list", "--porcelain").stdout
    shutil.rmtree(tree)
    pumice("install", f"--only-server={server}", name)
    assert expected == luarocks("list", "--porcelain").stdout
    assert expected.count("\n") > 3


def test_the_trees_are_equal_whatever_installed_them(
    server_directory: Path, tree: Path, luarocks: Run, pumice: Run, snapshot: Callable[[Path], object]
) -> None:
    luarocks("install", f"--only-server={server_directory}", "rock120")
    expected = snapshot(tree)
    shutil.rmtree(tree)
    pumice("install", f"--only-server={server_directory}", "rock120")
    assert expected == snapshot(tree)


def test_many_names_at_once_and_offline_from_the_cache(server_url: str, tree: Path, pumice: Run) -> None:
    """What was fetched once is there without the network."""
    names = [f"rock{number:03}" for number in range(0, _ROCKS, 10)]
    pumice("install", f"--only-server={server_url}", *names)
    first = pumice("list", "--porcelain").stdout
    shutil.rmtree(tree)
    pumice("install", "--offline", f"--only-server={server_url}", *names)
    assert first == pumice("list", "--porcelain").stdout


def test_a_name_with_a_version_is_luarocks_name_version(
    server_directory: Path, tree: Path, luarocks: Run, pumice: Run
) -> None:
    versions = sorted(path.name for path in server_directory.glob("rock150-*.rockspec"))
    oldest = versions[0].removeprefix("rock150-").removesuffix(".rockspec")
    for run in (luarocks, pumice):
        run("install", f"--only-server={server_directory}", "rock150", oldest)
        assert f"rock150\t{oldest}\t" in luarocks("list", "--porcelain").stdout
        shutil.rmtree(tree)


def test_what_is_installed_already_is_told_and_left(server_directory: Path, pumice: Run) -> None:
    pumice("install", f"--only-server={server_directory}", "rock003")
    done = pumice("install", f"--only-server={server_directory}", "rock003")
    assert "is already installed in" in done.stdout
    assert "Use --force to reinstall." in done.stdout
    again = pumice("install", "--force", f"--only-server={server_directory}", "rock003")
    assert "is now installed in" in again.stdout


def test_a_dry_run_changes_nothing(server_directory: Path, tree: Path, pumice: Run) -> None:
    done = pumice("install", "--dry-run", f"--only-server={server_directory}", "rock120")
    assert "Would install rock120" in done.stdout
    assert not tree.exists()


def test_a_bundle_carries_a_rock_with_all_that_it_needs(
    server_directory: Path,
    tree: Path,
    pumice: Run,
    luarocks: Run,
    tmp_path: Path,
    snapshot: Callable[[Path], object],
) -> None:
    """Installed offline it gives the same tree; unpacked with tar it is a tree that LuaRocks lists."""
    pumice("install", f"--only-server={server_directory}", "rock120")
    expected = luarocks("list", "--porcelain").stdout
    shutil.rmtree(tree)
    pumice("bundle", f"--only-server={server_directory}", "rock120", "-o", "app.tar.gz", cwd=tmp_path)
    pumice("install", "--offline", "--only-server=/nowhere", "app.tar.gz", cwd=tmp_path)
    assert expected == luarocks("list", "--porcelain").stdout
    shutil.rmtree(tree)
    tree.mkdir()
    subprocess.run(["tar", "xzf", str(tmp_path / "app.tar.gz"), "-C", str(tree)], check=True, timeout=60)
    assert expected == luarocks("list", "--porcelain").stdout


def test_a_lock_is_followed_to_the_byte(
    server_directory: Path, tree: Path, pumice: Run, luarocks: Run, tmp_path: Path
) -> None:
    """`lock` writes it, `sync` makes the tree of it, removes what it does not have, and refuses other bytes."""
    copy = tmp_path / "copy"
    shutil.copytree(server_directory, copy)
    project = tmp_path / "project"
    project.mkdir()
    (project / "app-1.0-1.rockspec").write_text(
        'package = "app" version = "1.0-1" source = { url = "x" } description = { license = "MIT" }'
        'dependencies = { "lua >= 5.1", "rock120" } build = { type = "builtin", modules = {} }'
    )
    pumice("lock", f"--only-server={copy}", cwd=project)
    first = (project / "pumice.lock").read_bytes()
    pumice("lock", f"--only-server={copy}", cwd=project)
    assert first == (project / "pumice.lock").read_bytes()
    pumice("sync", cwd=project)
    expected = luarocks("list", "--porcelain").stdout
    assert "rock120\t" in expected
    pumice("install", f"--only-server={copy}", "rock001", "rock002", "rock199")
    pumice("sync", cwd=project)
    assert expected == luarocks("list", "--porcelain").stdout
    rock = next(copy.glob("rock120-*.all.rock"))
    newest = max(copy.glob("rock120-*.all.rock"))
    shutil.copy(next(copy.glob("rock001-*.all.rock")), newest)
    shutil.rmtree(tree)
    refused = pumice("sync", cwd=project, fails=True)
    assert refused.stderr.count("sha256") + refused.stderr.count("SHA-256") >= 1
    assert rock.exists()
    assert not (tree / "share").exists()


def test_an_upgrade_takes_the_newest_that_the_tree_allows(
    server_directory: Path, tree: Path, pumice: Run
) -> None:
    name = next(path.name.split("-")[0] for path in sorted(server_directory.glob("rock*-2.0-1.rockspec")))
    pumice("install", f"--only-server={server_directory}", name, "1.0-1")
    pumice("upgrade", f"--only-server={server_directory}", name)
    listed = pumice("list", name, "--porcelain").stdout
    assert f"{name}\t1.0-1\t" not in listed
    again = pumice("upgrade", f"--only-server={server_directory}")
    assert "Everything is up to date." in again.stdout


def test_tree_and_why_tell_who_needs_whom(server_directory: Path, pumice: Run) -> None:
    pumice("install", f"--only-server={server_directory}", "rock120")
    graph = pumice("tree", "rock120").stdout.splitlines()
    assert graph[0].startswith("rock120 ")
    leaf = graph[-1].split("── ")[1].split()[0]
    assert "needs" in pumice("why", leaf).stdout
    assert "No installed rock needs it" in pumice("why", "rock120").stdout


def test_make_installs_what_is_missing_and_pins_it(
    server_directory: Path, tree: Path, luarocks: Run, pumice: Run, tmp_path: Path
) -> None:
    """`--pin` writes the luarocks.lock that LuaRocks writes."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "app.lua").write_text("return 1\n")
    (project / "app-1.0-1.rockspec").write_text(
        'package = "app" version = "1.0-1" source = { url = "x" } description = { license = "MIT" }'
        'dependencies = { "lua >= 5.1", "rock077" } build = { type = "builtin", modules = { app = "app.lua" } }'
    )
    locks = []
    for run in (luarocks, pumice):
        run("make", "--pin", f"--only-server={server_directory}", cwd=project)
        # 3.8 records Lua itself; what LuaRocks 3.13 does (never) has no oracle here.
        lines = (project / "luarocks.lock").read_text().splitlines()
        locks.append([line for line in lines if not line.strip().startswith("lua = ")])
        (project / "luarocks.lock").unlink()
        shutil.rmtree(tree)
    assert locks[0] == locks[1]


def test_what_a_gateway_brings_is_not_installed(
    server_directory: Path, tree: Path, pumice: Run, tmp_path: Path
) -> None:
    """`--for kong@3.9`: lua-cjson and penlight are there already; without it nobody has them."""
    server = tmp_path / "server"
    server.mkdir()
    _write_rock(server, "plugin", "1.0-1", ["lua-cjson >= 2.1", "penlight >= 1.13, < 2", "inspect == 3.1.3"])
    subprocess.run(
        ["luarocks-admin", "make_manifest", str(server)], check=True, capture_output=True, timeout=60
    )
    refused = pumice("install", f"--only-server={server}", "plugin", fails=True)
    assert "there is no rock of that name" in refused.stderr
    pumice("install", "--for", "kong@3.9", f"--only-server={server}", "plugin")
    assert [line.split("\t")[0] for line in pumice("list", "--porcelain").stdout.splitlines()] == ["plugin"]
    shutil.rmtree(tree)
    old = pumice("install", "--for", "kong@2.8", f"--only-server={server}", "plugin", fails=True)
    assert "penlight" in old.stderr or "inspect" in old.stderr
