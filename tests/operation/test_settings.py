"""One `Config` out of flags, environment and files, as LuaRocks would have it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pumice.base.config import Config
from pumice.errors import ConfigError, UsageError
from pumice.lua.data import evaluate
from pumice.operation.settings import Flags, load_config


class Machine:
    """A home, a system's configuration and a working directory, with nothing in them yet."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "home"
        self.etc = root / "etc"
        self.cwd = root / "work"
        for directory in (self.home, self.etc, self.cwd):
            directory.mkdir()
        self.environment = {
            "HOME": str(self.home),
            "LUAROCKS_SYSCONFDIR": str(self.etc),
            "PATH": "/usr/bin:/bin",
        }

    def write(self, place: str, text: str) -> Path:
        file = self.root / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("@ROOT@", str(self.root)), encoding="utf-8")
        return file

    def project(self, place: str = "work") -> Path:
        for name in (".luarocks", "lua_modules"):
            (self.root / place / name).mkdir(parents=True)
        return self.root / place

    def config(self, cwd: str = "work", superuser: bool = False, **flags: object) -> Config:
        where = str(self.root / cwd)
        return load_config(Flags(**flags), self.environment, where, superuser=superuser)  # type: ignore[arg-type]

    def luarocks(self, words: list[str], cwd: str = "work") -> dict[str, object]:
        """What the real one has as its configuration."""
        program = shutil.which("luarocks", path="/usr/bin")
        assert program is not None
        shown = subprocess.run(
            [program, *words, "config"],
            env=self.environment,
            cwd=self.root / cwd,
            capture_output=True,
            check=True,
            timeout=60,
        )
        return {str(name): value for name, value in evaluate(shown.stdout, "config").globals.items()}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


# --- without any file


def test_without_files_the_tree_is_in_the_home_directory(machine: Machine) -> None:
    config = machine.config()
    root = f"{machine.home}/.luarocks"
    assert config.tree.root == root
    assert config.tree.name == "user"
    assert config.tree.lua_dir == f"{root}/share/lua/5.1"
    assert config.tree.lib_dir == f"{root}/lib/lua/5.1"
    assert config.tree.bin_dir == f"{root}/bin"
    assert config.tree.rocks_dir == f"{root}/lib/luarocks/rocks-5.1"
    assert config.trees == (config.tree,)
    assert config.lua_version == "5.1"


def test_without_files_the_tree_of_the_superuser_is_the_systems(machine: Machine) -> None:
    config = machine.config(superuser=True)
    assert config.tree.root == "/usr/local"
    assert [tree.name for tree in config.trees] == ["user", "system"]


def test_a_machine_without_home_has_the_one_of_its_user_database(machine: Machine) -> None:
    del machine.environment["HOME"]
    assert os.path.isabs(machine.config().home)


def test_the_cache_is_where_it_is_named(machine: Machine) -> None:
    assert machine.config(superuser=True).cache_dir == f"{machine.home}/.cache/pumice"
    machine.environment["XDG_CACHE_HOME"] = "/c"
    assert machine.config().cache_dir == "/c/pumice"
    machine.environment["PUMICE_CACHE"] = "/own"
    assert machine.config().cache_dir == "/own"


