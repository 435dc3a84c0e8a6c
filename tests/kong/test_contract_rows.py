"""Sections 1.3, 1.7, 2.8 and 8.1 of the Kong contract, row by row (8.1 wins).

What Kong refuses is an error with its words, what loads and is wrong or useless is a warning, what is fine is
silent. What only a log can tell (1.7) is explained.
"""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from pumice.kong.check import check
from pumice.kong.explain import explain
from pumice.kong.finding import CODES
from pumice.kong.package import Package

Demo = Callable[..., Package]
Changed = Callable[..., str]


class Row(NamedTuple):
    """One row: what is wrong, the code it gets ("" for silence), and Kong's words."""

    section: str
    what: str
    code: str = ""
    words: str = ""
    handler: str | None = None
    schema: str | None = None
    files: dict[str, str] = {}  # noqa: RUF012
    """Further modules of the plugin, by the path below its directory."""


def handler(body: str = "", *, before: str = "", priority: str = "1", version: str = "'1.0.0'") -> str:
    return f"{before}\nlocal D = {{ PRIORITY = {priority}, VERSION = {version} }}\n{body}\nreturn D"


def config(fields: str, *, more: str = "", top: str = "") -> str:
    record = f"{{ config = {{ type = 'record', fields = {{ {fields} }} {more} }} }}"
    return f"return {{ name = 'demo', fields = {{ {record} }} {top} }}"


def field(definition: str) -> str:
    return config(f"{{ a = {definition} }}")


def phase(name: str) -> str:
    return handler(f"function D:{name}() end")


PLAIN = config("")
NUMBER = 'its PRIORITY field is not a valid integer number, got: "'
FORMAT = 'its VERSION field does not follow the "x.y.z" format, got: "'
BOTH = "because it implements both `response` and"

HANDLER = [
    *(
        Row("1.3", f"PRIORITY {text}", code, NUMBER if code else "", handler(priority=text))
        for text, code in (
            ("nil", "handler-priority"),
            ("'1'", "handler-priority"),
            ("1.5", "handler-priority"),
            ("0/0", "handler-priority"),
            ("1/0", "handler-priority"),
            ("-1/0", "handler-priority"),
            ("-5", ""),
            ("0", ""),
            ("1000", ""),
        )
    ),
    *(
        Row(
            "1.3", f"VERSION {text}", code, FORMAT if code == "handler-version" else "", handler(version=text)
        )
        for text, code in (
            ("'1.0.0'", ""),
            ("'0.1'", "handler-version-short"),
            ("'01.02.03'", ""),
            ("'1.2.3-rc1'", ""),
            ("'v1.2.3'", ""),
            ("'1.2.3-1'", ""),
            ("'1'", "handler-version-short"),
            ("'1.2.x'", "handler-version-short"),
            ("'1.3-0'", "handler-version-short"),
            ("'1.0,0'", "handler-version-short"),
            ("'1.2.'", "handler-version-short"),
            ("'1.2.3.4'", "handler-version"),
            ("'1..2'", "handler-version"),
            ("'abc'", "handler-version"),
            ("''", "handler-version"),
            ("1.0", "handler-version"),
            ("nil", "handler-version"),
        )
    ),
    Row(
        "1.3",
        "response and header_filter",
        "handler-response",
        BOTH,
        handler("function D:response() end function D:header_filter() end"),
    ),
    Row(
        "1.3",
        "response and body_filter",
        "handler-response",
        BOTH,
        handler("function D:response() end function D:body_filter() end"),
    ),
    Row("1.3", "a misspelt phase", "handler-phase", handler=phase("acess")),
    Row("1.3", "another key", handler=phase("helper")),
    *(Row("1.3", name, "handler-leftover", handler=phase(name)) for name in ("new", "super", "extend")),
    *(
        Row("1.3", f"the phase {name}", handler=phase(name))
        for name in (
            "init_worker",
            "configure",
            "certificate",
            "rewrite",
            "access",
            "preread",
            "response",
            "header_filter",
            "body_filter",
            "log",
        )
    ),
    *(
        Row("1.3", f"the phase {name}", "handler-phase-version", handler=phase(name))
        for name in ("ws_handshake", "ws_client_frame", "ws_upstream_frame", "ws_close")
    ),
    Row("8.1", "returns nothing", "handler-type", "attempt to index local 'handler'", "local x = 1"),
    Row("8.1", "returns a number", "handler-type", "attempt to index local 'handler'", "return 1"),
    Row(
        "8.1",
        "returns a function",
        "handler-type",
        "attempt to index local 'handler'",
        "return function() end",
    ),
    Row("8.1", "returns false", "handler-type", "on plugin 'demo': nil", "return false"),
    Row("8.1", "returns a string", "handler-useless", "", "return 'x'"),
    Row(
        "8.1",
        "returns a string, and the schema has no_consumer",
        "handler-type",
        "attempt to index local 'handler'",
        "return 'x'",
        "local t = require 'kong.db.schema.typedefs'\n"
        + PLAIN.replace("fields = { {", "fields = { { consumer = t.no_consumer }, {", 1),
    ),
]

