"""`.rock` files between Pumice and the real LuaRocks, in both directions."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from pumice.archive.member import Entry
from pumice.archive.unpack import unpack
from pumice.rock.rock_manifest import read_rock_manifest, rock_manifest_of
from pumice.rock.rockfile import open_rock, open_source_rock, rock_filename_of, write_rock, write_source_rock

pytestmark = pytest.mark.peer

PLATFORMS = ("linux", "unix")

PURE = {
    "pure-1.0-1.rockspec": """package = "pure"
version = "1.0-1"
rockspec_format = "3.0"
source = { url = "file://pure-1.0.tar.gz", dir = "." }
description = { summary = "Words", license = "MIT" }
dependencies = { "lua >= 5.1" }
build = {
   type = "builtin",
   modules = { pure = "pure.lua", ["pure.deep.er"] = "src/er.lua" },
   install = { bin = { "bin/pure", second = "bin/two" }, conf = { "pure.conf" } },
   copy_directories = { "doc", "extra-data" },
}
""",
    "pure.lua": "return { deep = require('pure.deep.er') }\n",
    "src/er.lua": "return 'é'\n",
    "bin/pure": "#!/usr/bin/env lua\nprint(require('pure').deep)\n",
    "bin/two": "#!/bin/sh\necho two\n",
    "pure.conf": "a = 1\n",
    "doc/manual with space.md": "# Manual\n",
    "doc/é.md": "# Accent\n",
    "extra-data/deep/er/data.bin": "\0\1\2",
}

NATIVE = {
    "native-2.0-3.rockspec": """package = "native"
version = "2.0-3"
source = { url = "file://native.c" }
build = { type = "builtin", modules = { ["native.core"] = "native.c", native = "native.lua" } }
""",
    "native.lua": "return require('native.core')\n",
    "native.c": """#include <lua.h>
int luaopen_native_core(lua_State *L) { lua_pushinteger(L, 42); return 1; }
""",
}


def _luarocks(cwd: Path, *arguments: str) -> str:
    if shutil.which("luarocks") is None:
        pytest.fail("the real luarocks is not installed; scripts/debian-packages names it")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(cwd), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["luarocks", "--lua-version=5.1", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _tree(root: Path) -> dict[str, tuple[str, int]]:
    """Every file of a tree with its digest and mode; wrappers hold the tree's own path."""
    result = {}
    for path in root.rglob("*"):
        if path.is_file():
            data = path.read_bytes().replace(str(root).encode(), b"<tree>")
            result[str(path.relative_to(root))] = (
                hashlib.sha256(data).hexdigest(),
                path.stat().st_mode & 0o777,
            )
    return result


@pytest.fixture(scope="module", params=[PURE, NATIVE], ids=["pure", "native"])
def packed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tree in which LuaRocks has built a rock, and the rock file that it packed of it."""
    folder = tmp_path_factory.mktemp("project")
    for name, text in request.param.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (rockspec,) = folder.glob("*.rockspec")
    name, version, revision = rockspec.stem.rsplit("-", 2)
    tree = folder / "tree"
    _luarocks(folder, "make", "--tree", str(tree), rockspec.name)
    _luarocks(folder, "pack", "--tree", str(tree), name, f"{version}-{revision}")
    (rock,) = folder.glob("*.rock")
    return tree, rock


def test_a_rock_that_luarocks_packed_opens(packed: tuple[Path, Path]) -> None:
    tree, path = packed
    rock = open_rock(str(path), platforms=PLATFORMS)
    assert rock_filename_of(rock) == path.name
    installed = tree / "lib" / "luarocks" / "rocks-5.1" / rock.name / rock.version
    assert rock_manifest_of(rock) == (installed / "rock_manifest").read_bytes()
    for file in rock.files:
        places = {"lua": tree / "share/lua/5.1", "lib": tree / "lib/lua/5.1"}
        place = places.get(file.section, installed / file.section) / file.path
        assert file.content.read() == place.read_bytes()


def test_luarocks_installs_what_is_written_as_if_it_were_its_own(
    packed: tuple[Path, Path], tmp_path: Path
) -> None:
    _, path = packed
    rock = open_rock(str(path), platforms=PLATFORMS)
    (tmp_path / "ours").mkdir()
    written = tmp_path / "ours" / rock_filename_of(rock)
    write_rock(rock, str(written))
    _luarocks(tmp_path, "install", "--tree", str(tmp_path / "tree-of-ours"), str(written))
    _luarocks(tmp_path, "install", "--tree", str(tmp_path / "tree-of-theirs"), str(path))
    ours, theirs = _tree(tmp_path / "tree-of-ours"), _tree(tmp_path / "tree-of-theirs")
    assert theirs == ours
    assert len(ours) > 4


def test_luarocks_unpacks_what_is_written(packed: tuple[Path, Path], tmp_path: Path) -> None:
    _, path = packed
    rock = open_rock(str(path), platforms=PLATFORMS)
    written = tmp_path / rock_filename_of(rock)
    write_rock(rock, str(written))
    _luarocks(tmp_path, "unpack", str(written))
    unpacked = tmp_path / f"{rock.name}-{rock.version}"
    listed = read_rock_manifest((unpacked / "rock_manifest").read_bytes(), "rock_manifest")
    assert {f.rock_path for f in rock.files} | {rock.rockspec.rockspec_name} == set(listed)
    for name in listed:
        assert hashlib.md5((unpacked / name).read_bytes()).hexdigest() == listed[name]


def test_source_rocks_go_both_ways(tmp_path: Path) -> None:
    rockspec = NATIVE["native-2.0-3.rockspec"].replace(
        'file://native.c"', f'file://{tmp_path}/native-2.0.zip", dir = "native-2.0"', 1
    )
    source = tmp_path / "native-2.0"
    source.mkdir()
    for name in ("native.c", "native.lua"):
        (source / name).write_text(NATIVE[name])
    subprocess.run(["zip", "-qr", "native-2.0.zip", "native-2.0"], cwd=tmp_path, check=True)
    (tmp_path / "native-2.0-3.rockspec").write_text(rockspec)
    _luarocks(tmp_path, "pack", "native-2.0-3.rockspec")
    theirs = tmp_path / "native-2.0-3.src.rock"
    opened = open_source_rock(str(theirs), platforms=PLATFORMS)
    assert opened.rockspec.text == rockspec.encode()
    opened.unpack(str(tmp_path / "out"))
    unpack(str(tmp_path / "out" / "native-2.0.zip"), str(tmp_path / "out"))
    assert (tmp_path / "out" / "native-2.0" / "native.c").read_text() == NATIVE["native.c"]

    (tmp_path / "ours").mkdir()
    ours = tmp_path / "ours" / theirs.name
    archive = (tmp_path / "native-2.0.zip").read_bytes()
    entries = [Entry("native-2.0.zip", lambda: archive)]
    write_source_rock(opened.rockspec.text, opened.rockspec_name, entries, str(ours))
    _luarocks(tmp_path, "install", "--tree", str(tmp_path / "tree"), str(ours))
    assert (tmp_path / "tree" / "share/lua/5.1/native.lua").read_text() == NATIVE["native.lua"]
