"""`path` prints what LuaRocks prints, in whatever order the trees come."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.peer

Run = Callable[..., subprocess.CompletedProcess[str]]

OPTIONS = (
    (),
    ("--append",),
    ("--no-bin",),
    ("--lr-path",),
    ("--lr-cpath",),
    ("--lr-bin",),
)

REAL = "/usr/share/lua/5.1/?.lua"
"""Where LuaRocks itself lies, which runs with the same LUA_PATH."""


@pytest.fixture
def both(environment: dict[str, str], tmp_path: Path) -> Callable[..., tuple[str, str]]:
    """What LuaRocks and Pumice print in a directory, without --tree unless it is among the words."""

    def ask(*words: str, cwd: Path = tmp_path, **more: str) -> tuple[str, str]:
        import sys

        printed = []
        for command in (["luarocks"], [sys.executable, "-m", "pumice"]):
            done = subprocess.run(
                [*command, "path", *words],
                cwd=cwd,
                env={**environment, **more},
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert done.returncode == 0, done.stderr
            printed.append(done.stdout)
        return printed[0], printed[1]

    return ask


@pytest.mark.parametrize("words", OPTIONS)
@pytest.mark.parametrize(
    "lua_path",
    [
        None,
        "/a/?.lua;REAL",
        "HOME/.luarocks/share/lua/5.1/?.lua;/b/?.lua;REAL",
        "/usr/local/share/lua/5.1/?.lua;/b/?.lua;REAL;/b/?.lua",
    ],
)
def test_the_trees_of_the_configuration(
    both: Callable[..., tuple[str, str]], home: Path, words: tuple[str, ...], lua_path: str | None
) -> None:
    more = {} if lua_path is None else {"LUA_PATH": lua_path.replace("HOME", str(home)).replace("REAL", REAL)}
    real, ours = both(*words, **more)
    assert real == ours


@pytest.mark.parametrize("words", OPTIONS[:5])
@pytest.mark.parametrize(
    "tree", ["--tree=TMP/tree", "--tree=HOME/.luarocks", "--tree=user", "--tree=/usr/local"]
)
def test_a_tree_that_is_chosen(
    both: Callable[..., tuple[str, str]], tmp_path: Path, home: Path, tree: str, words: tuple[str, ...]
) -> None:
    chosen = tree.replace("TMP", str(tmp_path)).replace("HOME", str(home))
    real, ours = both(chosen, *words)
    assert real == ours


@pytest.mark.parametrize("words", OPTIONS[:5])
def test_the_tree_of_a_project(
    both: Callable[..., tuple[str, str]], tmp_path: Path, words: tuple[str, ...]
) -> None:
    """LuaRocks names it by way of `.`."""
    (tmp_path / "project/.luarocks").mkdir(parents=True)
    (tmp_path / "project/lua_modules").mkdir()
    real, ours = both(*words, cwd=tmp_path / "project")
    assert real.replace("/./", "/") == ours


@pytest.mark.parametrize("words", OPTIONS[:3])
def test_trees_of_a_configuration_file(
    both: Callable[..., tuple[str, str]], tmp_path: Path, words: tuple[str, ...]
) -> None:
    config = tmp_path / "config.lua"
    config.write_text(
        f'rocks_trees = {{ {{ name = "one", root = "{tmp_path}/one" }}, "{tmp_path}/two", '
        f'{{ name = "three", root = "{tmp_path}/three" }} }}\n'
    )
    for tree in ((), ("--tree=one",), (f"--tree={tmp_path}/two",)):
        real, ours = both(*tree, *words, LUAROCKS_CONFIG=str(config))
        assert real == ours
