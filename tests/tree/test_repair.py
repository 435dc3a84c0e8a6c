"""What is damaged is mended where the content is at hand, and named where it is not."""

import os
import shutil

import pytest

from pumice.base.progress import Silent
from pumice.tree.dependencies import lua_provides
from pumice.tree.manifest import TreeManifest, read_tree_manifest
from pumice.tree.planner import InstallOptions
from pumice.tree.repair import plan_repair
from pumice.tree.verify import verify_tree
from pumice.tree.wrapper import Wrapping

ROCKS = "lib/luarocks/rocks-5.1"
FILES = {"lua/m.lua": b"1", "lib/c.so": b"\x7fELF", "bin/t": b"print(1)", "conf/c": b"c"}


@pytest.fixture
def rocks(tools):
    """Two versions of a rock and one that needs it."""
    return [
        tools.rock("m", "1.0-1", FILES),
        tools.rock("m", "2.0-1", {**FILES, "lua/m.lua": b"2"}),
        tools.rock("z", "1.0-1", {"lua/m.lua": b"z"}, ["m"]),
    ]


@pytest.fixture
def installed(bench, rocks):
    """A tree with those rocks."""
    for rock in rocks:
        bench.install(rock, InstallOptions(keep=True))
    return bench


def repair(bench, tools, supply=lambda name, version: None, given=()):
    """Plan and carry out a repair."""
    manifest = read_tree_manifest(bench.tree, Silent())
    wrapping = Wrapping("/usr/bin/lua5.1", "5.1", "/etc/luarocks", (bench.tree,))
    found = plan_repair(
        bench.tree,
        manifest,
        wrapping,
        supply,
        platforms=("linux", "unix"),
        provided=lua_provides("5.1"),
        given=given,
    )
    if found.plan is not None:
        tools.carry_out(found.plan.steps)
    return found


def test_a_healthy_tree_is_left_alone(installed, tools):
    """No plan at all."""
    found = repair(installed, tools)
    assert (found.plan, found.mended, found.unmended) == (None, (), ())


@pytest.mark.parametrize(
    "path",
    [
        "share/lua/5.1/m.lua",
        "share/lua/5.1/m_1_0_1-m.lua",
        "share/lua/5.1/z_1_0_1-m.lua",
        "lib/lua/5.1/c.so",
        "bin/t",
        f"{ROCKS}/m/2.0-1/bin/t",
        f"{ROCKS}/m/1.0-1/conf/c",
        f"{ROCKS}/m/1.0-1/rock_manifest",
        f"{ROCKS}/z/1.0-1/z-1.0-1.rockspec",
        f"{ROCKS}/manifest",
    ],
)
def test_a_lost_file_comes_back_from_the_rock(installed, tools, rocks, path):
    """The tree is what it was."""
    before = tools.snapshot(installed.root)
    (installed.root / path).unlink()
    known = {(rock.name, rock.version): rock for rock in rocks}
    found = repair(installed, tools, lambda name, version: known.get((name, version)))
    assert found.unmended == ()
    assert before == tools.snapshot(installed.root)


def test_a_changed_file_is_kept_beside_the_mended_one(installed, tools, rocks):
    """As in an upgrade."""
    path = installed.root / "share/lua/5.1/m.lua"
    path.write_bytes(b"changed")
    repair(installed, tools, lambda name, version: rocks[1])
    assert path.read_bytes() == b"2"
    assert (installed.root / "share/lua/5.1/m.lua~").read_bytes() == b"changed"


def test_a_wrapper_needs_no_rock_to_come_back(installed, tools):
    """The script that it starts is still there."""
    before = tools.snapshot(installed.root)
    (installed.root / "bin/t").unlink()
    assert repair(installed, tools).unmended == ()
    assert before == tools.snapshot(installed.root)


def test_what_nobody_has_is_named(installed, tools):
    """And nothing else happens."""
    path = installed.root / "share/lua/5.1/m.lua"
    path.unlink()
    found = repair(installed, tools)
    assert (f"{path} is missing",) == found.unmended
    assert found.mended == ()


def test_another_build_is_not_taken(installed, tools):
    """A rock of the same name and version with other files mends nothing."""
    (installed.root / "share/lua/5.1/m.lua").unlink()
    other = tools.rock("m", "2.0-1", {**FILES, "lua/m.lua": b"another build"})
    found = repair(installed, tools, lambda name, version: other)
    assert len(found.unmended) == 1
    assert not (installed.root / "share/lua/5.1/m.lua").exists()


