"""External dependencies, in directories made for the test and against the real LuaRocks."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pumice.build.external import find_external_dependencies
from pumice.errors import BuildError

FOO = 'external_dependencies = { FOO = { header = "foo/foo.h", library = "foo" } } build = { type = "none" }'

NO_TOOLS = {"environment": {"PATH": "/nowhere"}}
ADVICE = (
    "You may have to install FOO in your system and/or pass FOO_DIR or FOO_INCDIR to the luarocks command."
)


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """A prefix with a header and a library."""
    root = tmp_path / "prefix"
    for name in ("include/foo/foo.h", "lib/libfoo.so.3", "bin/foo-config"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    return root


def found(builder: Any, text: str, *, runtime: bool = False, **changes: object) -> dict[str, str]:
    return find_external_dependencies(builder.rockspec(text), builder.config(**changes), runtime=runtime)


def test_all_is_found_under_one_prefix(builder: Any, prefix: Path) -> None:
    assert found(builder, FOO, external_deps_dirs=("/nowhere", str(prefix))) == {
        "FOO_DIR": str(prefix),
        "FOO_BINDIR": f"{prefix}/bin",
        "FOO_INCDIR": f"{prefix}/include",
        "FOO_INCDIR_FILE": "foo/foo.h",
        "FOO_LIBDIR": f"{prefix}/lib",
        "FOO_LIBDIR_FILE": "libfoo.so.3",
    }


def test_half_of_it_under_each_of_two_prefixes_is_not_found(
    builder: Any, prefix: Path, tmp_path: Path
) -> None:
    (prefix / "lib/libfoo.so.3").unlink()
    (tmp_path / "other/lib").mkdir(parents=True)
    (tmp_path / "other/lib/libfoo.a").write_text("")
    with pytest.raises(BuildError, match="Could not find header file for FOO"):
        found(builder, FOO, external_deps_dirs=(str(prefix), str(tmp_path / "other")))


def test_the_variable_of_the_prefix_wins(builder: Any, prefix: Path) -> None:
    for name in ("FOO_DIR", "DEPS_DIR"):
        assert found(builder, FOO, variables={name: str(prefix)})["FOO_LIBDIR"] == f"{prefix}/lib"


def test_the_variable_of_a_directory_replaces_it(builder: Any, prefix: Path, tmp_path: Path) -> None:
    place = tmp_path / "headers/foo"
    place.mkdir(parents=True)
    (place / "foo.h").write_text("")
    variables = {"FOO_INCDIR": str(place.parent), "FOO_DIR": str(prefix)}
    assert found(builder, FOO, variables=variables)["FOO_INCDIR"] == str(place.parent)


def test_a_prefix_may_name_its_own_directories(builder: Any, prefix: Path) -> None:
    (prefix / "lib").rename(prefix / "odd")
    entry = {"prefix": str(prefix), "lib": "odd"}
    assert found(builder, FOO, external_deps_dirs=(entry,))["FOO_LIBDIR"] == f"{prefix}/odd"


def test_a_binary_rock_needs_no_header(builder: Any, prefix: Path) -> None:
    (prefix / "include/foo/foo.h").unlink()
    assert "FOO_INCDIR" not in found(builder, FOO, runtime=True, external_deps_dirs=(str(prefix),))


@pytest.mark.parametrize("name", ["foo", "libfoo.so", "libfoo.so.3", "libfoo.a", "libfoo.dll"])
def test_names_with_an_extension_are_tried_in_every_form(builder: Any, prefix: Path, name: str) -> None:
    text = f'external_dependencies = {{ FOO = {{ library = "{name}" }} }} build = {{ type = "none" }}'
    if name == "libfoo.dll":
        (prefix / "lib/libfoo.so").write_text("")
    assert found(builder, text, external_deps_dirs=(str(prefix),))["FOO_LIBDIR"] == f"{prefix}/lib"


def test_the_error_lists_every_place_once_and_what_to_do(builder: Any) -> None:
    with pytest.raises(BuildError) as info:
        found(
            builder,
            FOO.replace("foo", "zlib"),
            external_deps_dirs=("/nowhere", "/nothing", "/nowhere"),
            **NO_TOOLS,
        )
    assert info.value.message.splitlines() == [
        "Could not find header file for FOO",
        "  No file zlib/zlib.h in /nowhere/include",
        "  No file zlib/zlib.h in /nothing/include",
        ADVICE,
        "Example: luarocks install sample FOO_DIR=/usr/local",
    ]
    assert info.value.hint.startswith("Install it")


@pytest.mark.peer
def test_pkg_config_is_the_last_resort(builder: Any, prefix: Path, tmp_path: Path) -> None:
    (tmp_path / "foo.pc").write_text(
        f"prefix={prefix}\nincludedir=${{prefix}}/include\nlibdir=${{prefix}}/lib\n"
        "Name: foo\nDescription: foo\nVersion: 1\nCflags: -I${includedir}\nLibs: -L${libdir} -lfoo\n"
    )
    environment = {"PATH": os.environ["PATH"], "PKG_CONFIG_PATH": str(tmp_path)}
    variables = found(builder, FOO, external_deps_dirs=("/nowhere",), environment=environment)
    assert (variables["FOO_INCDIR"], variables["FOO_LIBDIR"]) == (f"{prefix}/include", f"{prefix}/lib")


@pytest.mark.peer
def test_the_libraries_of_modules_are_dependencies_when_none_are_named(builder: Any) -> None:
    text = 'build = { type = "builtin", modules = { one = { sources = "x.c", libraries = { "nil1" } } } }'
    builder.write({"x.c": "int luaopen_one(void *L) { return 0; }"})
    with pytest.raises(BuildError, match="Could not find library file for NIL1"):
        builder.build(text)
    builder.build(text.replace("nil1", "m"))
    assert re.search(r" -I\S+ -L|-L/\S+ -Wl,-rpath,/\S+ -lm$", builder.messages.of("info")[1])


@pytest.mark.peer
def test_a_rock_is_built_against_its_dependency(builder: Any, prefix: Path) -> None:
    text = """external_dependencies = { FOO = { header = "foo/foo.h" } }
    build = { type = "builtin", modules = { one = { "x.c", incdirs = "$(FOO_INCDIR)" } } }"""
    builder.write({"x.c": "#include <foo/foo.h>\nint luaopen_one(void *L) { return 0; }"})
    builder.build(text, external_deps_dirs=(str(prefix),))
    assert f"-I{prefix}/include" in builder.messages.of("info")[0]


@pytest.mark.peer
@pytest.mark.parametrize(
    "asked",
    [
        'header = "stdio.h"',
        'library = "m"',
        'library = "libm.so"',
        'program = "sh"',
        'header = "lua5.1/lua.h"',
    ],
)
def test_luarocks_finds_the_same_on_this_machine(builder: Any, tmp_path: Path, asked: str) -> None:
    text = f'external_dependencies = {{ X = {{ {asked} }} }} build = {{ type = "none" }}'
    rockspec = tmp_path / "sample-1.0-1.rockspec"
    rockspec.write_bytes(builder.rockspec(text).text)
    script = """
    local fs, cfg = require("luarocks.fs"), require("luarocks.core.cfg")
    cfg.init(); fs.init(); require("luarocks.path").use_tree("/nowhere")
    local rockspec = assert(require("luarocks.fetch").load_local_rockspec(arg[1]))
    assert(require("luarocks.deps").check_external_deps(rockspec, "build"))
    for name, value in pairs(rockspec.variables) do if name:match("^X_") then print(name, value) end end
    """
    (tmp_path / "ask.lua").write_text(script)
    done = subprocess.run(
        ["lua5.1", "ask.lua", str(rockspec)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    theirs = dict(line.split("\t") for line in done.stdout.splitlines())
    ours = found(builder, text)
    key = {"header": "INCDIR", "library": "LIBDIR", "program": "BINDIR"}[asked.split(maxsplit=1)[0]]
    # Only the order of lib, lib64 and the multiarch directory differs, from 3.8 to 3.13.
    assert ours["X_DIR"] == theirs["X_DIR"]
    assert ours[f"X_{key}_FILE"] == theirs[f"X_{key}_FILE"]
    assert ours[f"X_{key}"] == theirs[f"X_{key}"]