def test_nothing_heavy_is_loaded_and_it_is_quick(machine: Machine) -> None:
    """Neither Lua nor what the start-up path may not import; limits have tenfold slack."""
    machine.write("etc/config-5.1.lua", "rocks_trees = {\n   home..[[/.luarocks]],\n   [[/usr/local]]\n}\n")
    code = (
        "import sys, time\n"
        "from pumice.operation.settings import Flags, load_config\n"
        "began = time.perf_counter()\n"
        f"load_config(Flags(), {machine.environment!r}, {str(machine.cwd)!r})\n"
        "print(time.perf_counter() - began)\n"
        "print(*sys.modules)\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    seconds, loaded = shown.stdout.splitlines()
    assert float(seconds) < 0.02
    unwanted = {"lupa", "re", "typing", "dataclasses", "json", "subprocess", "pathlib", "enum", "functools"}
    assert unwanted.isdisjoint(loaded.split())
    assert not any(name.startswith("pumice.lua.") for name in loaded.split())


# --- files


def test_later_files_are_laid_over_earlier_ones(machine: Machine) -> None:
    machine.project()
    machine.write(
        "etc/config-5.1.lua", 'deps_mode = "all" variables = { CC = "a", AR = "b" } wrap_bin_scripts = false'
    )
    machine.write("home/.luarocks/config-5.1.lua", 'deps_mode = "order" variables = { CC = "c" }')
    machine.write("work/.luarocks/config-5.1.lua", 'variables = { RANLIB = "d" }')
    config = machine.config()
    assert config.deps_mode == "order"
    assert [config.variables[name] for name in ("CC", "AR", "RANLIB")] == ["c", "b", "d"]
    assert config.wrap_bin_scripts is False
    assert [(kind, found) for kind, _, found in config.config_files] == [
        ("system", True),
        ("user", True),
        ("project", True),
    ]


def test_a_file_may_compute_from_what_it_is_given(machine: Machine) -> None:
    machine.environment["WHERE"] = "/somewhere"
    machine.write(
        "etc/config-5.1.lua",
        'variables.CC = os_getenv("WHERE") .. "/" .. lua_version .. "/" .. target_cpu\n'
        "if platforms.unix then variables.AR = home end",
    )
    config = machine.config()
    assert config.variables["CC"].startswith("/somewhere/5.1/")
    assert config.variables["AR"] == str(machine.home)


@pytest.mark.parametrize("broken", ["rocks_trees = {", "a = nil + 1", "while true do end"])
def test_a_file_that_does_not_load_is_an_error_that_names_it(machine: Machine, broken: str) -> None:
    file = machine.write("home/.luarocks/config-5.1.lua", broken)
    with pytest.raises(ConfigError) as caught:
        machine.config()
    assert str(file) in caught.value.message
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("rocks_trees = {}", "rocks_trees"),
        ("rocks_trees = { {name = 'x'} }", "tree 'x' has no 'root' field"),
        ("rocks_trees = { 7 }", "tree '1' has no 'root' field"),
        ("deps_mode = 'some'", "deps_mode"),
        ("deps_mode = {}", "deps_mode"),
        ("connection_timeout = 'soon'", "connection_timeout"),
        ("variables = 'x'", "variables"),
        ("variables = { CC = {} }", "CC"),
        ("rocks_servers = { 5 }", "rocks_servers"),
        ("external_deps_dirs = 'x'", "external_deps_dirs"),
        ("external_deps_subdirs = { lib = 5 }", "lib"),
        ("lua_version = 'five'", "lua_version"),
        ("accepted_build_types = 5", "accepted_build_types"),
    ],
)
def test_a_value_that_cannot_be_is_an_error_that_names_the_setting(
    machine: Machine, text: str, named: str
) -> None:
    machine.write("etc/config-5.1.lua", text)
    with pytest.raises(ConfigError) as caught:
        machine.config()
    assert named in caught.value.message


def test_a_file_that_the_environment_names_is_the_users(machine: Machine) -> None:
    machine.write("home/.luarocks/config-5.1.lua", 'deps_mode = "all"')
    machine.write("work/own.lua", 'deps_mode = "none"')
    machine.environment["LUAROCKS_CONFIG"] = "own.lua"
    assert machine.config().deps_mode == "none"
    machine.write("work/other.lua", 'deps_mode = "order"')
    machine.environment["LUAROCKS_CONFIG_5_1"] = f"{machine.cwd}/other.lua"
    assert machine.config().deps_mode == "order"


def test_a_missing_file_that_the_environment_names_is_a_warning(machine: Machine) -> None:
    machine.write("home/.luarocks/config-5.1.lua", 'deps_mode = "all"')
    machine.environment["LUAROCKS_CONFIG"] = "/nowhere.lua"
    said: list[str] = []
    config = load_config(Flags(), machine.environment, str(machine.cwd), superuser=False, warn=said.append)
    assert config.deps_mode == "all"
    assert said == [
        "could not load configuration file `/nowhere.lua` given in environment variable LUAROCKS_CONFIG"
    ]


def test_servers_of_a_file_replace_the_public_ones(machine: Machine) -> None:
    machine.write("etc/config-5.1.lua", 'rocks_servers = { { "http://a", "http://b" }, "http://c" }')
    assert machine.config().rocks_servers == (("http://a", "http://b"), ("http://c",))
    machine.write("home/.luarocks/config-5.1.lua", 'rocks_servers = { { "http://own" } }')
    assert machine.config().rocks_servers == (("http://own",),)
    machine.write("home/.luarocks/config-5.1.lua", 'disabled_servers = { ["http://c"] = true }')
    assert machine.config().rocks_servers == (("http://a", "http://b"),)


