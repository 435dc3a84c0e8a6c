"""The search paths are those that the interpreter would have in this environment."""

import subprocess
from pathlib import Path

import pytest

from pumice.base.config import Config, TreeSpec
from pumice.lua import search_path as module
from pumice.lua.interpreter import find_interpreter
from pumice.lua.search_path import path_variables, search_path


def _config(tmp_path: Path, version: str, environment: dict[str, str]) -> Config:
    tree = TreeSpec("", "/t", "/t/bin", "/t/share", "/t/lib", "/t/rocks")
    return Config(
        lua_version=version,
        tree=tree,
        trees=(tree,),
        arch="linux-x86_64",
        platforms=("unix", "linux"),
        variables={},
        home="/nowhere",
        sysconfdir="/nowhere",
        cache_dir=str(tmp_path / "cache"),
        cwd="/",
        environment=environment,
    )


@pytest.mark.peer
@pytest.mark.parametrize("version", ["5.1", "5.2", "5.3", "5.4"])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"LUA_PATH": "/a/?.lua", "LUA_CPATH": "/a/?.so"},
        {"LUA_PATH": "/a/?.lua;;", "LUA_CPATH": ";;/a/?.so"},
        {"LUA_PATH": "/a/?.lua;;/b/?.lua", "LUA_CPATH": ";;"},
        {"LUA_PATH": "/a/?.lua", "LUA_PATH_5_3": "/c/?.lua;;"},
        {"LUA_INIT": "package.path = 'no'", "LUA_PATH": ""},
    ],
)
def test_they_are_the_interpreters_own(tmp_path: Path, version: str, given: dict[str, str]) -> None:
    environment = {"PATH": "/usr/bin:/bin", **given}
    config = _config(tmp_path, version, environment)
    interpreter = find_interpreter(config)
    assert interpreter is not None
    question = 'io.write(package.path, "\\n", package.cpath)'
    environment.pop("LUA_INIT", None)
    shown = subprocess.run(
        [interpreter.path, "-e", question],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found = search_path(config, interpreter)
    for mine, real in zip((found.path, found.cpath), shown.stdout.split("\n"), strict=True):
        # Some versions leave empty entries around `;;`: they find nothing.
        assert [part for part in mine.split(";") if part] == [part for part in real.split(";") if part]


@pytest.mark.peer
def test_the_defaults_are_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = _config(tmp_path, "5.1", {"PATH": "/usr/bin:/bin"})
    interpreter = find_interpreter(config)
    first = search_path(config, interpreter)
    monkeypatch.setattr(module, "_ask", lambda *_: pytest.fail("it was asked again"))
    assert search_path(config, interpreter) == first


def test_without_an_interpreter_they_are_those_of_a_plain_lua(tmp_path: Path) -> None:
    found = search_path(_config(tmp_path, "5.1", {}), None)
    assert found.path.startswith("./?.lua;/usr/local/share/lua/5.1/?.lua;")


def test_the_variable_of_the_version_is_named_only_where_it_is_set(tmp_path: Path) -> None:
    assert path_variables(_config(tmp_path, "5.4", {})) == ("LUA_PATH", "LUA_CPATH")
    set_one = {"LUA_PATH_5_4": "x", "LUA_PATH_5_1": "y"}
    assert path_variables(_config(tmp_path, "5.4", set_one)) == ("LUA_PATH_5_4", "LUA_CPATH")
    assert path_variables(_config(tmp_path, "5.1", set_one)) == ("LUA_PATH", "LUA_CPATH")
