"""What holds after any sequence of changes, mixtures that LuaRocks gets wrong included."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pumice.base.progress import Silent
from pumice.tree.dependencies import lua_provides
from pumice.tree.manifest import read_tree_manifest
from pumice.tree.planner import InstallOptions, Planner
from pumice.tree.rebuild import scan_tree
from pumice.tree.verify import verify_tree
from pumice.tree.view import DiskView

NAMES = ("a", "b-b")
VERSIONS = ("1.0-1", "1.10-1", "scm-1")
MODULES = (
    "lua/x.lua",
    "lib/x.so",
    "lua/x/init.lua",
    "lua/x/y.lua",
    "lib/x/y.so",
    "lua/data.txt",
    "lib/data.txt",
)
OTHERS = ("bin/t", "bin/sub/u", "bin/s", "conf/c", "doc/d/e", "lua/x.lua.bak")
NEEDS = (("a",), ("b-b",), ("b-b < 1.10",), ())


@st.composite
def rocks(draw):
    """(name, version, paths, dependencies)."""
    modules = draw(st.lists(st.sampled_from(MODULES), min_size=2, max_size=5, unique=True))
    others = draw(st.lists(st.sampled_from(OTHERS), max_size=3, unique=True))
    return (
        draw(st.sampled_from(NAMES)),
        draw(st.sampled_from(VERSIONS)),
        tuple(sorted({*modules, *others})),
        draw(st.sampled_from(NEEDS)),
    )


HOW = st.sampled_from(["keep", "keep", "force", "remove"])
CHANGES = st.lists(st.tuples(rocks(), HOW, st.integers(0, 5)), min_size=5, max_size=9)


def rock_with(tools, number, name, version, paths, needs):
    """A rock whose files tell which change brought them."""
    content = {path: f"-- {path} of {name} {version}, {number}".encode() for path in paths}
    if "bin/s" in content:
        content["bin/s"] = b"#!/bin/sh\n" + content["bin/s"]
    return tools.rock(name, version, content, needs)


def change(planner, tools, number, described, how, place):
    """One change, planned; a removal takes whichever rock is at that place."""
    if how == "remove":
        manifest = planner.manifest
        installed = [(name, version) for name in manifest.names() for version in manifest.versions(name)]
        if installed:
            planner.remove(*installed[place % len(installed)])
        return
    options = InstallOptions(keep=how == "keep", force=how == "force")
    planner.install(rock_with(tools, number, *described), options)


def check(bench, tools):
    """The tree is whole, and its manifest is what the disk says."""
    manifest = read_tree_manifest(bench.tree, Silent())
    assert verify_tree(bench.tree, manifest).errors == ()
    anew = Planner(
        bench.tree,
        scan_tree(bench.tree, ("linux", "unix"), Silent()),
        DiskView(),
        bench.planner()._deployment._wrapping,
        provided=lua_provides("5.1"),
    )
    assert anew.finish().manifest == manifest.to_bytes()
    assert not [name for name in tools.snapshot(bench.root) if name.endswith("~")]


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(changes=CHANGES)
def test_a_tree_is_whole_after_every_change(tmp_path_factory, tools, changes):
    """No file is lost, misnamed or left; the manifest kept step by step is the one made from the disk."""
    folder = tmp_path_factory.mktemp("changes")
    bench = tools.bench(folder / "tree", folder / "archives")
    for number, each in enumerate(changes):
        planner = bench.planner()
        change(planner, tools, number, *each)
        bench.plan(planner)
        check(bench, tools)
    one_by_one = tools.snapshot(bench.root)
    at_once = tools.bench(bench.root, bench.archives)
    at_once.set_aside()
    planner = at_once.planner()
    for number, each in enumerate(changes):
        change(planner, tools, number, *each)
    at_once.plan(planner)
    assert tools.snapshot(bench.root) == one_by_one
    planner = at_once.planner()
    for name in planner.manifest.names():
        for version in planner.manifest.versions(name):
            planner.remove(name, version)
    at_once.plan(planner)
    left = [name for name, what in tools.snapshot(bench.root).items() if what[0] != "directory"]
    assert left == ["lib/luarocks/rocks-5.1/manifest"]
    assert set(tools.snapshot(bench.root)) == {"lib", "lib/luarocks", "lib/luarocks/rocks-5.1", *left}
