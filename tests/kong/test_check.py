"""Every rule of the check: a package that breaks it, and the same package without the fault."""

import glob
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pumice.kong.check import PluginFacts, Report, check
from pumice.kong.finding import Finding
from pumice.kong.package import Package, package_of_directory
from pumice.kong.schema_rules import SchemaField
from pumice.rock.rockspec import load_rockspec

Demo = Callable[..., Package]
Changed = Callable[..., str]


def codes(report: Report) -> list[str]:
    return [item.code for item in report.findings]


def only(report: Report) -> Finding:
    """The one finding of a report."""
    assert len(report.findings) == 1, report.findings
    return report.findings[0]


def handler(body: str = "", *, priority: str = "1000", version: str = '"1.0.0"') -> str:
    return f"local D = {{ PRIORITY = {priority}, VERSION = {version} }}\n{body}\nreturn D"


def schema(fields: str, *, name: str = '"demo"') -> str:
    return f"return {{ name = {name}, fields = {fields} }}"


def test_a_plugin_without_a_fault_gives_its_facts(demo: Demo) -> None:
    report = check(demo())
    assert report.findings == ()
    assert report.ok
    assert report.plugins == (
        PluginFacts(
            "demo", "1.0.0", "1000", ("access",), (SchemaField("config.on", "boolean", False, None),), "demo"
        ),
    )


def test_the_example_is_without_a_fault_and_quickly_checked(project: Path) -> None:
    directory = project / "examples" / "kong-plugin-request-stamp"
    (file,) = glob.glob(f"{directory}/*.rockspec")
    rockspec = load_rockspec(Path(file).read_bytes(), file, ("linux", "unix"))
    package = package_of_directory(str(directory), rockspec)
    began = time.process_time()
    report = check(package)
    assert time.process_time() - began < 1.5
    assert report.findings == ()
    (facts,) = report.plugins
    assert (facts.name, facts.version, facts.phases) == (
        "request-stamp",
        "0.1.0",
        ("access", "header_filter", "log"),
    )
    assert {field.type for field in facts.fields} == {
        "string",
        "integer",
        "boolean",
        "map",
        "set",
        "array",
        "record",
    }


def test_what_was_found_in_the_rockspec_is_passed_on(demo: Demo) -> None:
    item = only(check(demo(), lint=["no license"]))
    assert (item.code, item.severity, item.message, item.file) == (
        "rockspec-lint",
        "error",
        "no license",
        "demo.rockspec",
    )


# ------------------------------------------------------------------------------------------- files


def test_a_listed_file_must_exist(demo: Demo, rockspec_with: Changed) -> None:
    more = '["demo.util"] = "util.lua" }, install = { bin = { "run.sh" } }, copy_directories = { "docs" } }'
    spec = rockspec_with(("} }", more))
    report = check(demo(rockspec=spec))
    assert [(item.code, item.file) for item in report.findings] == [
        ("file-missing", "docs"),
        ("file-missing", "run.sh"),
        ("file-missing", "util.lua"),
    ]
    assert "module demo.util" in report.findings[2].message
    assert (
        check(demo(rockspec=spec, more={"util.lua": "return 1", "run.sh": "", "docs/a": ""})).findings == ()
    )


def test_sources_of_c_modules_must_exist(demo: Demo, rockspec_with: Changed) -> None:
    more = 'fast = { sources = { "a.c", "b.c" } }, slow = "slow.c", old = { "old.c" } } }'
    spec = rockspec_with(("} }", more))
    assert [item.file for item in check(demo(rockspec=spec, more={"a.c": ""})).findings] == [
        "b.c",
        "old.c",
        "slow.c",
    ]


@pytest.mark.parametrize("path", ["../outside.lua", "/etc/passwd", "a/../../outside.lua", ".."])
def test_a_listed_file_must_lie_in_the_package(demo: Demo, rockspec_with: Changed, path: str) -> None:
    spec = rockspec_with(("} }", f'["demo.util"] = "{path}" }} }}'))
    item = next(item for item in check(demo(rockspec=spec)).findings)
    assert (item.code, item.file) == ("file-outside", path)


