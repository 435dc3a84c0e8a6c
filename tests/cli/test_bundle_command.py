"""A bundle has a rock with all that it needs: installed offline, run from where tar put it, the same every time."""

import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MakeRock = Callable[..., Path]

NOBODY = ("--only-server", "/nowhere")
ROCKS = "lib/luarocks/rocks-5.1"


@pytest.fixture
def rocks(make_rock: MakeRock) -> dict[str, Path]:
    """`app` with a command needs `stem`, which needs `leaf`."""
    return {
        "app": make_rock(
            "app",
            "1.0-1",
            {"lua/app.lua": "return require 'stem'\n", "bin/app": "print(require 'app', arg[1])\n"},
            ["stem"],
        ),
        "stem": make_rock(
            "stem", "1.0-1", {"lua/stem.lua": "return 'stem and ' .. require 'leaf'\n"}, ["leaf"]
        ),
        "leaf": make_rock("leaf", "2.0-1", {"lua/leaf.lua": "return 'leaf'\n"}),
    }


@pytest.fixture
def bundle(command: Any, rocks: dict[str, Path], tmp_path: Path) -> Path:
    """All three in a file."""
    target = tmp_path / "app.tar.gz"
    files = [str(path) for path in rocks.values()]
    assert command(*NOBODY, "bundle", *files, "-o", str(target)) == 0, command.output
    return target


def members(path: Path) -> dict[str, bytes]:
    """What is in a bundle, in its order."""
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]


