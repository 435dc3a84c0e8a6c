"""What Pumice makes or installs, LuaRocks lists, shows, packs and removes; and the reverse."""

import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
Snapshot = Callable[[Path], dict[str, tuple[int, str]]]

pytestmark = pytest.mark.peer


def without_wrappers(found: dict[str, tuple[int, str]]) -> dict[str, tuple[int, str]]:
    """LuaRocks 3.8 wraps what Lua can compile, Pumice what is Lua by its first line too; here both agree."""
    return {path: entry for path, entry in found.items() if not path.startswith(".pumice")}


def test_make_gives_the_same_tree(
    rock_source: Path, tree: Path, luarocks: Run, pumice: Run, snapshot: Snapshot
) -> None:
    """Files, modes, wrappers, rock_manifest and manifest, byte for byte."""
    luarocks("make", cwd=rock_source)
    expected = snapshot(tree)
    shutil.rmtree(tree)
    pumice("make", cwd=rock_source)
    assert expected == snapshot(tree)


def test_luarocks_uses_what_pumice_made(
    rock_source: Path, name_version: tuple[str, str], tree: Path, luarocks: Run, pumice: Run, tmp_path: Path
) -> None:
    name, version = name_version
    pumice("make", cwd=rock_source)
    assert f"{name}\t{version}\tinstalled" in luarocks("list", "--porcelain").stdout
    shown = luarocks("show", name)
    assert f"{version} - " in shown.stdout
    modules = luarocks("show", name, "--modules").stdout.split()
    assert modules
    # Its `which` knows the rocks of configured trees only, whatever --tree says.
    config = tmp_path / "config.lua"
    config.write_text(f'rocks_trees = {{ {{ name = "it", root = "{tree}" }} }}\n')
    for module in modules:
        told = luarocks("which", module, environment={"LUAROCKS_CONFIG": str(config)}).stdout
        assert told.endswith(f"(provided by {name} {version})\n")
        assert told == pumice("which", module).stdout
    packed = luarocks("pack", name, version, cwd=tmp_path).stdout
    assert f"Packed: {tmp_path}/{name}-{version}." in packed
    luarocks("remove", name)
    left = [path for path in tree.rglob("*") if path.is_file() and path.name != "manifest"]
    assert left == []


def test_pumice_uses_what_luarocks_made(
    rock_source: Path, name_version: tuple[str, str], tree: Path, luarocks: Run, pumice: Run, tmp_path: Path
) -> None:
    name, version = name_version
    luarocks("make", cwd=rock_source)
    assert luarocks("list", "--porcelain").stdout == pumice("list", "--porcelain").stdout
    assert luarocks("list").stdout == pumice("list").stdout
    for flag in (
        "--modules",
        "--rockspec",
        "--mversion",
        "--rock-tree",
        "--rock-dir",
        "--rock-license",
        "--deps",
    ):
        assert luarocks("show", name, flag).stdout == pumice("show", name, flag).stdout
    packed = pumice("pack", name, version, cwd=tmp_path).stdout
    assert packed.startswith(f"Packed: {tmp_path}/{name}-{version}.")
    pumice("remove", name)
    left = [path for path in tree.rglob("*") if path.is_file() and path.name != "manifest"]
    assert left == []


def test_a_rock_packed_by_either_installs_with_the_other(
    rock_source: Path,
    name_version: tuple[str, str],
    tree: Path,
    luarocks: Run,
    pumice: Run,
    tmp_path: Path,
    snapshot: Snapshot,
) -> None:
    """Both packed rocks give the tree that LuaRocks itself makes of its own rock."""
    name, version = name_version
    rocks = {}
    luarocks("make", cwd=rock_source)
    for run, who in ((luarocks, "luarocks"), (pumice, "pumice")):
        folder = tmp_path / who
        folder.mkdir()
        run("pack", name, version, cwd=folder)
        (rocks[who],) = folder.glob("*.rock")
    # LuaRocks names a rock with a script after the machine (B3); both kinds install everywhere.
    shutil.rmtree(tree)
    luarocks("install", str(rocks["luarocks"]))
    expected = snapshot(tree)
    for run, rock in ((pumice, rocks["luarocks"]), (luarocks, rocks["pumice"]), (pumice, rocks["pumice"])):
        shutil.rmtree(tree)
        run("install", str(rock))
        assert expected == snapshot(tree)


def test_two_versions_live_side_by_side(
    template: Path, tree: Path, luarocks: Run, pumice: Run, tmp_path: Path, snapshot: Snapshot
) -> None:
    """`--keep`: the newer version has the plain names, the older one its versioned names, for both programs."""
    second = tmp_path / "second"
    shutil.copytree(template, second)
    (old,) = second.glob("*.rockspec")
    text = old.read_text().replace('package_version = "0.1.0"', 'package_version = "0.2.0"')
    old.unlink()
    (second / "kong-plugin-myplugin-0.2.0-1.rockspec").write_text(text)
    (second / "kong/plugins/myplugin/handler.lua").write_text("return { PRIORITY = 1, VERSION = '0.2.0' }\n")

    def install(run: Run, newest_first: bool) -> None:
        for folder in (second, template) if newest_first else (template, second):
            run("make", "--keep", cwd=folder)

    for newest_first in (False, True):
        install(luarocks, newest_first)
        expected = snapshot(tree)
        shutil.rmtree(tree)
        install(pumice, newest_first)
        assert expected == snapshot(tree)
        # each side removes one version of what the other made
        luarocks("remove", "kong-plugin-myplugin", "0.2.0-1")
        after_luarocks = snapshot(tree)
        shutil.rmtree(tree)
        install(luarocks, newest_first)
        pumice("remove", "kong-plugin-myplugin", "0.2.0-1")
        assert after_luarocks == snapshot(tree)
        shutil.rmtree(tree)