def test_platforms_can_be_given(machine: Machine) -> None:
    machine.write("etc/config-5.1.lua", 'platforms = { "linux" }')
    assert set(machine.config().platforms) == {"unix", "linux"}
    machine.write("etc/config-5.1.lua", 'platforms = { "unix", "bsd" }')
    config = machine.config()
    assert config.platforms == ("unix", "bsd")
    assert config.variables["MAKE"] == "gmake"


# --- trees


TREES = """
rocks_trees = {
   { name = "user", root = home .. "/u" },
   { name = "mine", root = "@ROOT@/m", bin_dir = "/b", lua_dir = "/l", lib_dir = "/c", rocks_dir = "/r" },
   { name = "system", root = "@ROOT@/s/" },
}
"""


@pytest.mark.parametrize(
    ("flags", "root"),
    [
        ({}, "s"),
        ({"local": True}, "home/u"),
        ({"tree": "mine"}, "m"),
        ({"tree": "other"}, "work/other"),
        ({"tree": "../x/./y//"}, "x/y"),
        ({"global_": True, "tree": "mine", "local": True}, "s"),
        ({"tree": "mine", "local": True, "project_tree": "/p/t"}, "m"),
        ({"local": True, "project_tree": "/p/t"}, "home/u"),
    ],
)
def test_the_tree_is_chosen_in_the_order_of_the_contract(
    machine: Machine, flags: dict[str, object], root: str
) -> None:
    machine.project()
    machine.write("etc/config-5.1.lua", TREES)
    config = machine.config(no_project=True, **flags)
    assert config.tree.root == str(machine.root / root)
    assert config.tree in config.trees


def test_a_table_of_directories_is_taken_as_it_is(machine: Machine) -> None:
    machine.write("etc/config-5.1.lua", TREES)
    tree = machine.config(tree="mine").tree
    assert (tree.bin_dir, tree.lua_dir, tree.lib_dir, tree.rocks_dir) == ("/b", "/l", "/c", "/r")
    config = machine.config(tree="mine")
    assert (config.variables["ROCKS_TREE"], config.variables["SCRIPTS_DIR"]) == ("/r", "/b")


def test_a_project_comes_before_local_by_default_and_after_local(machine: Machine) -> None:
    project = machine.project()
    machine.write("etc/config-5.1.lua", TREES + "local_by_default = true")
    inside = machine.config("work")
    assert (inside.tree.name, inside.tree.root) == ("project", f"{project}/lua_modules")
    assert [tree.name for tree in inside.trees] == ["project", "user", "mine", "system"]
    assert inside.project_dir == str(project)
    assert machine.config("work", local=True).tree.name == "user"
    assert machine.config("work", no_project=True).tree.name == "user"
    assert machine.config("work", no_project=True).project_dir is None
    assert machine.config("work", global_=True).tree.name == "system"
    assert machine.config("work", global_=True).local_by_default is False


def test_local_by_default_needs_no_tree_of_that_name(machine: Machine) -> None:
    machine.write("etc/config-5.1.lua", 'rocks_trees = { "/x" } local_by_default = true')
    assert machine.config().tree.root == f"{machine.home}/.luarocks"


def test_a_project_is_found_from_below_but_not_too_far(machine: Machine) -> None:
    machine.project("p")
    near, far = "p" + "/d" * 9, "p" + "/d" * 10
    (machine.root / far).mkdir(parents=True)
    assert machine.config(near).project_dir == str(machine.root / "p")
    assert machine.config(far).project_dir is None
    (machine.root / "p/d/.luarocks-no-project").touch()
    assert machine.config(near).project_dir is None
    assert machine.config("p").project_dir == str(machine.root / "p")


def test_a_project_tree_names_the_project_above_it(machine: Machine) -> None:
    machine.write("p/.luarocks/config-5.1.lua", 'deps_mode = "none"')
    config = machine.config(project_tree=f"{machine.root}/p/lua_modules")
    assert config.project_dir == f"{machine.root}/p"
    assert config.tree.root == f"{machine.root}/p/lua_modules"
    assert config.deps_mode == "none"


