"""The planner beside real LuaRocks 3.8: the same operations leave the same tree, byte for byte."""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pumice.tree.planner import InstallOptions

pytestmark = pytest.mark.peer

LUA = b"#!/usr/bin/env lua\nprint('hello')\n"
SHELL = b"#!/bin/sh\necho hello\n"


def run(bench, tools, operations, *, before=None, deps_mode="none"):
    """Both do `operations`, one after the other at the same place; the trees are compared after each."""
    flags = [] if deps_mode == "one" else [f"--deps-mode={deps_mode}"]
    expected = []
    if before:
        before(bench.root)
    for operation, *details in operations:
        if operation == "install":
            rock, *more = details
            bench.luarocks_install(rock, *flags, *more)
        else:
            bench.luarocks("remove", *details, "--force-fast", *flags)
        expected.append(tools.snapshot(bench.root))
    bench.set_aside()
    if before:
        before(bench.root)
    for (operation, *details), theirs in zip(operations, expected, strict=True):
        if operation == "install":
            rock, *more = details
            options = InstallOptions(
                keep="--keep" in more,
                no_doc="--no-doc" in more,
                force="--force" in more,
                force_fast="--force-fast" in more,
            )
            bench.install(rock, options, deps_mode=deps_mode, no_manifest="--no-manifest" in more)
        else:
            name, *versions = details
            planner = bench.planner(deps_mode=deps_mode)
            for version in versions or planner.manifest.versions(name):
                planner.remove(name, version)
            bench.plan(planner)
        ours = tools.snapshot(bench.root)
        different = {
            key: (theirs.get(key), ours.get(key)) for key in theirs | ours if theirs.get(key) != ours.get(key)
        }
        assert different == {}, (operation, details)


@pytest.fixture
def everything(tools):
    """A rock with a file in every place where a rock can have one."""

    def make(version="1.0-1", mark=b"1"):
        return tools.rock(
            "every-thing",
            version,
            {
                "lua/every.lua": b"return " + mark,
                "lua/every/init.lua": b"return {}",
                "lua/every/data.txt": b"text",
                "lib/every/core.so": b"\x7fELF" + mark,
                "bin/every": LUA + mark,
                "bin/every.sh": SHELL,
                "bin/plain": b"print(1)",
                "bin/blob": b"\x7fELF\x00\x01",
                "conf/every.conf": b"a=1",
                "doc/index.md": b"doc",
                "samples/deep/er/x.lua": b"x",
                "luarocks.lock": b"return {}\n",
            },
            ["lua >= 5.1, < 5.5"],
        )

    return make


def test_a_rock_with_everything_in_an_empty_tree(bench, tools, everything):
    """Modules, C modules, commands, conf, doc, copied directories, luarocks.lock, the first manifest."""
    run(bench, tools, [("install", everything())], deps_mode="one")


def test_without_dependencies_wrappers_name_no_tree(bench, tools, everything):
    """--deps-mode=none leaves the tree out of the wrapper's paths."""
    run(bench, tools, [("install", everything())])


def test_removal_leaves_the_manifest_alone(bench, tools, everything):
    """Every file goes, and every directory that is empty then."""
    run(bench, tools, [("install", everything()), ("remove", "every-thing", "1.0-1")])


def test_an_upgrade_takes_the_old_version_away(bench, tools, everything):
    """Without --keep the other versions go."""
    run(bench, tools, [("install", everything()), ("install", everything("1.1-1", b"2"))])


def test_a_downgrade_takes_the_new_version_away(bench, tools, everything):
    """The older version first gets versioned names, and the plain ones when the newer goes."""
    run(bench, tools, [("install", everything("2.0-1")), ("install", everything("1.0-1", b"2"))])


@pytest.mark.parametrize("versions", [("1.9-2", "1.10-1"), ("1.1-1", "1.0-1")])
@pytest.mark.parametrize("first_removed", [0, 1])
def test_two_versions_side_by_side(bench, tools, everything, versions, first_removed):
    """--keep in both orders, removed in both orders."""
    kept = [("install", everything(version, version.encode()), "--keep") for version in versions]
    gone = [
        ("remove", "every-thing", versions[first_removed]),
        ("remove", "every-thing", versions[1 - first_removed]),
    ]
    run(bench, tools, [*kept, *gone])


def test_the_same_version_again(bench, tools, everything):
    """A reinstallation replaces every file. (With other files in it, LuaRocks's own fails.)"""
    run(bench, tools, [("install", everything()), ("install", everything(mark=b"2"))])


def test_the_same_version_again_beside_another(bench, tools, everything):
    """The other version keeps its versioned names throughout."""
    run(
        bench,
        tools,
        [
            ("install", everything("1.0-1"), "--keep"),
            ("install", everything("1.1-1", b"2"), "--keep"),
            ("install", everything("1.1-1", b"3"), "--keep"),
            ("install", everything("1.0-1", b"4"), "--keep"),
        ],
    )


