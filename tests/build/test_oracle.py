"""The real `luarocks make` and `build_rock` make the same rock of the same sources, driver by driver."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pumice.build.build import BuildOptions
from pumice.lua.data import evaluate

pytestmark = pytest.mark.peer

C = """#include <lua.h>
#include <lauxlib.h>
#ifdef WITH_HEADER
#include "answer.h"
#else
#define ANSWER 41
#endif
int %s(lua_State *L) { lua_pushinteger(L, ANSWER); return 1; }
"""
MAKEFILE = """all: sample.so
sample.so: sample.c
\t$(CC) $(CFLAGS) -shared -I$(LUA_INCDIR) -o $@ $<
install:
\tcp sample.so $(LIBDIR)
\tmkdir -p $(LUADIR)/deep && echo "return '$(NAME)'" > $(LUADIR)/deep/m.lua
\techo hello > $(PREFIX)/top.txt
\techo "#!/bin/sh" > $(BINDIR)/cmd && chmod +x $(BINDIR)/cmd
\techo conf=$(CONFDIR) > $(CONFDIR)/app.conf
"""
CMAKE = """cmake_minimum_required(VERSION 3.10)
project(sample C)
include_directories(${LUA_INCDIR})
add_library(sample MODULE sample.c)
set_target_properties(sample PROPERTIES PREFIX "")
install(TARGETS sample DESTINATION ${LIBDIR})
install(FILES m.lua DESTINATION ${LUADIR})
"""
PATCH = """--- a/a.lua
+++ b/a.lua
@@ -1,3 +1,3 @@
 one
-two
+TWO
 three