def rewritten(path: Path, files: dict[str, bytes]) -> Path:
    """A bundle with these members instead."""
    with tarfile.open(path, "w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_its_first_member_says_what_is_in_it(bundle: Path) -> None:
    found = members(bundle)
    assert next(iter(found)) == "pumice-bundle.json"
    index = json.loads(found["pumice-bundle.json"])
    assert (index["version"], index["lua_version"], index["arch"]) == (1, "5.1", "all")
    assert {rock["name"] for rock in index["rocks"]} == {"app", "stem", "leaf"}
    assert f"{ROCKS}/manifest" in found and "share/lua/5.1/app.lua" in found


def test_it_is_installed_without_any_server(command: Any, bundle: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    assert command(*NOBODY, "--tree", str(tree), "install", str(bundle)) == 0, command.output
    assert {path.name for path in (tree / ROCKS).iterdir()} == {"app", "leaf", "manifest", "stem"}
    done = subprocess.run([tree / "bin/app", "x"], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "stem and leaf\tx\n"
    assert command("--tree", str(tree), "verify") == 0, command.output


@pytest.mark.peer
def test_its_commands_run_where_tar_has_put_it_and_where_it_is_moved(bundle: Path, tmp_path: Path) -> None:
    places = [tmp_path / "unpacked", tmp_path / "a place with 'signs'"]
    places[0].mkdir()
    subprocess.run(["tar", "xzf", bundle, "-C", places[0]], check=True, timeout=30)
    for place in places:
        if not place.exists():
            places[0].rename(place)
        done = subprocess.run(
            [place / "bin/app", "x"],
            env={"PATH": "/usr/bin:/bin"},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        assert done.stdout == "stem and leaf\tx\n"


@pytest.mark.peer
def test_unpacked_it_is_a_tree_of_luarocks(bundle: Path, tmp_path: Path) -> None:
    place = tmp_path / "unpacked"
    place.mkdir()
    subprocess.run(["tar", "xzf", bundle, "-C", place], check=True, timeout=30)
    words = ["luarocks", "--lua-version=5.1", f"--tree={place}", "list", "--porcelain"]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert [line.split("\t")[:2] for line in done.stdout.splitlines()] == [
        ["app", "1.0-1"],
        ["leaf", "2.0-1"],
        ["stem", "1.0-1"],
    ]


def test_the_same_rocks_give_the_same_bytes_from_anywhere(
    command: Any, bundle: Path, rocks: dict[str, Path], tmp_path: Path
) -> None:
    first = bundle.read_bytes()
    other = tmp_path / "other" / "again.tgz"
    other.parent.mkdir()
    files = [os.path.relpath(path, tmp_path) for path in reversed(rocks.values())]
    words = (*NOBODY, "bundle", *files, "-o", "other/again.tgz")
    assert command(*words, cwd=tmp_path) == 0, command.output
    assert members(other).keys() == members(bundle).keys()
    tree = tmp_path / "tree"
    assert command(*NOBODY, "--tree", str(tree), "install", str(bundle)) == 0, command.output
    shutil.rmtree(rocks["app"].parent)
    from_tree = tmp_path / "from-tree.tar.gz"
    assert command(*NOBODY, "--tree", str(tree), "bundle", "app", "-o", str(from_tree)) == 0, command.output
    ours, theirs = members(bundle), members(from_tree)
    assert json.loads(theirs["pumice-bundle.json"])["roots"] == [{"name": "app", "version": "1.0-1"}]
    del ours["pumice-bundle.json"], theirs["pumice-bundle.json"]
    assert ours == theirs
    again = (*NOBODY, "--tree", str(tree), "bundle", "app", "-o", str(bundle))
    assert command(*again) == 0, command.output
    assert bundle.read_bytes() == from_tree.read_bytes() != first


@pytest.mark.peer
def test_a_rock_with_c_is_bundled_for_its_machine(command: Any, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "core.c").write_text(
        "#include <lua.h>\nint luaopen_core(lua_State *L) { lua_pushinteger(L, 42); return 1; }\n"
    )
    (project / "core-1.0-1.rockspec").write_text(
        'package = "core"\nversion = "1.0-1"\nsource = { url = "git://localhost/core" }\n'
        'build = { type = "builtin", modules = { core = "core.c" } }\n'
    )
    assert command("make", "--pack-binary-rock", cwd=project) == 0, command.output
    (rock,) = project.glob("*.rock")
    target = tmp_path / "core.tar.gz"
    assert command(*NOBODY, "bundle", str(rock), "-o", str(target)) == 0, command.output
    files = members(target)
    index = json.loads(files["pumice-bundle.json"])
    assert index["arch"].startswith("linux-")
    tree = tmp_path / "tree"
    assert command(*NOBODY, "--tree", str(tree), "install", str(target)) == 0, command.output
    program = f"package.cpath = '{tree}/lib/lua/5.1/?.so' print(require 'core')"
    done = subprocess.run(["luajit", "-e", program], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "42\n"
    index["arch"] = "linux-riscv64"
    rewritten(target, {**files, "pumice-bundle.json": json.dumps(index).encode()})
    assert command(*NOBODY, "--tree", str(tmp_path / "none"), "install", str(target)) == 1
    assert "is for Lua '5.1' and 'linux-riscv64'" in command.output


HOSTILE: dict[str, tuple[Callable[[dict[str, bytes]], object], str]] = {
    "a path out of it": (lambda files: files.update({"../evil": b"x"}), "is refused"),
    "an absolute path": (lambda files: files.update({"/tmp/evil": b"x"}), "is refused"),
    "another module": (lambda files: files.update({"share/lua/5.1/leaf.lua": b"os.exit()"}), "was changed"),
    "a command of another kind": (
        lambda files: files.update({f"{ROCKS}/app/1.0-1/bin/app": b"os.exit()"}),
        "was changed",
    ),
    "a lost module": (lambda files: files.pop("share/lua/5.1/leaf.lua"), "is missing"),
    "another rockspec": (
        lambda files: files.update(
            {
                f"{ROCKS}/leaf/2.0-1/leaf-2.0-1.rockspec": files[f"{ROCKS}/leaf/2.0-1/leaf-2.0-1.rockspec"]
                + b"hooks = { post_install = 'x' }\n"
            }
        ),
        "not the one that its rock_manifest lists",
    ),
    "a lost rock_manifest": (lambda files: files.pop(f"{ROCKS}/leaf/2.0-1/rock_manifest"), "rock_manifest"),
    "no index": (lambda files: files.pop("pumice-bundle.json"), "is no bundle"),
    "an endless index": (lambda files: files.update({"pumice-bundle.json": b"[" * 200_000}), "is no bundle"),
    "an index of something else": (
        lambda files: files.update({"pumice-bundle.json": b"[1]"}),
        "is no bundle",
    ),
}


def changed_index(**fields: object) -> Callable[[dict[str, bytes]], object]:
    """Changes fields of the index."""

    def change(files: dict[str, bytes]) -> None:
        index = {**json.loads(files["pumice-bundle.json"]), **fields}
        files["pumice-bundle.json"] = json.dumps(index).encode()

    return change


HOSTILE |= {
    "a later version": (changed_index(version=2), "of version '2', which this Pumice does not know"),
    "another Lua": (changed_index(lua_version="5.4\x1b[2J"), r"is for Lua '5.4\x1b[2J' and"),
    "a name that is a path": (changed_index(rocks=[{"name": "../../x", "version": "1.0-1"}]), "../../x"),
    "a rock that is not there": (changed_index(rocks=[{"name": "x", "version": "1.0-1"}]), "x 1.0-1"),
    "a rock twice": (changed_index(rocks=[{"name": "leaf", "version": "2.0-1"}] * 2), "given twice"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_or_damaged_bundle_is_refused(
    command: Any, bundle: Path, tmp_path: Path, kind: str
) -> None:
    change, words = HOSTILE[kind]
    files = members(bundle)
    change(files)
    rewritten(bundle, files)
    before = sorted(tmp_path.rglob("*"))
    assert command(*NOBODY, "--tree", str(tmp_path / "tree"), "install", str(bundle)) == 1, command.output
    assert words in command.output
    assert "Traceback" not in command.output
    after = [path for path in sorted(tmp_path.rglob("*")) if ".cache" not in path.parts]
    assert [path for path in after if path not in before] == []
    assert not Path("/tmp/evil").exists()


@pytest.mark.parametrize("words", [(), ("-o", "app.zip")])
def test_the_file_must_be_named_after_what_it_is(
    command: Any, rocks: dict[str, Path], words: tuple[str]
) -> None:
    assert command("bundle", str(rocks["leaf"]), *words) == 1
    assert "-o FILE.tar.gz" in command.output


def test_what_is_lacking_is_told_and_no_file_is_left(
    command: Any, rocks: dict[str, Path], tmp_path: Path
) -> None:
    target = tmp_path / "app.tar.gz"
    assert command(*NOBODY, "bundle", str(rocks["app"]), "-o", str(target)) == 1
    assert "stem" in command.output and not target.exists()