def test_pumice_removes_over_luarocks_and_installs_over_it(
    rock_source: Path, tree: Path, luarocks: Run, pumice: Run, snapshot: Snapshot
) -> None:
    """The same rock made over an existing one leaves one whole tree, whoever came first."""
    luarocks("make", cwd=rock_source)
    expected = snapshot(tree)
    pumice("make", cwd=rock_source)
    assert expected == snapshot(tree)
    luarocks("make", cwd=rock_source)
    assert expected == snapshot(tree)


HOLLOW = """
package = "hollow" version = "VERSION" source = { url = "git://localhost/hollow" }
build = { type = "builtin", modules = { hollow = "hollow.lua" }, copy_directories = { "data", "spare" } }
"""


def hollow(folder: Path, version: str, *directories: str) -> Path:
    folder.mkdir()
    (folder / "hollow.lua").write_text("return 1\n")
    (folder / f"hollow-{version}.rockspec").write_text(HOLLOW.replace("VERSION", version))
    for each in ("data", "spare", *directories):
        (folder / each).mkdir(parents=True, exist_ok=True)
    return folder


def test_empty_directories_are_kept_and_go_with_their_rock(
    tmp_path: Path, tree: Path, luarocks: Run, pumice: Run, snapshot: Snapshot
) -> None:
    """Also the copied directory itself; an upgrade has those of the new version alone."""
    first = hollow(tmp_path / "first", "1.0-1", "data/a/b", "data/c", "data/.hidden")
    second = hollow(tmp_path / "second", "2.0-1", "data/a", "data/c/.deep")
    (second / "data/.top").mkdir()
    seen = {}
    for name, run in (("luarocks", luarocks), ("pumice", pumice)):
        seen[name] = []
        for source in (first, second, first):
            run("make", cwd=source)
            seen[name].append(snapshot(tree))
        run("pack", "hollow", "1.0-1", cwd=tmp_path)
        run("remove", "hollow")
        left = [path for path in tree.rglob("*") if path.is_file()]
        assert [path.name for path in left] == ["manifest"]
        assert not (tree / "lib/luarocks/rocks-5.1/hollow").exists()
        run("install", str(tmp_path / "hollow-1.0-1.all.rock"))
        seen[name].append(snapshot(tree))
        shutil.rmtree(tree)
    assert seen["luarocks"] == seen["pumice"]
    rock = "lib/luarocks/rocks-5.1/hollow/1.0-1"
    assert {f"{rock}/data/a/b", f"{rock}/data/c", f"{rock}/spare"} <= set(seen["pumice"][0])
    assert seen["pumice"][3] == seen["pumice"][0]


def test_a_rock_with_empty_directories_is_packed_for_either(
    tmp_path: Path, tree: Path, luarocks: Run, pumice: Run, snapshot: Snapshot
) -> None:
    pumice("make", cwd=hollow(tmp_path / "first", "1.0-1", "data/a/b"))
    before = snapshot(tree)
    for packer, installer in ((pumice, luarocks), (luarocks, pumice)):
        packer("pack", "hollow", "1.0-1", cwd=tmp_path)
        shutil.rmtree(tree)
        installer("install", str(tmp_path / "hollow-1.0-1.all.rock"))
        assert before == snapshot(tree)


def test_directories_in_a_rock_file_are_made(
    tmp_path: Path, tree: Path, luarocks: Run, pumice: Run, snapshot: Snapshot
) -> None:
    """Though its rock_manifest, which Pumice writes anew, tells nothing of them."""
    folder = hollow(tmp_path / "first", "1.0-1")
    for name in ("data", "spare"):
        (folder / name / "file").write_text(name)
    pumice("make", cwd=folder)
    pumice("pack", "hollow", "1.0-1", cwd=tmp_path)
    rock = tmp_path / "hollow-1.0-1.all.rock"
    with zipfile.ZipFile(rock, "a") as archive:
        for name in ("data/", "data/x/", "data/x/y/"):
            member = zipfile.ZipInfo(name)
            member.external_attr = 0o40755 << 16
            archive.writestr(member, b"")
    seen = []
    for run in (luarocks, pumice):
        shutil.rmtree(tree)
        run("install", str(rock))
        seen.append(snapshot(tree))
    assert "lib/luarocks/rocks-5.1/hollow/1.0-1/data/x/y" in seen[1]
    for each in seen:
        del each["lib/luarocks/rocks-5.1/hollow/1.0-1/rock_manifest"]
    assert seen[0] == seen[1]
