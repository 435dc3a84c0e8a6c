"""A configuration is held against a schema with Kong's words (Kong contract 2.2 to 2.6, 8.1)."""

import pytest

from pumice.kong.loaded import Job
from pumice.kong.metaschema import judge
from pumice.kong.sandbox import ModuleSource, Sandbox, load_modules
from pumice.kong.schema_description import json_schema, settings
from pumice.kong.schema_pattern import PatternError, lua_match
from pumice.kong.schema_table import Table
from pumice.kong.schema_values import Answer, validate_configuration


def schema(fields: str, *, more: str = "", beside: str = "") -> Table:
    text = (
        "local t = require 'kong.db.schema.typedefs'\n"
        f"return {{ name = 'd', fields = {{ {{ config = {{ type = 'record', fields = {{ {fields} }} {more} }} }} {beside} }} }}"
    )
    modules = {"s": ModuleSource("s.lua", text.encode())}
    loaded = load_modules([Job("schema", "s")], Sandbox(modules=modules)).loaded[0]
    assert isinstance(loaded.value, dict), loaded.error
    assert judge("d", loaded.value) is None
    return loaded.value


def said(definition: str, value: object) -> object:
    """What Kong says of one setting `a`; None when it takes it."""
    answer = validate_configuration("d", schema(f"{{ a = {definition} }}"), {"config": {"a": value}})
    config = answer.fields.get("config", {})
    assert answer.ok is (not answer.fields)
    assert isinstance(config, dict)
    return config.get("a")


@pytest.mark.parametrize(
    ("definition", "value", "words"),
    [
        ("{ type = 'string' }", "x", None),
        ("{ type = 'string' }", 5, "expected a string"),
        ("{ type = 'string' }", "", "length must be at least 1"),
        ("{ type = 'string', len_min = 0 }", "", None),
        ("{ type = 'string' }", None, None),
        ("{ type = 'string', required = true }", None, "required field missing"),
        ("{ type = 'integer' }", 1.5, "expected an integer"),
        ("{ type = 'integer' }", 3.0, None),
        ("{ type = 'number' }", "1", "expected a number"),
        ("{ type = 'boolean' }", 1, "expected a boolean"),
        ("{ type = 'array', elements = { type = 'string' } }", {"x": 1}, "expected an array"),
        ("{ type = 'set', elements = { type = 'string' } }", "x", "expected a set"),
        (
            "{ type = 'array', elements = { type = 'string' } }",
            ["x", 1, "y", 2],
            [None, "expected a string", None, "expected a string"],
        ),
        ("{ type = 'array', elements = { type = 'string' } }", [None], ["required field missing"]),
        ("{ type = 'map', keys = { type = 'string' }, values = { type = 'integer' } }", {"k": 1}, None),
        (
            "{ type = 'map', keys = { type = 'string' }, values = { type = 'integer' } }",
            {"k": "x"},
            "expected an integer",
        ),
        ("{ type = 'map', keys = { type = 'string' }, values = { type = 'integer' } }", 5, "expected a map"),
        (
            "{ type = 'record', fields = { { b = { type = 'string', required = true } } } }",
            {},
            {"b": "required field missing"},
        ),
        ("{ type = 'record', fields = {} }", {"c": 1}, {"c": "unknown field"}),
        ("{ type = 'record', fields = {} }", 1, "expected a record"),
        ("{ type = 'string', one_of = { 'x', 'y' } }", "z", "expected one of: x, y"),
        ("{ type = 'string', not_one_of = { 'x', 'y' } }", "x", "must not be one of: x, y"),
        ("{ type = 'integer', between = { 1, 5 } }", 6, "value should be between 1 and 5"),
        ("{ type = 'integer', gt = 0 }", 0, "value must be greater than 0"),
        ("{ type = 'string', len_eq = 2 }", "x", "length must be 2"),
        ("{ type = 'string', len_max = 2 }", "xyz", "length must be at most 2"),
        ("{ type = 'string', match = '^%d+$' }", "x1", "invalid value: x1"),
        ("{ type = 'string', match = '^%d+$', err = 'digits only' }", "x1", "digits only"),
        ("{ type = 'string', not_match = 'x' }", "x1", "invalid value: x1"),
        (
            "{ type = 'string', match_all = { { pattern = 'a', err = 'no a' }, { pattern = 'b', err = 'no b' } } }",
            "a",
            "no b",
        ),
        ("{ type = 'string', match_none = { { pattern = 'a', err = 'an a' } } }", "a", "an a"),
        ("{ type = 'string', match_any = { patterns = { 'a', 'b' }, err = 'neither' } }", "c", "neither"),
        ("{ type = 'string', starts_with = 'a' }", "b", "should start with: a"),
        ("{ type = 'string', uuid = true }", "x", "expected a valid UUID"),
        ("{ type = 'string', is_regex = true }", "(", "not a valid regex: ("),
        ("{ type = 'integer', timestamp = true }", 0, "expected a valid timestamp"),
        (
            "{ type = 'array', elements = { type = 'string' }, contains = 'x' }",
            ["y"],
            "expected to contain: x",
        ),
        (
            "{ type = 'set', elements = { type = 'string' }, mutually_exclusive_subsets = { { 'a' }, { 'b' } } }",
            ["a", "b"],
            "these sets are mutually exclusive: ('a'), ('b')",
        ),
        ("{ type = 'string', eq = 'v1' }", None, "value must be v1"),
        ("{ type = 'string', ne = 'v1' }", "v1", "value must not be v1"),
        ("{ type = 'string', eq = ngx.null }", "x", "value must be null"),
        ("{ type = 'integer', referenceable = true }", "{vault://env/x}", "expected an integer"),
        ("{ type = 'string', referenceable = true, one_of = { 'x' } }", "{vault://env/x}", None),
        ("t.port", 65536, "value should be between 0 and 65535"),
        ("t.host", "a b", "invalid value: a b"),
        ("t.host", "example.com:80", "must not have a port"),
        ("t.url", "example.com", "missing host in url"),
        ("t.url", "https://example.com/x", None),
        ("t.ip", "example.com", "not an ip address: example.com"),
        ("t.sni", "127.0.0.1", "must not be an IP"),
        ("t.path", "/a//b", "must not have empty segments"),
        ("t.path", "/%zz", "invalid url-encoded value: '%zz'"),
        ("t.header_name", "X Y", "bad header name 'X Y', allowed characters are A-Z, a-z, 0-9, '_', and '-'"),
        ("{ type = 'function' }", "x", "expected a function"),
    ],
)
def test_a_value_is_judged_in_kongs_words(definition: str, value: object, words: object) -> None:
    assert said(definition, value) == words


