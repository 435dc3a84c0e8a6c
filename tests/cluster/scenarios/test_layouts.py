"""Nodes with their own LuaRocks tree, and gateways that are told their plugins in other places than kong.conf."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from fleetkit.claims import has, modules
from fleetkit.controller import Controller
from fleetkit.fleet import DBLESS, Fleet, FleetNode
from fleetkit.plugins import NAME

pytestmark = pytest.mark.peer
Plugin = Callable[..., Path]
ROCK = f"kong-plugin-{NAME}"


def luarocks(node: FleetNode, *words: str) -> str:
    """The real LuaRocks on the node's tree, from outside."""
    program = shutil.which("luarocks")
    assert program is not None
    done = subprocess.run(
        [program, "--tree", str(node.path("/usr/local")), *words], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def in_own_tree(fleet: Fleet) -> Fleet:
    for node in fleet:
        node.tree = "/usr/local"
        node.toml.update(layout="luarocks", tree=node.root.seen("/usr/local"))
    fleet.write()
    return fleet


def deployed(node: FleetNode) -> dict[str, str]:
    folder = node.path(f"/usr/local/share/lua/5.1/kong/plugins/{NAME}")
    return {file.name: file.read_text() for file in folder.iterdir()} if folder.is_dir() else {}


def files_of(node: FleetNode) -> dict[str, tuple[bytes, int]]:
    """Every file of the node's tree with its mode, apart from what tells of rollouts."""
    tree = node.path("/usr/local")
    return {
        str(file.relative_to(tree)): (file.read_bytes(), file.stat().st_mode)
        for place in ("bin", "lib/lua", "lib/luarocks", "share/lua")
        for file in (tree / place).rglob("*")
        if file.is_file()
    }


def test_the_nodes_own_luarocks_tree_stays_true(fleet: Fleet, controller: Controller, plugin: Plugin) -> None:
    in_own_tree(fleet.start([DBLESS] * 2))
    one, two = plugin("1.0.0"), plugin("2.0.0", extra_files=1)
    for source, version in ((one, "1.0.0"), (two, "2.0.0"), (one, "1.0.0")):
        controller.run("ship", source, "--to", fleet.toml).ok()
        for node in fleet:
            assert deployed(node) == modules(source)
            assert node.loaded_version() == version
            assert f"{ROCK}\t{version}-1\tinstalled" in luarocks(node, "list", "--porcelain")
    controller.run("cluster", "remove", NAME, "--to", fleet.toml).ok()
    for node in fleet:
        assert deployed(node) == {}
        assert ROCK not in luarocks(node, "list", "--porcelain")
        assert node.loaded_version() is None


def test_a_rollout_of_the_nodes_own_luarocks_tree_is_taken_back(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    in_own_tree(fleet.start([DBLESS] * 2))
    first = [files_of(node) for node in fleet]
    one, two = plugin("1.0.0"), plugin("2.0.0", extra_files=1)
    controller.run("ship", one, "--to", fleet.toml).ok()
    before = [files_of(node) for node in fleet]
    controller.run("ship", two, "--to", fleet.toml).ok()
    after = files_of(fleet[1])

    rollback = ("cluster", "rollback", "node-1", "--to", fleet.toml)
    assert "is taken back" in controller.run(*rollback, "--plan").ok().said
    controller.run(*rollback).ok()
    assert files_of(fleet[0]) == before[0]
    assert f"{ROCK}\t1.0.0-1\tinstalled" in luarocks(fleet[0], "list", "--porcelain")
    assert fleet[0].loaded_version() == "1.0.0"
    assert files_of(fleet[1]) == after

    # Of the other one, somebody has changed the tree by hand since.
    luarocks(fleet[1], "remove", ROCK)
    theirs = files_of(fleet[1])
    controller.run("cluster", "rollback", "node-2", "--to", fleet.toml).fails("node-2", "changed by somebody")
    assert files_of(fleet[1]) == theirs

    controller.run(*rollback).ok()
    assert files_of(fleet[0]) == first[0]
    assert ROCK not in luarocks(fleet[0], "list", "--porcelain")
    assert fleet[0].loaded_version() is None
    controller.run(*rollback).fails("node-1", "nothing can be taken back")
    assert "rollback" in controller.run("cluster", "history", "--to", fleet.toml).ok().said


def test_a_failure_takes_the_nodes_own_tree_back(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    in_own_tree(fleet.start([DBLESS] * 2))
    one, two = plugin("1.0.0"), plugin("2.0.0", fails_where_told=True)
    controller.run("ship", one, "--to", fleet.toml).ok()
    fleet[0].fail_at_load()
    controller.run("ship", two, "--to", fleet.toml).fails("node-1")
    for node in fleet:
        assert deployed(node) == modules(one)
        assert node.loaded_version() == "1.0.0"
        assert "1.0.0-1" in luarocks(node, "list", "--porcelain")
        assert "2.0.0-1" not in luarocks(node, "list", "--porcelain")


def test_other_rocks_of_the_nodes_own_tree_stay(
    fleet: Fleet, controller: Controller, plugin: Plugin, tmp_path: Path
) -> None:
    in_own_tree(fleet.start([DBLESS]))
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.lua").write_text("return 'mine'\n")
    (other / "mine-1.0-1.rockspec").write_text(
        'package = "mine"\nversion = "1.0-1"\nsource = { url = "file:///nowhere" }\n'
        'build = { type = "builtin", modules = { mine = "mine.lua" } }\n'
    )
    program = shutil.which("luarocks")
    subprocess.run(
        [program, "--tree", fleet[0].path("/usr/local"), "make"], cwd=other, check=True, capture_output=True
    )
    controller.run("ship", plugin("1.0.0"), "--to", fleet.toml).ok()
    said = luarocks(fleet[0], "list", "--porcelain")
    assert "mine\t1.0-1" in said
    assert ROCK in said
    assert fleet[0].path("/usr/local/share/lua/5.1/mine.lua").read_text() == "return 'mine'\n"


def test_an_environment_file_names_the_plugins_where_that_is_the_nodes_way(
    fleet: Fleet, controller: Controller, plugin: Plugin
) -> None:
    fleet.start([DBLESS])
    node = fleet[0]
    file = node.path("/etc/kong/gateway.env")
    file.write_text("# ours\nKONG_LOG_LEVEL=info\n", encoding="utf-8")
    node.toml["enable"] = f"env:{node.root.seen('/etc/kong/gateway.env')}"
    fleet.write()
    source = plugin("1.0.0")
    controller.run("ship", source, "--to", fleet.toml).ok()
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# ours\nKONG_LOG_LEVEL=info\n")
    assert NAME in text
    assert node.conf == node.first_conf
    assert node.loaded_version() == "1.0.0"
    assert node.plugin_files() == modules(source)


def test_a_restart_instead_of_a_reload(fleet: Fleet, controller: Controller, plugin: Plugin) -> None:
    fleet.start([DBLESS])
    fleet[0].toml["restart"] = "restart"
    fleet.write()
    master = fleet[0].admin("/")["pids"]["master"]
    source = plugin("1.0.0")
    controller.run("ship", source, "--to", fleet.toml).ok()
    has(fleet, source, "1.0.0")
    assert fleet[0].admin("/")["pids"]["master"] != master
