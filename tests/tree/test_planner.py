"""What a plan does that LuaRocks does not: replacing at once, keeping changed files, refusing bad paths."""

import os

import pytest

from pumice.base.progress import Silent
from pumice.errors import DependencyError, NotFoundError, TreeError
from pumice.tree.manifest import read_tree_manifest
from pumice.tree.planner import InstallOptions
from pumice.tree.steps import Delete, Move, Put

KEEP = InstallOptions(keep=True)
ROCKS = "lib/luarocks/rocks-5.1"


def lua(bench, name):
    """A file among the deployed modules."""
    return bench.root / "share/lua/5.1" / name


def inside(bench, tools):
    """The tree, for comparing."""
    return tools.snapshot(bench.root)


def test_several_rocks_in_one_plan_leave_what_they_leave_one_by_one(bench, tools):
    """Each sees the ones before it: conflicts, other versions, closures."""
    rocks = [
        tools.rock("b", "1.0-1", {"lua/s.lua": b"b1", "bin/t": b"print(1)"}, ["a >= 1"]),
        tools.rock("a", "1.0-1", {"lua/s.lua": b"a1", "lua/own.lua": b"1"}, ["c"]),
        tools.rock("a", "2.0-1", {"lua/s.lua": b"a2"}),
        tools.rock("c", "1.0-1", {"lua/s.lua": b"c1", "bin/t": b"print(2)"}),
        tools.rock("b", "1.0-1", {"lua/s.lua": b"b1 again"}, ["a >= 1"]),
    ]
    for rock in rocks:
        bench.install(rock)
    one_by_one = bench.set_aside()
    planner = bench.planner()
    for rock in rocks:
        planner.install(rock)
    plan = bench.plan(planner)
    assert tools.snapshot(bench.root) == one_by_one
    assert {type(step) for step in plan.steps} == {Put}


def test_the_manifest_is_the_last_step(bench, tools):
    """Until it is written, the rock is not installed."""
    plan = bench.install(tools.rock("a", "1.0-1", {"lua/a.lua": b"1"}))
    assert plan.steps[-1].path == f"{bench.tree.rocks_dir}/manifest"
    assert plan.steps[-1].content.read() == plan.manifest


def test_a_file_that_is_replaced_is_never_absent(bench, tools):
    """An upgrade puts the new file over the old one, without a moment between (B11)."""
    bench.install(tools.rock("a", "1.0-1", {"lua/a.lua": b"1", "bin/t": b"print(1)", "lib/c.so": b"1"}))
    planner = bench.planner()
    planner.install(tools.rock("a", "1.1-1", {"lua/a.lua": b"2", "bin/t": b"print(2)", "lib/c.so": b"2"}))
    plain = {str(lua(bench, "a.lua")), str(bench.root / "bin/t"), str(bench.root / "lib/lua/5.1/c.so")}
    steps = planner.finish().steps
    assert plain <= {step.path for step in steps if isinstance(step, Put)}
    assert not plain & {step.path for step in steps if isinstance(step, Delete)}
    assert not [step for step in steps if isinstance(step, Move)]


def test_the_same_version_with_other_files(bench, tools):
    """What the new one has not, goes; LuaRocks fails here, and leaves nothing installed."""
    bench.install(tools.rock("a", "1.0-1", {"lua/a.lua": b"1", "lua/old/x.lua": b"1", "bin/t": b"print(1)"}))
    bench.install(tools.rock("a", "1.0-1", {"lua/a.lua": b"2", "lua/new.lua": b"2", "conf/c": b"c"}))
    again = bench.set_aside()
    bench.install(tools.rock("a", "1.0-1", {"lua/a.lua": b"2", "lua/new.lua": b"2", "conf/c": b"c"}))
    assert inside(bench, tools) == again


def test_a_directory_module_beside_a_file_module(bench, tools):
    """LuaRocks refuses `m/init.lua` where another rock has `m.lua`; there is no conflict."""
    bench.install(tools.rock("one", "1.0-1", {"lua/m.lua": b"1"}))
    bench.install(tools.rock("two", "1.0-1", {"lua/m/init.lua": b"2"}))
    assert (lua(bench, "m.lua").read_bytes(), lua(bench, "m/init.lua").read_bytes()) == (b"1", b"2")


