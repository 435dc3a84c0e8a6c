"""`build_rock` on rocks of Lua files, and what every build type shares."""

import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pumice.build.build import BuildOptions
from pumice.errors import BuildError

SIMPLE = 'build = { type = "builtin", modules = { ["a.b"] = "src/b.lua", a = "src/init.lua" } }'
FILES = {"src/b.lua": "return 'b'", "src/init.lua": "return 'a'"}


def test_modules_go_where_require_finds_them(builder: Any) -> None:
    assert builder.write(FILES).built(SIMPLE) == {"lua/a/b.lua": "return 'b'", "lua/a/init.lua": "return 'a'"}


def test_every_file_carries_its_size_and_digest(builder: Any) -> None:
    rock = builder.write(FILES).build(SIMPLE)
    for file in rock.files:
        data = file.content.read()
        assert (len(data), hashlib.md5(data).hexdigest()) == (file.size, file.md5)


def test_what_was_hashed_is_what_is_deployed_though_the_source_changes(builder: Any) -> None:
    rock = builder.write(FILES | {"doc/large.bin": os.urandom(2_000_000)}).build(SIMPLE)
    for path in builder.source.rglob("*.*"):
        path.write_bytes(b"changed")
    assert [file.md5 for file in rock.files] == [
        hashlib.md5(file.content.read()).hexdigest() for file in rock.files
    ]


