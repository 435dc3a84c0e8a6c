"""`pumice lock` and `pumice sync` as they are typed: what they say, and what they give back."""

import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MakeRock = Callable[..., Path]


@pytest.fixture
def server(command: Any, make_rock: MakeRock, tmp_path: Path) -> tuple[str, str]:
    """The words for a server with `stem` 1.0 that needs `leaf`, which is there in 1.0 and 2.0."""
    make_rock("stem", "1.0-1", {"lua/stem.lua": "return 1\n"}, ["leaf", "lua-cjson"], "server")
    make_rock("lua-cjson", "2.1.0-1", {"lua/cjson.lua": "return 1\n"}, [], "server")
    for version in ("1.0-1", "2.0-1"):
        make_rock("leaf", version, {"lua/leaf.lua": f"return '{version}'\n"}, [], "server")
    assert command("index", "build", str(tmp_path / "server")) == 0, command.output
    return "--only-server", str(tmp_path / "server")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that needs `stem`."""
    folder = tmp_path / "project"
    folder.mkdir()
    needs(folder, "lua >= 5.1", "stem")
    return folder


def installed(tree: Path) -> set[str]:
    """What lies in a tree."""
    found = (tree / "lib/luarocks/rocks-5.1").glob("*/*")
    return {f"{path.parent.name} {path.name}" for path in found if path.is_dir()}


def needs(folder: Path, *names: str) -> None:
    """Writes the project's rockspec."""
    listed = ", ".join(f'"{name}"' for name in names)
    (folder / "app-1.0-1.rockspec").write_text(
        'package = "app"\nversion = "1.0-1"\nsource = { url = "git://localhost/app" }\n'
        f'dependencies = {{ {listed} }}\nbuild = {{ type = "builtin", modules = {{}} }}\n'
    )


def test_lock_tells_what_changed_in_it(command: Any, server: tuple[str, str], project: Path) -> None:
    lock = project / "pumice.lock"
    new = "+ leaf 2.0-1\n+ lua-cjson 2.1.0-1\n+ stem 1.0-1\n"
    assert command(*server, "lock", "--dry-run", cwd=project) == 0, command.output
    assert command.output == f"{new}{lock}: 3 rocks (dry run)\n"
    assert not lock.exists()
    assert command(*server, "lock", cwd=project) == 0, command.output
    assert command.output == f"{new}{lock}: 3 rocks\n"
    assert command(*server, "lock", cwd=project) == 0, command.output
    assert command.output == f"{lock}: 3 rocks\n"
    needs(project, "leaf < 2")
    assert command(*server, "lock", cwd=project) == 0, command.output
    assert command.output == (
        f"- leaf 2.0-1\n- lua-cjson 2.1.0-1\n- stem 1.0-1\n+ leaf 1.0-1\n{lock}: 1 rock\n"
    )


def test_what_kong_brings_is_not_in_the_lock(command: Any, server: tuple[str, str], project: Path) -> None:
    assert command(*server, "lock", "--for", "kong@3.9", cwd=project) == 0, command.output
    text = (project / "pumice.lock").read_text()
    assert 'name = "stem"' in text and 'name = "lua-cjson"' not in text
    assert command(*server, "sync", cwd=project) == 0, command.output
    assert not (project / "lua_modules/lib/luarocks/rocks-5.1/lua-cjson").exists()


def test_sync_tells_what_it_does(command: Any, server: tuple[str, str], project: Path) -> None:
    tree = project / "lua_modules"
    assert command(*server, "sync", cwd=project) == 1
    assert "pumice.lock does not exist" in command.output and "pumice lock" in command.output
    assert command(*server, "lock", cwd=project) == 0, command.output
    assert command("sync", "--dry-run", cwd=project) == 0, command.output
    assert command.output == (
        f"+ leaf 2.0-1\n+ lua-cjson 2.1.0-1\n+ stem 1.0-1\n{tree}: 3 installed, 0 removed (dry run)\n"
    )
    assert not tree.exists()
    assert command(*server, "sync", cwd=project) == 0, command.output
    assert command.output.endswith(f"{tree}: 3 installed, 0 removed\n")
    assert f"stem 1.0-1 is now installed in {tree}" in command.output
    assert command(*server, "--offline", "sync", cwd=project) == 0, command.output
    assert command.output == f"{tree}: 0 installed, 0 removed\n"
    assert command("--tree", str(tree), "verify", cwd=project) == 0, command.output


def test_what_does_not_fit_is_explained_and_the_lock_stays(
    command: Any, server: tuple[str, str], project: Path
) -> None:
    assert command(*server, "lock", cwd=project) == 0, command.output
    before = (project / "pumice.lock").read_bytes()
    needs(project, "stem", "leaf > 7")
    assert command(*server, "lock", cwd=project) == 1
    assert "leaf > 7" in command.output and "Traceback" not in command.output
    assert (project / "pumice.lock").read_bytes() == before


def test_outside_of_a_project_both_say_so(command: Any, tmp_path: Path) -> None:
    for name in ("lock", "sync"):
        assert command(name, cwd=tmp_path) == 1
        assert "is not in a project" in command.output


@pytest.mark.sweep
def test_a_sync_that_is_killed_leaves_the_tree_as_it_was_or_as_it_will_be(
    command: Any, server: tuple[str, str], project: Path, make_fault: Any
) -> None:
    tree, pristine = project / "lua_modules", project / "pristine"
    needs(project, "leaf < 2")
    for name in ("lock", "sync"):
        assert command(*server, name, cwd=project) == 0, command.output
    needs(project, "stem")
    assert command(*server, "lock", "--upgrade", cwd=project) == 0, command.output
    shutil.copytree(tree, pristine)
    steps = command.count(*server, "sync", cwd=project)
    before, after = {"leaf 1.0-1"}, {"leaf 2.0-1", "lua-cjson 2.1.0-1", "stem 1.0-1"}
    seen = []
    for at in range(1, steps + 1, max(1, steps // 25)):
        shutil.rmtree(tree)
        shutil.copytree(pristine, tree)
        # A few calls less than the first time: the cache has everything, and the record is there.
        assert command(*server, "sync", cwd=project, fault=make_fault(at)) in (0, -signal.SIGKILL)
        # A reader sees to what was interrupted.
        assert command("--tree", str(tree), "verify", cwd=project) == 0, command.output
        seen.append(installed(tree))
        assert seen[-1] in (before, after), at
        assert command(*server, "sync", cwd=project) == 0, command.output
        assert installed(tree) == after
    assert before in seen and after in seen
