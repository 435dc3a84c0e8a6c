"""Patches, extra files and inline CMakeLists come to the sources, never to the user's own."""

from typing import Any

import pytest

from pumice.build.build import BuildOptions
from pumice.errors import BuildError

DIFF = "--- a/a.lua\n+++ b/a.lua\n@@ -1 +1 @@\n-old\n+new\n"
TEXT = (
    f'build = {{ type = "builtin", modules = {{ a = "a.lua" }}, patches = {{ ["fix.diff"] = [[{DIFF}]] }} }}'
)


def test_the_users_own_sources_are_not_edited(builder: Any) -> None:
    builder.write({"a.lua": "old\n"})
    before = builder.snapshot()
    assert builder.built(TEXT) == {"lua/a.lua": "new\n"}
    assert builder.snapshot() == before
    assert builder.messages.of("info") == ["Applying patch fix.diff..."]


def test_building_twice_patches_twice(builder: Any) -> None:
    builder.write({"a.lua": "old\n"})
    assert builder.built(TEXT) == builder.built(TEXT, work="again")


def test_private_sources_are_patched_in_place(builder: Any) -> None:
    builder.write({"a.lua": "old\n"})
    assert builder.built(TEXT, BuildOptions(private_source=True)) == {"lua/a.lua": "new\n"}
    assert builder.snapshot() == {"a.lua": b"new\n", "fix.diff": DIFF.encode()}


def test_what_luarocks_has_patched_is_not_patched_again(builder: Any) -> None:
    builder.write({"a.lua": "edited since\n", ".luarocks.patches.applied": ""})
    assert builder.built(TEXT) == {"lua/a.lua": "edited since\n"}


def test_patches_apply_in_the_order_of_their_names(builder: Any) -> None:
    second = DIFF.replace("old", "x").replace("new", "y").replace("x\n", "new\n").replace("y\n", "newest\n")
    text = TEXT.replace("} }", f', ["fiy.diff"] = [[{second}]] }} }}', 1)
    assert builder.write({"a.lua": "old\n"}).built(text) == {"lua/a.lua": "newest\n"}


def test_a_patch_that_does_not_apply_is_named_and_changes_nothing(builder: Any) -> None:
    builder.write({"a.lua": "other\n"})
    with pytest.raises(BuildError) as info:
        builder.build(TEXT, BuildOptions(private_source=True))
    assert info.value.message == ("Failed applying patch fix.diff: hunk 1 does not apply to a.lua at line 1")
    assert builder.snapshot() == {"a.lua": b"other\n"}


def test_extra_files_are_there_and_may_be_patched(builder: Any) -> None:
    text = TEXT.replace("modules", 'extra_files = { ["a.lua"] = "old\\n", ["d/b.lua"] = "b" }, modules')
    assert builder.built(text.replace('a = "a.lua"', 'a = "a.lua", b = "d/b.lua"')) == {
        "lua/a.lua": "new\n",
        "lua/b.lua": "b",
    }
    assert builder.snapshot() == {}


def test_the_copy_keeps_modes_and_links_and_leaves_version_control_out(builder: Any) -> None:
    builder.write({"a.lua": "old\n", "doc/run": "", ".git/config": "", "lua_modules/x": ""})
    (builder.source / "doc/run").chmod(0o755)
    (builder.source / "doc/link").symlink_to("run")
    rock = builder.build(TEXT)
    assert {file.rock_path: file.executable for file in rock.section("doc")} == {
        "doc/run": True,
        "doc/link": True,
    }
    copied = {path.name for path in (builder.work / "source").iterdir()}
    assert copied == {"a.lua", "doc", "fix.diff"}


def test_a_work_directory_inside_the_sources_is_not_copied_into_itself(builder: Any) -> None:
    builder.write({"a.lua": "old\n", "source/work/x": ""})
    assert builder.built(TEXT, work="source/work") == {"lua/a.lua": "new\n"}


@pytest.mark.parametrize("table", ["extra_files = { x = 1 }", "patches = { x = {} }", "patches = 'x'"])
def test_tables_of_other_things_are_refused(builder: Any, table: str) -> None:
    with pytest.raises(BuildError, match="must be a table of file names and texts"):
        builder.build(f'build = {{ type = "none", {table} }}')
