"""Which rocks fulfil what, in which trees, and what breaks without them."""

import pytest

from pumice.base.progress import Silent
from pumice.rock.dependency import parse_dependency
from pumice.tree.dependencies import (
    Installed,
    closure,
    lua_provides,
    missing_in_tree,
    missing_report,
    searched_trees,
)
from pumice.tree.dependents import would_break
from pumice.tree.manifest import TreeManifest, read_tree_manifest


def manifest_with(*rocks):
    """A manifest of rocks given as "name version: dependency, dependency"."""
    manifest = TreeManifest.empty()
    for rock in rocks:
        name, _, needs = rock.partition(":")
        name, version = name.split()
        listed = [parse_dependency(each.strip()) for each in needs.split(",") if each.strip()]
        manifest.add(name, version, {}, {}, listed)
    return manifest


def installed_in(tree, manifest, provided=None, namespaces=None):
    """What fulfils dependencies in one tree."""
    return Installed(
        [(tree, manifest)],
        provided or {"lua": "5.1-1"},
        namespace_of=lambda _tree, name, version: (namespaces or {}).get((name, version)),
    )


@pytest.mark.parametrize(
    ("lua", "luajit", "provided"),
    [
        ("5.1", None, {"lua": "5.1-1"}),
        ("5.2", None, {"lua": "5.2-1", "bit32": "5.2-1"}),
        ("5.4", None, {"lua": "5.4-1", "utf8": "5.4-1"}),
        ("5.1", "2.1.0", {"lua": "5.1-1", "luajit": "2.1.0-1", "luabitop": "2.1.0-1"}),
    ],
)
def test_a_lua_provides_what_it_has_built_in(lua, luajit, provided):
    """And the configuration adds to it, but cannot replace it (contract 5.6)."""
    assert lua_provides(lua, luajit) == provided
    assert lua_provides(lua, luajit, {"lua": "9-9", "kong": "3.4-0"}) == {**provided, "kong": "3.4-0"}


def test_the_mode_says_which_trees_are_searched(tools):
    """One, this and the later ones, all; without dependencies it is this one for what the manifest says."""
    a, b, c = (tools.tree(f"/{name}") for name in "abc")
    assert searched_trees("one", b, (a, b, c)) == (b,)
    assert searched_trees("none", b, (a, b, c)) == (b,)
    assert searched_trees("order", b, (a, b, c)) == (b, c)
    assert searched_trees("all", b, (a, b, c)) == (a, b, c)


def test_the_highest_version_that_fits_is_taken(tools):
    """Provided rocks come before all, fitting or not."""
    manifest = manifest_with("a 1.9-1", "a 1.10-1", "a 2.0-1", "lua 9-1")
    installed = installed_in(tools.tree("/t"), manifest)
    assert installed.match(parse_dependency("a ~> 1")) == "1.10-1"
    assert installed.match(parse_dependency("a"), without=["2.0-1"]) == "1.10-1"
    assert installed.match(parse_dependency("a > 2")) is None
    assert installed.match(parse_dependency("lua >= 9")) is None
    assert installed.match(parse_dependency("lua >= 5.1")) == "5.1-1"


def test_a_namespace_asks_for_a_rock_of_that_namespace(tools):
    """Without one, any will do."""
    installed = installed_in(
        tools.tree("/t"), manifest_with("a 1.0-1", "a 2.0-1"), namespaces={("a", "1.0-1"): "me"}
    )
    assert installed.match(parse_dependency("me/a")) == "1.0-1"
    assert installed.match(parse_dependency("you/a")) is None
    assert installed.match(parse_dependency("a")) == "2.0-1"


def test_a_closure_ends_where_it_began(tools):
    """Cycles, diamonds, missing rocks; of two versions the first met counts."""
    manifest = manifest_with(
        "a 1-1: b, c, lua >= 5.1, nobody", "b 1-1: d < 2", "c 1-1: d, a", "d 1-1: a", "d 2-1"
    )
    found = closure(manifest, "a", "1-1", installed_in(tools.tree("/t"), manifest), {})
    assert found == {"b": "1-1", "c": "1-1", "d": "1-1"}