@pytest.mark.parametrize(
    ("check", "sent", "words"),
    [
        (
            "at_least_one_of = { 'a', 'b' }",
            {},
            "at least one of these fields must be non-empty: 'a', 'b'",
        ),
        (
            "only_one_of = { 'a', 'b' }",
            {"a": "1", "b": "2"},
            "exactly one of these fields must be non-empty: 'a', 'b'",
        ),
        (
            "mutually_exclusive = { 'a', 'b' }",
            {"a": "1", "b": "2"},
            "only one or none of these fields must be set: 'a', 'b'",
        ),
        ("mutually_required = { 'a', 'b' }", {"a": "1"}, "all or none of these fields must be set: 'a', 'b'"),
        (
            "mutually_exclusive_sets = { set1 = { 'a' }, set2 = { 'b' } }",
            {"a": "1", "b": "2"},
            "these sets are mutually exclusive: ('a'), ('b')",
        ),
        (
            "distinct = { 'a', 'b' }",
            {"a": "1", "b": "1"},
            "values of these fields must be distinct: 'a', 'b'",
        ),
        (
            (
                "conditional = { if_field = 'a', if_match = { eq = '1' }, then_field = 'b', "
                "then_match = { required = true } }"
            ),
            {"a": "1"},
            "failed conditional validation given value of field 'a'",
        ),
        (
            (
                "conditional_at_least_one_of = { if_field = 'a', if_match = { eq = '1' }, "
                "then_at_least_one_of = { 'b' } }"
            ),
            {"a": "1"},
            "at least one of these fields must be non-empty: 'b'",
        ),
    ],
)
def test_an_entity_check_is_made_in_kongs_words(check: str, sent: object, words: str) -> None:
    fields = "{ a = { type = 'string' } }, { b = { type = 'string' } }"
    answer = validate_configuration(
        "d", schema(fields, more=f", entity_checks = {{ {{ {check} }} }}"), {"config": sent}
    )
    config = answer.fields["config"]
    assert isinstance(config, dict)
    assert config["@entity"] == [words]
    passing = {"a": "2"} if "required" not in check or "conditional" in check else {}
    assert validate_configuration(
        "d", schema(fields, more=f", entity_checks = {{ {{ {check} }} }}"), {"config": passing}
    ).ok


