"""Modules that a source asks for by name."""

import pytest

from pumice.kong.plugin_files import PluginFiles
from pumice.kong.requires import Requirement, required_modules
from pumice.kong.single_file import LuaSource, fold


@pytest.mark.parametrize(
    "source",
    [
        'local a = require "a.b"',
        "local a = require 'a.b'",
        'local a = require("a.b")',
        'local a = require ( "a.b" ).c',
        "local a = require[[a.b]]",
        'if require\n"a.b" then end'.replace("\n", " "),
        'local t = { require "a.b", x }',
        "local a = require [==[a.b]==]",
    ],
)
def test_a_literal_name_is_found(source: str) -> None:
    assert required_modules(source.encode()) == (Requirement("a.b", 1),)


@pytest.mark.parametrize(
    "source",
    [
        '-- require "a.b"',
        '--[[ require "a.b" ]]',
        '--[==[\nrequire "a.b" ]] \n]==]',
        "local text = [[ require 'a.b' ]]",
        "local text = \"require 'a.b'\"",
        "local text = 'say \\'require\\' \"a.b\"'",
        'local ok, a = pcall(require, "a.b")',
        'require("a." .. name)',
        'loader.require "a.b"',
        'loader:require "a.b"',
        'requires "a.b"',
        'my_require("a.b")',
        "require(name)",
    ],
)
def test_anything_else_is_not(source: str) -> None:
    assert required_modules(source.encode()) == ()


def test_lines_are_counted_over_comments_and_long_strings() -> None:
    source = b'--[[\n\n]]\nlocal x = [[\n]]\nlocal a = require "a"\nlocal b = require("b")\n'
    assert required_modules(source) == (Requirement("a", 6), Requirement("b", 7))


def test_a_name_that_is_continued_does_not_hide_the_next() -> None:
    assert required_modules(b'require("a." .. b) require "c"') == (Requirement("c", 1),)


def test_odd_bytes_are_no_problem() -> None:
    assert required_modules(b'\xff\xfe local s = "\xff" require "\xc3\xa4" \x00 "') == (Requirement("ä", 1),)


def test_a_folded_file_requires_nothing_that_it_holds() -> None:
    """Not even under a name with escapes, or where a module uses the helper's name itself."""
    texts = {
        "kong.plugins.demo.handler": 'local a, b = require "demo.ä b", require "cjson"\nlocal folded = a return b',
        "kong.plugins.demo.schema": "return {}",
        "demo.ä b": "return 1",
    }
    modules = {name: LuaSource(f"{name}.lua", text.encode()) for name, text in texts.items()}
    plugin = PluginFiles("demo", "1.0-1", {"handler.lua": b"", "schema.lua": b""})
    text = fold(plugin, modules).plugin.files["handler.lua"]
    assert [item.module for item in required_modules(text)] == ["cjson"]
    by_hand = required_modules(text.replace(b"by Pumice", b"by hand"))
    assert "kong.plugins.demo.handler" in [item.module for item in by_hand]
