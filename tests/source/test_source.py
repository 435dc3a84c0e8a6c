"""Files from URLs: downloaded, checked, unpacked, and the source directory found."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from pumice.errors import ArchiveError, BuildError, FetchError, NotFoundError, PumiceError
from pumice.source.source import open_source

ONE = {"sample-1.0/a.lua": "a", "sample-1.0/src/b.lua": "b"}


@pytest.mark.parametrize("name", ["sample-1.0.tar.gz", "sample-1.0.tgz", "sample-1.0.tar.bz2"])
def test_an_archive_comes_over_http_and_its_directory_is_found(
    fetcher: Any, archive: Any, server: str, files: Any, name: str
) -> None:
    path = archive(name, ONE)
    fetched = fetcher.fetch(f'url = "{server}/{name}"')
    assert files(fetched.dir) == {"a.lua", "src/b.lua"}
    assert Path(fetched.archive_path).read_bytes() == path.read_bytes()
    assert (Path(fetched.archive_path).name, fetched.checkout_dir, fetched.commit) == (name, None, None)


def test_a_local_archive_is_not_unpacked_where_it_lies(fetcher: Any, archive: Any, files: Any) -> None:
    path = archive("sample-1.0.tar.gz", ONE)
    for url in (f"file://{path}", str(path), "served/sample-1.0.tar.gz"):
        fetched = fetcher.fetch(f'url = "{url}"')
        assert files(fetched.dir) == {"a.lua", "src/b.lua"}
        fetcher.into = fetcher.into.with_name(fetcher.into.name + "x")
    assert files(path.parent) == {"sample-1.0.tar.gz"}


def test_for_a_source_rock_the_archive_stays_packed(fetcher: Any, archive: Any, files: Any) -> None:
    path = archive("sample-1.0.tar.gz", ONE)
    fetched = fetcher.fetch(f'url = "file://{path}"', unpack=False)
    assert (fetched.dir, files(fetcher.into)) == (None, {"sample-1.0.tar.gz"})


def test_the_written_file_name_decides_the_kind(fetcher: Any, archive: Any, server: str, files: Any) -> None:
    path = archive("odd.tar.gz", ONE)
    path.rename(path.with_name("download"))
    fetched = fetcher.fetch(f'url = "{server}/download", file = "sample.tar.gz"')
    assert files(fetched.dir) == {"a.lua", "src/b.lua"}


def test_an_unknown_kind_is_refused(fetcher: Any, archive: Any) -> None:
    path = archive("odd.tar.gz", ONE)
    path.rename(path.with_name("download"))
    with pytest.raises(ArchiveError, match="unrecognized filename extension"):
        fetcher.fetch(f'url = "{path.with_name("download")}"')


@pytest.mark.parametrize("cut", [32, 8, 1])
def test_the_md5_or_its_start_must_fit(fetcher: Any, archive: Any, cut: int) -> None:
    path = archive("sample-1.0.tar.gz", ONE)
    digest = hashlib.md5(path.read_bytes()).hexdigest().upper()[:cut]
    assert fetcher.fetch(f'url = "{path}", md5 = "{digest}"').dir


def test_another_md5_is_refused_with_both(fetcher: Any, archive: Any) -> None:
    path = archive("sample-1.0.tar.gz", ONE)
    with pytest.raises(FetchError, match=r"MD5 check for sample-1\.0\.tar\.gz has failed\.") as info:
        fetcher.fetch(f'url = "{path}", md5 = "0123"')
    assert "0123" in info.value.hint
    assert hashlib.md5(path.read_bytes()).hexdigest() in info.value.hint


@pytest.mark.parametrize(
    ("contents", "source", "found"),
    [
        (ONE, 'dir = "sample-1.0/src"', {"b.lua"}),
        (ONE | {"README": ""}, "", {"a.lua", "src/b.lua"}),
        (ONE | {"other/c.lua": ""}, "", {"a.lua", "src/b.lua"}),
        (ONE | {"other/c.lua": ""}, 'dir = "other"', {"c.lua"}),
        ({"a.lua": "", "README": ""}, 'dir = "."', {"a.lua", "README"}),
    ],
)
def test_the_source_directory(
    fetcher: Any, archive: Any, files: Any, contents: dict[str, str], source: str, found: set[str]
) -> None:
    path = archive("sample-1.0.tar.gz", contents)
    assert files(fetcher.fetch(f'url = "{path}", {source}').dir) == found


@pytest.mark.parametrize(
    ("contents", "source", "words"),
    [
        (ONE, 'dir = "nope"', r"Directory nope not found inside archive sample\.tar\.gz"),
        ({"a/x": "", "b/x": "", "c": ""}, "", r"from rock contents \(3 file\(s\), 2 dir\(s\)\)"),
        ({"a.lua": ""}, "", r"from rock contents \(1 file\(s\), 0 dir\(s\)\)"),
    ],
)
def test_a_source_directory_that_cannot_be_told(
    fetcher: Any, archive: Any, contents: dict[str, str], source: str, words: str
) -> None:
    path = archive("sample.tar.gz", contents)
    with pytest.raises(BuildError, match=words):
        fetcher.fetch(f'url = "{path}", {source}')


@pytest.mark.adversary(42)
@pytest.mark.parametrize("name", ["..", "../..", "/etc", "sample-1.0/../../x"])
def test_a_source_directory_outside_is_refused(fetcher: Any, archive: Any, name: str) -> None:
    path = archive("sample-1.0.tar.gz", ONE)
    with pytest.raises(BuildError, match="not inside the sources"):
        fetcher.fetch(f'url = "{path}", dir = "{name}"')


@pytest.mark.adversary(42)
@pytest.mark.parametrize("name", ["../x.tar.gz", "/tmp/x.tar.gz", "..", "a/b.tar.gz"])
def test_a_file_name_that_is_a_path_is_refused(fetcher: Any, archive: Any, files: Any, name: str) -> None:
    path = archive("sample-1.0.tar.gz", ONE)
    with pytest.raises(FetchError, match=r"source\.file is .* which is no file name"):
        fetcher.fetch(f'url = "{path}", file = "{name}"')
    assert files(fetcher.place) == {"served/sample-1.0.tar.gz"}


def test_a_single_file_is_its_own_source(fetcher: Any, files: Any) -> None:
    (fetcher.place / "one.lua").write_text("return 1")
    assert files(fetcher.fetch(f'url = "file://{fetcher.place}/one.lua"').dir) == {"one.lua"}


def test_a_directory_is_copied(fetcher: Any, files: Any) -> None:
    (fetcher.place / "mine/.git").mkdir(parents=True)
    (fetcher.place / "mine/a.lua").write_text("a")
    fetched = fetcher.fetch('url = "mine"')
    assert files(fetched.dir) == {"a.lua"}
    assert str(fetcher.into) in fetched.dir


def test_a_local_file_that_is_not_there_is_named(fetcher: Any) -> None:
    with pytest.raises(FetchError) as info:
        fetcher.fetch('url = "nope.zip"')
    assert info.value.message == (
        f"Local file not found: {fetcher.place}/nope.zip"
        " - note that given path in rockspec is not absolute: nope.zip"
    )


def test_a_file_that_the_server_lacks_is_not_found(fetcher: Any, server: str) -> None:
    with pytest.raises((FetchError, NotFoundError)):
        fetcher.fetch(f'url = "{server}/nope.tar.gz"')


@pytest.mark.parametrize("protocol", ["gopher", "sscm", "git+ftp", "ext"])
def test_an_unknown_protocol_is_named(fetcher: Any, protocol: str) -> None:
    with pytest.raises(FetchError, match=f"Unknown protocol {protocol}".replace("+", r"\+")):
        fetcher.fetch(f'url = "{protocol}://host/path"')


@pytest.mark.parametrize(
    ("only", "allowed"),
    [("127.0.0.1", True), ("http://127.0.0.1", True), ("example.org", False), ("", False)],
)
def test_sources_may_be_limited_to_a_server(
    fetcher: Any, archive: Any, server: str, only: str, allowed: bool
) -> None:
    archive("sample-1.0.tar.gz", ONE)
    source = f'url = "{server}/sample-1.0.tar.gz"'
    if allowed:
        assert fetcher.fetch(source, only_sources_from=only).dir
    else:
        with pytest.raises(FetchError, match=r"Can't download http://.* -- (only downloading|download from)"):
            fetcher.fetch(source, only_sources_from=only)


def test_an_unpacked_source_rock_is_opened(fetcher: Any, archive: Any, files: Any) -> None:
    path = archive("sample-1.0.tar.gz", ONE)
    fetcher.into.mkdir()
    os.link(path, fetcher.into / path.name)
    fetched = open_source(fetcher.rockspec('url = "http://localhost/sample-1.0.tar.gz"'), str(fetcher.into))
    assert files(fetched.dir) == {"a.lua", "src/b.lua"}


@pytest.mark.parametrize(
    "source", ['url = "git://h/sample.git"', 'url = "git://h/sample", dir = "sample/src"']
)
def test_an_unpacked_source_rock_with_a_checkout_is_opened(fetcher: Any, files: Any, source: str) -> None:
    (fetcher.into / "sample/src").mkdir(parents=True)
    (fetcher.into / "sample/src/a.lua").write_text("a")
    (fetcher.into / "sample-1.0-1.rockspec").write_text("")
    fetched = open_source(fetcher.rockspec(source), str(fetcher.into))
    assert files(fetched.dir) == ({"a.lua"} if "dir" in source else {"src/a.lua"})


@pytest.mark.parametrize("program", ["git", "hg", "svn", "cvs"])
def test_a_missing_program_gives_its_package(fetcher: Any, program: str) -> None:
    with pytest.raises(PumiceError, match=f"'{program}' program not found") as info:
        fetcher.fetch(f'url = "{program}://host/path"', environment={"PATH": "/nowhere"})
    assert info.value.hint.startswith("Install it")
