"""Real peers: LuaRocks, LuaJIT and nginx beside Pumice, on the same rocks and the same tree path."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home directory of the test's own."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    """What both programs run in."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "HOME": str(home), "PUMICE_CACHE": str(home / "cache"), "LC_ALL": "C.UTF-8"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Where both programs install, one after the other."""
    return tmp_path / "tree"


def _runner(command: list[str], environment: dict[str, str], tree: Path) -> Run:
    given = environment

    def run(
        *words: str, cwd: Path | None = None, fails: bool = False, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*command, f"--tree={tree}", *words],
            cwd=cwd or tree.parent,
            env=given | (environment or {}),
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
        )
        if fails:
            assert done.returncode != 0, done.stdout + done.stderr
        else:
            assert done.returncode == 0, f"{command[-1]} {words}: {done.stdout}\n{done.stderr}"
        return done

    return run


@pytest.fixture
def luarocks(environment: dict[str, str], tree: Path) -> Run:
    """The real LuaRocks on the tree."""
    assert shutil.which("luarocks"), "the real luarocks is missing: scripts/setup dev installs it"
    return _runner(["luarocks"], environment, tree)


@pytest.fixture
def pumice(environment: dict[str, str], tree: Path) -> Run:
    """Pumice on the tree."""
    return _runner([sys.executable, "-m", "pumice"], environment, tree)


Snapshot = Callable[[Path], dict[str, tuple[int, str]]]


@pytest.fixture
def snapshot() -> Snapshot:
    """Every file and directory below a path, with its mode and the digest of its bytes."""

    def take(folder: Path) -> dict[str, tuple[int, str]]:
        found = {}
        for path in sorted(folder.rglob("*")):
            mode = path.lstat().st_mode
            digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "directory"
            found[str(path.relative_to(folder))] = (mode, digest)
        return found

    return take


Source = Callable[[], Path]

_RICH_C = """
#include <lua.h>
#include <lauxlib.h>
static int answer(lua_State *L) { lua_pushinteger(L, 42); return 1; }
int luaopen_rich_core(lua_State *L) { lua_newtable(L); lua_pushcfunction(L, answer); lua_setfield(L, -2, "answer"); return 1; }
"""


def _write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def rich(tmp_path: Path) -> Path:
    """A rock with C modules, commands, conf, docs, copied directories, and modules of every kind."""
    return _write(
        tmp_path / "rich",
        {
            "rich-1.2-3.rockspec": """
package = "rich"
version = "1.2-3"
source = { url = "git://localhost/rich" }
description = { summary = "A rock with everything", license = "MIT", homepage = "http://localhost/rich",
   detailed = [[ More than one line
   of text, which is joined and broken again by `show` since it is really quite long for one line. ]] }
dependencies = { "lua >= 5.1" }
build = {
   type = "builtin",
   modules = {
      ["rich"] = "src/rich/init.lua",
      ["rich.util"] = "src/rich/util.lua",
      ["rich.core"] = { sources = { "src/core.c" } },
   },
   install = {
      bin = { "bin/rich", ["rich-sh"] = "bin/tool.sh" },
      conf = { "etc/rich.conf" },
      lua = { ["rich.data.words"] = "data/words.txt" },
   },
   copy_directories = { "doc", "samples" },
}
""",
            "src/rich/init.lua": 'return { util = require "rich.util", core = require "rich.core" }\n',
            "src/rich/util.lua": "return { twice = function(x) return 2 * x end }\n",
            "src/core.c": _RICH_C,
            "bin/rich": '#!/usr/bin/env lua\nprint(require "rich".util.twice(21))\n',
            "bin/tool.sh": "#!/bin/sh\necho tool\n",
            "etc/rich.conf": "a = 1\n",
            "data/words.txt": "one\ntwo\n",
            "doc/manual.md": "# Manual\n",
            "samples/deep/one.lua": "print(1)\n",
        },
    )


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A plugin whose rockspec is written as Kong's template writes it: locals and concatenation."""
    return _write(
        tmp_path / "template",
        {
            "kong-plugin-myplugin-0.1.0-1.rockspec": """
local plugin_name = "myplugin"
local package_name = "kong-plugin-" .. plugin_name
local package_version = "0.1.0"
local rockspec_revision = "1"
local github_account_name = "Kong"
local git_checkout = package_version == "dev" and "master" or package_version

package = package_name
version = package_version .. "-" .. rockspec_revision
supported_platforms = { "linux", "macosx" }
source = {
  url = "git+https://github.com/"..github_account_name.."/"..package_name..".git",
  branch = git_checkout,
}
description = { summary = "A plugin", homepage = "https://localhost", license = "Apache 2.0" }
dependencies = { }
build = {
  type = "builtin",
  modules = {
    ["kong.plugins."..plugin_name..".handler"] = "kong/plugins/"..plugin_name.."/handler.lua",
    ["kong.plugins."..plugin_name..".schema"] = "kong/plugins/"..plugin_name.."/schema.lua",
  }
}
""",
            "kong/plugins/myplugin/handler.lua": "return { PRIORITY = 1000, VERSION = '0.1.0', access = function() end }\n",
            "kong/plugins/myplugin/schema.lua": 'return { name = "myplugin", fields = { { config = { type = "record", fields = {} } } } }\n',
            "README.md": "# Plugin\n",
            "LICENSE": "text\n",
        },
    )


@pytest.fixture
def example(project: Path, tmp_path: Path) -> Path:
    """A copy of the example plugin."""
    target = tmp_path / "example"
    shutil.copytree(
        project / "examples" / "kong-plugin-request-stamp", target, ignore=shutil.ignore_patterns(".pumice")
    )
    return target


@pytest.fixture(params=["example", "template", "rich"])
def rock_source(request: pytest.FixtureRequest) -> Path:
    """Each of the rocks in turn: a directory with one rockspec."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Path)
    return found


@pytest.fixture
def name_version(rock_source: Path) -> tuple[str, str]:
    """The name and version of `rock_source`."""
    (rockspec,) = rock_source.glob("*.rockspec")
    name, version, revision = rockspec.stem.rsplit("-", 2)
    return name, f"{version}-{revision}"


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Callable[[str], tuple[int, Path]]]:
    """Starts nginx with a configuration that has PORT in it; gives the port and its directory. Stopped at the end."""
    import socket
    import time

    started: list[subprocess.Popen[bytes]] = []

    def start(configuration: str) -> tuple[int, Path]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        folder = tmp_path / f"nginx-{port}"
        (folder / "logs").mkdir(parents=True)
        path = folder / "nginx.conf"
        path.write_text(configuration.replace("PORT", str(port)))
        with open(folder / "stderr", "wb") as errors:
            process = subprocess.Popen(
                ["/usr/sbin/nginx", "-p", str(folder), "-c", str(path), "-g", "daemon off;"],
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
        started.append(process)
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return port, folder
            assert process.poll() is None, (folder / "stderr").read_text()
            time.sleep(0.05)
        raise AssertionError("nginx did not start: " + (folder / "stderr").read_text())

    yield start
    for process in started:
        process.terminate()
        process.wait(10)