def test_an_entry_of_an_old_luarocks_is_understood(bench, tools):
    """Before 3.0, `m/init.lua` was entered as `m`; the conflict is seen, and the removal leaves nothing."""
    bench.install(tools.rock("b", "1.0-1", {"lua/m/init.lua": b"old"}))
    manifest = bench.root / ROCKS / "manifest"
    manifest.write_bytes(manifest.read_bytes().replace(b'["m.init"]', b"m"))
    bench.install(tools.rock("a", "1.0-1", {"lua/m/init.lua": b"new"}))
    assert lua(bench, "m/init.lua").read_bytes() == b"new"
    assert lua(bench, "b_1_0_1-m/init.lua").read_bytes() == b"old"
    bench.remove("b", "1.0-1")
    assert not lua(bench, "b_1_0_1-m").exists()
    bench.remove("a", "1.0-1")
    assert b"m" not in read_tree_manifest(bench.tree, Silent()).to_bytes().replace(b"commands", b"").replace(
        b"modules", b""
    )


def test_a_c_module_gets_its_plain_name_back(bench, tools):
    """LuaRocks looks for the wrong name here, and leaves the module under its versioned one."""
    bench.install(tools.rock("m", "1.0-1", {"lib/m.so": b"\x7fELF"}), KEEP)
    bench.install(tools.rock("m", "2.0-1", {"lua/m.lua": b"2"}), KEEP)
    assert (bench.root / "lib/lua/5.1/m_1_0_1-m.so").exists()
    bench.remove("m", "2.0-1")
    assert (bench.root / "lib/lua/5.1/m.so").read_bytes() == b"\x7fELF"


@pytest.mark.adversary(43)
def test_one_file_of_two_rocks_is_not_lost(bench, tools):
    """Each rock keeps its own content through every order of removals."""
    first = tools.rock("aa", "1.0-1", {"lua/shared/x.lua": b"of aa"})
    second = tools.rock("bb", "1.0-1", {"lua/shared/x.lua": b"of bb"})
    bench.install(second)
    plan = bench.install(first)
    collision = (
        "Collision: module 'shared.x' from aa 1.0-1 will take priority over the same module provided by"
    )
    assert f"{collision} bb 1.0-1" in plan.warnings
    assert lua(bench, "shared/x.lua").read_bytes() == b"of aa"
    assert lua(bench, "bb_1_0_1-shared/x.lua").read_bytes() == b"of bb"
    bench.remove("aa", "1.0-1")
    assert lua(bench, "shared/x.lua").read_bytes() == b"of bb"
    plan = bench.install(tools.rock("cc", "1.0-1", {"lua/shared/x.lua": b"of cc", "bin/x": b""}))
    assert any("will not take priority" in text for text in plan.warnings)
    assert lua(bench, "shared/x.lua").read_bytes() == b"of bb"


@pytest.mark.adversary(44)
@pytest.mark.parametrize("change", ["upgrade", "downgrade", "again", "removal"])
@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("share/lua/5.1/m.lua", "share/lua/5.1/m.lua~"),
        ("lib/lua/5.1/c.so", "lib/lua/5.1/c.so~"),
        ("bin/wrapped", "bin/wrapped~"),
        ("bin/copied", "bin/copied~"),
        (f"{ROCKS}/m/1.5-1/conf/m.conf", ".pumice/kept/m-1.5-1/conf/m.conf"),
        (f"{ROCKS}/m/1.5-1/bin/wrapped", ".pumice/kept/m-1.5-1/bin/wrapped"),
    ],
)
def test_a_file_that_a_user_changed_survives_and_is_reported(bench, tools, change, path, kept):
    """Under a name with `~` beside it, or for files of the rock's own directory in `.pumice/kept`."""
    files = {
        "lua/m.lua": b"1",
        "lib/c.so": b"\x7fELF",
        "bin/wrapped": b"print(1)",
        "bin/copied": b"#!/bin/sh\n",
        "conf/m.conf": b"a = 1",
    }
    bench.install(tools.rock("m", "1.5-1", files))
    (bench.root / path).write_bytes(b"changed by hand\n")
    if change == "removal":
        plan = bench.remove("m", "1.5-1")
    else:
        version = {"upgrade": "2.0-1", "downgrade": "1.0-1", "again": "1.5-1"}[change]
        plan = bench.install(tools.rock("m", version, {name: data + b" " for name, data in files.items()}))
    assert (bench.root / kept).read_bytes() == b"changed by hand\n"
    warning = f"{bench.root}/{path} was changed after it was installed. The changed file is kept as"
    assert f"{warning} {bench.root}/{kept}" in plan.warnings


