"""A new project is complete and without a fault."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pumice.errors import UsageError
from pumice.kong.check import check
from pumice.kong.package import package_of_directory
from pumice.kong.scaffold import project_directory, scaffold
from pumice.rock.rockspec import load_rockspec

Write = Callable[[Mapping[str, str]], Path]
PLATFORMS = ("linux", "unix")


@pytest.mark.parametrize("name", ["my-plugin", "a", "x9-y", "a" * 51, "end"])
def test_a_new_project_passes_its_own_check_without_a_word(write: Write, name: str) -> None:
    directory = write(scaffold(name))
    file = directory / f"kong-plugin-{name}-0.1.0-1.rockspec"
    rockspec = load_rockspec(file.read_bytes(), str(file), PLATFORMS)
    report = check(package_of_directory(str(directory), rockspec))
    assert report.findings == ()
    assert report.plugins[0].phases == ("access", "header_filter")


def test_a_new_project_is_complete() -> None:
    assert project_directory("my-plugin") == "kong-plugin-my-plugin"
    assert sorted(scaffold("my-plugin")) == [
        ".busted",
        ".editorconfig",
        ".github/workflows/ci.yml",
        ".gitignore",
        ".luacheckrc",
        ".luarc.json",
        "CHANGELOG.md",
        "LICENSE",
        "README.md",
        "kong-plugin-my-plugin-0.1.0-1.rockspec",
        "kong/plugins/my-plugin/greeting.lua",
        "kong/plugins/my-plugin/handler.lua",
        "kong/plugins/my-plugin/schema.lua",
        "spec/greeting_spec.lua",
        "spec/handler_spec.lua",
    ]


def test_nothing_is_left_to_fill_in() -> None:
    for path, text in scaffold("my-plugin").items():
        assert "@@" not in path + text, path
        assert text.endswith("\n")
        assert not any(line != line.rstrip() for line in text.splitlines()), path


def test_author_year_and_address_are_written() -> None:
    files = scaffold("my-plugin", author="Ada", year=2031, homepage="https://git.example.com/ada/x.git")
    assert "Copyright (c) 2031 Ada\n" in files["LICENSE"]
    rockspec = files["kong-plugin-my-plugin-0.1.0-1.rockspec"]
    assert 'url = "git+https://git.example.com/ada/x.git"' in rockspec
    assert 'homepage = "https://git.example.com/ada/x"' in rockspec


@pytest.mark.parametrize(
    "name", ["My_Plugin", "", "../evil", "rate-limiting", "kong-plugin-x", "a" * 52, "x\n"]
)
def test_a_name_that_would_not_do_is_refused_with_a_hint(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        scaffold(name)
    assert caught.value.hint


def test_editors_are_told_of_luajit_and_the_gateways_globals() -> None:
    files = scaffold("my-plugin")
    settings = json.loads(files[".luarc.json"])
    assert settings["runtime.version"] == "LuaJIT"
    assert {"kong", "ngx"} <= set(settings["diagnostics.globals"])
    assert "[*]" in files[".editorconfig"]
