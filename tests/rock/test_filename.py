"""Names of rocks and rockspecs are read as LuaRocks reads them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.errors import DataError, RockspecError
from pumice.rock.filename import (
    RockName,
    base_name,
    check_rockspec_filename,
    is_safe_name,
    lower_name,
    parse_filename,
    parse_rock_filename,
    parse_rockspec_filename,
    rock_filename,
    rockspec_filename,
)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("inspect-3.1.3-0.all.rock", RockName("inspect", "3.1.3-0", "all")),
        ("dir/lua-cjson-2.1.0.10-1.linux-x86_64.rock", RockName("lua-cjson", "2.1.0.10-1", "linux-x86_64")),
        ("http://host/luv-scm-0.src.rock", RockName("luv", "scm-0", "src")),
        ("a-b-c-1.0-rc1-2.rockspec", RockName("a-b-c-1.0", "rc1-2", "rockspec")),
        ("/x/y/foo-1.0-1.rockspec", RockName("foo", "1.0-1", "rockspec")),
    ],
)
def test_name_version_and_arch_are_found(path: str, expected: RockName) -> None:
    assert expected == parse_filename(path)
    if "a-b" not in path:
        file = base_name(path)
        assert file == rock_filename(expected.name, expected.version, expected.arch)


@pytest.mark.parametrize(
    "path",
    [
        *("", "foo", "foo.rock", "foo-1.0.all.rock", "foo-1.0-1.rock", "foo-1.0-x.all.rock"),
        *("-1.0-1.all.rock", "foo--1.all.rock", "foo-1.0-1.all.rock.zip", "foo-1.0.rockspec", "rockspec"),
        "foo-1.0-\u0661.rockspec",
    ],
)
def test_any_other_name_is_none(path: str) -> None:
    assert parse_filename(path) is None


def test_what_is_not_asked_for_is_refused() -> None:
    with pytest.raises(DataError, match="is not the name of a rock"):
        parse_rock_filename("foo-1.0-1.rockspec")
    with pytest.raises(
        RockspecError, match=r"Expected filename in format 'name-version-revision\.rockspec'\."
    ):
        parse_rockspec_filename("foo-1.0-1.all.rock")
    assert parse_rock_filename("foo-1.0-1.all.rock").arch == "all"
    assert parse_rockspec_filename("foo-1.0-1.rockspec").name == "foo"


def test_file_names_are_lower_case_in_ascii_only() -> None:
    assert rockspec_filename("LuaSocket", "3.0-1") == "luasocket-3.0-1.rockspec"
    assert rock_filename("LuaSocket", "3.0-1", "all") == "luasocket-3.0-1.all.rock"
    assert lower_name("\u00c9A") == "\u00c9a"


@pytest.mark.parametrize("name", ["foo-1.0-1.rockspec", "rockspec", "/a/rockspec", "a--", "a-b-c"])
def test_luarocks_opens_a_rockspec_of_these_names(name: str) -> None:
    check_rockspec_filename(name)


@pytest.mark.parametrize("name", ["foo.rockspec", "foo-1.rockspec", "", "/a-b-c/rockspec.lua"])
def test_luarocks_opens_no_rockspec_of_these_names(name: str) -> None:
    with pytest.raises(RockspecError, match="Expected filename in format"):
        check_rockspec_filename(name)


@pytest.mark.adversary(16, 18)
@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a\0b", "a\nb", "a\x7f", "n" * 201])
def test_some_names_cannot_be_a_directory_of_a_tree(name: str) -> None:
    assert not is_safe_name(name)
    assert is_safe_name("lua-cjson_2.x")


@pytest.mark.peer
@settings(max_examples=800, deadline=None)
@given(
    st.text(st.sampled_from([*"a1-.-/"]), max_size=9), st.sampled_from([".all.rock", ".rock", ".rockspec"])
)
def test_names_mean_what_they_mean_to_luarocks(luarocks, stem: str, end: str) -> None:
    """But for an empty name, which LuaRocks takes."""
    answer = luarocks.ask("parse_name", stem + end)
    parsed = parse_filename(stem + end)
    expected = None if answer is None or not answer[0] else RockName(*answer)
    assert expected == parsed


@pytest.mark.peer
@settings(max_examples=500, deadline=None)
@given(st.text(st.sampled_from([*"a.:/\\'\"@é"]), max_size=9))
def test_the_last_part_of_a_path_is_luarocks_s(luarocks, path: str) -> None:
    assert luarocks.ask("base_name", path) == base_name(path)
