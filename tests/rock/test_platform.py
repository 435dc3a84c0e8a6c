"""Platform overrides merge as in LuaRocks, index by index (contract 2.3, B15, B16)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.rock.platform import OVERRIDE_ORDER, overridden, platforms_of, unsupported_platforms

LINUX = platforms_of("linux")


def test_each_system_has_its_identifiers() -> None:
    assert platforms_of("linux") == ("unix", "linux")
    assert set(platforms_of("macosx")) == {"unix", "bsd", "macosx", "macos"}
    assert platforms_of("plan9") == ("unix",)


def test_overrides_go_from_general_to_specific() -> None:
    table = {"a": 1, "platforms": {"linux": {"a": 3}, "unix": {"a": 2, "b": 2}, "windows": {"a": 4}}}
    assert overridden(table, LINUX) == {"a": 3, "b": 2}
    assert overridden(table, platforms_of("haiku")) == {"a": 2, "b": 2}
    assert overridden(table, platforms_of("windows")) == {"a": 4}


def test_arrays_merge_by_index() -> None:
    table = {1: "a", 2: "b", "platforms": {"unix": {1: "c"}}}
    assert overridden(table, LINUX) == {1: "c", 2: "b"}
    deep = {"m": {1: "a.c", 2: "b.c", 3: "c.c"}, "platforms": {"linux": {"m": {1: "z.c"}}}}
    assert overridden(deep, LINUX) == {"m": {1: "z.c", 2: "b.c", 3: "c.c"}}


def test_a_table_replaces_a_scalar_and_a_scalar_a_table() -> None:
    table = {"a": "x.lua", "b": {1: "y"}, "platforms": {"unix": {"a": {1: "x.c"}, "b": "y.lua"}}}
    assert overridden(table, LINUX) == {"a": {1: "x.c"}, "b": "y.lua"}


def test_macos_overrides_are_never_applied() -> None:
    assert "macos" not in OVERRIDE_ORDER
    assert overridden({"platforms": {"macos": {"a": 1}}}, platforms_of("macosx")) == {}


def test_the_table_itself_is_not_changed() -> None:
    table = {"a": {1: "x"}, "platforms": {"unix": {"a": {1: "y"}}}}
    overridden(table, LINUX)
    assert table == {"a": {1: "x"}, "platforms": {"unix": {"a": {1: "y"}}}}


def test_a_table_without_overrides_is_given_back() -> None:
    table: dict[Any, Any] = {"a": 1}
    assert overridden(table, LINUX) is table


KEYS = st.sampled_from(["a", "b", 1, 2, 3])
SCALARS = st.sampled_from(["x", "y", True, 4])
VALUES = st.recursive(SCALARS, lambda inner: st.dictionaries(KEYS, inner, max_size=3), max_leaves=6)
TABLES = st.dictionaries(KEYS, VALUES, max_size=4)
OVERRIDES = st.dictionaries(st.sampled_from(["unix", "linux", "bsd", "windows", "macos"]), TABLES, max_size=4)


@pytest.mark.peer
@settings(max_examples=800, deadline=None)
@given(TABLES, OVERRIDES)
def test_tables_merge_as_luarocks_merges_them(
    luarocks, table: dict[Any, Any], platforms: dict[str, Any]
) -> None:
    def lua(value: Any) -> str:
        if isinstance(value, dict):
            return "{" + ",".join(f"[{lua(key)}]={lua(inner)}" for key, inner in value.items()) + "}"
        if isinstance(value, bool):
            return "true" if value else "false"
        return f'"{value}"' if isinstance(value, str) else str(value)

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key if isinstance(key, str) else f"#{key}": plain(inner) for key, inner in value.items()}
        return value

    whole = {**table, "platforms": platforms}
    assert luarocks.ask("overrides", lua(whole)) == plain(overridden(whole, LINUX))


@pytest.mark.parametrize(
    ("supported", "missing"),
    [
        ((), None),
        (("linux",), None),
        (("unix",), None),
        (("macosx", "linux"), None),
        (("!windows",), None),
        (("!windows", "!macosx"), None),
        (("macosx",), "linux, unix"),
        (("windows", "macosx"), "linux, unix"),
        (("!linux",), "linux"),
        (("!unix", "linux"), "unix"),
        (("linux", "!unix"), None),
        (("!windows", "macosx"), "linux, unix"),
    ],
)
def test_a_rock_says_where_it_may_be_installed(supported: tuple[str, ...], missing: str | None) -> None:
    assert missing == unsupported_platforms(supported, LINUX)
