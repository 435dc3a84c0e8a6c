"""`tree` and `why`: of what is installed, and of what would be."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def ask(make_rock: Callable[..., Path], command: Any) -> Callable[..., list[str]]:
    """Runs a command with a server of `top`, `stem`, `leaf` in two versions, and `other`; gives its lines."""
    rocks = (
        ("top", "1.0-1", ["lua >= 5.1", "stem >= 1", "leaf < 2"]),
        ("stem", "1.0-1", ["leaf"]),
        ("leaf", "1.0-1", []),
        ("leaf", "2.0-1", []),
        ("other", "1.0-1", ["nowhere"]),
    )
    for name, version, needs in rocks:
        path = make_rock(
            name, version, {f"lua/{name}.lua": "return 1\n"}, folder="server", dependencies=needs
        )
    assert command("index", "build", str(path.parent)) == 0, command.output

    def run(*words: str, code: int = 0, cwd: Path | None = None) -> list[str]:
        place = [f"--tree={path.parent.parent}/tree", f"--only-server={path.parent}"]
        assert command(*place, *words, cwd=cwd) == code, command.output
        return [line for line in command.output.splitlines() if line]

    return run


def test_of_a_rock_that_is_not_installed_the_tree_is_that_of_its_installation(ask: Any) -> None:
    ask("install", "leaf", "1.0")
    before = ask("list", "--porcelain")
    assert ask("tree", "top") == [
        "top is not installed. This is what installing it would bring:",
        "top 1.0-1",
        "├── stem 1.0-1 (>= 1)",
        "│   └── leaf 1.0-1 (installed)",
        "└── leaf 1.0-1 (< 2) (installed)",
    ]
    assert ask("list", "--porcelain") == before
    ask("install", "top")
    assert ask("tree", "top") == [
        "top 1.0-1",
        "├── stem 1.0-1 (>= 1)",
        "│   └── leaf 1.0-1",
        "└── leaf 1.0-1 (< 2)",
    ]


def test_as_json_it_says_what_is_installed(ask: Any) -> None:
    ask("install", "leaf", "1.0")
    told = {each["name"]: each for each in map(json.loads, ask("tree", "top", "--json"))}
    assert {name: each["installed"] for name, each in told.items()} == {
        "top": False,
        "stem": False,
        "leaf": True,
    }
    assert told["stem"]["dependencies"] == [
        {"dependency": "leaf", "version": "1.0-1", "provided": False, "kind": "dependency"}
    ]
    ask("install", "top")
    told = {each["name"]: each for each in map(json.loads, ask("tree", "stem", "--json"))}
    assert told.keys() == {"stem", "leaf"} and all(each["installed"] for each in told.values())


def test_what_cannot_be_installed_is_explained(ask: Any) -> None:
    assert "there is no rock of that name" in " ".join(ask("tree", "other", code=1))
    assert "No results matching query" in " ".join(ask("tree", "unknown", code=1))


def test_why_tells_who_lacks_a_rock_that_is_not_installed(ask: Any) -> None:
    assert ask("why", "leaf") == [
        "leaf is not installed.",
        "   No installed rock needs it.",
        "`pumice tree leaf` shows what installing it would bring.",
    ]
    ask("install", "stem", "--deps-mode=none")
    assert ask("why", "leaf") == ["leaf is not installed.", "   stem 1.0-1 needs leaf (missing)"]


def test_why_tells_what_a_request_would_bring_it_for(ask: Any) -> None:
    assert ask("why", "leaf", "top") == [
        "leaf 1.0-1 would be installed with top",
        "   stem 1.0-1 (not installed) needs leaf",
        "      top 1.0-1 (not installed) needs stem >= 1",
        "   top 1.0-1 (not installed) needs leaf < 2 (*)",
    ]
    assert ask("why", "stem", "stem")[-1] == "   Nothing else needs it: it is asked for itself."
    ask("install", "leaf", "1.0")
    assert ask("why", "leaf", "top")[0] == "leaf 1.0-1 is installed and would be used with top"
    assert "would not bring top" in " ".join(ask("why", "top", "leaf", code=1))
    assert "Only names" in " ".join(ask("why", "top", "x.rockspec", code=1))


def test_in_a_project_why_tells_what_the_project_needs_it_for(ask: Any, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "mine-1.0-1.rockspec").write_text(
        'package = "mine" version = "1.0-1" source = { url = "git://localhost/x" }\n'
        'dependencies = { "lua", "stem" } build = { type = "builtin", modules = {} }\n'
    )
    assert ask("why", "leaf", cwd=project) == [
        "leaf is not installed.",
        "leaf 2.0-1 would be installed with stem",
        "   stem 1.0-1 (not installed) needs leaf",
    ]