def test_a_file_that_others_cannot_read_is_a_warning(demo: Demo, tmp_path: Path) -> None:
    package = demo()
    os.chmod(tmp_path / "kong/plugins/demo/schema.lua", 0o600)
    package = demo()
    item = only(check(package))
    assert (item.code, item.file, item.is_error) == ("file-unreadable", "kong/plugins/demo/schema.lua", False)
    assert "0600" in item.message


def test_a_syntax_error_is_told_once_with_its_line(demo: Demo) -> None:
    report = check(demo(handler="local x = 1\nlocal y = = 2\nreturn {}"))
    item = only(report)
    assert (item.code, item.file, item.line) == ("lua-syntax", "kong/plugins/demo/handler.lua", 2)
    assert item.kong.startswith("error loading module 'kong.plugins.demo.handler': ")


def test_a_plugin_is_compiled_for_luajit_whatever_the_target(demo: Demo) -> None:
    assert check(demo(handler=handler("goto done ::done::")), lua="5.1").findings == ()
    assert codes(check(demo(handler=handler("local x <const> = 1 // 2")), lua="5.4")) == ["lua-syntax"]


def test_a_syntax_error_in_a_helper_is_told_once(demo: Demo, rockspec_with: Changed) -> None:
    spec = rockspec_with(("} }", '["kong.plugins.demo.x"] = "kong/plugins/demo/x.lua" } }'))
    text = "local x = require 'kong.plugins.demo.x'\n" + handler()
    report = check(demo(handler=text, rockspec=spec, more={"kong/plugins/demo/x.lua": "x x"}))
    assert [(item.code, item.file) for item in report.findings] == [("lua-syntax", "kong/plugins/demo/x.lua")]


# ------------------------------------------------------------------------------------------- a plain rock


def test_a_plain_rock_is_checked_for_files_and_its_own_lua_only(demo: Demo) -> None:
    spec = """
    package = "plain" version = "1.0-1" source = { url = "https://example.com/x.tar.gz" }
    build = { type = "builtin", modules = { plain = "plain.lua" } }
    """
    good, bad = {"plain.lua": "local x <const> = 1 // 2"}, {"plain.lua": "local x <const> = 1 /// 2"}
    assert check(demo(rockspec=spec, more=good), lua="5.4").findings == ()
    assert codes(check(demo(rockspec=spec, more=good), lua="5.1")) == ["lua-syntax"]
    assert codes(check(demo(rockspec=spec, more=bad), lua="5.4")) == ["lua-syntax"]


# ------------------------------------------------------------------------------------------- parts and names


def test_a_rock_named_as_a_plugin_without_one_is_a_warning(demo: Demo, rockspec_with: Changed) -> None:
    spec = rockspec_with(
        ("kong.plugins.demo.handler", "demo.handler"), ("kong.plugins.demo.schema", "demo.schema")
    )
    assert codes(check(demo(rockspec=spec))) == ["plugin-absent"]


@pytest.mark.parametrize("part", ["handler", "schema"])
def test_a_part_that_is_not_there_is_an_error(demo: Demo, rockspec_with: Changed, part: str) -> None:
    line = f'  ["kong.plugins.demo.{part}"] = "kong/plugins/demo/{part}.lua",\n'
    item = only(check(demo(rockspec=rockspec_with((line, "")), **{part: None})))
    assert item.code == f"{part}-missing"
    assert (
        item.kong
        == {
            "handler": "demo plugin is enabled but not installed; no plugin found",
            "schema": "no configuration schema found for plugin: demo",
        }[part]
    )


@pytest.mark.parametrize("part", ["handler", "schema"])
def test_a_part_that_is_there_but_not_listed_is_an_error(
    demo: Demo, rockspec_with: Changed, part: str
) -> None:
    line = f'  ["kong.plugins.demo.{part}"] = "kong/plugins/demo/{part}.lua",\n'
    item = only(check(demo(rockspec=rockspec_with((line, "")))))
    assert (item.code, item.file) == (f"{part}-missing", f"kong/plugins/demo/{part}.lua")
    assert item.hint == f'add ["kong.plugins.demo.{part}"] = "kong/plugins/demo/{part}.lua" to build.modules'


