"""What servers have, asked by Pumice and by the real LuaRocks: the same bytes, the same files."""

import http.server
import random
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from pumice.base.progress import Silent
from pumice.index.build import build_index
from pumice.rock.arch import machine_arch
from pumice.rock.content import Content
from pumice.rock.rock import Rock, RockFile
from pumice.rock.rock_manifest import md5_hex
from pumice.rock.rockfile import write_rock
from pumice.rock.rockspec import load_rockspec

pytestmark = pytest.mark.peer

SEED = 20_240_601
VERSIONS = (
    "0.9-1",
    "1.0-1",
    "1.0-2",
    "1.0.1-1",
    "1.2-1",
    "1.9-1",
    "1.10-1",
    "2.0rc1-1",
    "2.0-1",
    "3.0beta2-1",
)
ARCHS = ("all", machine_arch(), "win32-x86")
LUAS = ("lua >= 5.1", "lua >= 5.1, < 5.4", "lua == 5.1", "lua >= 5.3", "lua ~> 5.4")

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]
Both = Callable[..., tuple[Done, Done]]


def put(folder: Path, name: str, version: str, dependencies: Sequence[str], archs: Sequence[str]) -> None:
    """A rockspec, and the rocks of these archs beside it."""
    listed = ", ".join(f'"{text}"' for text in dependencies)
    text = (
        f'package = "{name}"\nversion = "{version}"\nsource = {{ url = "http://localhost/{name}.zip" }}\n'
        f'description = {{ license = "MIT" }}\ndependencies = {{ {listed} }}\n'
        'build = { type = "builtin", modules = {} }\n'
    )
    file_name = f"{name}-{version}.rockspec"
    (folder / file_name).write_text(text)
    data = f"return '{name} {version}'\n".encode()
    file = RockFile("lua", f"{name}.lua", False, md5_hex(data), len(data), Content.of_bytes(data))
    for arch in archs:
        rockspec = load_rockspec(text.encode(), file_name, ())
        write_rock(Rock(rockspec, (file,), arch), str(folder / f"{name}-{version}.{arch}.rock"))


def fill(folder: Path) -> None:
    """A few rocks by chance, and some that the tests name."""
    chance = random.Random(SEED)
    folder.mkdir()
    for number in range(20):
        name = f"{chance.choice(('rock', 'lua-rock', 'kong-plugin-rock'))}-{number:02}"
        for version in chance.sample(VERSIONS, chance.randint(1, 5)):
            put(folder, name, version, [chance.choice(LUAS)], chance.sample(ARCHS, chance.randint(0, 3)))
    put(folder, "stem", "1.0-1", [], ["all"])
    for version in ("1.1-1", "1.10-1"):
        put(folder, "stem", version, ["leaf ~> 1"], ["all"])
    for version in ("1.0-1", "1.5-2", "2.0-1"):
        put(folder, "leaf", version, ["lua >= 5.1"], ["all"])
    put(folder, "flower", "0.1-1", ["stem >= 1.1", "leaf", "lua >= 5.1"], ["all"])
    put(folder, "only54", "1.0-1", ["lua ~> 5.4"], ["all"])
    put(folder, "later", "1.0-1", ["lua >= 5.3"], ["all"])
    for place, version in (("dev", "scm-1"), ("manifests/ann", "7.0-1")):
        (folder / place).mkdir(parents=True)
        put(folder / place, "stem", version, [], ["all"])