@pytest.mark.parametrize("text", [b"", b"this is not Lua {", b"repository = 1\n", b"commands = {}\n"])
def test_a_damaged_manifest_is_written_anew(installed, tools, text):
    """From what the rock directories say, closures included."""
    path = installed.root / ROCKS / "manifest"
    before = path.read_bytes()
    path.write_bytes(text)
    found = repair(installed, tools)
    assert (f"{path} is written anew",) == found.mended
    assert before == path.read_bytes()


def test_an_entry_without_a_rock_goes(installed, tools):
    """The manifest no longer names it."""
    shutil.rmtree(installed.root / ROCKS / "z")
    os.unlink(installed.root / "share/lua/5.1/z_1_0_1-m.lua")
    found = repair(installed, tools)
    assert found.unmended == ()
    manifest = TreeManifest.parse((installed.root / ROCKS / "manifest").read_bytes(), "manifest")
    assert manifest.names() == ["m"]
    assert verify_tree(installed.tree, manifest).errors == ()


@pytest.mark.parametrize("lost", ["m/2.0-1/rock_manifest", "z/1.0-1/z-1.0-1.rockspec"])
def test_a_rock_that_cannot_be_mended_keeps_its_entry(installed, tools, lost):
    """The tree manifest is then all that names its files: `remove` must still find them."""
    (installed.root / ROCKS / lost).unlink()
    before = tools.snapshot(installed.root)
    found = repair(installed, tools)
    assert found.mended == ()
    assert len(found.unmended) == 1
    assert before == tools.snapshot(installed.root)


@pytest.mark.parametrize(
    ("path", "mode"),
    [("bin/t", 0o644), ("bin/t", 0o700), ("share/lua/5.1/m.lua", 0o600), ("lib/lua/5.1/c.so", 0o640)],
)
@pytest.mark.parametrize("cached", [False, True])
def test_modes_come_back_as_they_were_deployed(installed, tools, rocks, path, mode, cached):
    """From the tree alone as well: the section says what they were."""
    before = tools.snapshot(installed.root)
    (installed.root / path).chmod(mode)
    assert before != tools.snapshot(installed.root)
    known = {(rock.name, rock.version): rock for rock in rocks} if cached else {}
    found = repair(installed, tools, lambda name, version: known.get((name, version)))
    assert (len(found.mended), found.unmended) == (1, ())
    assert before == tools.snapshot(installed.root)


def test_a_rock_that_is_given_tells_of_more_modes(bench, tools):
    """Those of copied directories: nothing in the tree says that a file there was executable."""
    rock = tools.rock("m", "1.0-1", {**FILES, "tools/run.sh": b"#!/bin/sh\n", "tools/notes": b"n"})
    files = tuple(file.replace(executable=file.path == "run.sh") for file in rock.section("tools"))
    others = tuple(file for file in rock.files if file.section != "tools")
    rock = rock.replace(files=tuple(sorted([*others, *files], key=lambda f: (f.section, f.path))))
    bench.install(rock)
    before = tools.snapshot(bench.root)
    folder = bench.root / ROCKS / "m/1.0-1/tools"
    (folder / "run.sh").chmod(0o644)
    (folder / "notes").chmod(0o755)
    assert repair(bench, tools).plan is None
    found = repair(bench, tools, lambda name, version: rock, given=[rock])
    assert sorted(found.mended) == [
        f"{folder}/notes should not be executable",
        f"{folder}/run.sh should be executable",
    ]
    assert before == tools.snapshot(bench.root)


def test_a_damaged_rock_gets_its_modes_from_where_its_files_come(bench, tools):
    """The cache has both; what is whole in the tree stays its own."""
    rock = tools.rock("m", "1.0-1", {**FILES, "tools/run.sh": b"#!/bin/sh\n"})
    files = tuple(file.replace(executable=True) if file.section == "tools" else file for file in rock.files)
    rock = rock.replace(files=files)
    bench.install(rock)
    before = tools.snapshot(bench.root)
    (bench.root / ROCKS / "m/1.0-1/tools/run.sh").chmod(0o644)
    (bench.root / "bin/t").unlink()
    assert repair(bench, tools, lambda name, version: rock).unmended == ()
    assert before == tools.snapshot(bench.root)