LOADED = [
    Row("1.7", "a syntax error", "lua-syntax", "error loading module 'kong.plugins.demo.handler'", "x = = 1"),
    Row(
        "1.7",
        "an absent library",
        "module-missing",
        "module 'resty.jwt' not found",
        handler(before="require 'resty.jwt'"),
    ),
    Row(
        "1.7",
        "base_plugin",
        "module-missing",
        "module 'kong.plugins.base_plugin' not found",
        handler(before="require 'kong.plugins.base_plugin'"),
    ),
    Row(
        "1.7",
        "an unknown typedef",
        "load-error",
        "schema typedef error: definition run_on_first does not exist",
        schema="local t = require 'kong.db.schema.typedefs' return t.run_on_first",
    ),
    Row(
        "8.1",
        "ngx.timer.at at load",
        "load-error",
        "API disabled in the context of init_by_lua*",
        handler(before="ngx.timer.at(0, function() end)"),
    ),
    Row(
        "8.1",
        "a cosocket at load",
        "load-error",
        "API disabled in the context of init_by_lua*",
        handler(before="ngx.socket.tcp()"),
    ),
    Row(
        "8.1", "an undeclared ngx.shared.x at load", "load-error", "", handler(before="ngx.shared.x:get('a')")
    ),
    Row("8.1", "kong.db at load", handler=handler(before="local a = kong.db.services")),
    Row("8.1", "ngx.sleep at load", handler=handler(before="ngx.sleep(0)")),
    Row("8.1", "os.exit(0) at load", "load-exit", "", handler(before="os.exit(0)")),
    Row("8.1", "a runtime error in a phase", handler=handler("function D:access() local x = nil + 1 end")),
    Row(
        "8.1",
        "more than 60 upvalues",
        "load-unknown",
        handler="\n".join(f"local v{number} = 1" for number in range(70))
        + "\n"
        + handler(f"function D:access() return {' + '.join(f'v{number}' for number in range(70))} end"),
    ),
    Row("8.1", "a BOM", handler="\ufeff" + handler()),
    Row("8.1", "a first line with #!", handler="#!/usr/bin/luajit\n" + handler()),
    Row("8.1", "CRLF", handler=handler().replace("\n", "\r\n")),
    Row("8.1", "0b1", handler=handler("function D:access() return 0b1 end")),
    Row("8.1", "goto", handler=handler("function D:access() goto x ::x:: end")),
    Row("8.1", "module()", "load-global", "", handler(before="module('demo.x')")),
    Row(
        "8.1", "a removed module", "module-missing", "not found", handler(before="require 'kong.singletons'")
    ),
]

