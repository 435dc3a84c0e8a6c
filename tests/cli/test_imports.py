"""What the everyday commands load is counted: a new module on their start-up path fails here first.

`loaded_modules.json` was written down on Python 3.11. What the standard library's modules load among themselves
differs from one Python to the next, so on others only those of it count that are known to cost a start; modules
of Pumice and of third parties count everywhere.
"""

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

# fmt: off
COSTLY = {
    "argparse", "ast", "asyncio", "base64", "bz2", "collections", "concurrent", "configparser",
    "contextlib", "copy", "csv", "ctypes", "dataclasses", "datetime", "decimal", "difflib", "dis",
    "email", "enum", "fnmatch", "functools", "getpass", "gettext", "glob", "gzip", "hashlib", "heapq",
    "hmac", "html", "http", "importlib", "inspect", "json", "linecache", "locale", "logging", "lzma",
    "multiprocessing", "numbers", "optparse", "pathlib", "pickle", "pkgutil", "platform", "pprint",
    "queue", "random", "re", "secrets", "select", "selectors", "shlex", "shutil", "signal", "socket",
    "sqlite3", "ssl", "statistics", "string", "subprocess", "tarfile", "tempfile", "textwrap",
    "threading", "tokenize", "tomllib", "traceback", "typing", "unicodedata", "unittest", "urllib",
    "uuid", "warnings", "weakref", "xml", "zipfile",
}
# fmt: on
"""What takes half a millisecond or more, or brings such a module with it; submodules count as their package."""

RECORDED_ON = (3, 11)

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


def counted(name: str, version: tuple[int, ...] = sys.version_info[:2]) -> bool:
    """Whether this Python may not load the module unless it is written down."""
    package = name.partition(".")[0]
    return version == RECORDED_ON or package not in sys.stdlib_module_names or package in COSTLY


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
    new = now - set(allowed["every command"]) - set(allowed[name])
    assert sorted(filter(counted, new)) == []


def test_another_python_may_load_its_own_small_modules_but_no_costly_one() -> None:
    names = ["pumice.x", "lupa.lua55", "requests", "typing", "json.decoder", "_typing", "types", "zlib"]
    assert [name for name in names if counted(name, (3, 14))] == names[:5]
    assert [name for name in names if counted(name, (3, 11))] == names


def test_a_rock_of_lua_files_starts_no_process(project_folder: Path) -> None:
    """Neither the modules to start one are loaded, nor is one."""
    for name in ("make", "pack", "install"):
        now = loaded(project_folder, *COMMANDS[name])
        assert not now & {"subprocess", "_posixsubprocess", "multiprocessing"}