def test_a_changed_file_that_says_the_same_as_the_new_one_is_no_change(bench, tools):
    """The patch that somebody made by hand is in the new build."""
    bench.install(tools.rock("m", "1.0-1", {"lua/m.lua": b"wrong"}))
    lua(bench, "m.lua").write_bytes(b"right")
    plan = bench.install(tools.rock("m", "1.0-1", {"lua/m.lua": b"right"}))
    assert plan.warnings == ()
    assert not lua(bench, "m.lua~").exists()


def test_a_wrapper_for_another_lua_is_no_change(bench, tools):
    """Another configuration writes another wrapper."""
    bench.install(tools.rock("m", "1.0-1", {"bin/t": b"print(1)"}), lua="/opt/lua")
    assert bench.remove("m", "1.0-1").warnings == ()


@pytest.mark.adversary(42)
@pytest.mark.parametrize(
    "path", ["bin/../../../escaped", "bin//escaped", "lua/../escaped", "bin/./x", "lib/a\\..\\b", "conf/a\nb"]
)
def test_a_rock_with_a_path_that_leads_elsewhere_is_refused(bench, tools, path):
    """Nothing is planned, nothing is written."""
    rock = tools.rock("evil", "1.0-1", {"lua/fine.lua": b"1"})
    file = rock.files[0].replace(section=path.partition("/")[0], path=path.partition("/")[2])
    with pytest.raises(TreeError, match="which could lead elsewhere"):
        bench.install(rock.replace(files=(*rock.files, file)))
    assert not bench.root.exists()


@pytest.mark.adversary(41)
@pytest.mark.parametrize("change", ["removal", "again", "upgrade", "conflict"])
def test_a_rock_manifest_that_leads_outside_deletes_nothing(bench, tools, tmp_path, change):
    """Not when the rock is removed, replaced, upgraded, nor when it stands in another one's way."""
    canary = tmp_path / "canary"
    canary.mkdir()
    (canary / "secret").write_bytes(b"secret")
    bench.install(tools.rock("m", "1.0-1", {"lua/m.lua": b"1"}))
    up = "/".join([".."] * 12)
    (bench.root / ROCKS / "m/1.0-1/rock_manifest").write_text(
        'rock_manifest = {\n   lua = {\n      ["m.lua"] = "c4ca4238a0b923820dcc509a6f75849b",\n'
        f'      ["{up}{canary}/secret"] = "5ebe2294ecd0e0f08eab7690d2a6ee69"\n   }},\n'
        f'   [".."] = {{\n      x = "5ebe2294ecd0e0f08eab7690d2a6ee69"\n   }}\n}}\n'
    )
    manifest = bench.root / ROCKS / "manifest"
    manifest.write_bytes(manifest.read_bytes().replace(b'm = "m.lua"', f'm = "{up}{canary}/secret"'.encode()))
    before = tools.snapshot(canary)
    if change == "removal":
        plan = bench.remove("m", "1.0-1")
        assert (
            "notice",
            "rock_manifest file not found for m 1.0-1 - removed entry from the manifest",
        ) in plan.messages
    elif change == "conflict":
        bench.install(tools.rock("a", "1.0-1", {"lua/m.lua": b"a"}))
        bench.remove("a", "1.0-1")
    else:
        bench.install(tools.rock("m", "1.0-1" if change == "again" else "2.0-1", {"lua/m.lua": b"2"}))
    assert tools.snapshot(canary) == before
    assert read_tree_manifest(bench.tree, Silent()).names() == {"removal": [], "conflict": ["m"]}.get(
        change, ["m"]
    )