@pytest.fixture(scope="module")
def by_luarocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server directory whose manifests the real LuaRocks has written."""
    folder = tmp_path_factory.mktemp("by-luarocks") / "rocks"
    fill(folder)
    for place in (folder, folder / "dev", folder / "manifests" / "ann"):
        subprocess.run(["luarocks-admin", "make_manifest", str(place)], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def by_pumice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server directory with the index that Pumice builds."""
    folder = tmp_path_factory.mktemp("by-pumice") / "rocks"
    fill(folder)
    for place in (folder, folder / "dev", folder / "manifests" / "ann"):
        build_index(str(place), Silent())
    return folder


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[[Path], str]]:
    """Serves a directory on the loopback interface; gives its URL."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    running: list[http.server.ThreadingHTTPServer] = []

    def start(folder: Path) -> str:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        running.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module", params=["luarocks over http", "pumice as a directory"])
def server(request: pytest.FixtureRequest, serve: Callable[[Path], str]) -> str:
    """The address of a server: who wrote its manifests, and how it is reached. One of each kind will do."""
    writer, _, way = request.param.partition(" ")
    folder: Path = request.getfixturevalue(f"by_{writer}")
    return serve(folder) if way == "over http" else str(folder)


@pytest.fixture
def both(luarocks: Run, pumice: Run, server: str, tree: Path) -> Both:
    """The same command by both programs, each in a directory of its own: `theirs`, `ours`."""

    def run(*words: str, fails: bool = False) -> tuple[Done, Done]:
        done = []
        for name, program in (("theirs", luarocks), ("ours", pumice)):
            cwd = tree.parent / name
            cwd.mkdir(exist_ok=True)
            done.append(program(f"--only-server={server}", *words, cwd=cwd, fails=fails))
        return done[0], done[1]

    return run


@pytest.mark.parametrize(
    "words",
    [
        ("rock",),
        ("lua", "--source"),
        ("STEM", "1.0"),
        ("plugin", "2.0", "--binary"),
        ("nothing",),
        ("--all",),
        ("ann/stem",),
        ("--namespace=ann", "stem"),
        ("--lua-version=5.4", "--all"),
    ],
    ids=" ".join,
)
def test_search_prints_what_luarocks_prints(words: tuple[str, ...], both: Both) -> None:
    for form in ((), ("--porcelain",)):
        theirs, ours = both("search", *words, *form)
        assert theirs.stdout == ours.stdout


def test_search_without_a_name_says_what_luarocks_says(both: Both) -> None:
    theirs, ours = both("search", fails=True)
    assert theirs.returncode == ours.returncode == 1
    assert theirs.stdout == ours.stdout
    expected = "Error: Enter name and version or use --all. See '"
    assert theirs.stderr.strip().startswith(expected)
    assert ours.stderr.strip().startswith(expected)


def test_list_outdated_prints_what_luarocks_prints(luarocks: Run, both: Both, by_luarocks: Path) -> None:
    for words in (("stem", "1.0"), ("leaf", "1.5"), ("flower",)):
        luarocks("install", "--keep", f"--only-server={by_luarocks}", *words)
    for words in ((), ("stem",), ("leaf", "1.5"), ("nothing",)):
        for form in ((), ("--porcelain",)):
            theirs, ours = both("list", "--outdated", *words, *form)
            assert theirs.stdout == ours.stdout
    theirs, _ = both("list", "--outdated", "--porcelain")
    assert "leaf\t1.5-2\t2.0-1\t" in theirs.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("stem",),
        ("stem", "1.0"),
        ("STEM", "--namespace=ann"),
        ("stem", "--rockspec"),
        ("leaf", "--all"),
        ("--all",),
        ("--all", "--arch", "win32-x86"),
    ],
    ids=" ".join,
)
def test_download_brings_what_luarocks_brings(words: tuple[str, ...], both: Both, tree: Path) -> None:
    theirs, ours = both("download", *words)
    assert theirs.stdout == ours.stdout == ""
    expected, brought = (
        {path.name: path.read_bytes() for path in (tree.parent / name).iterdir()}
        for name in ("theirs", "ours")
    )
    assert expected == brought
    assert expected


@pytest.mark.parametrize(
    "words",
    [
        ("stem", "9"),
        ("lua",),
        ("stem", "--source"),
        ("nothing", "--all"),
        (),
        ("only54", "1.0", "--check-lua-versions"),
        ("later", "--check-lua-versions"),
        ("nothing", "--check-lua-versions"),
    ],
    ids=" ".join,
)
def test_download_fails_in_luarocks_s_words(words: tuple[str, ...], both: Both) -> None:
    """Lua 5.5, which this LuaRocks does not know, is asked for too where the server has it."""
    theirs, ours = both("download", *words, fails=True)
    assert theirs.returncode == ours.returncode == 1
    assert theirs.stdout == ours.stdout.replace("Checking for Lua 5.5...\n", "")
    for line in theirs.stderr.splitlines():
        if line and not line.startswith("Error: Argument missing"):
            assert line in ours.stderr.replace(" and Lua 5.5 but", " but")


def test_dev_finds_the_sub_repository_first(luarocks: Run, pumice: Run, home: Path, server: str) -> None:
    """The configuration names the server, as --dev goes with no --only-server."""
    (home / ".luarocks").mkdir()
    (home / ".luarocks" / "config-5.1.lua").write_text(f'rocks_servers = {{ "{server}" }}\n')
    words = ("--dev", "search", "--porcelain", "stem")
    theirs, ours = luarocks(*words), pumice(*words)
    assert theirs.stdout == ours.stdout
    assert theirs.stdout.startswith(f"stem\tscm-1\trockspec\t{server}/dev\n")


def test_download_with_dependencies_brings_what_an_installation_takes(
    luarocks: Run, pumice: Run, server: str, tree: Path
) -> None:
    folder = tree.parent / "closure"
    folder.mkdir()
    pumice("download", "--deps", f"--only-server={server}", "flower", cwd=folder)
    luarocks("install", f"--only-server={server}", "flower")
    listed = luarocks("list", "--porcelain").stdout.splitlines()
    installed = {"-".join(line.split("\t")[:2]) + ".all.rock" for line in listed}
    assert installed == {path.name for path in folder.iterdir()}


def test_offline_uses_what_an_earlier_command_has_seen(pumice: Run, server: str, tree: Path) -> None:
    folder = tree.parent / "offline"
    folder.mkdir()
    words = (f"--only-server={server}", "download", "stem")
    seen = pumice(f"--only-server={server}", "search", "--porcelain", "stem").stdout
    pumice(*words, cwd=folder)
    (folder / "stem-1.10-1.all.rock").unlink()
    again = pumice("--offline", f"--only-server={server}", "search", "--porcelain", "stem").stdout
    pumice("--offline", *words, cwd=folder)
    assert seen == again
    assert (folder / "stem-1.10-1.all.rock").exists()


@pytest.mark.corpus
def test_search_finds_in_the_public_server_s_manifest_what_luarocks_finds(
    luarocks: Run, pumice: Run, shared: Path, tree: Path
) -> None:
    """The lines are the same; versions that LuaRocks does not order come in any order there."""
    folder = tree.parent / "public"
    folder.mkdir()
    with tarfile.open(shared / "corpus" / "manifests.tar.xz") as archive:
        manifest = archive.extractfile("manifest-5.1")
        assert manifest is not None
        (folder / "manifest-5.1").write_bytes(manifest.read())
    for words in (("--all",), ("json",)):
        arguments = (f"--only-server={folder}", "search", "--porcelain", *words)
        theirs, ours = (run(*arguments).stdout.splitlines() for run in (luarocks, pumice))
        assert sorted(theirs) == sorted(ours)
        assert [line.split("\t")[0] for line in theirs] == [line.split("\t")[0] for line in ours]
