"""What a rock needs to be built is there while it is built, and installed with it; LuaRocks does the same."""

import os
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.peer


def _rockspec(name: str, version: str, url: str, build: str, needs: str = "", tools: str = "") -> str:
    return (
        f'rockspec_format = "3.0"\npackage = "{name}"\nversion = "{version}"\nsource = {{ url = "{url}" }}\n'
        f"dependencies = {{ {needs} }}\nbuild_dependencies = {{ {tools} }}\nbuild = {{ {build} }}\n"
    )


def _rock(folder: Path, name: str, files: dict[str, str], needs: str = "") -> None:
    """A binary rock on the server."""
    rockspec = _rockspec(name, "1.0-1", "http://localhost/x.zip", 'type = "builtin", modules = {}', needs)
    sections = {"lua": [], "bin": []}
    with zipfile.ZipFile(folder / f"{name}-1.0-1.all.rock", "w") as rock:
        rock.writestr(f"{name}-1.0-1.rockspec", rockspec)
        for path, text in files.items():
            rock.writestr(path, text)
            sections[path.split("/")[0]].append(path)
    (folder / f"{name}-1.0-1.rockspec").write_text(rockspec)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`leaf` is made by the command of `maker`, which needs the module of `words`; `tip` is made with `leaf`."""
    folder = tmp_path / "server"
    folder.mkdir()
    _rock(folder, "words", {"lua/words.lua": "return 'made'\n"})
    script = "#!/usr/bin/env lua\nlocal f = io.open(arg[1], 'w') f:write('return [['..require 'words'..']]\\n') f:close()\n"
    _rock(folder, "maker", {"bin/maker": script, "lua/maker.lua": "return {}\n"}, '"words"')
    with tarfile.open(tmp_path / "leaf.tar.gz", "w:gz") as tar:
        (tmp_path / "README").write_text("nothing")
        tar.add(tmp_path / "README", "leaf/README")
    url = f"file://{tmp_path}/leaf.tar.gz"
    build = 'type = "command", build_command = "maker leaf.lua", install = { lua = { leaf = "leaf.lua" } }'
    (folder / "leaf-1.0-1.rockspec").write_text(_rockspec("leaf", "1.0-1", url, build, "", '"maker"'))
    check = "$(LUA) -e 'assert(require([[leaf]]) == [[made]])' && cp README tip.lua"
    build = f'type = "command", build_command = "{check}", install = {{ lua = {{ tip = "tip.lua" }} }}'
    (folder / "tip-1.0-1.rockspec").write_text(_rockspec("tip", "1.0-1", url, build, '"words"', '"leaf"'))
    words = ["luarocks-admin", "make_manifest", "."]
    subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=60)
    return folder


def _installed(tree: Path) -> set[str]:
    return {path.parent.name for path in (tree / "lib/luarocks/rocks-5.1").glob("*/*") if path.is_dir()}


@pytest.fixture
def ours(pumice: Run, folder: Path) -> Run:
    """Pumice with the server and Lua 5.1."""
    return lambda *words, **more: pumice("--lua-version=5.1", f"--only-server={folder}", *words, **more)


@pytest.fixture
def theirs(luarocks: Run, folder: Path, tree: Path) -> Run:
    """LuaRocks; it leaves it to the user that builds find what it has installed for them."""
    environment = {
        "PATH": f"{tree}/bin:{os.environ['PATH']}",
        "LUA_PATH": f"{tree}/share/lua/5.1/?.lua;;",
    }
    return lambda *words, **more: luarocks(
        "--lua-version=5.1", f"--only-server={folder}", *words, environment=environment, **more
    )


@pytest.mark.parametrize("who", ["ours", "theirs"])
@pytest.mark.parametrize("command", ["install", "build"])
@pytest.mark.parametrize("place", ["", "file"])
def test_commands_and_modules_of_build_dependencies_are_there(
    request: pytest.FixtureRequest, who: str, command: str, place: str, folder: Path, tree: Path
) -> None:
    """Also what they need themselves, and what has to be built for a build."""
    run: Run = request.getfixturevalue(who)
    run(command, str(folder / "tip-1.0-1.rockspec") if place else "tip")
    assert _installed(tree) == {"tip", "leaf", "maker", "words"}
    assert (tree / "share/lua/5.1/leaf.lua").read_text() == "return [[made]]\n"


@pytest.mark.parametrize("who", ["ours", "theirs"])
def test_make_finds_them_too(
    request: pytest.FixtureRequest, who: str, tmp_path: Path, folder: Path, tree: Path
):
    project = tmp_path / "project"
    project.mkdir()
    (project / "leaf-1.0-1.rockspec").write_text((folder / "leaf-1.0-1.rockspec").read_text())
    request.getfixturevalue(who)("make", cwd=project)
    assert _installed(tree) == {"leaf", "maker", "words"}


def test_what_is_installed_already_is_used(ours: Run, tree: Path) -> None:
    ours("install", "maker")
    ours("install", "leaf")
    assert (tree / "share/lua/5.1/leaf.lua").read_text() == "return [[made]]\n"


def test_a_build_that_fails_leaves_nothing_of_its_tools_behind(ours: Run, folder: Path, tree: Path) -> None:
    path = folder / "leaf-1.0-1.rockspec"
    path.write_text(path.read_text().replace("maker leaf.lua", "maker leaf.lua && false"))
    ours("install", "tip", fails=True)
    assert not tree.exists() or not _installed(tree)


def test_an_interrupted_build_says_that_nothing_was_changed(
    folder: Path, tree: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    """The private tree of its tools is there by then, and goes."""
    path = folder / "leaf-1.0-1.rockspec"
    path.write_text(path.read_text().replace("maker leaf.lua", "maker leaf.lua && touch begun && sleep 60"))
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    words = ["--lua-version=5.1", f"--only-server={folder}", f"--tree={tree}", "install", "tip"]
    running = subprocess.Popen(
        [sys.executable, "-m", "pumice", *words],
        env=environment | {"TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    until = time.monotonic() + 60
    while not list(temporary.rglob("begun")):
        assert time.monotonic() < until and running.poll() is None
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    output, _ = running.communicate(timeout=30)
    assert running.returncode == 128 + signal.SIGINT
    assert "The tree was not changed" in output, output
    assert not tree.exists() or not _installed(tree)
    assert not list(temporary.iterdir())


def test_rocks_that_need_one_another_to_be_built_are_refused(ours: Run, folder: Path) -> None:
    path = folder / "leaf-1.0-1.rockspec"
    path.write_text(path.read_text().replace('{ "maker" }', '{ "maker", "tip" }'))
    error = ours("install", "tip", fails=True).stderr
    assert "need one another to be built" in error and "Traceback" not in error
