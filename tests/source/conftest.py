"""Repositories, archives and servers to fetch sources from."""

import os
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import pytest

from pumice.base.config import Config, TreeSpec
from pumice.rock.rockspec import Rockspec, load_rockspec
from pumice.source.source import FetchedSource, fetch_source


class Messages:
    """Progress that remembers its messages."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def started(self, task: str, label: str, total: int | None = None) -> None:
        pass

    def advanced(self, task: str, amount: int = 1) -> None:
        pass

    def finished(self, task: str) -> None:
        pass

    def message(self, level: str, text: str) -> None:
        self.seen.append((level, text))


def tree_of(folder: str | Path) -> set[str]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)) for path in Path(folder).rglob("*") if not path.is_dir()}


class Fetcher:
    """Fetches the source of a rockspec into a new directory below `place`."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.into = place / "into"
        self.messages = Messages()

    def rockspec(self, source: str, before: str = "") -> Rockspec:
        text = f'{before}\npackage = "sample" version = "1.0-1" source = {{ {source} }} '
        text += 'build = { type = "none" }'
        return load_rockspec(text.encode(), "sample-1.0-1.rockspec", ("linux", "unix"))

    def config(self, **changes: object) -> Config:
        root = str(self.place / "tree")
        spec = TreeSpec("arg", root, f"{root}/bin", f"{root}/share", f"{root}/lib", f"{root}/rocks")
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.place), "LC_ALL": "C"}
        config = Config(
            lua_version="5.1",
            tree=spec,
            trees=(spec,),
            arch="linux-x86_64",
            platforms=("linux", "unix"),
            variables={},
            home=str(self.place),
            sysconfdir="/etc/luarocks",
            cache_dir=str(self.place / "cache"),
            cwd=str(self.place),
            environment=environment,
        )
        return config.replace(**changes)

    def fetch(
        self,
        source: str,
        *,
        before: str = "",
        unpack: bool = True,
        branch: str | None = None,
        **changes: object,
    ) -> FetchedSource:
        self.into.mkdir()
        return fetch_source(
            self.rockspec(source, before),
            str(self.into),
            self.config(**changes),
            self.messages,
            unpack=unpack,
            branch=branch,
        )


@pytest.fixture
def fetcher(tmp_path: Path) -> Fetcher:
    """A fetcher with nothing to fetch yet."""
    return Fetcher(tmp_path)


@pytest.fixture
def files() -> Callable[[str | Path], set[str]]:
    """The function that lists every file below a folder."""
    return tree_of


Archive = Callable[[str, Mapping[str, str]], Path]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Makes archives: (name, files) to a path."""

    def make(name: str, contents: Mapping[str, str]) -> Path:
        path = tmp_path / "served" / name
        path.parent.mkdir(exist_ok=True)
        with tarfile.open(path, "w:gz" if name.endswith("gz") else "w:bz2") as made:
            for member, text in contents.items():
                info = tarfile.TarInfo(member)
                info.size = len(text)
                made.addfile(info, BytesIO(text.encode()))
        return path

    return make


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """An HTTP server of the directory `served`; its URL."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    (tmp_path / "served").mkdir(exist_ok=True)
    listening = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "served")))
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.server_address[1]}"
    listening.shutdown()
    listening.server_close()
    thread.join(5)


class Repository:
    """A git repository."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *words: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.path.parent), "LC_ALL": "C"}
        command = ["git", *who, *words]
        done = subprocess.run(
            command, cwd=self.path, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(self, contents: Mapping[str, str]) -> str:
        for name, text in contents.items():
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "change", "--allow-empty")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository called `sample` with one commit."""
    made = Repository(tmp_path / "repos" / "sample.git")
    made.commit({"a.lua": "first", ".gitignore": "x", "sub/b.lua": "b"})
    return made


@pytest.fixture
def new_repository(tmp_path: Path) -> Callable[[str], Repository]:
    """Makes further repositories."""
    return lambda name: Repository(tmp_path / "repos" / name)
