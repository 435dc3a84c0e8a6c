"""Directories of rocks, servers that serve them (and fail as a test wants), and the real LuaRocks."""

from __future__ import annotations

import http.server
import random
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from email.utils import formatdate
from functools import partial
from pathlib import Path

import pytest

from pumice.base.config import Config, TreeSpec
from pumice.index.index import Index
from pumice.net.cache import Cache
from pumice.net.downloader import Downloader
from pumice.rock.content import Content
from pumice.rock.rock import Rock, RockFile
from pumice.rock.rock_manifest import md5_hex
from pumice.rock.rockfile import write_rock
from pumice.rock.rockspec import load_rockspec


class Notes:
    """Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []

    def started(self, task: str, label: str, total: int | None = None) -> None: ...

    def advanced(self, task: str, amount: int = 1) -> None: ...

    def finished(self, task: str) -> None: ...

    def message(self, level: str, text: str) -> None:
        self.messages.append((level, text))

    @property
    def warnings(self) -> list[str]:
        return [text for level, text in self.messages if level == "warning"]


class Handler(http.server.BaseHTTPRequestHandler):
    """Files of a directory with ETag and Last-Modified; a test may put an action in front of a path."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        self.server.requests.append(path)
        action = self.server.actions.get(path) or self.server.actions.get("*")
        try:
            if action is None or action(self):
                self.serve(path)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def serve(self, path: str) -> None:
        """The file, or 304, or 404."""
        file = self.server.folder / path.lstrip("/")
        if not file.is_file():
            self.reply(404, b"no such file")
            return
        status = file.stat()
        etag = f'"{status.st_mtime_ns}-{status.st_size}"'
        if self.headers.get("If-None-Match") == etag:
            self.server.unmodified.append(path)
            self.reply(304)
            return
        data = file.read_bytes()
        self.reply(200, data, ETag=etag, Last_Modified=formatdate(status.st_mtime, usegmt=True))

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        """A whole, honest answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


class Server(http.server.ThreadingHTTPServer):
    """Serves a directory on 127.0.0.1; `actions` by path run first, and give True for the usual answer."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.actions: dict[str, Callable[[Handler], bool | None]] = {}
        self.requests: list[str] = []
        self.unmodified: list[str] = []
        self.ended = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None: ...


@pytest.fixture
def serve() -> Iterator[Callable[[Path], Server]]:
    """Starts a server for a directory."""
    running: list[tuple[Server, threading.Thread]] = []

    def start(folder: Path) -> Server:
        server = Server(folder)
        thread = threading.Thread(target=partial(server.serve_forever, 0.02), daemon=True)
        thread.start()
        running.append((server, thread))
        return server

    yield start
    for server, thread in running:
        server.ended.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


def rockspec_text(name: str, version: str, dependencies: Sequence[str] = (), extra: str = "") -> str:
    """A rockspec with one module."""
    listed = ", ".join(f'"{text}"' for text in dependencies)
    return (
        f'package = "{name}"\nversion = "{version}"\n'
        f'source = {{ url = "http://localhost/{name}.tar.gz" }}\n'
        f'description = {{ summary = "Made for a test", license = "MIT" }}\n'
        f"dependencies = {{ {listed} }}\n"
        f'build = {{ type = "builtin", modules = {{ ["{name}"] = "{name}.lua" }} }}\n{extra}'
    )


def put_rockspec(
    folder: Path, name: str, version: str, dependencies: Sequence[str] = (), extra: str = ""
) -> Path:
    """A rockspec file in a directory."""
    path = folder / f"{name}-{version}.rockspec"
    path.write_text(rockspec_text(name, version, dependencies, extra))
    return path


def put_rock(
    folder: Path,
    name: str,
    version: str,
    dependencies: Sequence[str] = (),
    arch: str = "all",
    module: str = "",
) -> Path:
    """A built rock in a directory."""
    file_name = f"{name}-{version}.rockspec"
    rockspec = load_rockspec(rockspec_text(name, version, dependencies).encode(), file_name, ())
    data = (module or f"return '{name} {version}'\n").encode()
    file = RockFile("lua", f"{name}.lua", False, md5_hex(data), len(data), Content.of_bytes(data))
    path = folder / f"{name}-{version}.{arch}.rock"
    write_rock(Rock(rockspec, (file,), arch), str(path))
    return path


