"""Source rocks and rockspecs: packed, built and unpacked as LuaRocks does."""

import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
Snapshot = Callable[[Path], dict[str, tuple[int, str]]]

pytestmark = pytest.mark.peer

_ROCKSPEC = """
package = "Sourced"
version = "1.0-1"
source = { url = "file://ARCHIVE" }
description = { license = "MIT" }
build = {
   type = "builtin",
   modules = { ["sourced"] = "sourced.lua" },
   patches = { ["fix.diff"] = [[
--- sourced-1.0/sourced.lua
+++ sourced-1.0/sourced.lua
@@ -1,2 +1,2 @@
-return "before"
+return "after"
 -- end
]] },
}
"""


@pytest.fixture
def rockspec(tmp_path: Path) -> Path:
    """A rockspec with a local archive and a patch."""
    folder = tmp_path / "sourced-1.0"
    folder.mkdir()
    (folder / "sourced.lua").write_text('return "before"\n-- end\n')
    (folder / "README.md").write_text("# Sourced\n")
    archive = tmp_path / "files" / "sourced-1.0.tar.gz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, "sourced-1.0")
    shutil.rmtree(folder)
    path = tmp_path / "sourced-1.0-1.rockspec"
    path.write_text(_ROCKSPEC.replace("ARCHIVE", str(archive)))
    return path


def test_a_source_rock_of_either_is_installed_by_the_other(
    rockspec: Path, tree: Path, tmp_path: Path, luarocks: Run, pumice: Run, snapshot: Snapshot
) -> None:
    trees = []
    for packer, installer in ((luarocks, pumice), (pumice, luarocks)):
        folder = tmp_path / f"work{len(trees)}"
        folder.mkdir()
        packer("pack", str(rockspec), cwd=folder)
        rock = folder / "sourced-1.0-1.src.rock"
        installer("install", str(rock), cwd=folder)
        assert (tree / "share/lua/5.1/sourced.lua").read_text() == 'return "after"\n-- end\n'
        trees.append(snapshot(tree))
        shutil.rmtree(tree)
    assert trees[0] == trees[1]


def test_a_rockspec_is_built_from_the_sources_that_it_names(
    rockspec: Path, tree: Path, pumice: Run, tmp_path: Path
) -> None:
    """Nothing is left beside the archive (B14)."""
    before = sorted((tmp_path / "files").iterdir())
    pumice("install", str(rockspec))
    assert (tree / "share/lua/5.1/sourced.lua").read_text() == 'return "after"\n-- end\n'
    assert before == sorted((tmp_path / "files").iterdir())


def test_a_source_rock_unpacks_as_luarocks_unpacks_it(
    rockspec: Path, tmp_path: Path, luarocks: Run, pumice: Run
) -> None:
    pumice("pack", str(rockspec), cwd=tmp_path)
    found = []
    for run in (luarocks, pumice):
        done = run("unpack", "sourced-1.0-1.src.rock", cwd=tmp_path)
        assert "and type 'luarocks make' to build." in done.stdout
        folder = tmp_path / "sourced-1.0-1"
        names = {
            str(path.relative_to(folder)): path.is_dir() or path.read_bytes() for path in folder.rglob("*")
        }
        # What LuaRocks leaves of its own work (a .tar, marks of patching) stays out of the comparison.
        found.append(
            {
                name: data
                for name, data in names.items()
                if not name.endswith((".applied", "fix.diff", ".tar"))
            }
        )
        shutil.rmtree(folder)
    assert found[0] == found[1]


def test_unpacking_over_a_directory_needs_force(rockspec: Path, tmp_path: Path, pumice: Run) -> None:
    pumice("unpack", str(rockspec), cwd=tmp_path)
    refused = pumice("unpack", str(rockspec), cwd=tmp_path, fails=True)
    assert "Error: Directory sourced-1.0-1 already exists." in refused.stderr
    pumice("unpack", "--force", str(rockspec), cwd=tmp_path)


def test_an_unpacked_binary_rock_has_the_rocks_own_files(template: Path, tmp_path: Path, pumice: Run) -> None:
    pumice("make", "--pack-binary-rock", cwd=template)
    rock = template / "kong-plugin-myplugin-0.1.0-1.all.rock"
    pumice("unpack", str(rock), cwd=tmp_path)
    folder = tmp_path / "kong-plugin-myplugin-0.1.0-1"
    assert (folder / "lua/kong/plugins/myplugin/handler.lua").is_file()
    assert (folder / "rock_manifest").is_file()


@pytest.mark.parametrize("who", ["pumice", "luarocks"])
def test_another_branch_is_built_if_asked(
    request: pytest.FixtureRequest, who: str, tmp_path: Path, tree: Path
) -> None:
    repository = tmp_path / "branched"
    repository.mkdir()
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q", "-b", "main"], ["checkout", "-q", "-b", "side"]):
        subprocess.run([*git, *words], cwd=repository, check=True, timeout=60)
        (repository / "branched.lua").write_text(f"return '{words[-1]}'\n")
        subprocess.run([*git, "add", "-A"], cwd=repository, check=True, timeout=60)
        subprocess.run([*git, "commit", "-qm", "x"], cwd=repository, check=True, timeout=60)
    text = f'package = "branched" version = "1.0-1" source = {{ url = "git+file://{repository}", branch = "main" }}'
    text += ' build = { type = "builtin", modules = { branched = "branched.lua" } }'
    path = tmp_path / "branched-1.0-1.rockspec"
    path.write_text(text)
    for branch in ("main", "side"):
        request.getfixturevalue(who)("build", *([] if branch == "main" else ["--branch=side"]), str(path))
        assert (tree / "share/lua/5.1/branched.lua").read_text() == f"return '{branch}'\n"


def test_a_source_directory_that_is_not_in_the_archive_leaves_no_rock(
    rockspec: Path, tmp_path: Path, pumice: Run
) -> None:
    text = rockspec.read_text().replace('gz" }', 'gz", dir = "nosuch" }')
    rockspec.write_text(text)
    refused = pumice("pack", str(rockspec), cwd=tmp_path, fails=True)
    assert "Directory nosuch not found" in refused.stderr
    assert not list(tmp_path.glob("*.rock"))
