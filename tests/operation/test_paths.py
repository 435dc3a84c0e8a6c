"""Path lists are cleaned as LuaRocks cleans them (contract 1.5)."""

from pumice.operation.paths import cleaned


def test_the_last_of_equal_entries_is_kept_by_default() -> None:
    assert cleaned("a;b;a", ";", None, keep_first=False) == "b;a"


def test_the_first_of_equal_entries_is_kept_with_append() -> None:
    assert cleaned("a;b;a", ";", None, keep_first=True) == "a;b"


def test_parts_for_another_lua_are_turned_to_this_one() -> None:
    paths = "/x/share/lua/5.3/?.lua;/x/lua/5.1/?.lua;/lua/?.lua"
    assert cleaned(paths, ";", "5.1", keep_first=True) == "/x/share/lua/5.1/?.lua;/x/lua/5.1/?.lua;/lua/?.lua"


def test_double_slashes_become_one() -> None:
    assert cleaned("/a//b;/a/b", ";", None, keep_first=True) == "/a/b"
