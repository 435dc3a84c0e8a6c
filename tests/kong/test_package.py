"""What a package holds, from a source directory and from a rock."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pumice.kong.check import check
from pumice.kong.manual_tar import package_of_tar, write_manual_tar
from pumice.kong.package import module_of_path, package_of_directory, package_of_rock
from pumice.rock.content import Content
from pumice.rock.rock import Rock, RockFile
from pumice.rock.rockfile import open_rock
from pumice.rock.rockspec import Rockspec, load_rockspec

Write = Callable[[Mapping[str, str]], Path]


def rockspec(build: str) -> Rockspec:
    text = f"""
    package = "demo" version = "1.0-1" source = {{ url = "https://example.com/x.tar.gz" }}
    build = {{ {build} }}
    """
    return load_rockspec(text.encode(), "demo-1.0-1.rockspec", ("linux", "unix"))


def rock(build: str, *paths: str) -> Rock:
    files = []
    for path in sorted(paths):
        section, _, rest = path.partition("/")
        digest = hashlib.md5(b"", usedforsecurity=False).hexdigest()
        files.append(RockFile(section, rest, False, digest, 0, Content.of_bytes(b"")))
    return Rock(rockspec(build), tuple(files), "all")


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("a.lua", "a"),
        ("a/b.lua", "a.b"),
        ("a/init.lua", "a"),
        ("init.lua", "init"),
        ("a/b.txt", None),
        ("a.so", None),
    ],
)
def test_a_path_is_the_module_that_require_finds_there(path: str, module: str | None) -> None:
    assert module_of_path(path) == module


def test_modules_come_from_the_map_and_from_install(write: Write) -> None:
    directory = write({"src/a.lua": "", "src/b.lua": "", "c/d.lua": "", "e.lua": ""})
    build = """type = "builtin", modules = { a = "./src/a.lua", ["x.fast"] = "fast.c", "c/d.lua" },
    install = { lua = { ["p.b"] = "src/b.lua", "e.lua" } }"""
    package = package_of_directory(str(directory), rockspec(build))
    assert dict(package.modules) == {"a": "src/a.lua", "c.d": "c/d.lua", "p.b": "src/b.lua", "e": "e.lua"}
    assert package.c_modules == {"x.fast"}
    assert [item.path for item in package.missing] == ["fast.c"]


def test_modules_that_a_build_finds_by_itself_are_given(write: Write) -> None:
    directory = write({"a.lua": "return 1"})
    package = package_of_directory(str(directory), rockspec('type = "builtin"'), modules={"a": "a.lua"})
    assert package.source("a.lua") == b"return 1"


def test_what_is_no_regular_file_is_missing(write: Write) -> None:
    directory = write({"dir.lua/x": ""})
    os.mkfifo(directory / "pipe.lua")
    os.symlink("nowhere", directory / "link.lua")
    build = 'type = "builtin", modules = { a = "dir.lua", b = "pipe.lua", c = "link.lua" }'
    package = package_of_directory(str(directory), rockspec(build))
    assert sorted(item.path for item in package.missing) == ["dir.lua", "link.lua", "pipe.lua"]


def test_a_plugin_in_the_top_directory_does_not_claim_the_whole_tree(write: Write) -> None:
    directory = write({"handler.lua": "", "schema.lua": "", "beside.lua": "", "other/deep.lua": ""})
    build = """type = "builtin", modules = { ["kong.plugins.demo.handler"] = "handler.lua",
    ["kong.plugins.demo.schema"] = "schema.lua" }"""
    package = package_of_directory(str(directory), rockspec(build))
    assert sorted(package.files) == ["beside.lua", "handler.lua", "schema.lua"]


def test_a_rock_has_its_modules_by_section() -> None:
    made = rock('type = "builtin"', "lua/a/init.lua", "lua/b.lua", "lib/c/d.so", "doc/x.lua", "bin/run")
    package = package_of_rock(made)
    assert dict(package.modules) == {"a": "lua/a/init.lua", "b": "lua/b.lua"}
    assert package.c_modules == {"c.d"}
    assert package.missing == ()


def test_a_rock_lacks_what_its_rockspec_lists_and_it_does_not_hold() -> None:
    build = 'type = "builtin", modules = { a = "a.lua", b = "b.lua", c = "c.c" }'
    package = package_of_rock(rock(build, "lua/a.lua"))
    assert sorted(item.path for item in package.missing) == ["lib/c.so", "lua/b.lua"]
    assert [item.code for item in check(package).findings] == ["file-missing", "file-missing"]


def test_a_finished_rock_of_a_plugin_is_judged_as_its_source_is() -> None:
    build = 'type = "builtin", modules = { ["kong.plugins.demo.handler"] = "handler.lua" }'
    report = check(package_of_rock(rock(build, "lua/kong/plugins/demo/handler.lua")))
    assert [item.code for item in report.findings] == ["schema-missing", "name-package", "handler-type"]


@pytest.mark.peer
def test_the_example_as_real_luarocks_packs_it_is_without_a_fault(project: Path, tmp_path: Path) -> None:
    """LuaRocks makes and packs; the rock is checked, and written as the manual's archive."""
    if shutil.which("luarocks") is None:
        pytest.skip("no luarocks here")
    source, tree = tmp_path / "source", tmp_path / "tree"
    shutil.copytree(project / "examples" / "kong-plugin-request-stamp", source)
    for command in (["make"], ["pack", "kong-plugin-request-stamp", "0.1.0-1"]):
        run = ["luarocks", "--lua-version", "5.1", "--tree", str(tree), *command]
        subprocess.run(run, cwd=source, check=True, capture_output=True, timeout=120)
    rock = open_rock(str(source / "kong-plugin-request-stamp-0.1.0-1.all.rock"), platforms=("linux", "unix"))
    assert check(package_of_rock(rock)).findings == ()
    write_manual_tar(rock, str(tmp_path / "x.tar.gz"))
    package = package_of_tar(str(tmp_path / "x.tar.gz"), ("linux", "unix"))
    assert check(package).findings == ()
    assert len(package.modules) == 3
