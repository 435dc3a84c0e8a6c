"""Paths in a tree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.base.config import TreeSpec
from pumice.errors import TreeError
from pumice.tree import layout

TREE = TreeSpec("", "/t", "/t/bin", "/t/share/lua/5.1", "/t/lib/lua/5.1", "/t/lib/luarocks/rocks-5.1")


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("a.lua", "a"),
        ("a/b.lua", "a.b"),
        ("a/init.lua", "a.init"),
        ("a/core.so", "a.core"),
        ("data/words.txt", "data/words.txt"),
        (".hidden", "hidden"),
        ("a/b.lua.lua", "a.b.lua"),
        ("lib/x.so.1", "lib/x.so.1"),
        ("...lua", ""),
    ],
)
def test_module_ids_come_from_paths(path, module):
    """A known ending goes, and slashes become dots; other files keep their path (contract 5.2)."""
    assert layout.module_name(path) == module


@pytest.mark.parametrize(
    ("section", "path", "rock", "place"),
    [
        ("lua", "shared.lua", ("aaa", "1.0-1"), "/t/share/lua/5.1/aaa_1_0_1-shared.lua"),
        ("lua", "only/aaa.lua", ("aaa", "1.0-1"), "/t/share/lua/5.1/aaa_1_0_1-only/aaa.lua"),
        ("lib", "lfs.so", ("luafilesystem", "1.6.3-2"), "/t/lib/lua/5.1/luafilesystem_1_6_3_2-lfs.so"),
        ("bin", "cmd", ("aaa", "1.0-1"), "/t/bin/aaa_1_0_1-cmd"),
        ("bin", "cmd", None, "/t/bin/cmd"),
    ],
)
def test_versioned_names_are_luarocks_own(section, path, rock, place):
    """The examples of contract 5.4."""
    assert layout.deploy_path(TREE, section, path, rock) == place


def test_of_a_module_that_comes_as_lua_and_as_c_the_manifest_has_the_lua_file():
    """As LuaRocks fills its table: C first, Lua over it."""
    items = layout.rock_items(["lua/x.lua", "lib/x.so", "bin/x", "doc/x", "rockspec"])
    assert items == {"commands": {"x": "x"}, "modules": {"x": "x.lua"}}


@pytest.mark.adversary(41, 42)
@given(
    st.lists(st.sampled_from(["..", ".", "", "a", "b.lua", "\\", "\0", "\n", "..."]), max_size=5).map(
        "/".join
    )
)
def test_a_safe_path_stays_where_it_is_put(path):
    """Whatever its parts."""
    from posixpath import normpath

    if layout.is_safe_path(path):
        assert normpath(f"/rock/{path}") == f"/rock/{path}"
        assert not set(path) & set("\\\0\n")
    else:
        with pytest.raises(TreeError):
            layout.check_path(path, "rock 1-1")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/", "a\\b", "a\nb"])
def test_a_name_that_is_no_directory_of_its_own_is_refused(name):
    """Names and versions are parts of paths that are deleted."""
    with pytest.raises(TreeError):
        layout.check_rock_name(name, "1.0-1")
    with pytest.raises(TreeError):
        layout.check_rock_name("a", name)


def test_pruning_stops_at_the_root_or_at_a_directory_outside():
    """What was configured elsewhere is not ours to remove."""
    outside = TREE.replace(bin_dir="/opt/bin")
    assert layout.prune_stop(TREE, "/t/share/lua/5.1") == "/t"
    assert layout.prune_stop(TREE, "/t") == "/t"
    assert layout.prune_stop(outside, "/opt/bin/a") == "/opt/bin"
    assert layout.prune_stop(outside, "/opt/bin") == "/opt/bin"
    assert layout.prune_stop(TREE.replace(root="/"), "/t/share") == "/"
    assert layout.prune_stop(TREE, "/elsewhere") == "/elsewhere"
