"""`ship`: the proof on the node, and the node as it was when the proof fails."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples/kong-plugin-request-stamp"
HANDLER = "kong/plugins/request-stamp/handler.lua"


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A copy of the example, to be damaged."""
    return Path(shutil.copytree(EXAMPLE, tmp_path / "plugin", ignore=shutil.ignore_patterns(".pumice")))


@pytest.fixture
def ship(command: Any, plugin: Path) -> Callable[..., int]:
    return lambda *words: command("ship", str(plugin), *words)


def current(plugin: Path) -> str | None:
    """The generation that the node is on."""
    link = plugin / ".pumice/node/current"
    return link.readlink().name if link.is_symlink() else None


def test_a_plugin_is_shipped_twice_in_a_row(ship: Any, command: Any, plugin: Path) -> None:
    """The table tells the same digest, which is of the files as they are."""
    assert ship() == 0
    (first,) = [line for line in command.output.splitlines() if "sha256:" in line]
    assert ship() == 0
    (second,) = [line for line in command.output.splitlines() if "sha256:" in line]
    assert first == second
    assert first.split()[:3] == ["request-stamp", "0.1.0", "100010"]
    assert current(plugin) == "2"


def break_it(plugin: Path) -> None:
    """It fails on the node only: the check is left out by the tests that use this."""
    handler = plugin / HANDLER
    handler.write_text('error("no")\n' + handler.read_text())


def test_a_node_that_does_not_load_the_plugin_goes_back(ship: Any, command: Any, plugin: Path) -> None:
    assert ship() == 0
    before = (plugin / ".pumice/node/current" / "share/lua/5.1" / HANDLER).read_bytes()
    break_it(plugin)
    assert ship("--no-check") == 1
    assert "Error: The node does not load request-stamp: " in command.output
    assert "The node is back on what it had." in command.output
    assert current(plugin) == "1"
    assert (plugin / ".pumice/node/current" / "share/lua/5.1" / HANDLER).read_bytes() == before


def test_a_first_shipment_that_fails_leaves_an_empty_node(ship: Any, command: Any, plugin: Path) -> None:
    break_it(plugin)
    assert ship("--no-check") == 1
    assert current(plugin) is None
    assert command(f"--tree={plugin}/.pumice/node", "list", "--porcelain") == 0
    assert command.output == ""
    assert command(f"--tree={plugin}/.pumice/node", "history", "--json") == 0
    (only,) = [json.loads(line) for line in command.output.splitlines()]
    assert (only["number"], only["current"]) == (1, False)
    assert only["rolled_back"].startswith("request-stamp does not load: ")
    shutil.copy(EXAMPLE / HANDLER, plugin / HANDLER)
    assert ship() == 0
    assert current(plugin) == "2"


def test_history_marks_the_shipment_that_failed_and_rollback_passes_it_over(
    ship: Any, command: Any, plugin: Path
) -> None:
    """Good, broken, good: `rollback` leads from the third to the first."""
    whole = (plugin / HANDLER).read_bytes()
    assert ship() == 0
    break_it(plugin)
    assert ship("--no-check") == 1
    (plugin / HANDLER).write_bytes(whole + b"-- more\n")
    assert ship() == 0
    node = f"--tree={plugin}/.pumice/node"
    assert command(node, "history") == 0
    lines = command.output.splitlines()
    assert ["(rolled back: request-stamp does not load: " in line for line in lines] == [False, True, False]
    assert [line[0] for line in lines] == [" ", " ", "*"]
    assert command(node, "rollback") == 0
    assert current(plugin) == "1"
    assert command(node, "history", "--json") == 0
    told = [json.loads(line)["rolled_back"] for line in command.output.splitlines()]
    assert [bool(each) for each in told] == [False, True, False]


def test_a_rock_without_a_plugin_never_reaches_the_node(command: Any, tmp_path: Path) -> None:
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "library-1.0-1.rockspec").write_text(
        'package = "library" version = "1.0-1" source = { url = "http://localhost/x" }'
        'description = { license = "MIT" } build = { type = "builtin", modules = { library = "library.lua" } }'
    )
    (folder / "library.lua").write_text("return {}\n")
    assert command("ship", str(folder)) == 1
    assert "Error: There is no Kong plugin in library 1.0-1; nothing was shipped." in command.output
    assert not (folder / ".pumice").exists()


@pytest.mark.peer
@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        ("int luaopen_stamp_fast(void *L) { return 0; }", None),
        ("int luaopen_another(void *L) { return 0; }", "its C source has to define luaopen_stamp_fast"),
        (
            "int luaopen_stamp_fast(void *L) { return *(volatile int *)0; }",
            "it crashed the process (SIGSEGV)",
        ),
    ],
    ids=["loads", "lacks its function", "crashes"],
)
def test_a_plugin_with_a_c_module_is_loaded_in_a_process_of_its_own(
    body: str, verdict: str | None, ship: Any, command: Any, plugin: Path
) -> None:
    (plugin / "fast.c").write_text(body + "\n")
    rockspec = next(plugin.glob("*.rockspec"))
    module = '["kong.plugins." .. plugin_name .. ".fast"] = "fast.c",'
    rockspec.write_text(rockspec.read_text().replace("modules = {", "modules = {" + module))
    handler = plugin / HANDLER
    handler.write_text('local fast = require("kong.plugins.request-stamp.fast")\n' + handler.read_text())
    assert ship() == (0 if verdict is None else 1)
    assert verdict is None or verdict in command.output
    assert (current(plugin) is None) == (verdict is not None)
    packed = [path.name for path in (plugin / ".pumice").glob("*.rock")]
    assert packed
    assert ".all." not in packed[0]


def test_what_cannot_be_shipped_is_named(command: Any, tmp_path: Path) -> None:
    (tmp_path / "plugin.tar.gz").write_bytes(b"")
    assert command("ship", str(tmp_path / "plugin.tar.gz")) == 1
    assert (
        "plugin.tar.gz is nothing to ship\nHint: Give a directory, a rockspec or a rock.\n" in command.output
    )
    assert command("ship", "nosuch.rockspec") == 1
    assert "Error: " in command.output
