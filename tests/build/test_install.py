"""`build.install`, `copy_directories` and default documentation."""

from typing import Any

import pytest

from pumice.build.modules import module_directory
from pumice.errors import BuildError


def none(rest: str) -> str:
    return 'build = { type = "none", ' + rest + " }"


def test_keys_of_lua_and_lib_are_modules_and_of_bin_and_conf_are_paths(builder: Any) -> None:
    builder.write({"s/x.lua": "", "s/x.so": "", "s/run.sh": "", "s/x.conf": ""})
    text = none(
        """install = {
        lua = { ["a.b.c"] = "s/x.lua", ["data.file"] = "s/run.sh", "s/x.lua" },
        lib = { ["a.b"] = "s/x.so", "s/x.so" },
        bin = { ["deep/cmd"] = "s/run.sh", "s/run.sh" },
        conf = { ["etc/app.conf"] = "s/x.conf", "s/x.conf" } }"""
    )
    assert set(builder.built(text)) == {
        "lua/a/b/c.lua",
        "lua/data/run.sh",
        "lua/x.lua",
        "lib/a/x.so",
        "lib/x.so",
        "bin/deep/cmd",
        "bin/run.sh",
        "conf/etc/app.conf",
        "conf/x.conf",
    }


def test_configuration_may_go_to_another_directory_of_the_rock_that_is_not_deployed(builder: Any) -> None:
    builder.write({"x.sty": "x"})
    text = none('install = { conf = { ["../tex/x.sty"] = "x.sty", ["../top.sty"] = "x.sty" } }')
    assert set(builder.built(text)) == {"tex/x.sty", "top.sty"}
    for target in ("../lua/x.lua", "../bin/x", "../lib/x.so", "..", "../..", "../../x", "../conf", ""):
        with pytest.raises(BuildError, match=r"build\.install\.conf would install"):
            builder.build(none(f'install = {{ conf = {{ ["{target}"] = "x.sty" }} }}'))


def test_commands_and_libraries_are_executable_and_nothing_else(builder: Any) -> None:
    builder.write({"x": "", "doc/x": "", "doc/y": ""})
    (builder.source / "x").chmod(0o755)
    (builder.source / "doc/y").chmod(0o755)
    text = none('install = { lua = { "x" }, lib = { "x" }, bin = { "x" }, conf = { "x" } }')
    assert {file.rock_path: file.executable for file in builder.build(text).files} == {
        "lua/x": False,
        "lib/x": True,
        "bin/x": True,
        "conf/x": False,
        "doc/x": False,
        "doc/y": True,
    }


def test_a_missing_file_is_named(builder: Any) -> None:
    with pytest.raises(BuildError, match="Failed copying nothing") as info:
        builder.build(none('install = { bin = { "nothing" } }'))
    assert "build.install.bin" in info.value.hint


def test_a_directory_is_no_file(builder: Any) -> None:
    builder.write({"bin/x": ""})
    with pytest.raises(BuildError, match="Failed copying bin"):
        builder.build(none('install = { bin = { "bin" } }'))


@pytest.mark.parametrize("value", ['"bin"', "{ 1 }", "{ { } }", "{ true }"])
def test_an_install_table_that_is_none_is_refused(builder: Any, value: str) -> None:
    with pytest.raises(BuildError, match=r"build\.install\.bin must be a table of files"):
        from pumice.build.install import plan_installation
        from pumice.build.sources import SourceTree
        from pumice.lua.data import evaluate

        table = evaluate(f"t = {{ install = {{ bin = {value} }} }}".encode(), "t").globals["t"]
        plan_installation(table, SourceTree(str(builder.source)))


def test_doc_comes_without_asking_with_all_that_is_in_it(builder: Any) -> None:
    builder.write({"doc/a/b.txt": "b", "doc/a/.hidden": "h", "doc/.gitkeep": "", "README": "r"})
    assert builder.built(none("")) == {"doc/a/b.txt": "b", "doc/a/.hidden": "h"}


def test_without_doc_readme_license_and_markdown_come(builder: Any) -> None:
    names = [
        "README",
        "readme.txt",
        "LICENSE",
        "License.old",
        "COPYING",
        "HISTORY.md",
        "x.md.orig",
        "md",
        "X.rst",
    ]
    builder.write(dict.fromkeys(names, ""))
    assert set(builder.built(none(""))) == {f"doc/{name}" for name in names if name not in ("md", "X.rst")}


def test_documents_that_nobody_asked_for_are_left_out_if_they_lie_elsewhere(builder: Any) -> None:
    outside = builder.place / "outside"
    outside.mkdir()
    (outside / "README.md").write_text("of all projects")
    builder.write({"LICENSE": ""})
    (builder.source / "README.md").symlink_to(outside / "README.md")
    (builder.source / "doc").symlink_to(outside)
    assert set(builder.built(none(""))) == {"doc/LICENSE"}


def test_no_directories_at_all_still_give_default_documents(builder: Any) -> None:
    builder.write({"README": "", "doc/x": ""})
    assert set(builder.built(none("copy_directories = {}"))) == {"doc/README"}


def test_named_directories_keep_their_path(builder: Any) -> None:
    builder.write({"etc/a": "", "share/x/b": "", "README": ""})
    assert set(builder.built(none('copy_directories = { "etc", "share/x/" }'))) == {"etc/a", "share/x/b"}


def test_a_named_directory_must_be_there(builder: Any) -> None:
    with pytest.raises(BuildError, match="Directory 'tests' not found"):
        builder.build(none('copy_directories = { "tests" }'))


def test_a_link_to_itself_is_walked_once(builder: Any) -> None:
    builder.write({"doc/a": ""})
    (builder.source / "doc/again").symlink_to("../doc")
    (builder.source / "doc/dangling").symlink_to("nothing")
    assert set(builder.built(none(""))) == {"doc/a"}


def test_names_that_pumice_writes_itself_are_left_out(builder: Any) -> None:
    builder.write({"sample-1.0-1.rockspec": "", "rock_manifest": "", "rock_namespace": "", "kept": ""})
    assert set(builder.built(none('copy_directories = { "." }'))) == {"kept"}


@pytest.mark.parametrize(("name", "path"), [("a", ""), ("a.b", "a/"), ("a.b.c", "a/b/"), (".", "/")])
def test_the_directory_of_a_module(name: str, path: str) -> None:
    assert module_directory(name) == path