@pytest.mark.parametrize("names", [("alpha", "beta"), ("beta", "alpha")])
@pytest.mark.parametrize("first_removed", [0, 1])
@pytest.mark.adversary(43)
def test_two_rocks_with_one_module_and_one_command(bench, tools, names, first_removed):
    """The lesser name is active; the other has versioned names, and moves up when it is alone."""
    rocks = [
        tools.rock(name, "1.0-1", {"lua/shared.lua": b"-- " + name.encode(), "bin/tool": LUA + name.encode()})
        for name in names
    ]
    run(
        bench,
        tools,
        [
            ("install", rocks[0]),
            ("install", rocks[1]),
            ("remove", names[first_removed]),
            ("remove", names[1 - first_removed]),
        ],
    )


def test_three_providers_of_one_module(bench, tools):
    """Two versions of one rock and another rock; each removal promotes the next in line."""
    operations = [
        ("install", tools.rock("mid", "1.0-1", {"lua/a/shared.lua": b"1"}), "--keep"),
        ("install", tools.rock("mid", "2.0-1", {"lua/a/shared.lua": b"2", "lua/a/new.lua": b"n"}), "--keep"),
        ("install", tools.rock("low", "0.1-1", {"lua/a/shared.lua": b"3"}), "--keep"),
        ("remove", "low", "0.1-1"),
        ("remove", "mid", "2.0-1"),
        ("remove", "mid", "1.0-1"),
    ]
    run(bench, tools, operations)


def test_a_c_module_takes_the_place_of_a_lua_module(bench, tools):
    """Both share one name in the manifest, and the older version's file is renamed in its own directory."""
    run(
        bench,
        tools,
        [
            ("install", tools.rock("fast", "1.0-1", {"lua/fast.lua": b"1"}), "--keep"),
            ("install", tools.rock("fast", "2.0-1", {"lib/fast.so": b"\x7fELF2"}), "--keep"),
        ],
    )


def test_files_of_nobody_are_set_aside(bench, tools):
    """An untracked file in the way gets a `~`, and another if that is taken."""

    def before(root):
        os.makedirs(root / "share/lua/5.1")
        os.makedirs(root / "bin")
        (root / "share/lua/5.1/mine.lua").write_bytes(b"untracked")
        (root / "share/lua/5.1/mine.lua~").write_bytes(b"older")
        (root / "bin/tool").write_bytes(b"untracked")
        (root / "share/lua/5.1/other.lua").write_bytes(b"stays")

    rock = tools.rock("owner", "1.0-1", {"lua/mine.lua": b"1", "bin/tool": LUA})
    run(bench, tools, [("install", rock), ("remove", "owner")], before=before)
    assert any(
        "is not tracked by this installation of LuaRocks. Moving it to" in text for _, text in bench.said
    )


def test_closures_of_a_chain(bench, tools):
    """Everything that a rock needs stands in its entry, and changes when something below it does."""
    top = tools.rock("top", "1.0-1", {"lua/top.lua": b"1"}, ["lua >= 5.1", "middle >= 1.0", "absent"])
    middle = tools.rock("middle", "1.0-1", {"lua/middle.lua": b"1"}, ["base ~> 1.0", "side"])
    base = tools.rock("base", "1.2-1", {"lua/base.lua": b"1"}, ["lua >= 5.1, < 5.5"])
    newer = tools.rock("base", "2.0-1", {"lua/base.lua": b"2"})
    side = tools.rock("side", "1.0rc1-1", {"lua/side.lua": b"1"}, ["top", "base @1.2-1"])
    run(
        bench,
        tools,
        [
            ("install", top),
            ("install", middle),
            ("install", base),
            ("install", side),
            ("install", newer, "--keep"),
            ("remove", "base", "1.2-1"),
            ("install", base, "--keep"),
            ("remove", "side"),
            ("remove", "middle"),
        ],
    )


def test_an_upgrade_that_would_break_another_rock_leaves_the_old_version(bench, tools):
    """The old version stays beside the new one; --force and --force-fast take it away all the same."""
    operations = [
        ("install", tools.rock("base", "1.0-1", {"lua/base.lua": b"1"})),
        ("install", tools.rock("user", "1.0-1", {}, ["base ~> 1.0"])),
        ("install", tools.rock("base", "2.0-1", {"lua/base.lua": b"2"})),
        ("install", tools.rock("base", "3.0-1", {"lua/base.lua": b"3"}), "--force"),
        ("install", tools.rock("base", "1.5-1", {"lua/base.lua": b"1"}), "--keep"),
        ("install", tools.rock("base", "4.0-1", {"lua/base.lua": b"4"}), "--force-fast"),
    ]
    run(bench, tools, operations)
    assert "Will not remove base 1.0-1." in [text for _, text in bench.said]


