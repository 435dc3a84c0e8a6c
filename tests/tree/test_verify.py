"""Damage of every kind is found, and only damage."""

import os

import pytest

from pumice.base.progress import Silent
from pumice.tree.manifest import read_tree_manifest
from pumice.tree.planner import InstallOptions
from pumice.tree.verify import verify_tree

ROCKS = "lib/luarocks/rocks-5.1"


@pytest.fixture
def installed(bench, tools, monkeypatch):
    """A tree with two versions of a rock and another rock."""
    monkeypatch.setattr(os, "umask", os.umask)
    bench.root.mkdir(parents=True)
    files = {
        "lua/m.lua": b"1",
        "lua/m/init.lua": b"i",
        "lib/c.so": b"\x7fELF",
        "bin/t": b"print(1)",
        "doc/d": b"d",
    }
    bench.install(tools.rock("m", "1.0-1", files), InstallOptions(keep=True))
    bench.install(tools.rock("m", "2.0-1", {**files, "lua/m.lua": b"2"}), InstallOptions(keep=True))
    bench.install(tools.rock("z", "1.0-1", {"lua/m.lua": b"z", "bin/s": b"#!/bin/sh\n"}, ["m"]))
    return bench


def report_on(bench):
    """The report on the bench's tree."""
    return verify_tree(bench.tree, read_tree_manifest(bench.tree, Silent()))


def errors(bench):
    """(path below the tree, message) of the errors."""
    return [(os.path.relpath(each.path, bench.root), each.message) for each in report_on(bench).errors]


def test_a_healthy_tree_has_no_errors(installed):
    """Versioned names and wrappers are as they should be."""
    report = report_on(installed)
    assert report.errors == ()
    assert report.rocks == 3
    assert report.files > 12


@pytest.mark.peer
def test_a_healthy_tree_of_luarocks_has_no_errors(bench, tools):
    """Also not with two versions and without documentation."""
    files = {"lua/m.lua": b"1", "lib/c.so": b"\x7fELF", "bin/t": b"print(1)", "doc/d": b"d"}
    bench.luarocks_install(tools.rock("m", "1.0-1", files), "--keep")
    bench.luarocks_install(tools.rock("m", "2.0-1", files), "--keep", "--no-doc")
    assert errors(bench) == []


def damage(path, kind):
    """Do something to a file."""
    if kind == "gone":
        path.unlink()
    elif kind == "changed":
        path.write_bytes(b"changed")


@pytest.mark.parametrize(
    ("path", "kind", "message"),
    [
        ("share/lua/5.1/m.lua", "gone", "is missing"),
        ("share/lua/5.1/m.lua", "changed", "was changed after it was installed"),
        ("share/lua/5.1/m_1_0_1-m.lua", "gone", "is missing"),
        ("share/lua/5.1/z_1_0_1-m.lua", "changed", "was changed after it was installed"),
        ("lib/lua/5.1/c.so", "changed", "was changed after it was installed"),
        ("bin/t", "gone", "is missing"),
        ("bin/t", "changed", "is neither the command that was installed nor its wrapper"),
        ("bin/s", "changed", "is neither the command that was installed nor its wrapper"),
        (f"{ROCKS}/m/2.0-1/bin/t", "gone", "is missing"),
        (f"{ROCKS}/m/2.0-1/doc/d", "changed", "was changed after it was installed"),
        (f"{ROCKS}/m/2.0-1/m-2.0-1.rockspec", "gone", "is missing"),
        (f"{ROCKS}/m/2.0-1/rock_manifest", "gone", "cannot be read: No such file or directory"),
    ],
)
def test_a_damaged_file_is_found(installed, path, kind, message):
    """Exactly that file is named."""
    damage(installed.root / path, kind)
    assert [(path, message)] == errors(installed)


def test_a_file_under_the_wrong_name_is_found(installed):
    """The plain name and the versioned one are no choice."""
    lua = installed.root / "share/lua/5.1"
    (lua / "m/init.lua").rename(lua / "m_2_0_1-m.init.lua")
    (lua / "m_1_0_1-m").rename(lua / "aside")
    (lua / "m_2_0_1-m.init.lua").unlink()
    assert ("share/lua/5.1/m/init.lua", "is missing") in errors(installed)


def test_a_command_that_cannot_be_run_is_found(installed):
    """The mode counts."""
    (installed.root / "bin/s").chmod(0o644)
    assert errors(installed) == [("bin/s", "is not executable")]


def test_a_wrapper_of_another_version_is_found(installed):
    """A wrapper has to start the script of its own rock."""
    wrapper = installed.root / "bin/t"
    wrapper.write_bytes(wrapper.read_bytes().replace(b"/2.0-1/", b"/1.0-1/"))
    assert errors(installed) == [("bin/t", "is a wrapper, but not of m/2.0-1/bin/t")]


def test_manifest_and_disk_are_compared_both_ways(installed, tools):
    """A rock that only one of them has."""
    rocks = installed.root / ROCKS
    (rocks / "z").rename(rocks / "zz")
    found = dict(errors(installed))
    assert found[f"{ROCKS}/z/1.0-1"] == "is in the manifest, but its directory is missing"
    assert found[f"{ROCKS}/zz/1.0-1"] == "is on the disk, but not in the manifest"


def test_what_a_gateway_may_not_read_is_warned_of(installed):
    """A file without o+r, a directory without o+x."""
    (installed.root / "share/lua/5.1/m.lua").chmod(0o640)
    (installed.root / "lib/lua").chmod(0o750)
    found = {
        os.path.relpath(each.path, installed.root): each.message for each in report_on(installed).problems
    }
    assert (
        found["share/lua/5.1/m.lua"] == "its mode 640 does not let other users, such as a gateway's, read it"
    )
    assert found["lib/lua"] == "its mode 750 does not let other users, such as a gateway's, into it"
    assert report_on(installed).errors == ()


@pytest.mark.parametrize(("text", "message"), [(None, "is missing"), (b"junk", "cannot be used")])
def test_a_manifest_that_is_lost_is_an_error(installed, text, message):
    """The rocks are there, but LuaRocks would not find them."""
    path = installed.root / ROCKS / "manifest"
    path.unlink()
    if text is not None:
        path.write_bytes(text)
    assert errors(installed) == [(f"{ROCKS}/manifest", message)]


def test_an_empty_tree_needs_no_manifest(bench):
    """Nothing was ever installed."""
    assert errors(bench) == []
