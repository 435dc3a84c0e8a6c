"""C modules: commands, parallel work, and what is said when something is missing."""

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pumice.base.process import Finished
from pumice.build import compiler
from pumice.build.build import BuildOptions
from pumice.build.diagnosis import explain, library_hint
from pumice.errors import BuildError, PermissionDenied

C = "#include <lua.h>\nint luaopen_%s(lua_State *L) { return 0; }\n"
ONE = 'build = { type = "builtin", modules = { ["a.one"] = "src/one.c" } }'
FULL = """build = { type = "builtin", modules = { one = { sources = { "src/one.c" },
defines = { "A", "B=$(LUA_VERSION_X)" }, incdirs = { "inc" }, libdirs = { "/lib" },
libraries = "m" } } }"""


def build_hint(builder: Any, text: str, **changes: object) -> tuple[str, str]:
    with pytest.raises(BuildError) as info:
        builder.build(text, **changes)
    return info.value.message, info.value.hint


@pytest.mark.peer
def test_the_commands_are_luarocks_own_but_for_where_the_products_go(builder: Any) -> None:
    builder.write({"src/one.c": C % "one"}).build(FULL, variables={"LUA_INCDIR": "/usr/include/lua5.1"})
    work = builder.work
    assert builder.messages.of("info") == [
        f"gcc -O2 -fPIC -I/usr/include/lua5.1 -c src/one.c -o {work}/objects/0/0-src_one.o -DA -DB= -Iinc",
        f"gcc -shared -o {work}/products/one.so {work}/objects/0/0-src_one.o -L/lib -Wl,-rpath,/lib -lm",
    ]
    assert builder.messages.of("warning") == ["unmatched variable LUA_VERSION_X"]


@pytest.mark.peer
def test_flags_of_the_environment_and_of_the_configuration_count(builder: Any) -> None:
    environment = {"PATH": os.environ["PATH"], "CFLAGS": "-O1", "LDFLAGS": "-Wl,-O1"}
    builder.write({"src/one.c": C % "a_one"})
    builder.build(ONE, environment=environment, variables={"CC": "gcc -std=c99"}, gcc_rpath=False)
    compile_line, link_line = builder.messages.of("info")
    assert compile_line.startswith("gcc -std=c99 -O1 -fPIC -I")
    assert link_line.startswith("gcc -Wl,-O1 -shared -o ")


@pytest.mark.peer
def test_a_copy_of_the_module_is_left_where_luarocks_leaves_it(builder: Any) -> None:
    rock = builder.write({"src/one.c": C % "a_one"}).build(ONE)
    assert (builder.source / "a/one.so").read_bytes() == rock.files[0].content.read()
    assert set(builder.snapshot()) == {"src/one.c", "a/one.so"}