SCHEMA = [
    Row(
        "2.8",
        "no name",
        "schema-name",
        "name: field required for entity check",
        schema="return { fields = {} }",
    ),
    Row(
        "2.8",
        "name a number",
        "schema-name",
        "name: expected a string",
        schema="return { name = 1, fields = {} }",
    ),
    Row(
        "2.8",
        "no fields",
        "schema-fields",
        "field required for entity check",
        schema="return { name = 'demo' }",
    ),
    Row("8.1", "returns nothing", "schema-type", "expected an input table", schema="local x"),
    Row("8.1", "returns a string", "schema-type", "expected an input table", schema="return 'x'"),
    Row(
        "2.8",
        "fields as a map",
        "schema-fields",
        "fields: expected an array",
        schema="return { name = 'demo', fields = { config = { type = 'record', fields = {} } } }",
    ),
    Row(
        "2.8",
        "config.fields as a map",
        "schema-config",
        'fields = "expected an array"',
        schema=config("a = { type = 'string' }"),
    ),
    Row(
        "2.8",
        "two keys in an entry",
        "schema-field",
        "length must be 1",
        schema=config("{ a = { type = 'string' }, b = { type = 'string' } }"),
    ),
    Row("2.8", "an empty entry", "schema-fields", "field entry table is empty", schema=config("{}")),
    Row(
        "2.8",
        "an entry that is no table",
        "schema-fields",
        "each entry in fields must be a sub-table",
        schema=config("'a'"),
    ),
    Row(
        "2.8",
        "a 0.x schema",
        "schema-name",
        "unknown field",
        schema="return { no_consumer = true, fields = { a = { type = 'string' } }, self_check = print }",
    ),
    Row("2.8", "no type", "schema-field", "required field missing", schema=field("{}")),
    Row("2.8", "type table", "schema-field", "expected one of", schema=field("{ type = 'table' }")),
    Row("2.8", "type any", "schema-field", "expected one of", schema=field("{ type = 'any' }")),
    *(
        Row(
            "2.8",
            f"{kind} alone",
            "schema-field",
            f"must declare '{wanted}'",
            schema=field(f"{{ type = '{kind}' }}"),
        )
        for kind, wanted in (
            ("array", "elements"),
            ("set", "elements"),
            ("map", "values"),
            ("record", "fields"),
            ("json", "json_schema"),
        )
    ),
    *(
        Row(
            "2.8",
            f"the attribute {name}",
            "schema-field",
            f'{name} = "unknown field"',
            schema=field(f"{{ type = 'string', {name} = {value} }}"),
        )
        for name, value in (
            ("enum", "{ 'a' }"),
            ("regex", "'a'"),
            ("func", "print"),
            ("schema", "{}"),
            ("legacy", "true"),
            ("nonsense", "1"),
        )
    ),
    Row(
        "2.8",
        "required = 'yes'",
        "schema-field",
        "expected a boolean",
        schema=field("{ type = 'string', required = 'yes' }"),
    ),
    *(
        Row("2.8", f"a default of {definition}", "schema-field", words, schema=field(f"{{ {definition} }}"))
        for definition, words in (
            ("type = 'string', default = 1", "expected a string"),
            ("type = 'string', one_of = { 'a' }, default = 'b'", "expected one of: a"),
            ("type = 'integer', between = { 1, 2 }, default = 3", "value should be between 1 and 2"),
            ("type = 'string', default = ''", "length must be at least 1"),
            ("type = 'integer', default = 1.5", "expected an integer"),
            ("type = 'array', elements = { type = 'string' }, default = { 1 }", "expected a string"),
        )
    ),
    Row(
        "2.8",
        "between of one",
        "schema-field",
        "length must be 2",
        schema=field("{ type = 'integer', between = { 1 } }"),
    ),
    *(
        Row(
            "2.8",
            f"{attribute} on {kind}",
            "schema-field",
            f"field of type '{kind}' cannot have attribute '{attribute}'",
            schema=field(f"{{ type = '{kind}', {attribute} = {value} }}"),
        )
        for attribute, kind, value in (
            ("between", "string", "{ 1, 2 }"),
            ("match", "integer", "'a'"),
            ("one_of", "boolean", "{ 'a' }"),
            ("len_eq", "integer", "1"),
            ("uuid", "integer", "true"),
            ("is_regex", "integer", "true"),
            ("timestamp", "string", "true"),
            ("contains", "string", "'a'"),
            ("unique", "boolean", "true"),
        )
    ),
    Row(
        "2.8",
        "unique_across_ws without unique",
        "schema-field",
        "failed conditional validation given value of field 'unique_across_ws'",
        schema=field("{ type = 'string', unique_across_ws = true }"),
    ),
    Row(
        "2.8",
        "custom_validator no function",
        "schema-field",
        "expected a function",
        schema=field("{ type = 'string', custom_validator = 'x' }"),
    ),
    Row(
        "2.8",
        "match_all of texts",
        "schema-field",
        "expected a record",
        schema=field("{ type = 'string', match_all = { 'a' } }"),
    ),
    Row(
        "2.8",
        "a bad override",
        "schema-field",
        "value should be between 0 and 65535",
        schema="local t = require 'kong.db.schema.typedefs'\n" + field("t.port { default = 99999 }"),
    ),
    *(
        Row(
            "2.8",
            f"entity_checks {value}",
            "schema-field",
            words,
            schema=config("", more=f", entity_checks = {value}"),
        )
        for value, words in (
            ("print", "expected an array"),
            ("{ 'a' }", "expected a record"),
            ("{ { nonsense = { 'a' } } }", "unknown field"),
            ("{ { at_least_one_of = { 'a' }, only_one_of = { 'a' } } }", "exactly one of these fields"),
        )
    ),
    Row(
        "2.8",
        "a shorthand without func",
        "schema-field",
        "required field missing",
        schema=config("", more=", shorthand_fields = { { a = { type = 'string' } } }"),
    ),
    Row(
        "2.8",
        "a shorthand of type record",
        "schema-field",
        "expected one of",
        schema=config(
            "", more=", shorthand_fields = { { a = { type = 'record', fields = {}, func = print } } }"
        ),
    ),
    *(
        Row(
            "2.8",
            f"beside config: {name}",
            "schema-field",
            f"{name}: {words}",
            schema=PLAIN.replace("fields = { {", f"fields = {{ {{ {name} = {definition} }}, {{", 1),
        )
        for name, definition, words in (
            ("nonsense", "{ type = 'string' }", "cannot create a new field"),
            ("run_on", "{ type = 'string' }", "cannot create a new field"),
            ("consumer_group", "{ type = 'string' }", "cannot create a new field"),
            ("protocols", "{ type = 'array', elements = { type = 'string' } }", "cannot change type"),
            ("protocols", "{ type = 'set', elements = { type = 'integer' } }", "cannot change type"),
        )
    ),
    Row(
        "2.8",
        "config as a map",
        "schema-config",
        "config: cannot change type in a specialized field",
        schema="return { name = 'demo', fields = { { config = { type = 'map', keys = { type = 'string' }, "
        "values = { type = 'string' } } } } }",
    ),
    Row(
        "1.7",
        "a foreign entity of Enterprise",
        "schema-field",
        "schema refers to an invalid foreign entity: consumer_groups",
        schema=PLAIN.replace(
            "fields = { {",
            "fields = { { consumer = { type = 'foreign', reference = 'consumer_groups' } }, {",
            1,
        ),
    ),
    Row(
        "2.8",
        "deprecation without removal_in_version",
        "schema-field",
        "required field missing",
        schema=field("{ type = 'string', deprecation = { message = 'x' } }"),
    ),
    Row(
        "8.1",
        "translate_backwards",
        "schema-field",
        "unknown field",
        schema=config(
            "",
            more=", shorthand_fields = { { a = { type = 'string', func = print, translate_backwards = { 'b' } } } }",
        ),
    ),
    Row(
        "8.1",
        "nested errors as a table",
        "schema-field",
        'fields.1: { fields = { { type = "expected one of:',
        schema=field("{ type = 'strin' }"),
    ),
    Row(
        "8.1",
        "an abstract record inside config",
        "schema-field",
        "attempt to index field 'fields'",
        schema=field("{ type = 'record', abstract = true }"),
    ),
    # accepted although wrong or useless
    Row("2.8", "name is not the directory", "name-schema", schema=PLAIN.replace("demo", "other")),
    Row(
        "2.8",
        "two fields of one name",
        "schema-duplicate",
        schema=config("{ a = { type = 'string' } }, { a = { type = 'integer' } }"),
    ),
    Row(
        "8.1",
        "no config",
        "schema-config",
        "abstract field was not specialized",
        schema="return { name = 'demo', fields = {} }",
    ),
    Row("8.1", "a top-level check", "schema-useless", schema=config("", top=", check = print")),
    *(
        Row(
            "2.8",
            f"{attribute} on integer",
            "schema-useless",
            schema=field(f"{{ type = 'integer', {attribute} = {value} }}"),
        )
        for attribute, value in (("len_min", "1"), ("encrypted", "true"), ("referenceable", "true"))
    ),
    Row("2.8", "gt on string", "schema-useless", schema=field("{ type = 'string', gt = 1 }")),
    Row(
        "8.1",
        "integer map keys",
        "schema-never",
        schema=field("{ type = 'map', keys = { type = 'integer' }, values = { type = 'string' } }"),
    ),
    Row(
        "8.1",
        "foreign in config",
        "schema-never",
        schema=field("{ type = 'foreign', reference = 'services' }"),
    ),
    Row("8.1", "type function", "schema-useless", schema=field("{ type = 'function' }")),
    Row(
        "8.1",
        "a check on a misspelt field",
        "schema-check",
        schema=config(
            "{ a = { type = 'string' } }", more=", entity_checks = { { at_least_one_of = { 'b' } } }"
        ),
    ),
    Row(
        "8.1",
        "custom_entity_check without fn",
        "schema-check",
        schema=config(
            "{ a = { type = 'string' } }",
            more=", entity_checks = { { custom_entity_check = { field_sources = { 'a' } } } }",
        ),
    ),
    Row("8.1", "eq makes a field mandatory", "schema-never", schema=field("{ type = 'string', eq = 'v1' }")),
    Row("8.1", "a malformed pattern", "schema-never", schema=field("{ type = 'string', match = '[a' }")),
    Row("8.1", "no text in one_of", "schema-never", schema=field("{ type = 'string', one_of = { true } }")),
    Row(
        "8.1",
        "a validator that throws on the default",
        "schema-field",
        "error in schema prevents from validating this field",
        schema=field("{ type = 'string', default = 'x', custom_validator = function() error('x') end }"),
    ),
    Row(
        "8.1",
        "a validator that refuses the default",
        "schema-field",
        "no such thing",
        schema=field(
            "{ type = 'string', default = 'x', custom_validator = function() return nil, 'no such thing' end }"
        ),
    ),
]

