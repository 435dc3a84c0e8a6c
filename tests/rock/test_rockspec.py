"""Rockspecs load, or are refused, as in LuaRocks (contract 2); the corpus is compared in another file."""

from __future__ import annotations

import pickle

import pytest

from pumice.errors import RockspecError
from pumice.rock.dependency import parse_dependency
from pumice.rock.rockspec import Rockspec, load_rockspec

LINUX = ("unix", "linux")
HEAD = """
package = "Foo"
version = "1.0-1"
source = { url = "https://example.org/foo-1.0.tar.gz" }
"""
OLD = HEAD + 'build = { type = "builtin", modules = { foo = "foo.lua" } }\n'
NEW = HEAD + 'rockspec_format = "3.0"\n'


def load(text: str, name: str = "foo-1.0-1.rockspec", platforms: tuple[str, ...] = LINUX) -> Rockspec:
    return load_rockspec(text.encode(), name, platforms)


def refused(text: str, name: str = "foo-1.0-1.rockspec") -> str:
    with pytest.raises(RockspecError) as caught:
        load(text, name)
    assert caught.value.hint
    return caught.value.message


def test_a_small_rockspec_has_everything_else_by_default() -> None:
    rockspec = load(OLD)
    assert (rockspec.package, rockspec.name, rockspec.version) == ("Foo", "foo", "1.0-1")
    assert (rockspec.format, rockspec.build_type) == ("1.0", "builtin")
    assert rockspec.modules == {"foo": "foo.lua"}
    assert rockspec.dependencies == rockspec.build_dependencies == rockspec.test_dependencies == ()
    assert rockspec.supported_platforms == ()
    assert rockspec.wrap_bin_scripts is None
    assert (dict(rockspec.hooks), rockspec.test) == ({}, {})
    assert rockspec.text == OLD.encode()
    assert rockspec.rockspec_name == "foo-1.0-1.rockspec"


def test_every_field_is_there() -> None:
    rockspec = load(
        NEW.replace("3.0", "3.1")
        + """
description = { summary = "s", detailed = "d", homepage = "h", license = "MIT", maintainer = "m",
   labels = { "a", "b" }, issues_url = "i" }
supported_platforms = { "unix", "!windows" }
dependencies = { "lua >= 5.1", "ns/Dep 1.0", platforms = { linux = { [3] = "linuxdep" } } }
build_dependencies = { "bd" }
test_dependencies = { "busted >= 2" }
external_dependencies = { FOO = { header = "foo.h", library = "foo" }, BAR = { program = "bar" } }
build = { install = { bin = { "bin/foo" } }, platforms = { unix = { install = { conf = { "c" } } } } }
hooks = { post_install = "true", platforms = { unix = { post_install = "false" } } }
deploy = { wrap_bin_scripts = false }
test = { type = "busted", flags = { "-v" } }
"""
    )
    description = rockspec.description
    assert (description.summary, description.license, description.labels) == ("s", "MIT", ("a", "b"))
    assert (description.issues_url, description.maintainer) == ("i", "m")
    assert rockspec.supported_platforms == ("unix", "!windows")
    assert [d.text for d in rockspec.dependencies] == ["lua >= 5.1", "ns/Dep 1.0", "linuxdep"]
    assert rockspec.dependencies[1] == parse_dependency("ns/Dep 1.0")
    assert [d.name for d in (*rockspec.build_dependencies, *rockspec.test_dependencies)] == ["bd", "busted"]
    assert rockspec.external_dependencies["FOO"].header == "foo.h"
    assert rockspec.external_dependencies["FOO"].program is None
    assert rockspec.external_dependencies["BAR"].program == "bar"
    assert rockspec.build == {"install": {"bin": {1: "bin/foo"}, "conf": {1: "c"}}}
    assert (rockspec.build_type, rockspec.modules) == ("builtin", {})
    assert rockspec.hooks == {"post_install": "false"}
    assert rockspec.wrap_bin_scripts is False
    assert rockspec.test == {"type": "busted", "flags": {1: "-v"}}
    assert "platforms" in rockspec.globals["dependencies"]
    assert rockspec.format_at_least("3.0")
    assert pickle.loads(pickle.dumps(rockspec)) == rockspec


