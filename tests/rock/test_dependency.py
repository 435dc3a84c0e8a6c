"""Dependency strings mean what they mean to LuaRocks, its oddities included (contract 2.4)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.errors import VersionError
from pumice.rock.dependency import is_dependency_text, parse_dependency, split_namespace

NAMES = [
    ("lua >= 5.1", "lua", None, "lua >= 5.1"),
    ("  Penlight", "penlight", None, "penlight"),
    ("luasocket~>3.0", "luasocket", None, "luasocket ~> 3.0"),
    ("kong/lua-resty-http >= 0.17, < 1", "lua-resty-http", "kong", "kong/lua-resty-http >= 0.17, < 1"),
    ("User/Name 1.0", "name", "user", "user/name 1.0"),
    ("a/b/c 1.0", "b", "a", "a/b"),
    ("a 1.0/2.0", "a", None, "a 1.0"),
    ("foo- 1", "foo-", None, "foo- 1"),
    ("-foo", "-foo", None, "-foo"),
    ("/foo", "/foo", None, "/foo"),
    ("foo/-bar 1", "foo", None, "foo"),
    ("md5 @1.0", "md5", None, "md5 1.0"),
]


@pytest.mark.parametrize(("text", "name", "namespace", "shown"), NAMES)
def test_name_and_namespace_are_found(text: str, name: str, namespace: str | None, shown: str) -> None:
    dependency = parse_dependency(text)
    assert (name, namespace, text) == (dependency.name, dependency.namespace, dependency.text)
    assert shown == str(dependency)


@pytest.mark.parametrize("text", ["", "   ", "-", ">= 1.0", ", foo", "@foo", "é"])
def test_a_text_without_a_name_is_refused(text: str) -> None:
    with pytest.raises(VersionError, match="failed to extract dependency name from") as caught:
        parse_dependency(text)
    assert caught.value.hint


@pytest.mark.parametrize("text", ["foo => 1.0", "foo ^1.0", "foo , 1.0", "foo 1.0 || 2.0"])
def test_a_bad_constraint_is_refused(text: str) -> None:
    with pytest.raises(VersionError, match="Encountered bad constraint operator"):
        parse_dependency(text)


def test_a_dependency_accepts_the_versions_that_its_constraints_do() -> None:
    dependency = parse_dependency("inspect >= 3.0, < 4.0")
    assert dependency.accepts("3.9.1-1")
    assert not dependency.accepts("4.0-1")


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("lua >= 5.1", True, True),
        ("user/name", False, True),
        ("a/b/c", False, False),
        ("-name", False, True),
        ("name 1.0/2", False, False),
        ("/name", False, True),
        ("name => 1", True, True),
        (" name", True, True),
        ("", False, False),
        ("é", False, False),
    ],
)
def test_what_a_rockspec_may_write_depends_on_its_format(text: str, old: bool, new: bool) -> None:
    assert old == is_dependency_text(text, namespaces=False)
    assert new == is_dependency_text(text)


def test_a_namespace_is_what_stands_before_the_only_slash() -> None:
    assert split_namespace("kong/name") == ("name", "kong")
    assert split_namespace("name") == ("name", None)
    assert split_namespace("/name") == ("/name", None)


CHARACTERS = st.sampled_from([*"aB0.-_/ /,@<>=~1é"])


@pytest.mark.peer
@settings(max_examples=2500, deadline=None)
@given(st.text(CHARACTERS, max_size=9))
def test_any_text_means_what_it_means_to_luarocks(luarocks, text: str) -> None:
    """Names in lower case are LuaRocks 3.13's, which the oracle (3.8) is not: it keeps their letters."""
    expected = luarocks.ask("dependency", text)
    try:
        dependency = parse_dependency(text)
    except VersionError as error:
        assert expected["error"] == error.message
        return
    namespace = expected["namespace"]
    assert expected["name"].lower() == dependency.name
    assert (namespace.lower() if namespace else None) == dependency.namespace
    constraints = [[c.op, c.version.text, c.no_upgrade] for c in dependency.constraints]
    assert expected["constraints"] == constraints


@pytest.mark.peer
@settings(max_examples=1500, deadline=None)
@given(st.text(CHARACTERS, max_size=7), st.sampled_from(["1.0", "3.0"]))
def test_a_rockspec_may_write_what_luarocks_lets_it(luarocks, text: str, rockspec_format: str) -> None:
    expected = luarocks.ask("dependency_allowed", f"{rockspec_format}\t{text}")
    assert expected == is_dependency_text(text, namespaces=rockspec_format == "3.0")
