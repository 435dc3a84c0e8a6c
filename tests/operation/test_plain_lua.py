"""What is read without a Lua is what Lua reads, and the rest is left to it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.lua.data import evaluate
from pumice.operation._plain_lua import plain_assignments

GIVEN = {"home": "/home/me", "lua_version": "5.1"}


def _lua(source: bytes) -> dict[object, object]:
    found = dict(evaluate(source, "config", given=GIVEN).globals)
    for name, text in GIVEN.items():
        if found.get(name) == text:
            del found[name]
    return found


def _plain(source: bytes) -> dict[object, object] | None:
    found = plain_assignments(source, GIVEN)
    if found is None:
        return None
    return {name: value for name, value in found.items() if GIVEN.get(str(name)) != value}


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"-- nothing\n",
        b"rocks_trees = {\n   home..[[/.luarocks]],\n   [[/usr/local]]\n}\n",
        b'a = {\n { name = "user", root = home .. "/.luarocks" };\n { name = "s", root = "/usr" },\n}',
        b"local_by_default = true; deps_mode='all' connection_timeout=60 -- seconds\nhooks_enabled=false",
        b"a = {1, 2.5, x = 3, 'four', nil, 6, x = nil}",
        b"a = {{{}}} b = [[\nfirst line break dropped\n]]",
        b"a = 'x' b = a .. 'y' .. home",
        b"a = 1 a = nil",
        b"home = '/other' b = home",
        'a = "ä€"'.encode(),
    ],
)
def test_an_ordinary_file_needs_no_lua(source: bytes) -> None:
    assert _plain(source) == _lua(source)


@pytest.mark.parametrize(
    "source",
    [
        b"a = b",
        b"a = home.x",
        b"variables.CC = 'clang'",
        b"a = 'x\\n'",
        b"a = 'open",
        b"a = 0x10",
        b"a = 1e3",
        b"a = -1",
        b"a = 1 .. 'x'",
        b"a = #home",
        b"a = home 'x'",
        b"a = home\n{}",
        b"a = (1)",
        b"a, b = 1, 2",
        b"local a = 1",
        b"return {}",
        b"end = 1",
        b"a = {end = 1}",
        b"a = {['x'] = 1}",
        b"a = {[1] = 1}",
        b"a == 1",
        b"a = {b == 1}",
        b"a = {,}",
        b"a = {1 2}",
        b"a = [=[x]=]",
        b"a = [[x[[y]]",
        b"--[[ block ]] a = 1",
        b"a = 1\r\nb = 2",
        b"a = '\xff'",
        b"#!/usr/bin/lua\na = 1",
        b"a = os_getenv('HOME')",
        b"a = ...",
        b"a = home ... home",
        b"if true then a = 1 end",
        b"\xef\xbb\xbfa = 1",
        b"a = 1.",
        b"a = 5x",
        b"a = 99999999999999999999",
        b"a = " + b"{" * 40 + b"}" * 40,
        b"a = nil .. 'x'",
        b"home = nil a = home .. 'x'",
    ],
)
def test_everything_else_is_left_to_lua(source: bytes) -> None:
    assert plain_assignments(source, GIVEN) is None


_WORDS = (
    "a b home x1 nil true false and end = == , ; { } [ ] [[ ]] ( ) .. . - -- --[ 1 2.5 0x1 'x' \"y\" "
    "'a\\n' [[z]] {1} {a=1} # \n return local goto"
)
_PIECES = st.sampled_from(_WORDS.split(" "))


@given(st.lists(_PIECES, max_size=14), st.sampled_from([" ", "", "\n"]))
def test_any_text_that_is_read_means_what_lua_says(pieces: list[str], between: str) -> None:
    source = between.join(pieces).encode()
    found = _plain(source)
    if found is not None:
        assert found == _lua(source)


_TEXT = st.text(st.characters(codec="utf-8", exclude_characters='\\"\r\n\0'), max_size=8)
_VALUES = st.recursive(
    st.one_of(
        _TEXT.map('"{}"'.format),
        st.integers(0, 10**12).map(str),
        st.sampled_from(["true", "false", "nil", "home", 'home .. "/x"', "lua_version"]),
    ),
    lambda inner: st.lists(
        st.one_of(inner, st.tuples(st.sampled_from("abc"), inner).map(" = ".join)), max_size=4
    ).map(lambda fields: "{ " + ", ".join(fields) + " }"),
    max_leaves=12,
)


@given(st.lists(st.tuples(st.sampled_from(["rocks_trees", "b", "c"]), _VALUES), max_size=5))
def test_plain_files_are_read_and_mean_what_lua_says(statements: list[tuple[str, str]]) -> None:
    source = "\n".join(f"{name} = {value}" for name, value in statements).encode()
    assert _plain(source) == _lua(source)