def test_the_rock_is_called_after_its_plugin(demo: Demo, rockspec_with: Changed) -> None:
    item = only(check(demo(rockspec=rockspec_with(("kong-plugin-demo", "demo")))))
    assert (item.code, item.is_error) == ("name-package", False)
    assert item.message == "the rock is called demo, which tells nobody that it is a plugin"
    assert "kong-plugin-demo" in item.hint
    item = only(check(demo(rockspec=rockspec_with(("kong-plugin-demo", "other")))))
    assert item.message == "the rock is called other, its plugin 'demo'"


def test_problems_that_are_not_listed_are_counted(demo: Demo) -> None:
    fields = ", ".join(f"{{ f{number} = {{ type = 'string', nope = 1 }} }}" for number in range(7))
    schema = f"return {{ name = 'demo', fields = {{ {{ config = {{ type = 'record', fields = {{ {fields} }} }} }} }} }}"
    item = only(check(demo(schema=schema)))
    assert item.message.endswith("config.f4.nope: unknown field; and 2 more")


def test_the_schema_is_called_after_the_directory(demo: Demo) -> None:
    item = only(
        check(demo(schema=schema('{ { config = { type = "record", fields = {} } } }', name='"other"')))
    )
    assert (item.code, item.is_error) == ("name-schema", False)


@pytest.mark.parametrize(
    ("name", "code"), [("my_plugin", "name-portable"), ("a.b", "name-portable"), ("cors", "name-bundled")]
)
def test_a_name_that_not_every_channel_takes_is_a_warning(demo: Demo, name: str, code: str) -> None:
    spec = f"""
    package = "kong-plugin-{name}" version = "1.0.0-1" source = {{ url = "https://example.com/x.tar.gz" }}
    build = {{ type = "builtin", modules = {{
      ["kong.plugins.{name}.handler"] = "kong/plugins/demo/handler.lua",
      ["kong.plugins.{name}.schema"] = "kong/plugins/demo/schema.lua" }} }}
    """
    text = schema('{ { config = { type = "record", fields = {} } } }', name=f'"{name}"')
    item = only(check(demo(rockspec=spec, schema=text)))
    assert (item.code, item.is_error) == (code, False)


def test_a_file_beside_the_plugin_that_is_not_listed_is_a_warning(demo: Demo) -> None:
    item = only(check(demo(more={"kong/plugins/demo/access.lua": "return {}"})))
    assert (item.code, item.file, item.is_error) == ("module-unlisted", "kong/plugins/demo/access.lua", False)


def test_tests_beside_the_plugin_are_not_asked_for(demo: Demo) -> None:
    more = {
        "kong/plugins/demo/spec/x.lua": "",
        "kong/plugins/demo/handler_spec.lua": "",
        "spec/y_spec.lua": "",
    }
    assert check(demo(more=more)).findings == ()


def test_it_is_an_error_if_a_module_that_ships_requires_it(demo: Demo) -> None:
    text = 'local access = require "kong.plugins.demo.lib.access"\n' + handler()
    item = only(check(demo(handler=text, more={"kong/plugins/demo/lib/access.lua": "return {}"})))
    assert (item.code, item.file, item.line) == (
        "module-required-unlisted",
        "kong/plugins/demo/handler.lua",
        1,
    )
    assert item.kong == "module 'kong.plugins.demo.lib.access' not found"


def test_a_plugin_whose_files_lie_elsewhere_is_understood(demo: Demo, rockspec_with: Changed) -> None:
    spec = rockspec_with(("kong/plugins/demo/", "src/"))
    more = {
        "src/handler.lua": handler(),
        "src/schema.lua": schema('{ { config = { type = "record", fields = {} } } }'),
    }
    report = check(demo(rockspec=spec, more={**more, "src/access.lua": ""}))
    assert [(item.code, item.file) for item in report.findings] == [("module-unlisted", "src/access.lua")]


# ------------------------------------------------------------------------------------------- loading