@pytest.mark.peer
def test_sources_that_may_only_be_read_are_built(builder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy is for LuaRocks's habits; the rock does not need it."""

    def refuse(source: str, target: str) -> None:
        raise PermissionDenied(f"cannot copy {source} to {target}: permission denied")

    monkeypatch.setattr("pumice.base.disk.copy_file", refuse)
    rock = builder.write({"src/one.c": C % "a_one"}).build(ONE)
    assert [file.rock_path for file in rock.files] == ["lib/a/one.so"]
    assert set(builder.snapshot()) == {"src/one.c"}


@pytest.mark.peer
@pytest.mark.adversary(42)
def test_the_copy_is_not_left_through_a_link(builder: Any) -> None:
    outside: Path = builder.place / "outside"
    outside.mkdir()
    builder.write({"src/one.c": C % "a_one"})
    (builder.source / "a").symlink_to(outside)
    with pytest.raises(BuildError, match="leads outside the source directory"):
        builder.build(ONE)
    assert list(outside.iterdir()) == []


@pytest.mark.peer
def test_two_builds_give_the_same_bytes(builder: Any) -> None:
    builder.write({"src/one.c": C % "a_one"})
    assert builder.build(ONE).files[0].md5 == builder.build(ONE, work="elsewhere").files[0].md5


@pytest.mark.peer
def test_a_rock_with_c_modules_is_for_this_kind_of_machine(builder: Any) -> None:
    rock = builder.write({"src/one.c": C % "a_one"}).build(ONE, arch="linux-x86_64")
    assert [(file.rock_path, file.executable) for file in rock.files] == [("lib/a/one.so", True)]
    assert rock.arch == "linux-x86_64"


@pytest.mark.peer
def test_building_without_installing_compiles(builder: Any) -> None:
    rock = builder.write({"src/one.c": C % "a_one"}).build(ONE, BuildOptions(install=False))
    assert (rock.files, (builder.source / "a/one.so").is_file()) == ((), True)


@pytest.mark.peer
def test_one_source_with_other_defines_is_another_object(builder: Any) -> None:
    text = """build = { type = "builtin", modules = {
    one = { sources = "x.c", defines = { "NAME=luaopen_one" } },
    two = { sources = "x.c", defines = { "NAME=luaopen_two" } } } }"""
    rock = builder.write({"x.c": "int NAME(void *L) { return 0; }"}).build(text)
    one, two = rock.files
    assert b"luaopen_one" in one.content.read()
    assert b"luaopen_two" in two.content.read()


@pytest.mark.peer
def test_lua_is_linked_where_the_configuration_says(builder: Any) -> None:
    builder.write({"src/one.c": C % "a_one"}).build(
        ONE,
        link_lua_explicitly=True,
        external_deps_subdirs={"lib": ("lib", f"lib/{os.uname().machine}-linux-gnu")},
    )
    assert " -llua5.1" in builder.messages.of("info")[1]


def test_compilers_run_at_once_and_report_in_order(builder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    running, most, lock = 0, 0, threading.Lock()

    def fake(command: str, **_: object) -> Finished:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        target = command.split("'-o' '")[1].split("'", maxsplit=1)[0]
        Path(target).write_bytes(b"")
        with lock:
            running -= 1
        return Finished(0, "")

    monkeypatch.setattr(compiler, "run", fake)
    names = [f"m{number}" for number in range(8)]
    modules = ", ".join(f'{name} = "{name}.c"' for name in names)
    builder.write({f"{name}.c": C % name for name in names})
    text = f'build = {{ type = "builtin", modules = {{ {modules} }} }}'
    builder.build(text, BuildOptions(jobs=3), variables={"LUA_INCDIR": "/usr/include/lua5.1"})
    assert most == 3
    sources = [line.split(" -c ")[1].split()[0] for line in builder.messages.of("info")[:8]]
    assert sources == [f"{name}.c" for name in names]


@pytest.mark.peer
def test_what_does_not_compile_is_named_with_the_compilers_words(builder: Any) -> None:
    message, _ = build_hint(builder.write({"src/one.c": "this is no C"}), ONE)
    assert message == "Build error: Failed compiling object src/one.o"
    assert any("src/one.c:1" in text for text in builder.messages.of("info"))


@pytest.mark.peer
def test_what_does_not_link_is_named(builder: Any) -> None:
    text = """external_dependencies = {}
    build = { type = "builtin", modules = { one = { "x.c", libraries = "nil1" } } }"""
    message, hint = build_hint(builder.write({"x.c": C % "one"}), text)
    assert message == "Build error: Failed compiling module one.so"
    assert hint.startswith("The library nil1 is not there.")


def test_a_missing_source_is_named_before_anything_runs(builder: Any) -> None:
    message, _ = build_hint(builder, ONE)
    assert message == ("Build error: Failed compiling object src/one.o: src/one.c: No such file or directory")
    assert not builder.work.exists()


@pytest.mark.peer
def test_a_missing_compiler_gives_the_package(builder: Any) -> None:
    changes = {"variables": {"LUA_INCDIR": "/usr/include/lua5.1", "CC": "/nowhere/gcc"}}
    message, hint = build_hint(builder.write({"src/one.c": C % "a_one"}), ONE, **changes)
    assert message == "Build error: Failed compiling object src/one.o"
    assert hint.startswith("/nowhere/gcc is not there. Install it")


def test_missing_lua_headers_give_the_package(builder: Any) -> None:
    builder.write({"src/one.c": C % "a_one"})
    message, hint = build_hint(builder, ONE, variables={"LUA_INCDIR": "/nowhere"})
    assert "Failed finding Lua header files" in message
    assert "lua" in hint


@pytest.mark.parametrize(
    ("code", "output", "start"),
    [
        (127, "/bin/sh: 1: gcc: not found\n", "gcc is not there. Install"),
        (127, "/bin/sh: clang: not found\n", "clang is not there. Install"),
        (
            1,
            "a.c:1:10: fatal error: openssl/ssl.h: No such file or directory\n",
            "The header openssl/ssl.h is",
        ),
        (1, "a.c:1:10: fatal error: 'zlib.h' file not found\n", "The header zlib.h is"),
        (1, "/usr/bin/ld: cannot find -lyaml: No such file or directory\n", "The library yaml is"),
        (1, "ld: library not found for -lssl\n", "The library ssl is"),
        (1, "a.c:1: error: expected ';'\n", "See the messages above."),
    ],
)
def test_output_becomes_a_hint(code: int, output: str, start: str) -> None:
    assert explain(Finished(code, output)).startswith(start)


@pytest.mark.parametrize(
    "name",
    ["OPENSSL", "CRYPTO", "ZLIB", "YAML", "LIBYAML", "openssl/ssl.h", "libpq", "event2/event.h", "PCRE2"],
)
def test_well_known_libraries_have_packages(name: str) -> None:
    assert library_hint(name).startswith("Install it")


def test_an_unknown_library_has_none() -> None:
    assert library_hint("SOMETHING_ODD") == ""