ENTITY = "{ name = 'NAME', primary_key = { 'id' }, fields = { { id = { type = 'string', uuid = true } } } }"
INDEX = {"migrations/init.lua": "return { '000_base' }"}
BASE = {"migrations/000_base.lua": "return { postgres = { up = [[ ]] } }"}
ENTITIES = [
    Row(
        "1.1",
        "entities with migrations",
        files={"daos.lua": f"return {{ {ENTITY.replace('NAME', 'demo_x')} }}", **INDEX, **BASE},
    ),
    Row(
        "1.1",
        "daos by name",
        "daos-shape",
        "custom plugin 'demo' returned non-array daos definition table",
        files={"daos.lua": f"return {{ x = {ENTITY.replace('NAME', 'demo_x')} }}", **INDEX, **BASE},
    ),
    Row(
        "1.1",
        "an entity without primary_key",
        "daos-entity",
        "schema of custom plugin entity 'demo.demo_x' is invalid: schema violation (primary_key: ",
        files={"daos.lua": "return { { name = 'demo_x', fields = {} } }", **INDEX, **BASE},
    ),
    Row(
        "8.1",
        "an entity called routes",
        "daos-core",
        files={"daos.lua": f"return {{ {ENTITY.replace('NAME', 'routes')} }}", **INDEX, **BASE},
    ),
    Row(
        "8.1",
        "entities without migrations",
        "daos-migrations",
        files={"daos.lua": f"return {{ {ENTITY.replace('NAME', 'demo_x')} }}"},
    ),
    Row(
        "1.1",
        "an index that is no table",
        "migrations-shape",
        "migrations index from 'kong.plugins.demo.migrations' must be a table",
        files={"migrations/init.lua": "return 1"},
    ),
    Row(
        "1.1",
        "a listed migration that is absent",
        "migrations-shape",
        "failed to load migration '000_base' of 'demo' subsystem",
        files=INDEX,
    ),
    *(
        Row(
            "8.1",
            f"a wrong migration: {text}",
            "migrations-shape",
            "migration '000_base' of 'demo' subsystem is invalid",
            files={**INDEX, "migrations/000_base.lua": f"return {text}"},
        )
        for text in (
            "{}",
            "1",
            "{ postgres = {} }",
            "{ postgres = { up = 1 } }",
            "{ cassandra = { up = '' } }",
        )
    ),
    Row(
        "8.1",
        "migrations of the 0.x kind",
        "migrations-ignored",
        files={"migrations/postgres.lua": "return { { name = 'x', up = '', down = '' } }"},
    ),
    Row("8.1", "a broken api.lua", "api-broken", "boom", files={"api.lua": "error('boom')"}),
    Row("8.1", "a broken status_api.lua", "api-broken", "boom", files={"status_api.lua": "error('boom')"}),
    Row("1.1", "an api.lua", files={"api.lua": "local e = require 'kong.api.endpoints' return {}"}),
    Row("1.1", "broken daos", "load-error", "boom", files={"daos.lua": "error('boom')"}),
]