def test_without_documentation(bench, tools, everything):
    """--no-doc leaves doc out of the rock directory, but not out of rock_manifest."""
    run(bench, tools, [("install", everything(), "--no-doc"), ("remove", "every-thing")])


def test_without_a_manifest(bench, tools, everything):
    """--no-manifest deploys and does not write it."""
    run(bench, tools, [("install", everything(), "--no-manifest")])


def test_scripts_are_copied_where_the_rockspec_says_so(bench, tools):
    """deploy.wrap_bin_scripts = false."""
    rock = tools.rock("raw", "1.0-1", {"bin/raw": LUA}, extra="deploy = { wrap_bin_scripts = false }\n")
    run(bench, tools, [("install", rock), ("remove", "raw")])


def test_odd_names_are_written_as_luarocks_writes_them(bench, tools):
    """Keywords, dashes, blanks, non-ASCII letters and quotes as names of files."""
    rock = tools.rock(
        "odd-names",
        "1.0-1",
        {
            "lua/end.lua": b"1",
            "lua/a-b/c d.lua": b"1",
            "lua/\u00fcber/x.lua": b"1",
            "lua/data/{x}.txt": b"1",
            'lua/q"uote.lua': b"1",
            "lua/--dash.lua": b"1",
            "lua/Zed.lua": b"1",
            "lua/_under.lua": b"1",
            "lua/1st.lua": b"1",
            "bin/a-tool": LUA,
        },
    )
    other = tools.rock("odd_other", "1.0-1", {"lua/end/other.lua": b"1", "lua/a-b/c d.lua": b"2"})
    run(
        bench,
        tools,
        [("install", rock), ("install", other), ("remove", "odd_other"), ("remove", "odd-names")],
    )


@pytest.mark.adversary(46)
def test_a_tree_behind_a_symlink(bench, tools, everything, tmp_path):
    """The tree's path is a link: the files go where it leads, the wrappers name the link."""

    def before(root):
        real = tmp_path / "real"
        real.mkdir(exist_ok=True)
        if root.is_symlink():
            root.unlink()
        root.symlink_to(real)

    before(bench.root)
    bench.luarocks_install(everything(), "--deps-mode=none")
    theirs = tools.snapshot(tmp_path / "real")
    bench.luarocks("remove", "every-thing", "--force-fast")
    assert "bin/every" in theirs
    bench.install(everything(), deps_mode="none")
    assert theirs == tools.snapshot(tmp_path / "real")
    assert bench.root.is_symlink()


NAMES = ("aa", "bb-b", "cc.c")
PATHS = ("lua/x.lua", "lua/x/y.lua", "lua/z/init.lua", "bin/t", "lib/c.so", "doc/d")
VERSIONS = ("1.0-1", "1.0-2", "1.10-1", "2.0rc1-1", "scm-1")


@st.composite
def operations(draw):
    """A handful of installations and removals among few rocks that share files and need one another."""
    made = []
    contents = {}
    for _ in range(draw(st.integers(3, 7))):
        name = draw(st.sampled_from(NAMES))
        version = draw(st.sampled_from(VERSIONS))
        if draw(st.integers(0, 3)) == 0:
            made.append(("remove", name, version))
            continue
        # LuaRocks cannot install a version again that has other files now: each rock has its own for good.
        if (name, version) not in contents:
            paths = draw(st.sets(st.sampled_from(PATHS)))
            # Of two versions that a closure could name, LuaRocks takes one by chance: one dependency each.
            needed = draw(st.sampled_from([(), ("aa >= 1.0",), ("bb-b",), ("cc.c < 2.0",)]))
            contents[name, version] = (tuple(sorted(paths)), needed)
        made.append(("install", name, version, *contents[name, version], draw(st.booleans())))
    return made


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(made=operations())
def test_random_sequences(tmp_path_factory, tools, made):
    """Any sequence leaves what LuaRocks leaves."""
    folder = tmp_path_factory.mktemp("sequence")
    bench = tools.bench(folder / "tree", folder / "archives")
    installed: set[tuple[str, str]] = set()
    steps = []
    for operation, name, version, *details in made:
        if operation == "remove":
            if (name, version) in installed:
                steps.append(("remove", name, version))
                installed.discard((name, version))
            continue
        files, needed, keep = details
        content = {
            path: f"{path} of {name} {version}".encode() for path in files if not path.startswith("bin")
        }
        content |= {path: LUA + name.encode() for path in files if path.startswith("bin")}
        rock = tools.rock(name, version, content, needed)
        flags = ("--keep",) if keep else ("--force-fast",)
        if not keep:
            installed = {rock for rock in installed if rock[0] != name}
        installed.add((name, version))
        steps.append(("install", rock, *flags))
    run(bench, tools, steps)
