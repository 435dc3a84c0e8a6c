"""The interpreter that Pumice finds is the one that LuaRocks finds; nothing is run twice."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pumice.base.config import Config, TreeSpec
from pumice.errors import BuildError
from pumice.lua import interpreter as module
from pumice.lua.interpreter import find_in_prefix, find_interpreter, require_interpreter

TREE = TreeSpec("", "/t", "/t/bin", "/t/share/lua/5.1", "/t/lib/lua/5.1", "/t/lib/luarocks/rocks-5.1")


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Config]:
    """A configuration by Lua version, PATH and variables."""

    def make(version: str = "5.1", path: str = "", **variables: str) -> Config:
        return Config(
            lua_version=version,
            tree=TREE,
            trees=(TREE,),
            arch="linux-x86_64",
            platforms=("unix", "linux"),
            variables=variables,
            home="/nowhere",
            sysconfdir="/nowhere",
            cache_dir=str(tmp_path / "cache"),
            cwd="/",
            environment={"PATH": path},
        )

    return make


@pytest.fixture
def lua(tmp_path: Path) -> Callable[..., Path]:
    """A pretended interpreter that answers with a version and leaves a mark each time that it is run."""

    def make(name: str, answer: str = "Lua 5.1\\tnil", head: str = "") -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/bin/sh\n{head}\necho x >> {file}.runs\nprintf '{answer}'\n", encoding="utf-8")
        file.chmod(0o755)
        return file

    return make


def _runs(file: Path) -> int:
    mark = Path(f"{file}.runs")
    return len(mark.read_text(encoding="utf-8").splitlines()) if mark.exists() else 0


def test_no_interpreter_is_no_error(config: Callable[..., Config], tmp_path: Path) -> None:
    assert find_interpreter(config(path=str(tmp_path))) is None


def test_an_interpreter_that_is_needed_is_an_error_with_the_way_to_name_it(
    config: Callable[..., Config], tmp_path: Path
) -> None:
    with pytest.raises(BuildError, match=r"Could not find Lua 5\.3 in PATH") as caught:
        require_interpreter(config("5.3", str(tmp_path)))
    assert "--lua-dir" in caught.value.hint


def test_names_are_tried_in_the_order_of_luarocks(
    config: Callable[..., Config], lua: Callable[..., Path], tmp_path: Path
) -> None:
    order = ["lua5.1", "lua51", "lua-5.1", "lua-51", "luajit", "lua"]
    files = {name: lua(f"p/bin/{name}") for name in order}
    for name in order:
        found = find_interpreter(config(path=str(tmp_path / "p/bin")))
        assert found is not None
        assert (os.path.basename(found.path), found.prefix) == (name, str(tmp_path / "p"))
        assert found.bin_dir == str(tmp_path / "p/bin")
        files[name].unlink()


def test_luajit_is_tried_for_5_1_only(
    config: Callable[..., Config], lua: Callable[..., Path], tmp_path: Path
) -> None:
    lua("p/bin/luajit", "Lua 5.1\\tLuaJIT 2.1.0-beta3")
    found = find_interpreter(config(path=str(tmp_path / "p/bin")))
    assert found is not None
    assert found.luajit_version == "2.1.0-beta3"
    assert find_interpreter(config("5.4", str(tmp_path / "p/bin"))) is None


def test_a_candidate_of_another_version_is_passed_over(
    config: Callable[..., Config], lua: Callable[..., Path], tmp_path: Path
) -> None:
    lua("a/bin/lua", "Lua 5.2\\tnil")
    right = lua("b/bin/lua", "Lua 5.3\\tnil")
    found = find_interpreter(config("5.3", f"{tmp_path}/a/bin:{tmp_path}/b/bin"))
    assert found is not None
    assert found.path == str(right)


def test_a_wrapper_of_luarocks_is_passed_over_and_not_run(
    config: Callable[..., Config], lua: Callable[..., Path], tmp_path: Path
) -> None:
    wrapper = lua("p/bin/lua5.1", head="export LUAROCKS_SYSCONFDIR=/etc/luarocks")
    lua("p/bin/lua")
    found = find_interpreter(config(path=str(tmp_path / "p/bin")))
    assert found is not None
    assert found.path.endswith("/lua")
    assert _runs(wrapper) == 0


def test_what_cannot_be_run_is_passed_over(
    config: Callable[..., Config], lua: Callable[..., Path], tmp_path: Path
) -> None:
    lua("p/bin/lua5.1").chmod(0o644)
    lua("p/bin/lua51", "nonsense")
    (tmp_path / "p/bin/lua-5.1").mkdir()
    assert find_interpreter(config(path=str(tmp_path / "p/bin"))) is None


def test_an_interpreter_is_asked_once_until_it_changes(
    config: Callable[..., Config], lua: Callable[..., Path], tmp_path: Path
) -> None:
    file = lua("p/bin/lua")
    for _ in range(3):
        assert find_interpreter(config(path=str(tmp_path / "p/bin"))) is not None
    assert _runs(file) == 1
    lua("p/bin/lua", "Lua 5.4\\tnil")
    assert find_interpreter(config(path=str(tmp_path / "p/bin"))) is None
    assert find_interpreter(config("5.4", str(tmp_path / "p/bin"))) is not None
    assert _runs(file) == 2


def test_a_cache_that_cannot_be_written_or_read_does_not_matter(
    config: Callable[..., Config], lua: Callable[..., Path], tmp_path: Path
) -> None:
    file = lua("p/bin/lua")
    (tmp_path / "cache").write_text("a file where the directory should be", encoding="utf-8")
    assert find_interpreter(config(path=str(tmp_path / "p/bin"))) is not None
    (tmp_path / "cache").unlink()
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/interpreters").write_bytes(b"\xff\n\n\t\t\t\t\t\n")
    assert find_interpreter(config(path=str(tmp_path / "p/bin"))) is not None
    assert _runs(file) == 2


def test_a_named_interpreter_is_taken(
    config: Callable[..., Config], lua: Callable[..., Path], tmp_path: Path
) -> None:
    file = lua("odd/place/moon", "Lua 5.1\\tLuaJIT 2.0.5")
    found = find_interpreter(config(LUA=str(file)))
    assert found is not None
    assert (found.path, found.luajit_version, found.prefix) == (str(file), "2.0.5", str(file.parent))
    named = find_interpreter(config(path=str(file.parent), LUA="moon"))
    assert named is not None
    assert named.path == str(file)
    assert find_interpreter(config(LUA=str(tmp_path / "absent"))) is None


def test_lua_dir_and_lua_bindir_are_searched_instead_of_path(
    config: Callable[..., Config], lua: Callable[..., Path], tmp_path: Path
) -> None:
    lua("path/bin/lua5.1")
    below = lua("own/bin/lua")
    path = str(tmp_path / "path/bin")
    by_dir = find_interpreter(config(path=path, LUA_DIR=str(tmp_path / "own")))
    by_bin = find_interpreter(config(path=path, LUA_BINDIR=str(tmp_path / "own/bin")))
    assert by_dir is not None
    assert by_dir == by_bin
    assert by_dir.path == str(below)


def test_without_a_version_the_newest_in_the_prefix_is_found(
    lua: Callable[..., Path], tmp_path: Path
) -> None:
    lua("p/bin/lua5.1")
    lua("p/bin/lua5.3", "Lua 5.3\\tnil")
    found = find_in_prefix(str(tmp_path / "p"), None, cache_dir=str(tmp_path / "cache"), environment={})
    assert found is not None
    assert found.version == "5.3"


@pytest.mark.peer
@pytest.mark.parametrize("version", ["5.1", "5.2", "5.3", "5.4"])
def test_a_real_interpreter_is_found_without_being_run(
    config: Callable[..., Config], version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module._Knowledge, "_ask", lambda *_: pytest.fail("it was run"))
    found = find_interpreter(config(version, "/usr/local/bin:/usr/bin"))
    assert found is not None
    assert (found.path, found.version, found.prefix) == (f"/usr/bin/lua{version}", version, "/usr")


@pytest.mark.peer
@pytest.mark.parametrize("version", ["5.1", "5.2", "5.3", "5.4"])
@pytest.mark.parametrize("kind", ["plain", "generic", "prefix", "first on path"])
def test_the_interpreter_is_the_one_of_luarocks(
    config: Callable[..., Config], version: str, kind: str, tmp_path: Path
) -> None:
    """The oracle's own lookup, in the same places."""
    prefix = tmp_path / "prefix"
    (prefix / "bin").mkdir(parents=True)
    names = {"plain": f"lua{version}", "generic": "lua", "prefix": f"lua-{version}", "first on path": "lua"}
    os.symlink(f"/usr/bin/lua{version}", prefix / "bin" / names[kind])
    if kind == "first on path":
        os.symlink("/usr/bin/lua5.3" if version == "5.1" else "/usr/bin/lua5.1", prefix / "bin/lua5.9")
    path = f"{prefix}/bin:/usr/bin:/bin"
    script = (
        'package.path="/usr/share/lua/5.1/?.lua;"..package.path '
        'local cfg=require("luarocks.core.cfg") cfg.init() local util=require("luarocks.util") '
        f'local found=util.find_lua("{prefix}","{version}") '
        "io.write(found.lua_bindir.. '/' ..found.lua_interpreter)"
    )
    lua = shutil.which("lua5.1")
    assert lua is not None
    real = subprocess.run([lua, "-e", script], capture_output=True, text=True, check=True, timeout=60)
    found = find_interpreter(config(version, path))
    assert found is not None
    assert found.path == real.stdout
    assert found.version == version


@pytest.mark.peer
def test_luajit_is_known_by_its_version(config: Callable[..., Config], tmp_path: Path) -> None:
    luajit = shutil.which("luajit")
    assert luajit is not None
    (tmp_path / "bin").mkdir()
    os.symlink(luajit, tmp_path / "bin/luajit")
    found = find_interpreter(config("5.1", str(tmp_path / "bin")))
    assert found is not None
    asked = subprocess.run(
        [luajit, "-e", "io.write(jit.version)"], capture_output=True, text=True, check=True
    )
    assert asked.stdout == f"LuaJIT {found.luajit_version}"