ROWS = [*HANDLER, *LOADED, *SCHEMA, *ENTITIES]


@pytest.mark.parametrize("row", [pytest.param(row, id=f"{row.section} {row.what}"[:70]) for row in ROWS])
def test_a_row(demo: Demo, rockspec_with: Changed, row: Row) -> None:
    listed = "".join(
        f'["kong.plugins.demo.{path.removesuffix(".lua").replace("/", ".").removesuffix(".init")}"] = '
        f'"kong/plugins/demo/{path}",'
        for path in row.files
    )
    package = demo(
        handler=row.handler or handler(),
        schema=row.schema or PLAIN,
        rockspec=rockspec_with(("} }", f"{listed} }} }}")),
        more={f"kong/plugins/demo/{path}": text for path, text in row.files.items()},
    )
    # whether the handler agrees with the rockspec is another matter
    found = [item for item in check(package).findings if item.code != "version-drift"]
    assert [item.code for item in found] == ([row.code] if row.code else []), found
    if row.words:
        assert row.words in found[0].kong
    if row.code and CODES[row.code] == "error":
        assert found[0].kong or row.code == "load-exit"


def test_a_handler_may_be_a_directory(demo: Demo, rockspec_with: Changed) -> None:
    """8.1: `handler/init.lua` loads as well."""
    spec = rockspec_with(("kong/plugins/demo/handler.lua", "kong/plugins/demo/handler/init.lua"))
    more = {"kong/plugins/demo/handler/init.lua": handler()}
    assert check(demo(handler=None, rockspec=spec, more=more)).findings == ()