def test_a_tree_of_the_command_line_is_first_or_in_order_mode_last(machine: Machine) -> None:
    machine.write("etc/config-5.1.lua", TREES)
    names = [tree.name for tree in machine.config(tree="/x").trees]
    assert names == ["arg", "user", "mine", "system"]
    assert [tree.name for tree in machine.config(tree="/x", deps_mode="order").trees][-1] == "arg"


def test_local_is_not_for_the_superuser(machine: Machine) -> None:
    with pytest.raises(ConfigError) as caught:
        machine.config(superuser=True, local=True)
    assert caught.value.message.startswith(
        "The --local flag is meant for operating in a user's home directory."
    )
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("option", "flag", "name"), [("--local", "local", "user"), ("--global", "global_", "system")]
)
def test_a_tree_that_is_not_configured_is_an_ordinary_error(
    machine: Machine, option: str, flag: str, name: str
) -> None:
    machine.write("etc/config-5.1.lua", 'rocks_trees = { { name = "other", root = "/o" } }')
    with pytest.raises(ConfigError, match=f"{option} needs a tree named '{name}'"):
        machine.config(**{flag: True})


def test_in_debians_list_without_names_both_are_found(machine: Machine) -> None:
    machine.write("etc/config-5.1.lua", "rocks_trees = {\n   home..[[/.luarocks]],\n   [[/usr/local]]\n}\n")
    assert machine.config(local=True).tree.root == f"{machine.home}/.luarocks"
    assert machine.config(global_=True).tree.root == "/usr/local"


# --- Lua


def test_the_default_lua_version_follows_its_files(machine: Machine) -> None:
    machine.write("etc/default-lua-version.lua", 'return "5.2"\n')
    assert machine.config().lua_version == "5.2"
    machine.write("home/.luarocks/default-lua-version.lua", "local v = '5.3'\nreturn v")
    assert machine.config().lua_version == "5.3"
    machine.project()
    machine.write("work/.luarocks/default-lua-version.lua", "return nonsense(")
    assert machine.config().lua_version == "5.3"
    machine.write("work/.luarocks/default-lua-version.lua", 'return "5.4"')
    assert machine.config().lua_version == "5.4"
    assert machine.config(lua_version="5.1").lua_version == "5.1"


def test_a_project_with_config_files_alone_takes_the_newest(machine: Machine) -> None:
    machine.project()
    machine.write("work/.luarocks/config-5.2.lua", "")
    machine.write("work/.luarocks/config-5.3.lua", "")
    assert machine.config().lua_version == "5.3"


def test_a_config_file_may_name_the_lua_version(machine: Machine) -> None:
    machine.write("etc/config-5.1.lua", 'lua_version = "5.3"')
    config = machine.config()
    assert config.lua_version == "5.3"
    assert config.tree.lua_dir.endswith("/share/lua/5.3")
    assert machine.config(lua_version="5.1").lua_version == "5.1"


@pytest.mark.parametrize("wrong", ["5", "5.", "five", "5.1.5", "", "5.1-1", "\u0665.\u0661"])
def test_a_malformed_lua_version_is_a_usage_error(machine: Machine, wrong: str) -> None:
    with pytest.raises(UsageError, match="malformed argument"):
        machine.config(lua_version=wrong)


def test_a_version_that_nobody_has_works(machine: Machine) -> None:
    assert machine.config(lua_version="9.9").tree.lua_dir.endswith("/share/lua/9.9")


def test_lua_dir_without_an_interpreter_is_an_error(machine: Machine) -> None:
    with pytest.raises(ConfigError, match=r"Lua interpreter not found at /nowhere"):
        machine.config(lua_dir="/nowhere")
    with pytest.raises(ConfigError, match=r"Lua 5\.3 interpreter not found at /nowhere"):
        machine.config(lua_dir="/nowhere", lua_version="5.3")


def test_lua_dir_decides_the_version_and_the_variables(machine: Machine) -> None:
    lua = machine.write("prefix/bin/lua", "#!/bin/sh\nprintf 'Lua 5.3\\tnil'\n")
    lua.chmod(0o755)
    machine.write(
        "home/.luarocks/config-5.3.lua", 'variables = { LUA_DIR = "/x", LUA_INCDIR = "/y", LUA = "/z" }'
    )
    config = machine.config(lua_dir="../prefix")
    assert config.lua_version == "5.3"
    assert config.variables["LUA"] == str(lua)
    assert config.variables["LUA_DIR"] == f"{machine.root}/prefix"
    assert "LUA_INCDIR" not in config.variables


