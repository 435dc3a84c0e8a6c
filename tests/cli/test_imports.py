"""What the everyday commands load is counted: a new module on their start-up path fails here first."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
import sys
before = set(sys.modules)
from pumice.cli.main import main
code = main(sys.argv[1:])
sys.stderr.write("\\n".join(sorted(set(sys.modules) - before)))
raise SystemExit(code)
"""


COMMANDS = {
    "version": ("--version",),
    "list": ("list",),
    "show": ("show", "foo"),
    "which": ("which", "foo"),
    "path": ("path",),
    "make": ("make",),
    "pack": ("pack", "foo"),
    "install": ("install", "foo-1.0-1.all.rock"),
}

_ROCKSPEC = """
package = "foo"
version = "1.0-1"
source = { url = "http://localhost/foo.zip" }
description = { license = "MIT" }
dependencies = { "lua >= 5.1" }
build = { type = "builtin", modules = { foo = "foo.lua" } }
"""


def loaded(folder: Path, *words: str) -> set[str]:
    """The modules that a command loads beyond those of a bare interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, f"--tree={folder}/tree", *words],
        capture_output=True,
        text=True,
        cwd=folder,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin", "PUMICE_CACHE": str(folder / "cache")},
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # Cython puts its own version into a module's name.
    return {name for name in done.stderr.split() if not name.startswith("_cython_")}


@pytest.fixture(scope="module")
def project_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rock without commands, made once and packed, so that every command finds what it needs."""
    folder = tmp_path_factory.mktemp("imports")
    (folder / "foo-1.0-1.rockspec").write_text(_ROCKSPEC)
    (folder / "foo.lua").write_text("return 1\n")
    loaded(folder, "make")
    loaded(folder, "pack", "foo")
    # what is learnt of the machine's interpreters is learnt once
    loaded(folder, "path")
    return folder


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_loads_no_module_that_it_did_not_load_before(name: str, project_folder: Path) -> None:
    """A module that is truly needed is added to loaded_modules.json with the same care as a dependency."""
    allowed = json.loads((Path(__file__).parent / "loaded_modules.json").read_text())
    now = loaded(project_folder, *COMMANDS[name])
    assert sorted(now - set(allowed["every command"]) - set(allowed[name])) == []


def test_a_rock_of_lua_files_starts_no_process(project_folder: Path) -> None:
    """Neither the modules to start one are loaded, nor is one."""
    for name in ("make", "pack", "install"):
        now = loaded(project_folder, *COMMANDS[name])
        assert not now & {"subprocess", "_posixsubprocess", "multiprocessing"}