def test_before_format_3_a_build_type_has_no_default() -> None:
    assert load(HEAD + "build = {}").build_type is None
    assert load(NEW).build_type == "builtin"


def test_module_is_the_old_name_of_builtin() -> None:
    rockspec = load(HEAD + 'build = { type = "module", modules = { a = "a.lua" } }')
    assert (rockspec.build_type, rockspec.is_builtin, rockspec.modules) == ("module", True, {"a": "a.lua"})
    assert load(HEAD + 'build = { type = "make", modules = { a = "a.lua" } }').modules == {}


REFUSED = [
    ("", "Mandatory field package is missing. (using rockspec format 1.0)"),
    (HEAD, "Mandatory field build is missing. (using rockspec format 1.0 -- "),
    (HEAD, "adding 'rockspec_format = \"3.0\"' to the rockspec will fix this)"),
    (OLD + "x = 1", "Unknown field x (using rockspec format 1.0)"),
    (OLD + "a = y", "Unknown variable: y (using rockspec format 1.0)"),
    (OLD + "local a, b = y, z", "Unknown variables: y, z (using rockspec format 1.0)"),
    (OLD + 'deploy = {}', "(using rockspec format 1.0 -- adding 'rockspec_format = \"1.1\"' to"),
    (OLD + 'test = {}', "Unknown field test (using rockspec format 1.0 -- adding 'rockspec_format"),
    (OLD + 'version = "1.0"', "version: invalid value '1.0' does not match '[%w.]+-[%d]+' (using"),
    (OLD + 'version = "1.0-rc1-1"', "version: invalid value '1.0-rc1-1' does not match '[%w.]+-[%d]+'"),
    (OLD + 'version = "1_0-1"', "invalid value '1_0-1' does not match"),
    (OLD + 'version = "1.0-1 "', "invalid value '1.0-1 ' does not match"),
    (OLD + "version = 1.0", "Type mismatch on field version: expected a string, got number"),
    (OLD + "package = true", "Type mismatch on field package: expected a string, got boolean"),
    (OLD + 'source.url = nil', "Mandatory field source.url is missing."),
    (OLD + 'source = "x"', "Type mismatch on field source: expected a table"),
    (OLD + 'source.platforms = { unix = { dir = "x" } }', "field source.platforms.unix.url is missing."),
    (OLD + 'description = { summary = {} }', "description.summary: expected a string, got table"),
    (OLD + 'description = { "x" }', "Unknown field 1"),
    (OLD + "supported_platforms = { {} }", "supported_platforms[1]: expected a string, got table"),
    (OLD + "dependencies = { 1 }", "Type mismatch on field dependencies[1]: expected a string, got number"),
    (OLD + 'dependencies = { "" }', "[1]: invalid value '' does not match a valid dependency string"),
    (OLD + 'dependencies = { "a/b" }', "a valid dependency string (using rockspec format 1.0 -- adding"),
    (OLD + 'dependencies = { "a/b/c" }', "a valid dependency string (using rockspec format 1.0)"),
    (OLD + 'dependencies = { "a => 1" }', "Parse error processing dependency 'a => 1': Failed to parse"),
    (OLD + 'dependencies = { platforms = { unix = 1 } }', "dependencies.platforms.unix: expected a table"),
    (OLD + 'external_dependencies = { A = { lib = "x" } }', "Unknown field lib"),
    (OLD + "hooks = { post_install = 1 }", "hooks.post_install: expected a string, got number"),
    (OLD + 'build.copy_directories = "doc"', "on field build.copy_directories: expected a table"),
    (OLD + 'build.install = { man = {} }', "Unknown field man"),
    (OLD + 'rockspec_format = "2.0"', "unknown rockspec format 2.0"),
    (OLD + 'rockspec_format = "3"', "unknown rockspec format 3"),
    (OLD + 'rockspec_format = "3.2"', "Rockspec format 3.2 is not supported, please upgrade LuaRocks."),
    (OLD + 'rockspec_format = "4"', "Rockspec format 4 is not supported, please upgrade LuaRocks."),
    (OLD + "rockspec_format = 3.0", "Type mismatch on field rockspec_format: expected a string, got number"),
    (NEW + "deploy = { wrap_bin_scripts = 1 }", "deploy.wrap_bin_scripts: expected boolean"),
    (NEW + "description = { labels = { 1 } }", "description.labels[1]: expected a string, got number"),
    ("package = {", "Could not load rockspec file foo-1.0-1.rockspec (Error loading file: "),
    ("string.rep('x', 5)", "Could not load rockspec file foo-1.0-1.rockspec (Error running file: "),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_each_refusal_has_luarocks_s_words(text: str, words: str) -> None:
    assert words in refused(text)


# What the oracle (3.8) does otherwise: it knows formats up to 3.0, and dies of a format that is no string.
NO_ORACLE = ('"3.2"', '"4"', "format = 3.0", "a => 1")


@pytest.mark.peer
@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_luarocks_refuses_the_same(luarocks, tmp_path, text: str, words: str) -> None:
    file = tmp_path / "foo-1.0-1.rockspec"
    file.write_text(text)
    answer = luarocks.ask("rockspec", str(file))
    assert "error" in answer or "crash" in answer
    if not any(other in text for other in NO_ORACLE):
        known = words.replace("file foo-1.0-1.rockspec", f"file {file}")
        # Several unknown variables come in any order, as do several missing fields.
        assert known in answer["error"] or "variables" in known or not text


@pytest.mark.adversary(18, 41)
@pytest.mark.parametrize("package", ["..", ".", "", "a/b", "../../x", "a\\\\b", "a\\0b", "a\\nb"])
def test_a_package_that_cannot_be_a_directory_is_refused(package: str) -> None:
    text = OLD + f'package = "{package}"'
    assert "cannot be the name of a rock" in refused(text, "rockspec")


def test_a_field_read_before_it_is_written_is_fine() -> None:
    load(OLD + "dependencies = dependencies or {}")


def test_unknown_fields_may_be_accepted() -> None:
    text = OLD + "x = 1\ndescription = { y = 2 }\nexternal_dependencies = { A = { lib = {} } }"
    rockspec = load_rockspec(text.encode(), "foo-1.0-1.rockspec", LINUX, accept_unknown_fields=True)
    assert rockspec.external_dependencies["A"].library is None


@pytest.mark.parametrize("name", ["foo.rockspec", "foo-1.0.rockspec", "other"])
def test_a_file_name_of_another_form_is_refused(name: str) -> None:
    assert refused(OLD, name) == "Expected filename in format 'name-version-revision.rockspec'."


def test_a_file_name_must_say_what_the_rockspec_says() -> None:
    words = (
        "Inconsistency between rockspec filename (foo-1.1-1.rockspec) and its contents (foo-1.0-1.rockspec)."
    )
    assert refused(OLD, "/dir/foo-1.1-1.rockspec") == words
    assert "Inconsistency" in refused(OLD, "Foo-1.0-1.rockspec")
    assert load(OLD, "/dir/rockspec").name == "foo"
    assert load_rockspec(OLD.encode(), "anything", LINUX, check_name=False).name == "foo"


def test_a_rock_for_other_platforms_loads_but_says_so() -> None:
    rockspec = load(OLD + 'supported_platforms = { "windows" }')
    with pytest.raises(
        RockspecError, match=r"This rockspec for Foo does not support linux, unix platforms\."
    ):
        rockspec.check_platform(LINUX)
    rockspec.check_platform(("windows", "win32"))


@pytest.mark.adversary(31, 34, 35, 36, 38, 39)
@pytest.mark.parametrize(
    "data",
    [
        b"while true do end",
        b"local t = {} for i = 1, 10^7 do t[i] = {} end",
        b"a = setmetatable({}, {})",
        b"\x1bLuaQ\0",
        b"package = {} package.package = package",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\0",
    ],
)
def test_a_hostile_file_is_refused_and_the_next_one_loads(data: bytes) -> None:
    with pytest.raises(RockspecError):
        load_rockspec(data, "foo-1.0-1.rockspec", LINUX)
    assert load(OLD).name == "foo"