def test_defaults_are_filled_into_nested_records() -> None:
    fields = (
        "{ r = { type = 'record', fields = { { n = { type = 'integer', required = true, default = 5 } } } } }"
    )
    assert validate_configuration("d", schema(fields), {}).ok
    bare = "{ r = { type = 'record', fields = { { n = { type = 'integer', required = true } } } } }"
    answer = validate_configuration("d", schema(bare), {})
    assert answer.message == 'schema violation (config.r: { n = "required field missing" })'


def test_the_entity_around_the_settings_is_judged_too() -> None:
    table = schema("", beside=", { consumer = t.no_consumer }, { protocols = t.protocols_http }")
    sent = {"name": "d", "config": {}, "consumer": {"id": "x"}, "protocols": ["tcp"], "nope": 1}
    assert validate_configuration("d", table, sent).fields == {
        "consumer": "value must be null",
        "protocols": ["expected one of: grpc, grpcs, http, https"],
        "nope": "unknown field",
    }
    assert validate_configuration("d", table, {"name": "other"}).fields == {
        "name": "plugin 'other' not enabled; add it to the 'plugins' configuration property"
    }
    assert validate_configuration("d", table, [1]).ok is False


def test_what_is_not_run_is_told() -> None:
    table = schema("{ a = { type = 'string', custom_validator = function() return nil, 'never' end } }")
    assert validate_configuration("d", table, {"a": "x"}) == Answer(
        True, {}, "schema validation successful", ("config.a (custom_validator)",)
    )


def test_where_kongs_code_fails_the_answer_is_no_crash() -> None:
    answer = validate_configuration("d", schema("{ a = { type = 'string', match = '[a' } }"), {"a": "x"})
    assert (answer.ok, answer.message) == (
        False,
        "An unexpected error occurred (malformed pattern (missing ']'))",
    )


@pytest.mark.peer
def test_patterns_match_as_in_luajit(luajit: object) -> None:
    patterns = [
        "^%d+$",
        "a-b",
        "[^%w_]",
        "%bxy",
        "(a)%1",
        "^[a-c%-]*$",
        "%f[%w]b",
        "a.-b$",
        "",
        "[]]",
        "x?y+",
        "()a",
    ]
    texts = ["", "a", "ab", "aab", "12", "x(y)", "xy", "a-b", "]", "xxyy", "b b", "é", "a\nb"]
    program = "for line in (...):gmatch('[^\\1]+') do local t, p = line:match('^(.-)\\2(.*)$') print(t:match(p) ~= nil) end"
    given = [(text, pattern) for text in texts for pattern in patterns]
    argument = "\1".join(f"{text}\2{pattern}" for text, pattern in given)
    assert callable(luajit)
    expected = luajit(f"{program}", argument).split()
    assert [str(lua_match(text, pattern)).lower() for text, pattern in given] == expected


def test_a_pattern_that_never_ends_has_a_budget_and_a_bad_one_an_error() -> None:
    assert lua_match("a" * 60, "a*" * 30 + "b") is True
    with pytest.raises(PatternError, match="ends with '%'"):
        lua_match("x", "%")


def test_settings_are_rows_and_a_json_schema() -> None:
    table = schema(
        "{ a = { type = 'string', one_of = { 'x' }, default = 'x', required = true } }, "
        "{ l = { type = 'set', elements = t.port, default = {} } }, "
        "{ r = { type = 'record', fields = { { n = { type = 'integer', between = { 1, 2 }, required = true } } } } }"
    )
    assert [(row.path, row.type, row.required, row.default, row.constraints) for row in settings(table)] == [
        ("config.a", "string", True, "x", ("one of x",)),
        ("config.l", "set of integer", False, [], ("each between 0 and 65535",)),
        ("config.r", "record", False, None, ()),
        ("config.r.n", "integer", True, None, ("between 1 and 2",)),
    ]
    described = json_schema("d", table)["properties"]
    assert described == {
        "a": {"type": "string", "default": "x", "enum": ["x"], "minLength": 1},
        "l": {
            "type": ["array", "null"],
            "default": [],
            "items": {"type": ["integer", "null"], "minimum": 0, "maximum": 65535},
        },
        "r": {
            "type": ["object", "null"],
            "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 2}},
            "additionalProperties": False,
            "required": ["n"],
        },
    }