def test_a_lua_rock_starts_no_process_and_writes_nothing(
    builder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    builder.write(FILES | {"README.md": "hello"})
    before = builder.snapshot()
    builder.build(SIMPLE)
    assert (before, False, False) == (builder.snapshot(), builder.work.exists(), builder.tree.exists())


def test_two_modules_of_one_file_are_both_installed(builder: Any) -> None:
    text = 'build = { type = "builtin", modules = { one = "m.lua", two = "m.lua" } }'
    assert {"lua/one.lua", "lua/two.lua"} == set(builder.write({"m.lua": ""}).built(text))


def test_a_rock_of_lua_files_is_for_every_machine(builder: Any) -> None:
    assert builder.write(FILES).build(SIMPLE).arch == "all"


@pytest.mark.parametrize(
    ("data", "arch"), [(b"\x7fELF\x02", "linux-x86_64"), (b"#!/usr/bin/env lua\n", "all"), (b"", "all")]
)
def test_a_native_command_makes_a_rock_for_one_machine(builder: Any, data: bytes, arch: str) -> None:
    text = 'build = { type = "none", install = { bin = { "tool" } } }'
    assert arch == builder.write({"tool": data}).build(text, arch="linux-x86_64").arch


def test_without_a_type_the_old_formats_cannot_be_built(builder: Any) -> None:
    with pytest.raises(BuildError, match="Rockspec error: build type not specified"):
        builder.build("build = {}")


def test_an_unknown_type_names_its_back_end(builder: Any) -> None:
    with pytest.raises(
        BuildError, match="Failed initializing build back-end for build type 'rust-mlua': "
    ) as info:
        builder.build('build = { type = "rust-mlua" }')
    assert "luarocks-build-rust-mlua" in info.value.hint


def test_a_type_that_is_not_accepted_is_blocked(builder: Any) -> None:
    builder.write(FILES)
    assert builder.build(SIMPLE, accepted_build_types=("builtin",)).files
    with pytest.raises(BuildError, match="uses the 'builtin' build type, which is blocked by"):
        builder.build(SIMPLE, accepted_build_types=("make",))


def test_module_is_builtin_with_a_notice(builder: Any) -> None:
    builder.write(FILES).build(SIMPLE.replace("builtin", "module"))
    assert builder.messages.of("info") == ["Do not use 'module' as a build type. Use 'builtin' instead."]


def test_a_missing_module_file_is_named(builder: Any) -> None:
    with pytest.raises(BuildError, match=r"Build error: Failed installing src/b\.lua in "):
        builder.write({"src/init.lua": ""}).build(SIMPLE)


def test_the_namespace_reaches_the_rock(builder: Any) -> None:
    assert builder.write(FILES).build(SIMPLE, BuildOptions(namespace="me")).namespace == "me"


def test_without_installing_the_rock_is_empty(builder: Any) -> None:
    assert builder.write(FILES).build(SIMPLE, BuildOptions(install=False)).files == ()


HOSTILE = {
    "module above": 'modules = { a = "../secret.lua" }',
    "module inside and out": 'modules = { a = "src/../../secret.lua" }',
    "absolute module": 'modules = { a = "/etc/passwd.lua" }',
    "module through a file link": 'modules = { a = "link.lua" }',
    "module through a directory link": 'modules = { a = "out/secret.lua" }',
    "C source above": 'modules = { a = "../secret.c" }',
    "C source through a link": 'modules = { a = { sources = { "out/secret.c" } } }',
    "command source above": 'modules = {}, install = { bin = { "../secret.lua" } }',
    "command target above": 'modules = {}, install = { bin = { ["../../x"] = "ok.lua" } }',
    "absolute command target": 'modules = {}, install = { bin = { ["/x"] = "ok.lua" } }',
    "command named ..": 'modules = {}, install = { bin = { [".."] = "ok.lua" } }',
    "conf target above": 'modules = {}, install = { conf = { ["a/../../../x"] = "ok.lua" } }',
    "lua section through a link": 'modules = {}, install = { lua = { ["a"] = "link.lua" } }',
    "lib source that is ..": 'modules = {}, install = { lib = { [".x"] = ".." } }',
    "copied directory above": 'modules = {}, copy_directories = { ".." }',
    "absolute copied directory": 'modules = {}, copy_directories = { "/etc" }',
    "copied directory link": 'modules = {}, copy_directories = { "out" }',
    "link in a copied directory": 'modules = {}, copy_directories = { "docs" }',
    "extra file above": 'modules = {}, extra_files = { ["../x"] = "owned" }',
    "absolute extra file": 'modules = {}, extra_files = { ["/tmp/pumice-owned"] = "owned" }',
    "extra file through a link": 'modules = {}, extra_files = { ["out/x"] = "owned" }',
    "extra file on a link": 'modules = {}, extra_files = { ["link.lua"] = "owned" }',
    "patch name above": 'modules = {}, patches = { ["../p"] = "" }',
    "patch above": 'modules = {}, patches = { p = "--- /dev/null\\n+++ b/../x\\n@@ -0,0 +1 @@\\n+owned\\n" }',
    "patch through a link": (
        'modules = {}, patches = { p = "--- /dev/null\\n+++ b/out/x\\n@@ -0,0 +1 @@\\n+owned\\n" }'
    ),
    "patch on a link": (
        'modules = {}, patches = { p = "--- a/link.lua\\n+++ b/link.lua\\n@@ -1 +1 @@\\n-secret\\n+own\\n" }'
    ),
}


@pytest.mark.adversary(42)
@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("build", HOSTILE.values(), ids=HOSTILE.keys())
def test_nothing_leaves_the_sources_or_the_rock(builder: Any, build: str, private: bool) -> None:
    outside: Path = builder.place / "outside"
    outside.mkdir()
    for name in ("secret.lua", "secret.c"):
        (outside / name).write_text("secret\n")
        (builder.place / name).write_text("secret\n")
    builder.write({"ok.lua": "", "docs/a.txt": ""})
    (builder.source / "link.lua").symlink_to(outside / "secret.lua")
    (builder.source / "out").symlink_to(outside)
    (builder.source / "docs/link.lua").symlink_to(outside / "secret.lua")
    text = 'rockspec_format = "3.0"\nbuild = { type = "builtin", ' + build + " }"

    def everything() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in builder.place.rglob("*") if path.is_file()}

    before = everything()
    with pytest.raises(BuildError):
        builder.build(text, BuildOptions(private_source=private))
    assert before == everything()


def test_a_link_inside_the_sources_is_a_file_like_any_other(builder: Any) -> None:
    builder.write({"src/b.lua": "return 'b'", "shared.lua": "return 'a'"})
    (builder.source / "src/init.lua").symlink_to("../shared.lua")
    assert builder.built(SIMPLE)["lua/a/init.lua"] == "return 'a'"


def test_a_file_cannot_be_a_directory_too(builder: Any) -> None:
    text = 'build = { type = "none", install = { bin = { "a", ["a/b"] = "a" } } }'
    with pytest.raises(BuildError, match="both as a file and as a directory"):
        builder.write({"a": ""}).build(text)
