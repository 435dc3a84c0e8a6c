"""What is downloaded is whole, the user's own, and what the server once gave."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pumice.archive.member import Entry
from pumice.archive.zip_writer import write_zip
from pumice.base.config import Config, TreeSpec
from pumice.base.progress import Silent
from pumice.errors import DependencyError, FetchError, NotFoundError, UsageError
from pumice.index.build import build_index
from pumice.operation.cache import clean_cache, report_cache
from pumice.operation.download import WantedFiles, download

Served = Callable[[Path], str]


def put(folder: Path, name: str, version: str, *dependencies: str, rock: bool = True) -> None:
    """A rockspec, and a rock that holds it."""
    listed = ", ".join(f'"{text}"' for text in dependencies)
    data = (
        f'package = "{name}"\nversion = "{version}"\nsource = {{ url = "http://localhost/{name}.zip" }}\n'
        f"dependencies = {{ {listed} }}\n"
        'build = { type = "builtin", modules = {} }\n'
    ).encode()
    (folder / f"{name}-{version}.rockspec").write_bytes(data)
    if rock:
        entries = [Entry(f"{name}-{version}.rockspec", lambda: data, False)]
        write_zip(str(folder / f"{name}-{version}.all.rock"), entries)


@pytest.fixture
def rocks(tmp_path: Path) -> Path:
    """A directory of a few rocks, indexed."""
    folder = tmp_path / "rocks"
    folder.mkdir()
    put(folder, "stem", "1.0-1", "lua >= 5.1", "leaf ~> 1")
    put(folder, "stem", "1.1-1", "lua >= 5.1", "leaf ~> 1")
    put(folder, "leaf", "1.5-1")
    put(folder, "leaf", "2.0-1")
    put(folder, "bare", "1.0-1", rock=False)
    put(folder, "torn", "1.0-1", "leaf > 7")
    build_index(str(folder), Silent())
    return folder


@pytest.fixture
def url(rocks: Path, serve: Served) -> str:
    """The same over http."""
    return serve(rocks)


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Config]:
    """A configuration with one server and a current directory that exists."""

    def make(server: str, cwd: str = "here") -> Config:
        here = tmp_path / cwd
        here.mkdir(exist_ok=True)
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
            cwd=str(here),
            environment={"TMPDIR": str(tmp_path), "PATH": ""},
            rocks_servers=((server,),),
            connection_timeout=5.0,
        )

    return make


def names(folder: str) -> list[str]:
    """What lies in a directory."""
    return sorted(path.name for path in Path(folder).iterdir())


def test_the_best_file_of_the_newest_version_comes(url: str, settings: Callable[..., Config]) -> None:
    config = settings(url)
    assert (f"{config.cwd}/stem-1.1-1.all.rock",) == download(WantedFiles("stem"), config, Silent())
    assert names(config.cwd) == ["stem-1.1-1.all.rock"]


def test_a_downloaded_file_shares_nothing_with_the_cache_or_another_copy(
    url: str, settings: Callable[..., Config]
) -> None:
    wanted = WantedFiles("bare")
    first, second = settings(url, "first"), settings(url, "second")
    (path,) = download(wanted, first, Silent())
    (other,) = download(wanted, second, Silent())
    with open(path, "ab") as file:
        file.write(b"-- mine\n")
    assert not Path(other).read_text().endswith("-- mine\n")
    assert Path(path).stat().st_nlink == Path(other).stat().st_nlink == 1


def test_dependencies_come_as_an_installation_would_choose_them(
    url: str, settings: Callable[..., Config]
) -> None:
    config = settings(url)
    download(WantedFiles("stem", dependencies=True), config, Silent())
    assert names(config.cwd) == ["leaf-1.5-1.all.rock", "stem-1.1-1.all.rock"]


def test_dependencies_come_as_rockspecs_if_asked(url: str, settings: Callable[..., Config]) -> None:
    config = settings(url)
    download(WantedFiles("stem", "1.0", arch="rockspec", dependencies=True), config, Silent())
    assert names(config.cwd) == ["leaf-1.5-1.rockspec", "stem-1.0-1.rockspec"]


def test_dependencies_that_nothing_fulfils_are_explained_and_nothing_comes(
    url: str, settings: Callable[..., Config]
) -> None:
    config = settings(url)
    with pytest.raises(DependencyError, match="leaf > 7"):
        download(WantedFiles("torn", dependencies=True), config, Silent())
    assert names(config.cwd) == []


def test_an_unknown_rock_with_dependencies_is_told_as_any_unknown_rock(
    url: str, settings: Callable[..., Config]
) -> None:
    with pytest.raises(NotFoundError, match="Could not find a result named nothing: No results"):
        download(WantedFiles("nothing", dependencies=True), settings(url), Silent())


def test_all_and_dependencies_contradict_each_other(url: str, settings: Callable[..., Config]) -> None:
    with pytest.raises(UsageError):
        download(WantedFiles("stem", everything=True, dependencies=True), settings(url), Silent())


def test_a_file_that_was_changed_on_the_server_is_refused(
    rocks: Path, url: str, settings: Callable[..., Config]
) -> None:
    config = settings(url)
    wanted = WantedFiles("bare", arch="rockspec")
    download(wanted, config, Silent())
    clean_cache(config)
    (rocks / "bare-1.0-1.rockspec").write_bytes(b"-- another\n")
    for name in names(config.cwd):
        (Path(config.cwd) / name).unlink()
    with pytest.raises(FetchError, match="sha256"):
        download(wanted, config, Silent())
    assert names(config.cwd) == []


def test_a_rock_that_is_a_web_page_is_refused(
    rocks: Path, url: str, settings: Callable[..., Config], tmp_path: Path
) -> None:
    for made in rocks.glob("pumice-index*"):
        made.rename(tmp_path / made.name)
    (rocks / "leaf-2.0-1.all.rock").write_bytes(b"<html>please log in</html>")
    config = settings(url)
    with pytest.raises(FetchError, match=r"leaf-2\.0-1"):
        download(WantedFiles("leaf"), config, Silent())
    assert names(config.cwd) == []


def test_of_several_files_those_that_can_come_do_and_the_others_are_told(
    rocks: Path, url: str, settings: Callable[..., Config]
) -> None:
    (rocks / "leaf-2.0-1.all.rock").unlink()
    config = settings(url)
    with pytest.raises((FetchError, NotFoundError), match=r"leaf-2\.0-1\.all\.rock"):
        download(WantedFiles("leaf", everything=True), config, Silent())
    assert names(config.cwd) == ["leaf-1.5-1.all.rock", "leaf-1.5-1.rockspec", "leaf-2.0-1.rockspec"]


def test_offline_brings_what_the_cache_has_and_nothing_else(
    url: str, settings: Callable[..., Config]
) -> None:
    config = settings(url)
    download(WantedFiles("stem"), config, Silent())
    elsewhere = settings(url, "elsewhere")
    download(WantedFiles("stem"), elsewhere, Silent(), offline=True)
    assert names(elsewhere.cwd) == ["stem-1.1-1.all.rock"]
    with pytest.raises(FetchError, match="--offline"):
        download(WantedFiles("leaf"), elsewhere, Silent(), offline=True)


def test_a_directory_that_is_the_server_keeps_its_files(rocks: Path, settings: Callable[..., Config]) -> None:
    before = {path.name: path.read_bytes() for path in rocks.iterdir() if path.is_file()}
    config = settings(str(rocks)).replace(cwd=str(rocks))
    download(WantedFiles("stem"), config, Silent())
    assert before == {path.name: path.read_bytes() for path in rocks.iterdir() if path.is_file()}


def test_the_cache_may_be_emptied_all_the_while(url: str, settings: Callable[..., Config]) -> None:
    """Whoever downloads has what he needs, whenever it goes."""
    config = settings(url)
    ended = threading.Event()

    def clean() -> None:
        while not ended.is_set():
            clean_cache(config, everything=True)

    thread = threading.Thread(target=clean)
    thread.start()
    try:
        for turn in range(8):
            here = settings(url, f"turn-{turn}")
            download(WantedFiles("", everything=True), here, Silent())
            assert len(names(here.cwd)) == 11
    finally:
        ended.set()
        thread.join()
    clean_cache(config, everything=True)
    assert report_cache(config).size == 0