def test_a_module_that_nobody_has_is_an_error(demo: Demo) -> None:
    item = only(check(demo(handler="\nlocal jwt = require 'resty.jwt'\n" + handler())))
    assert (item.code, item.file, item.line) == ("module-missing", "kong/plugins/demo/handler.lua", 2)
    assert item.kong == (
        "error loading module 'kong.plugins.demo.handler': kong/plugins/demo/handler.lua:2: "
        "module 'resty.jwt' not found:"
    )


def test_a_module_of_a_dependency_is_a_note(demo: Demo, rockspec_with: Changed) -> None:
    spec = rockspec_with(("dependencies = {}", 'dependencies = { "lua >= 5.1", "lua-resty-jwt" }'))
    item = only(check(demo(rockspec=spec, handler="local jwt = require 'resty.jwt'\n" + handler())))
    assert (item.code, item.severity) == ("module-assumed", "note")


def test_lua_alone_is_no_dependency_that_could_have_it(demo: Demo, rockspec_with: Changed) -> None:
    spec = rockspec_with(("dependencies = {}", 'dependencies = { "lua >= 5.1" }'))
    assert codes(check(demo(rockspec=spec, handler="require 'resty.jwt'\n" + handler()))) == [
        "module-missing"
    ]


def test_a_c_module_of_the_rock_itself_is_silent(demo: Demo, rockspec_with: Changed) -> None:
    spec = rockspec_with(("} }", '["demo.fast"] = "fast.c" } }'))
    text = "local fast = require 'demo.fast'\n" + handler()
    assert check(demo(rockspec=spec, handler=text, more={"fast.c": ""})).findings == ()


def test_an_optional_module_may_be_missing(demo: Demo) -> None:
    text = "local ok, fast = pcall(require, 'not.here')\nif ok then error 'why' end\n" + handler()
    assert check(demo(handler=text)).findings == ()


def test_a_handler_of_kong_before_3_is_told_what_to_do(demo: Demo) -> None:
    item = only(check(demo(handler="local B = require 'kong.plugins.base_plugin'\nreturn B:extend()")))
    assert item.code == "module-missing"
    assert "Kong 3.0 took base_plugin away" in item.hint


def test_an_error_while_loading_is_told_with_its_line(demo: Demo) -> None:
    item = only(check(demo(handler="\n\nlocal x = nil .. 'a'\n" + handler())))
    assert (item.code, item.file, item.line) == ("load-error", "kong/plugins/demo/handler.lua", 3)
    assert item.kong == (
        "error loading module 'kong.plugins.demo.handler': kong/plugins/demo/handler.lua:3: "
        "attempt to concatenate a nil value"
    )


def test_an_error_in_a_helper_is_told_where_it_is(demo: Demo, rockspec_with: Changed) -> None:
    spec = rockspec_with(("} }", '["kong.plugins.demo.x"] = "kong/plugins/demo/x.lua" } }'))
    text = "local x = require 'kong.plugins.demo.x'\n" + handler()
    item = only(
        check(demo(handler=text, rockspec=spec, more={"kong/plugins/demo/x.lua": "\nngx.timer.at(0)"}))
    )
    assert (item.code, item.file, item.line) == ("load-error", "kong/plugins/demo/x.lua", 2)
    assert "phase" in item.hint


def test_an_unknown_typedef_is_told_in_kongs_words(demo: Demo) -> None:
    text = "local t = require 'kong.db.schema.typedefs'\n" + schema("{ { run_on = t.run_on_first } }")
    item = only(check(demo(schema=text)))
    assert item.code == "load-error"
    assert item.kong.endswith("schema typedef error: definition run_on_first does not exist")


def test_an_exit_while_loading_is_an_error_even_if_it_is_caught(demo: Demo) -> None:
    item = only(check(demo(handler="pcall(os.exit, 0)\n" + handler())))
    assert (item.code, item.file, item.line) == ("load-exit", "kong/plugins/demo/handler.lua", 1)
    assert "load-exit" in codes(check(demo(handler="os.exit(1)")))