@pytest.fixture(scope="session")
def rocks() -> object:
    """The functions that make rocks."""
    return Making()


class Making:
    """Makes files of rocks in directories."""

    rockspec = staticmethod(put_rockspec)
    rock = staticmethod(put_rock)

    @staticmethod
    def generated(folder: Path, count: int, seed: int) -> None:
        """`count` rocks with several versions, archs and dependencies each, by chance."""
        chance = random.Random(seed)
        for number in range(count):
            name = f"rock{number:03}"
            for version in chance.sample(
                ["0.9-1", "1.0-1", "1.0-2", "1.0.1-1", "1.10-1", "1.2-1", "2.0rc1-1", "2.0-1", "scm-1"],
                chance.randint(1, 4),
            ):
                lua = chance.choice(["lua >= 5.1", "lua >= 5.1, < 5.4", "lua == 5.1", "lua >= 5.3"])
                wanted = [
                    f"rock{chance.randrange(number):03}" for _ in range(chance.randint(0, 2) if number else 0)
                ]
                put_rockspec(folder, name, version, [lua, *wanted])
                for arch in chance.sample(["all", "linux-x86_64", "macosx-aarch64"], chance.randint(0, 2)):
                    put_rock(folder, name, version, [lua, *wanted], arch)
                if chance.random() < 0.3:
                    (folder / f"{name}-{version}.src.rock").write_bytes(
                        (folder / f"{name}-{version}.rockspec").read_bytes()
                    )


class Asking:
    """One command's index over some servers, with a cache that lasts between commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes = Notes()
        self.now = 1_000_000.0
        self.environment: dict[str, str] = {}
        self.made: list[Downloader] = []

    def config(
        self,
        *servers: str | tuple[str, ...],
        lua: str = "5.1",
        platforms: tuple[str, ...] = ("unix", "linux"),
    ) -> Config:
        tree = TreeSpec.at(str(self.folder / "tree"), lua)
        return Config(
            lua_version=lua,
            tree=tree,
            trees=(tree,),
            arch="linux-x86_64",
            platforms=platforms,
            variables={},
            home=str(self.folder),
            sysconfdir="/etc/luarocks",
            cache_dir=str(self.folder / "cache"),
            cwd=str(self.folder),
            environment=self.environment,
            rocks_servers=tuple((server,) if isinstance(server, str) else server for server in servers),
        )

    def __call__(
        self,
        *servers: str | tuple[str, ...],
        lua: str = "5.1",
        offline: bool = False,
        exclusive: bool = False,
        tries: int = 2,
        stall: float = 1.0,
        platforms: tuple[str, ...] = ("unix", "linux"),
    ) -> Index:
        config = self.config(*servers, lua=lua, platforms=platforms)
        self.notes = Notes()
        self.downloader = Downloader(
            Cache(config.cache_dir),
            environment=self.environment,
            timeout=2.0,
            stall=stall,
            tries=tries,
            offline=offline,
            progress=self.notes,
            clock=lambda: self.now,
        )
        self.made.append(self.downloader)
        return Index(config, self.downloader, self.notes, exclusive=exclusive)


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Asking]:
    """Asks servers."""
    folder = tmp_path / "asking"
    folder.mkdir()
    asking = Asking(folder)
    yield asking
    for downloader in asking.made:
        downloader.close()


class LuaRocks:
    """The real program, in a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def run(
        self, *words: str, lua: str = "5.1", program: str = "luarocks"
    ) -> subprocess.CompletedProcess[str]:
        environment: Mapping[str, str] = {
            "HOME": str(self.home),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
        }
        return subprocess.run(
            [program, f"--lua-version={lua}", *words],
            env=environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=120,
        )


@pytest.fixture
def luarocks(tmp_path: Path) -> LuaRocks:
    """The installed LuaRocks."""
    if shutil.which("luarocks") is None:
        pytest.fail("the real luarocks is not installed; scripts/debian-packages names it")
    home = tmp_path / "luarocks-home"
    home.mkdir()
    return LuaRocks(home)