@pytest.mark.adversary(41)
@pytest.mark.parametrize("name", ["..", "../..", "a/b", ""])
def test_a_manifest_with_an_impossible_name_deletes_nothing(bench, tools, name):
    """The name of a rock is the name of a directory that is deleted."""
    bench.install(tools.rock("m", "1.0-1", {"lua/m.lua": b"1"}))
    before = inside(bench, tools)
    planner = bench.planner()
    planner.manifest.add(name, "1.0-1", {}, {}, ())
    with pytest.raises(TreeError, match="is no name or version of a rock"):
        planner.remove(name, "1.0-1")
    assert inside(bench, tools) == before


def test_links_in_a_rock_directory_are_removed_not_followed(bench, tools, tmp_path):
    """What somebody linked from there stays."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"1")
    bench.install(tools.rock("m", "1.0-1", {"doc/d": b"d"}))
    (bench.root / ROCKS / "m/1.0-1/doc/link").symlink_to(outside)
    bench.remove("m", "1.0-1")
    assert (outside / "precious").exists()
    assert not (bench.root / ROCKS / "m").exists()


@pytest.mark.adversary(46)
def test_a_link_to_a_directory_is_as_good_as_a_directory(bench, tools, tmp_path):
    """The tree's root, and a directory in it, may be links."""
    (tmp_path / "real").mkdir()
    (tmp_path / "modules").mkdir()
    bench.root.symlink_to(tmp_path / "real")
    (bench.root / "share/lua").mkdir(parents=True)
    (bench.root / "share/lua/5.1").symlink_to(tmp_path / "modules")
    bench.install(tools.rock("m", "1.0-1", {"lua/a/m.lua": b"1"}))
    assert (tmp_path / "modules/a/m.lua").read_bytes() == b"1"
    bench.remove("m", "1.0-1")
    assert list((tmp_path / "modules").iterdir()) == []


def test_a_directory_is_not_replaced_by_a_file(bench, tools):
    """LuaRocks renames the whole directory, other rocks' files in it included."""
    bench.install(tools.rock("one", "1.0-1", {"lua/data/x.txt": b"1"}))
    with pytest.raises(TreeError, match="is a directory, and a file of that name is to be installed"):
        bench.install(tools.rock("two", "1.0-1", {"lua/data": b"2"}))
    with pytest.raises(TreeError, match=r"x\.txt is a file, and .* is to be installed below it"):
        bench.install(tools.rock("two", "1.0-1", {"lua/data/x.txt/y": b"2"}))


def test_a_file_may_become_a_directory_in_the_next_version_and_back(bench, tools):
    """What is in the way goes first, if it goes with the same plan."""
    as_file = tools.rock("m", "1.0-1", {"lua/data": b"1"})
    as_directory = tools.rock("m", "1.0-1", {"lua/data/x": b"2", "lua/data/y/z": b"3"})
    bench.install(as_file)
    bench.install(as_directory)
    assert lua(bench, "data/y/z").read_bytes() == b"3"
    bench.install(as_file)
    assert lua(bench, "data").read_bytes() == b"1"


def test_a_removal_that_breaks_others_is_refused_in_luarocks_words(bench, tools):
    """Nothing is planned; --force says what breaks."""
    bench.install(tools.rock("base", "1.0-1", {"lua/base.lua": b"1"}))
    bench.install(tools.rock("user", "1.0-1", {}, ["base"]))
    planner = bench.planner()
    with pytest.raises(DependencyError, match=r"Failed removing\."):
        planner.remove_versions("base", ["1.0-1"])
    assert planner.messages() == (
        ("info", "Checking stability of dependencies in the absence of"),
        ("info", "base 1.0-1..."),
        ("info", ""),
        ("notice", "Will not remove base 1.0-1."),
        ("notice", "Removing it would break dependencies for: "),
        ("notice", "user 1.0-1"),
        ("notice", ""),
        ("notice", "Use --force to force removal (warning: this may break modules)."),
    )
    planner = bench.planner()
    planner.remove_versions("base", ["1.0-1"], force=True)
    assert planner.messages()[3:] == (
        ("notice", "The following packages may be broken by this forced removal:"),
        ("notice", "user 1.0-1"),
        ("notice", ""),
        ("info", "Removing base 1.0-1..."),
        ("info", "Removal successful."),
    )