def test_an_effect_while_loading_is_a_warning_and_the_rest_is_still_judged(demo: Demo) -> None:
    text = 'local name = io.popen("hostname"):read("*l"):gsub("%s", "")\n' + handler(priority="nil")
    report = check(demo(handler=text))
    assert codes(report) == ["load-effect", "handler-priority"]
    assert (report.findings[0].line, report.findings[0].is_error) == (1, False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("while true do end", "takes longer than 0.5 s to load"),
        ("while true do pcall(string.rep, 'x', 1e6) end", "takes longer than 0.5 s to load"),
    ],
)
def test_a_handler_that_hangs_is_an_error_in_bounded_time(demo: Demo, text: str, words: str) -> None:
    began = time.monotonic()
    item = only(check(demo(handler=text), seconds=0.5))
    assert time.monotonic() - began < 5
    assert (item.code, item.file) == ("load-limit", "kong/plugins/demo/handler.lua")
    assert words in item.message


def test_a_handler_that_eats_memory_is_an_error(demo: Demo) -> None:
    text = "local t = {} while true do pcall(function() t[#t + 1] = ('x'):rep(1e6) .. #t end) end"
    report = check(demo(handler=text), memory=64 << 20)
    assert set(codes(report)) <= {"load-limit", "load-error"}
    assert not report.ok


# ------------------------------------------------------------------------------------------- the handler


@pytest.mark.parametrize("value", ["-5", "0", "1000", "1e3"])
def test_any_whole_number_is_a_priority(demo: Demo, value: str) -> None:
    assert check(demo(handler=handler(priority=value))).findings == ()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("nil", "nil"),
        ("1.5", "1.5"),
        ("'1000'", "1000"),
        ("1/0", "inf"),
        ("{}", "(a table)"),
        ("true", "true"),
    ],
)
def test_anything_else_is_not(demo: Demo, value: str, shown: str) -> None:
    item = only(check(demo(handler=handler(priority=value))))
    assert (item.code, item.line) == ("handler-priority", 1)
    assert item.kong == (
        'Plugin "demo" cannot be loaded because its PRIORITY field is not a valid integer number, '
        f'got: "{shown}".'
    )


@pytest.mark.parametrize("value", ["1.0.0", "1.2.3-rc1", "v1.2.3", "01.02.03", "1.2.3-1"])
def test_three_numbers_are_a_version(demo: Demo, value: str) -> None:
    found = codes(check(demo(handler=handler(version=f'"{value}"'))))
    assert [code for code in found if code != "version-drift"] == []


@pytest.mark.parametrize("value", ["0.1", "1", "1.2.x", "1.3-0", "1.0,0", "1.2."])
def test_fewer_numbers_are_a_warning(demo: Demo, value: str) -> None:
    found = check(demo(handler=handler(version=f'"{value}"'))).findings
    assert [item.code for item in found if item.code != "version-drift"] == ["handler-version-short"]
    assert not any(item.is_error for item in found)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ('"1.2.3.4"', "1.2.3.4"),
        ('"1..2"', "1..2"),
        ('"abc"', "abc"),
        ('""', ""),
        ("1.0", "1"),
        ("nil", "nil"),
    ],
)
def test_what_kong_cannot_read_is_no_version(demo: Demo, value: str, shown: str) -> None:
    item = only(check(demo(handler=handler(version=value))))
    assert item.code == "handler-version"
    assert item.kong == (
        'Plugin "demo" cannot be loaded because its VERSION field does not follow the "x.y.z" format, '
        f'got: "{shown}".'
    )


def test_the_handlers_version_is_the_rockspecs(demo: Demo, rockspec_with: Changed) -> None:
    item = only(check(demo(handler=handler(version='"1.0.1"'))))
    assert (item.code, item.line, item.is_error) == ("version-drift", 1, False)
    spec = rockspec_with(("1.0.0-1", "1.0.1-7"))
    assert check(demo(handler=handler(version='"1.0.1"'), rockspec=spec)).findings == ()
    assert codes(check(demo(handler=handler(version='"1.0"')))) == ["handler-version-short"]


@pytest.mark.parametrize("other", ["header_filter", "body_filter"])
def test_response_excludes_the_other_filters(demo: Demo, other: str) -> None:
    body = f"function D:response() end function D:{other}() end"
    item = only(check(demo(handler=handler(body))))
    assert (item.code, item.line) == ("handler-response", 2)
    assert check(demo(handler=handler("function D:response() end function D:log() end"))).findings == ()


