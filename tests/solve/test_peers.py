"""The real LuaRocks on a directory of rocks: where its tree is consistent, ours is the same."""

import random
import shutil
import subprocess

import pytest

from pumice.solve.situation import Situation
from pumice.solve.solver import Unsolvable, solve

pytestmark = pytest.mark.peer

NAMES = ["aa", "bb", "cc", "dd", "ee", "ff"]
VERSIONS = ["1.0-1", "1.0-2", "2.0beta1-1", "2.0-1", "3.1-1", "scm-1"]
CONDITIONS = ["", "", "", "< 2", ">= 2", "~> 2", "~= 2.0", ">= 1.0, < 3", "<= 3"]


def random_world(seed):
    """A world without cycles, in which LuaRocks would go in circles for ever."""
    chance = random.Random(seed)
    world = {}
    for number, name in enumerate(NAMES):
        world[name] = {
            version: [
                f"{needed} {chance.choice(CONDITIONS)}".strip()
                for needed in chance.sample(
                    NAMES[number + 1 :], min(chance.randrange(3), len(NAMES) - number - 1)
                )
            ]
            for version in chance.sample(VERSIONS, chance.randrange(2, 5))
        }
    return world


@pytest.fixture
def luarocks(tmp_path):
    """Serves a world as a directory of rockspecs and installs from it; gives the tree, or None if it failed."""
    if shutil.which("luarocks") is None:
        pytest.skip("luarocks is not here")

    def install(world, names):
        server, tree = tmp_path / "server", tmp_path / "tree"
        server.mkdir()
        (tmp_path / "none.lua").write_text("")
        for name, versions in world.items():
            for version, needs in versions.items():
                listed = ", ".join(f'"{each}"' for each in needs)
                (server / f"{name}-{version}.rockspec").write_text(
                    f'package = "{name}"\nversion = "{version}"\nsource = {{url = "file://{tmp_path}/none.lua"}}\n'
                    f'dependencies = {{{listed}}}\nbuild = {{type = "builtin", modules = {{}}}}\n'
                )
        made = ["luarocks-admin", "make_manifest", str(server)]
        subprocess.run(made, check=True, capture_output=True, timeout=60)
        words = ["luarocks", "--lua-version=5.1", f"--tree={tree}"]
        for name in names:
            command = [*words, "install", name, f"--only-server={server}"]
            if subprocess.run(command, capture_output=True, cwd=tmp_path, timeout=60).returncode:
                return None
        listing = subprocess.run(
            [*words, "list", "--porcelain"], capture_output=True, text=True, check=True, timeout=60
        ).stdout
        found = {}
        for line in listing.splitlines():
            name, version = line.split("\t")[:2]
            found.setdefault(name, []).append(version)
        return found

    return install


@pytest.mark.parametrize("seed", [3, 5, 7, 9, 11, 13, 20, 31, 35, 45])
def test_the_answer_is_luarockss_tree_where_that_is_consistent(rocks, luarocks, seed):
    world = random_world(seed)
    wanted = NAMES[: 1 + seed % 2]
    requests = rocks.requests_of(*wanted)
    tree = luarocks(world, wanted)
    try:
        found = solve(requests, rocks.table_of(world), Situation(provided=rocks.LUA))
    except Unsolvable:
        found = None
    if tree is None or any(len(versions) > 1 for versions in tree.values()):
        return  # it failed, or left two versions: the solver may know better
    reached = rocks.reach(world, requests, tree)
    if not rocks.Judge(world, requests).faults(reached):
        assert found is not None
        assert {chosen.name: [chosen.version] for chosen in found.install} == reached


def test_the_walker_of_these_tests_walks_as_luarocks_does(rocks, luarocks):
    world = {
        "aa": {"1.0-1": ["bb", "cc"]},
        "bb": {"1.0-1": ["dd"], "2.0-1": ["dd >= 2"]},
        "cc": {"1.0-1": ["dd < 3", "bb"]},
        "dd": {"1.0-1": [], "2.0-1": [], "3.0-1": []},
    }
    greedy = rocks.Greedy(world)
    greedy.install(rocks.requests_of("aa")[0].dependency)
    assert luarocks(world, ["aa"]) == greedy.tree
    assert greedy.tree["dd"] == ["2.0-1"]
