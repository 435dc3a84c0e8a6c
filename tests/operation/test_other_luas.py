"""What is said of a rock that is not there for the Lua in use (contract 1.4)."""

import shutil
from pathlib import Path

import pytest

from pumice.base.config import Config, TreeSpec
from pumice.base.progress import Silent
from pumice.index.build import build_index
from pumice.index.index import Index, Query
from pumice.net.downloader import Downloader
from pumice.operation.other_luas import about_other_luas, not_found
from pumice.operation.search import exact_version
from pumice.rock.constraint import parse_constraints


class Told(Silent):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.warnings: list[str] = []

    def message(self, level: str, text: str) -> None:
        self.lines.append(text)
        if level == "warning":
            self.warnings.append(text)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A directory with rocks for some Luas as the only server."""
    folder = tmp_path / "rocks"
    folder.mkdir()
    for name, lua in (("new", "lua >= 5.3"), ("one", "lua == 5.4"), ("both", "lua >= 5.1")):
        (folder / f"{name}-1.0-1.rockspec").write_text(
            f'package = "{name}"\nversion = "1.0-1"\nsource = {{ url = "http://localhost/a.zip" }}\n'
            f'dependencies = {{ "{lua}" }}\nbuild = {{ type = "builtin", modules = {{}} }}\n'
        )
    build_index(str(folder), Silent())
    tree = TreeSpec.at(str(tmp_path / "tree"), "5.1")
    return Config(
        lua_version="5.1",
        tree=tree,
        trees=(tree,),
        arch="linux-x86_64",
        platforms=("unix", "linux"),
        variables={},
        home=str(tmp_path),
        sysconfdir="/etc/luarocks",
        cache_dir=str(tmp_path / "cache"),
        cwd=str(tmp_path),
        environment={},
        rocks_servers=((str(folder),),),
    )


def asked(query: Query, config: Config, *, check: bool = True) -> tuple[str, list[str]]:
    """The message of the error, and what was said on the way."""
    told = Told()
    with Downloader.of(config, told) as downloader:
        index = Index(config, downloader, told)
        assert index.newest(query) is None
        return not_found(query, index, config, downloader, told, check=check).message, told.lines


def test_without_the_option_it_is_named(config: Config) -> None:
    message, lines = asked(Query("new"), config, check=False)
    assert message == (
        "No results matching query were found for Lua 5.1.\n"
        "To check if it is available for other Lua versions, use --check-lua-versions."
    )
    assert lines == []


def test_every_other_lua_is_asked_in_order(config: Config) -> None:
    _, lines = asked(Query("new"), config)
    assert lines == [
        "new not found for Lua 5.1.",
        "Checking if available for other Lua versions...",
        *(f"Checking for Lua {lua}..." for lua in ("5.2", "5.3", "5.4", "5.5")),
    ]


def test_of_servers_without_a_manifest_it_warns_where_luarocks_does(config: Config, tmp_path: Path) -> None:
    """Seen on 3.8: it asks for 5.2 to 5.4, and warns of each that a server does not have."""
    folder = tmp_path / "less"
    shutil.copytree(config.rocks_servers[0][0], folder)
    (folder / "pumice-index.json").unlink()
    for lua in ("5.3", "5.5"):
        for path in folder.glob(f"manifest-{lua}*"):
            path.unlink()
    told = Told()
    less = config.replace(rocks_servers=((str(folder),),))
    with Downloader.of(less, told) as downloader:
        about_other_luas(Query("none"), less, downloader, told, check=True)
    assert told.warnings == [f"Failed searching manifest: {folder} has no manifest-5.3"]


@pytest.mark.parametrize(
    ("name", "version", "sentence"),
    [
        ("new", "", "new supports only Lua 5.3 and Lua 5.4 and Lua 5.5 but not Lua 5.1."),
        ("one", "", "one supports only Lua 5.4 but not Lua 5.1."),
        ("one", "1.0", "one 1.0 supports only Lua 5.4 but not Lua 5.1."),
        ("one", "2.0", "one is not available for any Lua versions."),
        ("none", "", "none is not available for any Lua versions."),
        ("both", "9", "both is not available for any Lua versions."),
    ],
)
def test_the_sentence_names_the_luas_that_have_it(
    name: str, version: str, sentence: str, config: Config
) -> None:
    message, _ = asked(Query(name, None, exact_version(version)), config)
    assert message.splitlines()[1] == sentence


def test_constraints_speak_of_matching_versions(config: Config) -> None:
    message, _ = asked(Query("one", None, parse_constraints(">= 0.5, < 2")), config)
    assert message.splitlines()[1] == "Matching one versions support only Lua 5.4 but not Lua 5.1."


def test_a_server_that_failed_is_named_in_the_hint(config: Config, tmp_path: Path) -> None:
    broken = config.replace(rocks_servers=((str(tmp_path / "nowhere"),),))
    told = Told()
    with Downloader.of(broken, told) as downloader:
        index = Index(broken, downloader, told)
        assert index.newest(Query("new")) is None
        error = not_found(Query("new"), index, broken, downloader, told, check=False)
    assert "nowhere" in error.hint