@pytest.mark.parametrize("text", ["local x = 1", "return 5", "return print", "return false"])
def test_a_handler_is_a_table(demo: Demo, text: str) -> None:
    assert only(check(demo(handler=text))).code == "handler-type"


def test_a_handler_that_is_a_string_is_loaded_and_useless(demo: Demo) -> None:
    item = only(check(demo(handler="return 'text'")))
    assert (item.code, item.is_error) == ("handler-useless", False)


# ------------------------------------------------------------------------------------------- the schema

CONFIG = '{ config = { type = "record", fields = {} } }'


@pytest.mark.parametrize("text", ["local x = 1", "return 'text'", "return nil"])
def test_a_schema_is_a_table(demo: Demo, text: str) -> None:
    item = only(check(demo(schema=text)))
    assert (item.code, item.kong) == ("schema-type", "expected an input table")


@pytest.mark.parametrize(
    ("name", "words"), [("nil", "field required for entity check"), ("5", "expected a string")]
)
def test_a_schema_has_a_name(demo: Demo, name: str, words: str) -> None:
    item = only(check(demo(schema=schema(f"{{ {CONFIG} }}", name=name))))
    assert (item.code, item.kong) == ("schema-name", f"schema violation (name: {words})")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("nil", "fields: field required for entity check"),
        ('{ config = { type = "record", fields = {} } }', "fields: expected an array"),
        ("'text'", "fields: each entry in fields must be a sub-table"),
        (f"{{ {CONFIG}, {{}} }}", "fields: field entry table is empty"),
        (
            f"{{ {CONFIG}, {{ tags = {{ type = 'string' }}, enabled = {{ type = 'boolean' }} }} }}",
            "fields.2: length must be 1",
        ),
        (f"{{ 'x', {CONFIG} }}", "fields: each entry in fields must be a sub-table"),
    ],
)
def test_fields_are_a_list_of_single_fields(demo: Demo, fields: str, words: str) -> None:
    item = only(check(demo(schema=schema(fields))))
    assert (item.code, item.kong) == ("schema-fields", f"schema violation ({words})")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("{}", "abstract field was not specialized"),
        (
            '{ { config = { type = "array", elements = { type = "string" } } } }',
            "cannot change type in a specialized field",
        ),
        ("{ { config = 5 } }", "'config' must be a table"),
        ('{ { config = { type = "record" } } }', "must declare 'fields'"),
        (
            '{ { config = { type = "record", fields = { a = {} } } } }',
            'schema violation (fields.1: { fields = "expected an array" })',
        ),
    ],
)
def test_config_is_a_record_with_a_list_of_fields(demo: Demo, fields: str, words: str) -> None:
    item = only(check(demo(schema=schema(fields))))
    assert item.code == "schema-config"
    assert words in item.kong


def test_records_are_opened_in_the_list_of_fields(demo: Demo) -> None:
    text = "local t = require 'kong.db.schema.typedefs'\n" + schema(
        '{ { config = { type = "record", fields = { { port = t.port { default = 80, required = true } }, '
        '{ sub = { type = "record", fields = { { x = { type = "string" } } } } } } } } }'
    )
    assert check(demo(schema=text)).plugins[0].fields == (
        SchemaField("config.port", "integer", True, 80),
        SchemaField("config.sub", "record", False, None),
        SchemaField("config.sub.x", "string", False, None),
    )


def test_two_plugins_of_one_rock_are_both_judged(demo: Demo, rockspec_with: Changed) -> None:
    prefix = "kong.plugins.two"
    parts = f'["{prefix}.handler"] = "two/handler.lua", ["{prefix}.schema"] = "two/schema.lua" }} }}'
    spec = rockspec_with(("} }", parts))
    more = {
        "two/handler.lua": handler(priority="nil"),
        "two/schema.lua": schema(f"{{ {CONFIG} }}", name='"two"'),
    }
    report = check(demo(rockspec=spec, more=more))
    assert [item.code for item in report.findings] == ["handler-priority"]
    assert [facts.name for facts in report.plugins] == ["demo", "two"]
