"""Rocks read back from trees, of both programs."""

import os

import pytest

from pumice.errors import ManifestError, NotFoundError, TreeError
from pumice.tree.installed import open_installed
from pumice.tree.planner import InstallOptions

PLATFORMS = ("linux", "unix")
FILES = {
    "lua/m.lua": b"return 1",
    "lib/m/core.so": b"\x7fELF",
    "bin/tool": b"#!/usr/bin/env lua\nprint(1)\n",
    "conf/m.conf": b"a = 1",
    "doc/index.md": b"doc",
    "samples/x.lua": b"x",
    "luarocks.lock": b"return {}\n",
}


def comparable(rock):
    """What makes two rocks the same."""
    files = [
        (file.rock_path, file.executable, file.md5, file.size, file.content.read()) for file in rock.files
    ]
    return rock.name, rock.version, rock.arch, rock.namespace, rock.rockspec.text, files


def test_what_was_installed_comes_back(bench, tools):
    """Every file, the originals of wrapped commands among them, and the namespace."""
    rock = tools.rock("m", "1.0-1", FILES, namespace="someone")
    bench.install(rock)
    assert comparable(rock) == comparable(open_installed(bench.tree, "m", "1.0-1", PLATFORMS))


@pytest.mark.peer
def test_what_luarocks_installed_comes_back(bench, tools):
    """The same from a tree that LuaRocks made."""
    rock = tools.rock("m", "1.0-1", FILES)
    bench.luarocks_install(rock)
    assert comparable(rock) == comparable(open_installed(bench.tree, "m", "1.0-1", PLATFORMS))


def test_inactive_versions_come_back_too(bench, tools):
    """Their files have versioned names."""
    old = tools.rock("m", "1.0-1", FILES)
    new = tools.rock("m", "2.0-1", {**FILES, "lua/m.lua": b"return 2"})
    bench.install(old, InstallOptions(keep=True))
    bench.install(new, InstallOptions(keep=True))
    assert comparable(old) == comparable(open_installed(bench.tree, "m", "1.0-1", PLATFORMS))
    assert comparable(new) == comparable(open_installed(bench.tree, "m", "2.0-1", PLATFORMS))


def test_missing_documentation_is_no_fault(bench, tools):
    """--no-doc leaves it out."""
    bench.install(tools.rock("m", "1.0-1", FILES), InstallOptions(no_doc=True))
    found = open_installed(bench.tree, "m", "1.0-1", PLATFORMS)
    assert "doc/index.md" not in [file.rock_path for file in found.files]


def test_a_rock_that_is_not_there_is_said_to_be(bench):
    """No directory, no rock."""
    with pytest.raises(NotFoundError, match=r"'m 1\.0-1' does not seem to be an installed rock"):
        open_installed(bench.tree, "m", "1.0-1", PLATFORMS)


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_a_damaged_file_is_named(bench, tools, damage):
    """Nothing is packed that was not installed."""
    bench.install(tools.rock("m", "1.0-1", FILES))
    path = f"{bench.tree.lua_dir}/m.lua"
    if damage == "missing":
        os.unlink(path)
    else:
        (bench.root / "share/lua/5.1/m.lua").write_bytes(b"changed")
    with pytest.raises(TreeError, match=f"m.lua, a file of m 1.0-1, (was|is) {damage}"):
        open_installed(bench.tree, "m", "1.0-1", PLATFORMS)


@pytest.mark.adversary(41)
def test_a_rock_manifest_that_leads_outside_is_not_followed(bench, tools, tmp_path):
    """`..` in rock_manifest reads nothing."""
    bench.install(tools.rock("m", "1.0-1", FILES))
    manifest = bench.root / "lib/luarocks/rocks-5.1/m/1.0-1/rock_manifest"
    manifest.write_text('rock_manifest = {\n   ["../../secret"] = "' + "0" * 32 + '"\n}\n')
    with pytest.raises(ManifestError):
        open_installed(bench.tree, "m", "1.0-1", PLATFORMS)
