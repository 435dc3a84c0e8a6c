"""Wrappers: LuaRocks's own text, and one that finds its tree by itself."""

import shutil
import subprocess

import pytest

from pumice.base.config import TreeSpec
from pumice.tree.wrapper import Wrapping, is_relocatable, is_wrapper, wants_wrapper, wrapper_trees

SCRIPT = b'#!/usr/bin/env lua\nlocal m = require("m") print(m.text, ...)\n'


@pytest.mark.parametrize(
    ("script", "wrapped"),
    [
        (b"print(1)", True),
        (b"#!/usr/bin/env lua\nprint(1)", True),
        (b"#!/usr/bin/lua5.1\nprint(1)", True),
        (b"#!/usr/bin/env -S luajit -O3\nprint(1)", True),
        (b"#! /usr/local/openresty/luajit/bin/luajit\nprint(1)", True),
        (b"#!/usr/bin/env resty\nprint(1)", False),
        (b"#!/usr/bin/env python3\nprint(1)", False),
        (b"#!/bin/sh\necho 1", False),
        (b"#!/bin/sh\n-- compiles as Lua\n", False),
        (b"this is no Lua", False),
        (b"\x7fELF\x02\x01\x01", False),
        (b"\x1bLuaQ\x00", True),
        (b"", True),
    ],
)
def test_only_lua_scripts_are_wrapped(script, wrapped):
    """By the program that they name, and by compiling (B4)."""
    assert wants_wrapper(script, "5.1", "tool") is wrapped


def test_the_target_lua_decides_what_compiles():
    """`goto` is a name in 5.1."""
    assert wants_wrapper(b"goto done ::done::", "5.4", "tool")
    assert not wants_wrapper(b"goto done ::done::", "5.1", "tool")


def test_without_wrapping_every_command_is_a_copy(tools, tmp_path):
    """`wrap_bin_scripts = false` in the configuration."""
    tree = tools.tree(tmp_path)
    assert (
        Wrapping("lua", "5.1", "/etc", (tree,), enabled=False).deployed(tree, "a", "1-1", "t", SCRIPT) is None
    )


def test_the_trees_in_a_wrapper_follow_the_dependency_mode(tools):
    """As LuaRocks's `map_trees` does it, "none" included."""
    a, b, c = (tools.tree(f"/{name}") for name in "abc")
    trees = (a, b, c)
    assert wrapper_trees("one", b, trees) == (b,)
    assert wrapper_trees("all", b, trees) == trees
    assert wrapper_trees("order", b, trees) == (b, c)
    assert wrapper_trees("none", b, trees) == (b, c)
    assert wrapper_trees("order", tools.tree("/elsewhere"), trees) == ()


def test_a_wrapper_is_known_as_one(tools, tmp_path):
    """By the word that LuaRocks looks for."""
    tree = tools.tree(tmp_path)
    for relocatable in (False, True):
        wrapping = Wrapping("lua", "5.1", "/etc/luarocks", (tree,), relocatable=relocatable)
        text = wrapping.deployed(tree, "a", "1-1", "t", SCRIPT)
        assert is_wrapper(text)
        assert is_relocatable(text) is relocatable
    assert not is_wrapper(SCRIPT)


@pytest.mark.peer
@pytest.mark.parametrize("place", ["plain", "a place; (here) & [there]", "\u00fcml\u00e4ut"])
def test_it_is_the_text_that_luarocks_writes(tools, tmp_path, place):
    """Whatever stands in the tree's path, as long as LuaRocks itself can handle it."""
    bench = tools.bench(tmp_path / place, tmp_path / "archives")
    rock = tools.rock("a", "1.0-1", {"bin/tool": SCRIPT, "lua/m.lua": b"return {text = 'hello'}"})
    bench.luarocks_install(rock)
    theirs = (bench.root / "bin/tool").read_bytes()
    wrapping = Wrapping("/usr/bin/lua5.1", "5.1", "/etc/luarocks", (bench.tree,))
    assert wrapping.deployed(bench.tree, "a", "1.0-1", "tool", SCRIPT) == theirs


@pytest.mark.peer
@pytest.mark.parametrize("place", ["it's a place", 'quo"ted \\ back', "dollar $HOME `id`"])
def test_it_runs_where_luarocks_fails_to_wrap(tools, tmp_path, place):
    """Quotes, dollars and backslashes in the tree's path are text."""
    bench = tools.bench(tmp_path / place, tmp_path / "archives")
    bench.install(tools.rock("a", "1.0-1", {"bin/tool": SCRIPT, "lua/m.lua": b"return {text = 'hello'}"}))
    done = subprocess.run([bench.root / "bin/tool", "x y"], capture_output=True, text=True, timeout=20)
    assert (done.stdout, done.stderr) == ("hello\tx y\n", "")


@pytest.mark.peer
@pytest.mark.parametrize("place", ["plain", 'it\'s a $HOME `id` "place"', "-n"])
@pytest.mark.parametrize("called", ["bin/tool", "bin/sub/tool"])
def test_a_relocatable_wrapper_works_wherever_the_tree_is(tools, tmp_path, place, called):
    """Moved, through a link to the tree, through a link to the command, from any directory; same bytes."""
    bench = tools.bench(tmp_path / "first", tmp_path / "archives")
    rock = tools.rock("a", "1.0-1", {called: SCRIPT, "lua/m.lua": b"return {text = 'hello'}"})
    planner = bench.planner()
    planner._deployment._wrapping = Wrapping(
        "lua5.1", "5.1", "/etc/luarocks", (bench.tree,), relocatable=True
    )
    planner.install(rock)
    bench.plan(planner)
    text = (bench.root / called).read_bytes()
    assert str(tmp_path).encode() not in text
    moved = tmp_path / place
    shutil.move(bench.root, moved)
    (tmp_path / "current").symlink_to(moved)
    (tmp_path / "command").symlink_to(f"current/{called}")
    environment = {"PATH": "/usr/bin:/bin"}
    for command in (moved / called, tmp_path / "current" / called, tmp_path / "command"):
        done = subprocess.run(
            [command, "one two", "$3"], capture_output=True, text=True, cwd="/", env=environment, timeout=20
        )
        assert (done.stdout, done.stderr) == ("hello\tone two\t$3\n", "")
    done = subprocess.run(
        ["sh", f"./{called.rpartition('/')[2]}"],
        capture_output=True,
        text=True,
        cwd=(moved / called).parent,
        env=environment,
        timeout=20,
    )
    assert done.stdout == "hello\n"


def test_a_relocatable_wrapper_knows_other_directories(tmp_path):
    """The deploy directories are taken relative to the tree's root."""
    tree = TreeSpec("", "/t", "/t/opt/bin", "/t/lua", "/t/clib", "/t/rocks")
    text = Wrapping("lua", "5.1", "/etc", (tree,), relocatable=True).deployed(tree, "a", "1-1", "x", b"")
    assert b'-- "$self")/../..' in text
    assert b'"/lua/?.lua;"' in text
    assert b"/'rocks/a/1-1/bin/x'" in text