# --- other flags


def test_flags_that_contradict_each_other_are_refused(machine: Machine) -> None:
    with pytest.raises(ConfigError, match=r"^--only-server cannot be used with --dev$"):
        machine.config(only_server="/s", dev=True)
    with pytest.raises(ConfigError, match=r"^--only-server cannot be used with --server$"):
        machine.config(only_server="/s", server="/t")
    with pytest.raises(UsageError, match="must be one of 'all', 'one', 'order', 'none'"):
        machine.config(deps_mode="some")


def test_servers_of_the_command_line(machine: Machine) -> None:
    machine.write("etc/config-5.1.lua", 'rocks_servers = { "http://a/", { "http://b" } }')
    assert machine.config(server="/s").rocks_servers == (("file:///s",), ("http://a/",), ("http://b",))
    assert machine.config(only_server="https://o").rocks_servers == (("https://o",),)
    assert machine.config(dev=True).rocks_servers[:2] == (("http://a/dev",), ("http://b/dev",))


def test_assignments_override_every_file(machine: Machine) -> None:
    machine.write("home/.luarocks/config-5.1.lua", 'variables = { CC = "a" }')
    config = machine.config(assignments={"CC": "clang", "FOO_DIR": "/foo"})
    assert (config.variables["CC"], config.variables["FOO_DIR"]) == ("clang", "/foo")
    with pytest.raises(ConfigError, match="Invalid assignment: foo=1"):
        machine.config(assignments={"foo": "1"})


def test_tools_and_flags_come_from_the_environment(machine: Machine) -> None:
    machine.environment.update(CC="clang", CFLAGS="-O3", LDFLAGS="-s", MAKE="gmake", AR="llvm-ar")
    variables = machine.config().variables
    assert [variables[name] for name in ("CC", "LD", "CFLAGS", "LDFLAGS", "MAKE", "AR")] == [
        "clang",
        "clang",
        "-O3 -fPIC",
        "-s",
        "gmake",
        "llvm-ar",
    ]


def test_plain_flags_reach_the_config(machine: Machine) -> None:
    config = machine.config(
        timeout=0.0, lock_timeout=5.0, force_lock=True, verbose=True, only_sources="", no_manifest=True
    )
    assert (config.connection_timeout, config.lock_timeout) == (0.0, 5.0)
    assert config.force_lock
    assert config.verbose
    assert config.no_manifest
    assert config.only_sources_from == ""


# --- the real LuaRocks


def _roots(trees: object) -> list[object]:
    assert isinstance(trees, dict)
    return [os.path.normpath(tree if isinstance(tree, str) else tree["root"]) for tree in trees.values()]


_LIKE = {
    "none": ({}, [], {}),
    "version": ({"lua_version": "5.3"}, ["--lua-version", "5.3"], {}),
    "tree": ({"tree": "mine"}, ["--tree", "mine"], {"etc/config-5.1.lua": TREES}),
    "named trees": ({}, [], {"etc/config-5.1.lua": TREES}),
    "debian": ({}, [], {"etc/config-5.1.lua": "rocks_trees = { home..[[/.luarocks]], [[/usr/local]] }"}),
    "xdg": ({}, [], {"home/.config/luarocks/config-5.1.lua": 'deps_mode = "all"'}),
    "both user files": (
        {},
        [],
        {
            "home/.config/luarocks/config-5.1.lua": 'deps_mode = "all"',
            "home/.luarocks/config-5.1.lua": 'deps_mode = "order"',
        },
    ),
    "merge": (
        {},
        [],
        {
            "etc/config-5.1.lua": 'external_deps_dirs = { "/a", "/b", "/c", "/d" }\n'
            'rocks_provided = { x = "1-1" }',
            "home/.luarocks/config-5.1.lua": 'external_deps_dirs = { "/z" } rocks_provided = { y = "2-1" }',
        },
    ),
    "merge with defaults": ({}, [], {"etc/config-5.1.lua": 'external_deps_dirs = { "/opt/x" }'}),
    "paths": (
        {},
        [],
        {
            "etc/config-5.1.lua": 'lua_modules_path = "/lua" lib_modules_path = "/so"\n'
            'rocks_subdir = "/rocks"\n'
            'lib_extension = "dll" obj_extension = "obj" arch = "made-up" cmake_generator = "Ninja"'
        },
    ),
    "project": (
        {},
        [],
        {"work/.luarocks/config-5.1.lua": 'variables = { CC = "own" }', "work/lua_modules/x": ""},
    ),
    "project by version": (
        {},
        [],
        {"work/.luarocks/config-5.3.lua": 'deps_mode = "all"', "work/lua_modules/x": ""},
    ),
    "default version": (
        {},
        [],
        {
            "home/.luarocks/default-lua-version.lua": 'return "5.4"',
            "home/.luarocks/config-5.4.lua": "deps_mode='none'",
        },
    ),
    "computed": (
        {},
        [],
        {
            "etc/config-5.1.lua": "variables = { A = target_cpu, B = lua_version }\n"
            "if platforms.linux then variables.C = home end\nfor i = 1, 2 do variables['D' .. i] = 'd' end"
        },
    ),
    "switches": (
        {},
        [],
        {
            "etc/config-5.1.lua": "wrap_bin_scripts = false hooks_enabled = false no_manifest = true\n"
            "accept_unknown_fields = true link_lua_explicitly = true gcc_rpath = false\n"
            "local_by_default = true keep_other_versions = true connection_timeout = 7\n"
            "only_sources_from = 'http'"
        },
    ),
    "assignments": (
        {"assignments": {"CC": "x", "NEW": "y"}},
        ["CC=x", "NEW=y"],
        {"etc/config-5.1.lua": "variables = { CC = 'z' }"},
    ),
    "servers": (
        {"server": "http://first", "dev": True},
        ["--server", "http://first", "--dev"],
        {"etc/config-5.1.lua": "rocks_servers = { 'http://a', 'http://b' }"},
    ),
    "only server": ({"only_server": "http://only"}, ["--only-server", "http://only"], {}),
}