def test_a_module_that_shadows_kongs_own(demo: Demo, rockspec_with: Changed) -> None:
    """8.1: a tree's path comes before Kong's."""
    spec = rockspec_with(("} }", '["kong.tools.utils"] = "utils.lua" } }'))
    (item,) = check(demo(rockspec=spec, more={"utils.lua": "return {}"})).findings
    assert (item.code, item.severity) == ("module-shadows", "warning")


@pytest.mark.parametrize("part", ["handler", "schema"])
def test_a_missing_part_is_told_in_kongs_words(demo: Demo, rockspec_with: Changed, part: str) -> None:
    """1.7 and 8: the two texts of a plugin that is not whole."""
    line = f'  ["kong.plugins.demo.{part}"] = "kong/plugins/demo/{part}.lua",\n'
    (item,) = check(demo(rockspec=rockspec_with((line, "")), **{part: None})).findings
    assert item.kong in (
        "demo plugin is enabled but not installed; no plugin found",
        "no configuration schema found for plugin: demo",
    )


@pytest.mark.parametrize(
    "text",
    [
        "error in definition of 'demo': protocols: cannot change type in a specialized field",
        "X plugin is in use but not enabled",
        "plugin 'X' not enabled; add it to the 'plugins' configuration property",
        "No plugin named 'X'",
        "error building initial plugins: X plugin is in use but not enabled",
        "unable to send updated configuration to data plane: configured X plugin 1.0.0 is missing from data plane",
        "configured data plane X plugin version 1.0.0 is different to control plane plugin version 2.0.0",
        "unable to update running config: bad config received from control plane",
        "New migrations available; run 'kong migrations up' to proceed",
        'failed to execute the "init_worker" handler for plugin "X"',
    ],
)
def test_what_only_a_log_tells_is_explained(text: str) -> None:
    """The rows of 1.7 that are about nodes, not about a plugin."""
    assert explain(text)
