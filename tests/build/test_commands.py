"""`make`, `cmake` and `command`: what they are told, where they install, and how they fail."""

import os
from typing import Any

import pytest

from pumice.build.build import BuildOptions
from pumice.errors import BuildError

pytestmark = pytest.mark.peer

MAKE = """build = { type = "make", build_variables = { CFLAGS = "$(CFLAGS)" },
install_variables = { D = "$(LUADIR)" } }"""
COPY = "all:\n\ttrue\ninstall:\n\tcp m.lua $(D)/m.lua\n"


def command(build: str, install: str = "true") -> str:
    return f"build = {{ type = 'command', build_command = [[{build}]], install_command = [[{install}]] }}"


def failure(builder: Any, text: str, **changes: object) -> tuple[str, str]:
    with pytest.raises(BuildError) as info:
        builder.build(text, **changes)
    return info.value.message, info.value.hint


def test_what_is_installed_below_the_prefix_is_the_rock(builder: Any) -> None:
    builder.write({"Makefile": COPY, "m.lua": "return 1"})
    assert builder.built(MAKE) == {"lua/m.lua": "return 1"}
    assert not builder.tree.exists()


def test_make_is_warned_about_and_told_as_luarocks_does(builder: Any) -> None:
    builder.write({"Makefile": COPY.replace("true", "@echo 'CC is $(CC)'"), "m.lua": ""})
    builder.build(MAKE.replace('build_variables = { CFLAGS = "$(CFLAGS)" },', ""))
    assert builder.messages.of("warning") == ["variable CFLAGS was not passed in build_variables"]
    assert "CC is gcc" in builder.messages.of("info")


def test_each_pass_has_its_words(builder: Any) -> None:
    builder.write({"Makefile": "all:\n\tfalse\ninstall:\n\tfalse\n"})
    assert failure(builder, MAKE)[0] == "Build error: Failed building."
    builder.write({"Makefile": "all:\n\ttrue\ninstall:\n\tfalse\n"})
    with pytest.raises(BuildError, match=r"Build error: Failed installing\."):
        builder.build(MAKE, work="again")


def test_without_installing_only_the_first_pass_runs(builder: Any) -> None:
    builder.write({"Makefile": "all:\n\ttouch built\ninstall:\n\tfalse\n"})
    assert builder.build(MAKE, BuildOptions(install=False)).files == ()
    assert (builder.source / "built").exists()


def test_a_value_reaches_make_as_it_is(builder: Any) -> None:
    builder.write({"Makefile": "all:\ninstall:\n\tprintf '%s' \"$$X\" > $(D)/x\n"})
    text = MAKE.replace("D =", 'X = [[it\'s "$HOME" `id`; #]], D =')
    builder.write({"Makefile": "export X\nall:\ninstall:\n\tprintf '%s' \"$$X\" > $(D)/x.lua\n"})
    # make itself reads `$H`; the shell in between must not see any of it.
    assert builder.built(text)["lua/x.lua"] == 'it\'s "OME" `id`; #'


def test_programs_that_are_missing_are_named(builder: Any) -> None:
    changes = {"variables": {"MAKE": "no-make", "CMAKE": "no-cmake"}}
    message, hint = failure(builder, MAKE, **changes)
    assert message == "Build error: 'no-make' program not found."
    assert "no-make" in hint
    with pytest.raises(BuildError, match=r"'no-cmake' program not found\. Make sure CMake is installed"):
        builder.build('build = { type = "cmake" }', work="again", **changes)


def test_these_drivers_insist_on_headers(builder: Any) -> None:
    message, _ = failure(builder, MAKE, variables={"LUA_INCDIR": "/nowhere"})
    assert "Failed finding Lua header files" in message


def test_cmake_passes_are_optional_from_format_3_on(builder: Any) -> None:
    project = (
        "cmake_minimum_required(VERSION 3.10)\nproject(x NONE)\ninstall(FILES m.lua DESTINATION ${LUADIR})\n"
    )
    builder.write({"CMakeLists.txt": project, "m.lua": ""})
    text = 'build = { type = "cmake", install_pass = false, variables = { LUADIR = "$(LUADIR)" } }'
    assert set(builder.built(text)) == {"lua/m.lua"}
    assert set(builder.built('rockspec_format = "3.0"\n' + text, work="again")) == set()


def test_cmake_failing_is_told(builder: Any) -> None:
    builder.write({"CMakeLists.txt": "message(FATAL_ERROR no)"})
    assert failure(builder, 'build = { type = "cmake" }')[0] == "Build error: Failed cmake."


def test_commands_are_echoed_and_run_by_the_shell_in_the_sources(builder: Any) -> None:
    builder.write({"m.lua": ""}).build(command("ls *.lua && echo $CC"))
    assert builder.messages.of("info") == ["ls *.lua && echo $CC", "m.lua", "gcc", "true"]


def test_a_failing_command_is_told(builder: Any) -> None:
    assert failure(builder, command("exit 3")) == ("Build error: Failed building.", "See the messages above.")


def test_a_missing_program_of_a_command_is_explained(builder: Any) -> None:
    _, hint = failure(builder, command("no-such-program"))
    assert hint == "no-such-program is not there. Install no-such-program, or add its directory to PATH."


def test_paths_of_the_staging_directory_become_those_of_the_tree(builder: Any) -> None:
    text = command("true", "echo 'return \"$(CONFDIR)\"' > $(LUADIR)/where.lua")
    final = f"{builder.tree}/lib/luarocks/rocks-5.1/sample/1.0-1/conf"
    assert builder.built(text) == {"lua/where.lua": f'return "{final}"\n'}


def test_a_binary_that_holds_the_staging_path_is_told_of(builder: Any) -> None:
    builder.build(command("true", "printf '\\0$(LUADIR)' > $(LIBDIR)/x.so"))
    assert len(builder.messages.of("warning")) == 1
    assert builder.messages.of("warning")[0].startswith("lib/x.so contains the path of the build directory")


@pytest.mark.adversary(42)
@pytest.mark.parametrize("link", ["/etc/hostname", "../../../../../../etc/hostname", "."])
def test_a_link_out_of_the_staging_directory_is_refused_or_passed_over(builder: Any, link: str) -> None:
    text = command("true", f"ln -s {link} $(LUADIR)/x.lua && echo 1 > $(LUADIR)/y.lua")
    if link == ".":
        assert set(builder.built(text)) == {"lua/y.lua"}
    else:
        with pytest.raises(BuildError, match="leads outside the source directory"):
            builder.build(text)


def test_the_environment_is_the_configurations(builder: Any) -> None:
    environment = {"PATH": os.environ["PATH"], "OWN": "yes"}
    builder.build(command("env"), environment=environment)
    assert "OWN=yes" in builder.messages.of("info")
    assert not any(line.startswith("HOME=") for line in builder.messages.of("info"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('build = { type = "make", variables = "x" }', "build.variables must be a table of variables"),
        (
            'build = { type = "make", variables = { A = {} } }',
            "build.variables must be a table of variables and",
        ),
        ('build = { type = "make", build_target = {} }', "build.build_target must be a string"),
        ('build = { type = "command", build_command = {} }', "build.build_command must be a string"),
    ],
)
def test_odd_tables_are_refused(builder: Any, text: str, words: str) -> None:
    assert failure(builder, text)[0].startswith(words)