def test_a_chain_of_thousands_is_no_deep_recursion(tools):
    """Longer than Python's stack."""
    count = 3000
    manifest = manifest_with(*(f"r{n} 1-1: r{n + 1}" for n in range(count)), f"r{count} 1-1")
    assert len(closure(manifest, "r0", "1-1", installed_in(tools.tree("/t"), manifest), {})) == count


def test_a_match_in_another_tree_leaves_a_name_without_versions(tools):
    """As LuaRocks writes it."""
    here, there = tools.tree("/here"), tools.tree("/there")
    manifest, other = manifest_with("a 1-1: b"), manifest_with("b 1-1")
    installed = Installed([(here, manifest), (there, other)], {})
    assert closure(manifest, "a", "1-1", installed, {}) == {}
    assert b"   b = {}\n" in manifest.to_bytes()


def test_missing_dependencies_are_told_in_luarocks_words(tools):
    """Only the missing ones."""
    manifest = manifest_with("a 1.0-1")
    needs = [parse_dependency(each) for each in ("lua >= 5.1", "a > 1", "ns/b", "c == 2")]
    installed = installed_in(tools.tree("/t"), manifest)
    assert missing_report("x", "1-1", needs, installed) == [
        "Missing dependencies for x 1-1:",
        "   a > 1 (not installed)",
        "   ns/b (not installed)",
        "   c 2 (not installed)",
    ]
    assert missing_report("x", "1-1", needs[:1], installed) == []


@pytest.mark.peer
def test_what_is_missing_in_a_tree_is_told_as_luarocks_tells_it(bench, tools):
    """By name, the newest version first."""
    flags = ["--deps-mode=none", "--keep"]
    bench.luarocks_install(tools.rock("b", "1.0-1", {}, ["a", "lua >= 5.1", "gone ~> 1.0"]), *flags)
    bench.luarocks_install(tools.rock("b", "1.10-1", {}, ["nowhere", "lua >= 5.4"]), *flags)
    bench.luarocks_install(tools.rock("b", "1.9-1", {}, ["nowhere", "lua >= 5.4"]), *flags)
    bench.luarocks_install(tools.rock("a", "1.0-1"), *flags)
    theirs = bench.luarocks("install", "--keep", str(tools.archive(tools.rock("a", "2.0-1"), bench.archives)))
    manifest = read_tree_manifest(bench.tree, Silent())
    ours = missing_in_tree(manifest, Installed([(bench.tree, manifest)], lua_provides("5.1")))
    assert "\n".join(ours) in theirs.out
    assert len(ours) == 8


def test_only_rocks_that_nothing_else_serves_would_break(tools):
    """Other versions that stay may serve; a `@` says that no upgrade is wanted, and breaks nothing."""
    manifest = manifest_with(
        "base 1-1", "base 2-1", "low 1-1: base < 2", "any 1-1: base", "at 1-1: base @< 2", "base-x 1-1: base"
    )
    installed = installed_in(tools.tree("/t"), manifest)
    assert would_break(manifest, "base", ["1-1"], installed) == [("low", "1-1")]
    assert would_break(manifest, "base", ["2-1"], installed) == []
    assert would_break(manifest, "base", ["1-1", "2-1"], installed) == [
        ("any", "1-1"),
        ("base-x", "1-1"),
        ("low", "1-1"),
    ]
    assert would_break(manifest, "low", ["1-1"], installed) == []


def test_a_rock_of_another_tree_may_serve(tools):
    """With a mode that looks there."""
    here, there = tools.tree("/here"), tools.tree("/there")
    manifest = manifest_with("base 1-1", "user 1-1: base")
    installed = Installed([(here, manifest), (there, manifest_with("base 3-1"))], {})
    assert would_break(manifest, "base", ["1-1"], installed) == []