_SAME = (
    "arch",
    "deps_mode",
    "wrap_bin_scripts",
    "hooks_enabled",
    "no_manifest",
    "accept_unknown_fields",
    "link_lua_explicitly",
    "gcc_rpath",
    "keep_other_versions",
    "local_by_default",
    "lib_extension",
    "obj_extension",
    "cmake_generator",
    "connection_timeout",
    "only_sources_from",
    "home",
    "sysconfdir",
)


@pytest.mark.peer
@pytest.mark.parametrize("case", list(_LIKE))
def test_the_settings_are_those_of_luarocks(machine: Machine, case: str) -> None:
    flags, words, files = _LIKE[case]
    assert isinstance(flags, dict)
    for place, text in files.items():
        machine.write(place, text)
    real = machine.luarocks(list(words))
    config = machine.config(**flags)

    assert config.lua_version == real["lua_version"]
    assert [tree.root for tree in config.trees] == _roots(real["rocks_trees"])
    assert config.tree.rocks_dir == os.path.normpath(str(real["rocks_dir"]))
    assert config.tree.lua_dir == os.path.normpath(str(real["deploy_lua_dir"]))
    assert config.tree.lib_dir == os.path.normpath(str(real["deploy_lib_dir"]))
    if case != "tree":  # 3.8 knows no bin_dir of a tree
        assert config.tree.bin_dir == os.path.normpath(str(real["deploy_bin_dir"]))
    unset = dict.fromkeys(_SAME) | {"keep_other_versions": False, "wrap_bin_scripts": True}
    for name in _SAME:
        assert getattr(config, name) == real.get(name, unset[name]), name
    assert list(config.external_deps_dirs) == list(_table(real["external_deps_dirs"]).values())
    assert config.rocks_provided == real.get("rocks_provided", {})
    assert [list(mirrors)[:2] for mirrors in config.rocks_servers] == [
        list(server.values())[:2] if isinstance(server, dict) else [server]
        for server in _table(real["rocks_servers"]).values()
    ]
    certificates = {"CURLNOCERTFLAG", "WGETNOCERTFLAG"}  # Pumice checks them
    places = {"ROCKS_TREE", "SCRIPTS_DIR"}  # compared above
    for name, value in _table(real["variables"]).items():
        if name not in certificates | places and not str(name).startswith("LUA"):
            assert config.variables[str(name)] == value, name
    found = {kind: is_found for kind, _, is_found in config.config_files}
    for kind, record in _table(real["config_files"]).items():
        if kind != "nearest":
            assert found[str(kind)] == _table(record)["found"], kind


def _table(value: object) -> dict[object, object]:
    assert isinstance(value, dict)
    return value
