"""Lua sources are cut into tokens as Lua does it."""

import pytest

from pumice.kong.lua_tokens import tokens


def test_tokens_have_kind_text_and_place() -> None:
    source = b'-- no\nlocal v = "1.0" .. [==[a]]b]==] --[[ x\n"y" ]] + 2.5\n'
    found = list(tokens(source))
    assert [(token.kind, token.text, token.line) for token in found] == [
        ("word", "local", 2),
        ("word", "v", 2),
        ("sign", "=", 2),
        ("string", "1.0", 2),
        ("sign", ".", 2),
        ("sign", ".", 2),
        ("long", "a]]b", 2),
        ("sign", "+", 3),
        ("number", "2.5", 3),
    ]
    assert all(source[token.start : token.end].decode() == token.text for token in found)


@pytest.mark.parametrize("source", [b"", b"'open", b"[[open", b"--[[open", b"\xff\x00", b'"a\\'])
def test_what_is_no_lua_is_no_crash(source: bytes) -> None:
    assert all(source[token.start : token.end] for token in tokens(source) if token.kind != "string")
