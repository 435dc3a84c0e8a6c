"""The source of a rockspec has LuaRocks's defaults (contract 2.6); the corpus compares its fields too."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.rock.rockspec import load_rockspec
from pumice.rock.source import Source, split_url


@pytest.fixture
def source() -> Callable[[str], Source]:
    def of(table: str) -> Source:
        data = f'package = "foo" version = "1.0-1" build = {{}} source = {table}'.encode()
        return load_rockspec(data, "foo-1.0-1.rockspec", ("unix", "linux")).source

    return of


def test_the_file_of_a_source_is_the_last_part_of_its_url(source) -> None:
    found = source('{ url = "https://example.org/a/foo-1.0.tar.gz" }')
    assert (found.protocol, found.pathname) == ("https", "example.org/a/foo-1.0.tar.gz")
    assert (found.file, found.dir, found.dir_set, found.is_basic) == ("foo-1.0.tar.gz", None, False, True)
    assert source('{ url = "https://x/y", file = "z.zip" }').file == "z.zip"
    assert source('{ url = "/plain/path.zip" }').protocol == "file"
    assert source('{ url = "http://x/y", dir = "d" }').dir == "d"


def test_a_checkout_has_a_name_and_a_reference(source) -> None:
    found = source('{ url = "git+https://example.org/a/foo.git", tag = "v1", branch = "b" }')
    assert (found.file, found.is_basic, found.checkout_name, found.reference) == (None, False, "foo", "v1")
    assert source('{ url = "git://x/foo", branch = "b" }').reference == "b"
    old = source('{ url = "cvs://x/y", cvs_tag = "t", cvs_module = "m" }')
    assert (old.tag, old.module, old.dir, old.checkout_name, old.dir_set) == ("t", "m", "m", "m", False)


def test_github_is_asked_by_https(source) -> None:
    assert source('{ url = "git://github.com/a/b" }').fetch_url == "git+https://github.com/a/b"
    assert source('{ url = "git://www.github.com/a/b" }').fetch_url == "git+https://www.github.com/a/b"
    assert source('{ url = "git://example.org/a/b" }').fetch_url == "git://example.org/a/b"
    assert source('{ url = "git://github.com/a/b" }').url == "git://github.com/a/b"


def test_a_source_is_overridden_for_a_platform(source) -> None:
    found = source(
        '{ url = "http://x/a.zip", platforms = { linux = { url = "http://x/b.zip", md5 = "0" } } }'
    )
    assert (found.url, found.file, found.md5) == ("http://x/b.zip", "b.zip", "0")


@pytest.mark.peer
@settings(max_examples=500, deadline=None)
@given(st.text(st.sampled_from([*"ag:/+\"'.é"]), max_size=9))
def test_a_url_divides_as_luarocks_divides_it(luarocks, url: str) -> None:
    assert luarocks.ask("split_url", url) == list(split_url(url))