def normal(lines):
    """Lines without the order in which LuaRocks happens to name several versions."""
    return sorted(" ".join(sorted(line.replace(",", "").replace("...", "").split())) for line in lines)


@pytest.mark.peer
@pytest.mark.parametrize("force", [False, True])
def test_the_words_are_luarocks_own(bench, tools, force):
    """Of a removal that is refused, and of one that is forced."""
    bench.luarocks_install(tools.rock("base", "1.0-1", {"lua/base.lua": b"1"}))
    bench.luarocks_install(tools.rock("base", "1.2-1", {"lua/base.lua": b"1"}), "--keep")
    bench.luarocks_install(tools.rock("user", "1.0-1", {}, ["base"]))
    planner = bench.planner()
    complaint = ""
    try:
        planner.remove_versions("base", ["1.2-1", "1.0-1"], force=force)
    except DependencyError as error:
        complaint = f"\n\nError: {error.message}"
    theirs = bench.luarocks("remove", "base", *(["--force"] if force else []), check=force)
    told = [text for level, text in planner.messages() if level == "info"]
    complained = "\n".join(text for level, text in planner.messages() if level == "notice") + complaint
    # What follows is about the whole tree and not about this removal.
    assert normal(told) == normal(theirs.out.splitlines()[: len(told)])
    assert complained.strip() == theirs.err.strip()


def test_what_is_not_installed_cannot_be_removed(bench):
    """LuaRocks's words."""
    with pytest.raises(NotFoundError, match="Could not find rock 'a 1-1' in "):
        bench.planner().remove("a", "1-1")


def test_a_lost_manifest_is_rebuilt_with_the_next_change(bench, tools):
    """LuaRocks's notice, and then everything is in it again, closures included."""
    bench.install(tools.rock("base", "1.0-1", {"lua/base.lua": b"1"}))
    bench.install(tools.rock("user", "1.0-1", {}, ["base"]))
    bench.install(tools.rock("more", "1.0-1", {"lua/more.lua": b"1"}))
    before = (bench.root / ROCKS / "manifest").read_bytes()
    os.unlink(bench.root / ROCKS / "manifest")
    plan = bench.install(tools.rock("more", "1.0-1", {"lua/more.lua": b"1"}))
    assert ("aside", "No existing manifest. Attempting to rebuild...") in plan.messages
    assert (bench.root / ROCKS / "manifest").read_bytes() == before
    assert not lua(bench, "more.lua~").exists()


@pytest.mark.parametrize("readable", [True, False])
def test_dependencies_that_the_manifest_lacks_are_read_from_the_rockspec(bench, tools, readable):
    """Of the rocks whose closures are computed; LuaRocks's notice where it cannot be read."""
    bench.install(tools.rock("base", "1.0-1", {"lua/base.lua": b"1"}))
    bench.install(tools.rock("user", "1.0-1", {"lua/user.lua": b"1"}, ["base"]))
    manifest = bench.root / ROCKS / "manifest"
    whole = manifest.read_bytes()
    start = whole.index(b"   user = {\n")
    end = whole.index(b"\n   }\n", start)
    manifest.write_bytes(whole[: start - 2] + whole[end + 5 :])
    if not readable:
        (bench.root / ROCKS / "user/1.0-1/user-1.0-1.rockspec").write_bytes(b"{")
    bench.install(tools.rock("top", "1.0-1", {}, ["user"]))
    plan = bench.remove("top", "1.0-1")
    assert (manifest.read_bytes() == whole) is readable
    told = [
        text for level, text in bench.said if level == "notice" and text.startswith("Couldn't load rockspec")
    ]
    assert bool(told) is not readable
    assert plan.steps
