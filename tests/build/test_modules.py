"""Module tables, and modules that are detected."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from pumice.build.modules import CModule, LuaModule, detect_modules, library_variable, parse_modules
from pumice.build.sources import SourceTree
from pumice.errors import BuildError
from pumice.lua.data import evaluate


def parsed(text: str, **options: bool) -> dict[str, LuaModule | CModule]:
    table = evaluate(f"t = {text}".encode(), "t").globals["t"]
    return {module.name: module for module in parse_modules(table, "so", **options)}


@pytest.mark.parametrize(
    ("name", "source", "target"),
    [
        ("a", "a.lua", "a.lua"),
        ("a.b", "src/x.lua", "a/b.lua"),
        ("a", "src/init.lua", "a/init.lua"),
        ("a.init", "src/init.lua", "a/init.lua"),
        ("init", "init.lua", "init/init.lua"),
        ("a", "src/init.lua.lua", "a.lua"),
    ],
)
def test_a_lua_module_is_stored_by_its_name(name: str, source: str, target: str) -> None:
    assert parsed(f'{{ ["{name}"] = "{source}" }}') == {name: LuaModule(name, source, target)}


def test_every_form_of_a_c_module(builder: Any) -> None:
    assert parsed(
        """{ one = "one.c", two = { "a.c", "b.c", libraries = "z" }, ["x.three"] = { sources = "c.c",
        defines = { "A", "B=1" }, libraries = { "m" }, incdirs = "inc", libdirs = { "/lib" } } }"""
    ) == {
        "one": CModule("one", "one.so", ("one.c",)),
        "two": CModule("two", "two.so", ("a.c", "b.c"), (), ("z",)),
        "x.three": CModule("x.three", "x/three.so", ("c.c",), ("A", "B=1"), ("m",), ("inc",), ("/lib",)),
    }


def test_directories_default_to_those_of_the_libraries_where_these_are_dependencies() -> None:
    module = parsed(
        '{ a = { sources = "a.c", libraries = { "z", "c++" } } }', libraries_are_dependencies=True
    )["a"]
    assert module == CModule(
        "a",
        "a.so",
        ("a.c",),
        (),
        ("z", "c++"),
        ("$(Z_INCDIR)", "$(CPP_INCDIR)"),
        ("$(Z_LIBDIR)", "$(CPP_LIBDIR)"),
    )


@pytest.mark.parametrize(("library", "name"), [("z", "Z"), ("stdc++", "STDCPP"), ("pcre2-8", "PCRE2_8")])
def test_a_library_has_a_variable(library: str, name: str) -> None:
    assert library_variable(library) == name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{ "a.lua" }', "entry 1 has no module name"),
        ("{ a = true }", "module 'a' must be a file name or a table"),
        ("{ a = { libraries = 'm' } }", "error in rockspec: module 'a' entry has no 'sources' list"),
        ("{ a = { sources = { {} } } }", r"build\.modules\['a'\]\.sources must be a string or a list"),
        ('{ ["a."] = "x.lua" }', "'a.' is not a module name"),
    ],
)
def test_a_table_that_cannot_be_built_is_refused(text: str, words: str) -> None:
    with pytest.raises(BuildError, match=words):
        parsed(text)


def detected(builder: Any) -> dict[str, str]:
    modules = detect_modules(SourceTree(str(builder.source)), "so").modules
    return {module.name: module.target for module in modules}


@pytest.mark.parametrize(
    ("there", "root"), [(("src", "lua", "lib"), "src"), (("lua", "lib"), "lua"), (("lib",), "lib")]
)
def test_the_first_of_src_lua_lib_is_the_root(builder: Any, there: tuple[str, ...], root: str) -> None:
    builder.write({f"{name}/in_{name}.lua": "" for name in there} | {"above.lua": ""})
    assert detected(builder) == {f"in_{root}": f"in_{root}.lua"}


def test_tests_and_trees_are_no_modules(builder: Any) -> None:
    names = [
        "spec/a.lua",
        ".luarocks/b.lua",
        "lua_modules/c.lua",
        "test.lua",
        "tests.lua",
        "x/spec/d.lua",
        "e.lua",
    ]
    builder.write(dict.fromkeys(names, ""))
    assert set(detected(builder)) == {"x.spec.d", "e"}


def test_what_is_no_module_is_not_even_looked_at(builder: Any) -> None:
    builder.write({"a.lua": ""})
    for name in ("spec", "lua_modules", ".hidden"):
        (builder.source / name).symlink_to("/etc")
    assert set(detected(builder)) == {"a"}


def test_a_c_file_is_named_by_what_it_opens(builder: Any) -> None:
    builder.write(
        {
            "src/a.c": "LUALIB_API int luaopen_deep_name (lua_State *L) {}\nint luaopen_other(lua_State *L);",
            "src/x/b.c": "int\n\tluaopen_b(lua_State *L) {}",
            "src/x/c.c": "void nothing(void) {}",
        }
    )
    assert detected(builder) == {"deep_name": "deep_name.so", "b": "b.so", "x.c": "x/c.so"}


def test_commands_and_documentation_are_found(builder: Any) -> None:
    builder.write(
        {"bin/one": "", "bin/sub/two": "", "docs/d": "", "tests/t": "", "samples/s": "", "other/o": ""}
    )
    found = detect_modules(SourceTree(str(builder.source)), "so")
    assert (found.commands, found.directories) == (("bin/one",), ("docs", "samples", "tests"))


@pytest.mark.peer
def test_luarocks_detects_the_same(builder: Any, tmp_path: Path) -> None:
    builder.write(
        {
            "lib/a.lua": "",
            "lib/a/init.lua": "",
            "lib/init.lua": "",
            "lib/.hidden/x.lua": "",
            "lib/x..y.lua": "",
            "lib/spec/no.lua": "",
            "lib/k.c": "int luaopen_deep_k(lua_State *L);",
            "lib/n.c": "nothing",
            "lib/data.txt": "",
            "bin/cmd": "",
            "doc/x": "",
            "tests/t": "",
        }
    )
    script = """
    local fs = require("luarocks.fs")
    require("luarocks.core.cfg").init(); fs.init(); fs.change_dir(arg[1])
    local m, i, c = require("luarocks.build.builtin").autodetect_modules()
    for k, v in pairs(m) do print("module", k, type(v) == "table" and v.sources or v) end
    for _, v in ipairs(i.bin) do print("command", v) end
    for _, v in ipairs(c) do print("directory", v) end
    """
    (tmp_path / "ask.lua").write_text(script)
    command = ["lua5.1", "ask.lua", str(builder.source)]
    real = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    found = detect_modules(SourceTree(str(builder.source)), "so")
    lines = [
        f"module\t{module.name}\t{module.source if isinstance(module, LuaModule) else module.sources[0]}"
        for module in found.modules
    ]
    lines += [f"command\t{name}" for name in found.commands] + [
        f"directory\t{name}" for name in found.directories
    ]
    assert sorted(lines) == sorted(real.splitlines())
