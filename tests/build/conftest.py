"""Sources, rockspecs and configurations to build with."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pumice.base.config import Config, TreeSpec
from pumice.build.build import BuildOptions, build_rock
from pumice.rock.arch import machine_arch
from pumice.rock.rock import Rock
from pumice.rock.rockspec import Rockspec, load_rockspec

HEAD = """package = "Sample"
version = "1.0-1"
source = { url = "http://localhost/sample-1.0.tar.gz" }
"""


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

    def of(self, level: str) -> list[str]:
        return [text for seen, text in self.seen if seen == level]


class Builder:
    """Builds a rock from a rockspec's text and a directory of files."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.source = place / "source"
        self.work = place / "work"
        self.tree = place / "tree"
        self.messages = Messages()
        self.source.mkdir()

    def write(self, files: Mapping[str, str | bytes]) -> "Builder":
        for name, data in files.items():
            path = self.source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return self

    def rockspec(self, text: str) -> Rockspec:
        return load_rockspec((HEAD + text).encode(), "sample-1.0-1.rockspec", ("linux", "unix"))

    def config(self, **changes: object) -> Config:
        root = str(self.tree)
        spec = TreeSpec(
            "arg",
            root,
            f"{root}/bin",
            f"{root}/share/lua/5.1",
            f"{root}/lib/lua/5.1",
            f"{root}/lib/luarocks/rocks-5.1",
        )
        config = Config(
            lua_version="5.1",
            tree=spec,
            trees=(spec,),
            arch=machine_arch(),
            platforms=("linux", "unix"),
            variables={},
            home=str(self.place),
            sysconfdir="/etc/luarocks",
            cache_dir=str(self.place / "cache"),
            cwd=str(self.source),
            environment={"PATH": os.environ["PATH"], "LC_ALL": "C"},
        )
        return config.replace(**changes)

    def build(
        self, text: str, options: BuildOptions | None = None, work: str = "work", **changes: object
    ) -> Rock:
        return build_rock(
            self.rockspec(text),
            str(self.source),
            self.config(**changes),
            self.messages,
            work_dir=str(self.place / work),
            options=options,
        )

    def built(self, text: str, options: BuildOptions | None = None, **changes: object) -> dict[str, str]:
        """The texts of the rock's files, by their path in it."""
        rock = self.build(text, options, **changes)
        return {file.rock_path: file.content.read().decode() for file in rock.files}

    def snapshot(self) -> dict[str, bytes | str]:
        """Everything in the source directory."""
        return {
            str(path.relative_to(self.source)): os.readlink(path) if path.is_symlink() else path.read_bytes()
            for path in sorted(self.source.rglob("*"))
            if path.is_symlink() or path.is_file()
        }


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    """A builder with an empty source directory."""
    return Builder(tmp_path)


@pytest.fixture
def new_builder(tmp_path: Path) -> Callable[[str], Builder]:
    """Makes builders below one directory."""

    def make(name: str) -> Builder:
        place = tmp_path / name
        place.mkdir()
        return Builder(place)

    return make