--- /dev/null
+++ b/made/by.lua
@@ -0,0 +1 @@
+return 1
--- a/gone.lua
+++ /dev/null\t1970-01-01 00:00:00.000000000 +0000
@@ -1 +0,0 @@
-bye
"""

Case = tuple[str, Mapping[str, str | bytes]]
CASES: dict[str, Case] = {
    "lua modules": (
        """build = { type = "builtin", modules = { a = "a.lua", ["b.c"] = "src/x.lua", d = "d/init.lua",
        ["e.init"] = "d/e/init.lua", init = "init.lua", ["f/g"] = "g.lua" } }""",
        {
            "a.lua": "a",
            "src/x.lua": "x",
            "d/init.lua": "d",
            "d/e/init.lua": "e",
            "init.lua": "i",
            "g.lua": "g",
            "README": "r",
        },
    ),
    "lua directory": (
        'build = { type = "builtin", modules = { a = "a.lua" } }',
        {"a.lua": "a", "lua/b/c.lua": "c", "lua/data.txt": "d", "lua/.hidden": "h", "lua/b/.hidden": "h"},
    ),
    "install sections": (
        """build = { type = "none", install = {
        lua = { ["a.b"] = "x.lua", ["data.file"] = "run.sh", "x.lua" }, lib = { ["."] = "x.dat",
        ["p.q"] = "x.dat" },
        bin = { ["deep/cmd"] = "run.sh", "run.sh" }, conf = { ["etc/app.conf"] = "x.dat", "x.dat" } },
        copy_directories = { "etc", "share/deep" } }""",
        {
            "x.lua": "x",
            "run.sh": "#!/bin/sh\n",
            "x.dat": "\0\1",
            "etc/a": "a",
            "share/deep/b/c": "c",
            "doc/d": "d",
        },
    ),
    "default documents": (
        'build = { type = "none" }',
        {"README": "", "LICENSE.txt": "l", "CHANGES.md": "c", "x.rst": "x", "Copying": "c"},
    ),
    "doc directory": ('build = { type = "none" }', {"README": "", "doc/a/b": "b", "doc/c": "c"}),
    "detected": (
        'rockspec_format = "3.0"',
        {
            "src/a.lua": "a",
            "src/b/init.lua": "b",
            "src/k.c": C % "luaopen_k",
            "src/bin/ignored.txt": "",
            "tests/t.lua": "t",
            "docs/d": "d",
            "spec/s.lua": "s",
        },
    ),
    "detected at the root": (
        'rockspec_format = "3.0"\nbuild = { copy_directories = { "extra" } }',
        {
            "a.lua": "a",
            "b/c.lua": "c",
            "spec/s.lua": "s",
            "test.lua": "t",
            "bin/cmd": "#!lua\n",
            "extra/e": "e",
        },
    ),
    "c modules": (
        """build = { type = "builtin", modules = { one = "one.c", ["x.two"] = { "src/two.c", "src/more.c" },
        three = { sources = "three.c", defines = { "WITH_HEADER", "UNUSED=1" }, incdirs = { "include" },
        libraries = { "m" }, libdirs = { "/usr/lib" } } } }""",
        {
            "one.c": C % "luaopen_one",
            "src/two.c": C % "luaopen_x_two",
            "src/more.c": "int more(void) { return 1; }",
            "three.c": C % "luaopen_three",
            "include/answer.h": "#define ANSWER 42\n",
        },
    ),
    "built module installed by hand": (
        """build = { type = "builtin", modules = { ["sub.one"] = "one.c" },
        install = { lib = { ["again.one"] = "sub/one.so" } } }""",
        {"one.c": C % "luaopen_sub_one"},
    ),
    "make": (
        """build = { type = "make", variables = { CFLAGS = "$(CFLAGS)", LUA_INCDIR = "$(LUA_INCDIR)" },
        install_variables = { LIBDIR = "$(LIBDIR)", LUADIR = "$(LUADIR)", PREFIX = "$(PREFIX)",
        BINDIR = "$(BINDIR)", CONFDIR = "$(CONFDIR)", NAME = "it's $(UNKNOWN)" } }""",
        {
            "Makefile": MAKEFILE.replace("'$(NAME)'", "$(NAME)"),
            "sample.c": C % "luaopen_sample",
        },
    ),
    "make with its own makefile and one pass": (
        """build = { type = "make", makefile = "other.mk", build_pass = false, install_target = "put",
        install_variables = { D = "$(LUADIR)" } }""",
        {"other.mk": "all:\n\tfalse\nput:\n\techo 1 > $(D)/m.lua\n"},
    ),
    "cmake": (
        """build = { type = "cmake", variables = { LUA_INCDIR = "$(LUA_INCDIR)", LIBDIR = "$(LIBDIR)",
        LUADIR = "$(LUADIR)" } }""",
        {"CMakeLists.txt": CMAKE, "sample.c": C % "luaopen_sample", "m.lua": "m"},
    ),
    "cmake inline": (
        f"""build = {{ type = "cmake", cmake = [==[{CMAKE}]==], variables = {{ LUA_INCDIR = "$(LUA_INCDIR)",
        LIBDIR = "$(LIBDIR)", LUADIR = "$(LUADIR)" }},
        install = {{ lib = {{ ["."] = "build.luarocks/sample.so" }} }} }}""",
        {"CMakeLists.txt": "nonsense", "sample.c": C % "luaopen_sample", "m.lua": "m"},
    ),
    "command": (
        """build = { type = "command", build_command = "echo $CC > built.txt && echo $(LUA_VERSION)x",
        install_command = "cp built.txt $(LUADIR)/m.lua && mkdir -p $(DOCDIR) && echo d > $(DOCDIR)/d" }""",
        {"README": "r"},
    ),
    "patches and extra files": (
        f"""rockspec_format = "3.0"
        build = {{ type = "builtin", modules = {{ a = "a.lua", m = "made/by.lua", e = "extra.lua" }},
        extra_files = {{ ["extra.lua"] = "return 'extra'" }}, patches = {{ ["1.patch"] = [==[{PATCH}]==] }}
        }}""",
        {"a.lua": "one\ntwo\nthree\n", "gone.lua": "bye\n", "made/README": ""},
    ),
    "platforms": (
        """build = { type = "builtin", modules = { a = "a.lua" }, platforms = {
        unix = { modules = { b = "b.lua" } }, linux = { modules = { a = "c.lua" } },
        win32 = { type = "make" } } }""",
        {"a.lua": "a", "b.lua": "b", "c.lua": "c"},
    ),
}


def luarocks_made(builder: Any, text: str) -> tuple[dict[str, str], Path]:
    """The rock_manifest that LuaRocks writes, flat, and its tree."""
    source = builder.place / "theirs"
    shutil.copytree(builder.source, source)
    tree = builder.place / "theirs_tree"
    name = "sample-1.0-1.rockspec"
    (source / name).write_bytes(builder.rockspec(text).text)
    environment = {"PATH": os.environ["PATH"], "HOME": str(builder.place), "LC_ALL": "C"}
    command = ["luarocks", "--lua-version=5.1", f"--tree={tree}", "make", "--deps-mode=none", name]
    done = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    data = (tree / "lib/luarocks/rocks-5.1/sample/1.0-1/rock_manifest").read_bytes()
    flat: dict[str, str] = {}

    def flatten(table: dict[str, Any], prefix: str) -> None:
        for key, value in table.items():
            if isinstance(value, dict):
                flatten(value, f"{prefix}{key}/")
            else:
                flat[prefix + key] = value

    flatten(evaluate(data, "rock_manifest").globals["rock_manifest"], "")
    assert flat.pop(name)
    return flat, tree


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_same_files_with_the_same_contents(builder: Any, case: Case) -> None:
    text, files = case
    builder.write(files)
    before = builder.snapshot()
    theirs, tree = luarocks_made(builder, text)
    rock = builder.build(text)
    ours = {file.rock_path: file.md5 for file in rock.files}
    assert set(ours) == set(theirs)
    compiled = {path for path in ours if path.endswith(".so")}
    # The baked configuration path differs as the trees do.
    baked = {path for path in ours if path == "conf/app.conf"}
    assert {path: ours[path] for path in ours.keys() - compiled - baked} == {
        path: theirs[path] for path in theirs.keys() - compiled - baked
    }
    for file in rock.files:
        if file.rock_path in compiled:
            assert_loads(builder, file.path, file.content.read(), tree)
        elif file.rock_path in baked:
            final = f"{builder.tree}/lib/luarocks/rocks-5.1/sample/1.0-1/conf"
            assert file.content.read() == f"conf={final}\n".encode()
    if not compiled and "make" not in text and "command" not in text:
        assert builder.snapshot() == before
    again = builder.build(text, BuildOptions(private_source=True), work="again")
    assert {file.rock_path for file in again.files} == set(ours)
    assert rock.arch == ("linux-x86_64" if any(path.startswith("lib/") for path in ours) else "all")


def assert_loads(builder: Any, path: str, data: bytes, tree: Path) -> None:
    """Our module exports what theirs does, and the real interpreters load it."""
    ours: Path = builder.place / "loaded" / path
    ours.parent.mkdir(parents=True, exist_ok=True)
    ours.write_bytes(data)
    theirs = tree / "lib/lua/5.1" / path
    symbols = [
        subprocess.run(["nm", "-D", "--defined-only", "-j", file], capture_output=True, text=True).stdout
        for file in (ours, theirs)
    ]
    assert symbols[0] == symbols[1]
    opener = next(name for name in symbols[0].split() if name.startswith("luaopen_"))
    code = f"print(assert(package.loadlib({str(ours)!r}, {opener!r}))())"
    for interpreter in ("lua5.1", "luajit"):
        done = subprocess.run([interpreter, "-e", code], capture_output=True, text=True)
        assert done.stdout.strip() in ("41", "42"), done.stderr
