"""`search`, `download`, `list --outdated`, `cache` and `index`: their own forms of output, and wrong words."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., int]


@pytest.fixture
def server(make_rock: Callable[..., Path], command: Any) -> Path:
    """A directory of rocks, with the index that `index build` has written."""
    for name, version in (("a", "1.0-1"), ("a", "1.2-1"), ("b", "2.0-1")):
        folder = make_rock(name, version, {f"lua/{name}.lua": "return 1\n"}, folder="server").parent
    assert command("index", "build", str(folder)) == 0, command.output
    assert "2 rocks in 3 versions" in command.output
    return folder


def lines(command: Any) -> list[Any]:
    """What a command has printed as JSON lines."""
    return [json.loads(line) for line in command.output.splitlines()]


def test_search_gives_json(command: Any, server: Path) -> None:
    assert command(f"--only-server={server}", "search", "a", "1.2", "--json") == 0
    assert lines(command) == [
        {"name": "a", "version": "1.2-1", "arch": "all", "server": str(server), "namespace": None}
    ]


def test_list_outdated_gives_json(command: Any, server: Path) -> None:
    tree = f"--tree={server.parent}/tree"
    assert command(tree, "install", str(server / "a-1.0-1.all.rock")) == 0, command.output
    assert command(tree, f"--only-server={server}", "list", "--outdated", "--json") == 0
    assert lines(command) == [
        {"name": "a", "installed": "1.0-1", "available": "1.2-1", "server": str(server)}
    ]


def test_an_index_that_is_current_is_not_written_again(command: Any, server: Path) -> None:
    assert command("index", "build", "--json", cwd=server) == 0
    (told,) = lines(command)
    assert (told["directory"], told["rocks"], told["versions"]) == (str(server), 2, 3)
    assert told["written"] == told["removed"] == []


def test_cache_tells_where_it_is_and_what_it_holds(command: Any, server: Path) -> None:
    assert command("cache", "dir") == 0
    assert command.output == f"{command.home}/.cache/pumice\n"
    assert command(f"--only-server={server}", "search", "a") == 0
    assert command("cache", "info", "--json") == 0
    (told,) = lines(command)
    assert told["directory"] == f"{command.home}/.cache/pumice"
    assert told["size"] == sum(part["size"] for part in told["parts"].values()) > 0
    assert command("cache", "info") == 0
    assert command.output.splitlines()[-1].endswith("in all")


def test_cache_is_emptied(command: Any, server: Path) -> None:
    assert command(f"--only-server={server}", "search", "a") == 0
    assert command("cache", "clean", "--older-than", "1", "--json") == 0
    assert lines(command)[0]["files"] == 0
    assert command("cache", "clean", "--json") == 0
    assert lines(command)[0]["files"] > 0
    assert command("cache", "clean") == 0
    assert command.output == f"Removed 0 files, 0 B, from {command.home}/.cache/pumice.\n"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("cache", "burn"), "argument 'action' must be one of 'info', 'clean', 'dir', not 'burn'"),
        (("cache", "clean", "--older-than", "soon"), "malformed argument 'soon'"),
        (("cache", "clean", "--older-than", "nan"), "malformed argument 'nan'"),
        (("index", "burn"), "argument 'action' must be 'build', not 'burn'"),
        (("index", "build", "/nowhere/at/all"), "Cannot access repository at /nowhere/at/all"),
        (
            ("download", "a", "--source", "--arch=all"),
            "option '--arch' can not be used together with option '--source'",
        ),
        (("download", "--all", "--deps"), "option '--deps' can not be used together with option '--all'"),
        (("download",), "Argument missing. See '"),
        (("search",), "Enter name and version or use --all. See '"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_words_are_told(words: tuple[str, ...], text: str, command: Any) -> None:
    assert command(*words) == 1
    assert f"Error: {text}" in command.output


def test_sizes_are_for_people() -> None:
    from pumice.cli.cache_command import human_size

    sizes = (0, 999, 1000, 1234, 999_949, 999_950, 5_300_000, 10**9, 10**12, 10**15)
    shown = [
        "0 B",
        "999 B",
        "1.0 kB",
        "1.2 kB",
        "999.9 kB",
        "1.0 MB",
        "5.3 MB",
        "1.0 GB",
        "1.0 TB",
        "1000.0 TB",
    ]
    assert [human_size(size) for size in sizes] == shown
