"""The functions of a schema are run in the sandbox, and what they say is said in Kong's words (2.3 to 2.5, 8.1)."""

import time

import pytest

from pumice.kong.loaded import Job
from pumice.kong.metaschema import judge
from pumice.kong.sandbox import ModuleSource, Sandbox, load_modules
from pumice.kong.schema_functions import SchemaFunctions
from pumice.kong.schema_values import Answer, validate_configuration


def answer(fields: str, sent: object, *, more: str = "", before: str = "", seconds: float = 10.0) -> Answer:
    """What a gateway answers to `sent` as the configuration of a plugin with these fields."""
    text = (
        f"local t = require 'kong.db.schema.typedefs'\n{before}\n"
        f"return {{ name = 'd', fields = {{ {{ config = {{ type = 'record', fields = {{ {fields} }} {more} }} }} }} }}"
    )
    sandbox = Sandbox(modules={"s": ModuleSource("s.lua", text.encode())}, seconds=seconds)
    loaded = load_modules([Job("schema", "s")], sandbox).loaded[0]
    assert isinstance(loaded.value, dict), loaded.error
    functions = SchemaFunctions("s", sandbox)
    assert judge("d", loaded.value, functions=functions) is None
    return validate_configuration("d", loaded.value, {"config": sent}, functions)


def told(given: Answer) -> object:
    """What is wrong in config; None when nothing is."""
    assert given.ok is (not given.fields)
    return given.fields.get("config")


def validated(function: str, value: object, kind: str = "string") -> Answer:
    return answer(f"{{ a = {{ type = '{kind}', custom_validator = {function} }} }}", {"a": value})


@pytest.mark.parametrize(
    ("function", "value", "words"),
    [
        ("function() return true end", "x", None),
        ("function(v) return v == 'x', 'not x' end", "x", None),
        ("function(v) return v == 'x', 'not x' end", "y", "not x"),
        ("function(v) if #v > 2 then return nil, 'too long: ' .. v end return 1 end", "abc", "too long: abc"),
        ("function() return nil end", "y", "failed validating: y"),
        ("function() end", "y", "failed validating: y"),
        ("function() return false end", "y", "failed validating: y"),
        ("function() return nil, { b = 'inside' } end", "y", {"b": "inside"}),
    ],
)
def test_a_validator_is_asked(function: str, value: object, words: object) -> None:
    given = validated(function, value)
    assert given.not_run == ()
    assert told(given) == ({"a": words} if words is not None else None)


def test_the_fields_own_words_win() -> None:
    fields = "{ a = { type = 'string', err = 'own', custom_validator = function() return nil, 'x' end } }"
    assert told(answer(fields, {"a": "y"})) == {"a": "own"}


def test_a_validator_gets_what_was_sent_with_its_types() -> None:
    function = "function(v) return nil, type(v[1]) .. type(v[2]) .. tostring(v[3] == ngx.null) .. type(v[4].k) .. #v end"
    fields = f"{{ a = {{ type = 'array', elements = {{ type = 'map', keys = {{ type = 'string' }}, values = {{ type = 'string' }} }}, custom_validator = {function} }} }}"
    given = answer(fields, {"a": [{"k": "a"}, {"k": "b"}, {"k": "c"}, {"k": "d"}]})
    assert told(given) == {"a": "tabletablefalsestring4"}


@pytest.mark.parametrize(
    ("function", "words"),
    [("function() error('boom') end", "boom"), ("function(v) return v.x.y end", "attempt to index")],
)
def test_a_validator_that_throws_is_a_500(function: str, words: str) -> None:
    given = validated(function, "x")
    assert (given.ok, given.fields) == (False, {})
    assert given.message.startswith("An unexpected error occurred (")
    assert words in given.message


def test_a_table_cannot_be_put_into_kongs_own_words() -> None:
    fields = "{ a = { type = 'array', elements = { type = 'integer' }, custom_validator = function() end } }"
    given = answer(fields, {"a": [1]})
    assert "bad argument #1 to 'format'" in given.message


def check_with(function: str, sent: object, sources: str = "'a', 'b'", options: str = "") -> Answer:
    return answer(
        "{ a = { type = 'string' } }, { b = { type = 'integer' } }, { c = { type = 'string' } }",
        sent,
        more=f", entity_checks = {{ {{ custom_entity_check = {{ field_sources = {{ {sources} }}, fn = {function} {options} }} }} }}",
    )


def test_an_entity_check_sees_only_its_sources() -> None:
    function = "function(e) return nil, tostring(e.a) .. tostring(e.b) .. tostring(e.c) end"
    assert told(check_with(function, {"a": "x", "b": 2, "c": "z"})) == {"@entity": ["x2nil"]}


def test_an_entity_check_that_passes_is_silent() -> None:
    assert told(check_with("function(e) return e.b == 2 end", {"a": "x", "b": 2})) is None


def test_an_entity_check_may_say_it_in_three_values() -> None:
    given = check_with("function() return nil, 'second', 'third' end", {"a": "x", "b": 2})
    assert told(given) == {"@entity": ["third"]}
    given = check_with("function() return nil end", {"a": "x", "b": 2})
    assert told(given) == {"@entity": ["failed entity check: custom_entity_check({ … })"]}


def test_an_entity_check_waits_for_its_fields() -> None:
    never = "function() return nil, 'never' end"
    assert told(check_with(never, {"a": 1, "b": 2})) == {"a": "expected a string"}
    wanted = {"@entity": ["never"], "a": "expected a string"}
    assert told(check_with(never, {"a": 1, "b": 2}, options=", run_with_invalid_fields = true")) == wanted


def shorthand(func: str, sent: object, *, fields: str = "", more: str = "") -> Answer:
    return answer(
        fields
        or "{ new = { type = 'string' } }, { r = { type = 'record', fields = { { x = { type = 'integer' } }, { y = { type = 'integer' } } } } }",
        sent,
        more=f", shorthand_fields = {{ {{ old = {{ type = 'string', func = {func} {more} }} }} }}",
    )


TO_NEW = "function(v) return { new = v .. '!' } end"
CHECK_NEW = (
    "{ new = { type = 'string', custom_validator = function(v) return nil, 'new is ' .. tostring(v) end } }"
)
DEPRECATED = ", deprecation = { message = 'use new instead', removal_in_version = '4.0' REPLACED }"


def test_a_shorthand_becomes_what_it_stands_for() -> None:
    assert told(shorthand(TO_NEW, {"old": "x"}, fields=CHECK_NEW)) == {"new": "new is x!"}
    assert told(shorthand(TO_NEW, {"old": "x"})) is None
    assert told(shorthand("function(v) return { nonsense = v } end", {"old": "x"})) == {
        "nonsense": "unknown field"
    }
    assert told(shorthand("function() end", {"old": "x"})) is None


def test_a_shorthand_wins_unless_it_is_deprecated() -> None:
    both = {"old": "x", "new": "y"}
    assert told(shorthand(TO_NEW, both, fields=CHECK_NEW)) == {"new": "new is x!"}
    old = DEPRECATED.replace("REPLACED", "")
    assert told(shorthand(TO_NEW, both, fields=CHECK_NEW, more=old)) == {"new": "new is y"}


def test_a_shorthand_is_merged_into_a_record() -> None:
    func = "function(v) return { r = { x = 1, y = 'no number' } } end"
    assert told(shorthand(func, {"old": "x", "r": {"x": 5, "y": 6}})) == {"r": {"y": "expected an integer"}}
    old = DEPRECATED.replace("REPLACED", "")
    assert told(shorthand(func, {"old": "x", "r": {"x": 5, "y": 6}}, more=old)) is None


@pytest.mark.parametrize("sent", [{"old": 1}, {"old": "x", "new": "y"}])
def test_a_wrong_or_contradicting_shorthand_is_a_500(sent: object) -> None:
    more = DEPRECATED.replace("REPLACED", ", replaced_with = { { path = { 'new' } } }")
    given = shorthand(TO_NEW, sent, more=more)
    assert (given.ok, given.fields) == (False, {})
    assert "attempt to index local 'input'" in given.message


def test_the_way_back_may_be_a_function() -> None:
    more = DEPRECATED.replace(
        "REPLACED",
        ", replaced_with = { { path = { 'new' }, reverse_mapping_function = function(d) return d.new:lower() end } }",
    )
    assert shorthand(TO_NEW, {"old": "x", "new": "X"}, more=more).ok
    assert "attempt to index local 'input'" in shorthand(TO_NEW, {"old": "x", "new": "Y"}, more=more).message


def test_fields_of_a_transformation_are_sent_together_or_not_at_all() -> None:
    text = (
        "return { name = 'd', fields = { { config = { type = 'record', fields = { { a = { type = 'string' } }, "
        "{ b = { type = 'string' } } }, transformations = { { input = { 'a', 'b' }, "
        "on_write = function() error('never called here') end } } } } } }"
    )
    sandbox = Sandbox(modules={"s": ModuleSource("s.lua", text.encode())})
    table = load_modules([Job("schema", "s")], sandbox).loaded[0].value
    assert isinstance(table, dict)
    words = "all or none of these fields must be set: 'a', 'b'"
    assert validate_configuration("d", table, {"config": {"a": "x"}}).fields == {
        "config": {"@entity": [words]}
    }
    assert validate_configuration("d", table, {"config": {"a": "x", "b": "y"}}).ok
    assert validate_configuration("d", table, {"config": {}}).ok


def test_functions_see_each_other_and_what_stands_outside() -> None:
    before = (
        "local allowed = { x = true }\nlocal function known(v) return allowed[v], v .. ' is not known' end"
    )
    fields = "{ a = { type = 'string', custom_validator = known } }, { b = { type = 'string', custom_validator = known } }"
    given = answer(fields, {"a": "x", "b": "y"}, before=before)
    assert told(given) == {"b": "y is not known"}


@pytest.mark.parametrize(
    "call",
    [
        "ngx.re.match(v, 'x')",
        "require('resty.string').to_hex(v)",
        "kong.cache:get(v)",
        "os.execute('true')",
        "ngx.md5(v)",
    ],
)
def test_what_only_a_gateway_can_answer_is_told_and_not_guessed(call: str) -> None:
    given = validated(f"function(v) local r = {call} return nil, 'guessed' end", "x")
    assert given.ok
    (name,) = given.not_run
    assert name.startswith("config.a (custom_validator): ")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ('{"a": [1, {"b": null}]}', None),
        ('{"a": ', "no JSON: Expected value but found invalid token at character 7"),
    ],
)
def test_json_is_read_as_in_a_gateway(value: str, words: str | None) -> None:
    function = (
        "function(v) local found, said = require('cjson.safe').decode(v) "
        "return found and found.a[2].b == ngx.null, 'no JSON: ' .. tostring(said) end"
    )
    given = validated(function, value)
    assert given.not_run == ()
    assert told(given) == ({"a": words} if words else None)


def test_a_function_that_never_ends_is_stopped() -> None:
    began = time.monotonic()
    fields = "{ a = { type = 'string', custom_validator = function() while true do end end } }"
    given = answer(fields, {"a": "x"}, seconds=1.0)
    assert time.monotonic() - began < 30
    assert given.not_run == ("config.a (custom_validator): it takes too long",)


def test_a_function_that_eats_memory_is_stopped() -> None:
    function = "function() local t = {} while true do t[#t + 1] = ('x'):rep(1e6) .. #t end end"
    given = validated(function, "x")
    assert len(given.not_run) == 1 or "not enough memory" in given.message


def test_without_functions_they_count_as_passed_and_are_told() -> None:
    text = "return { name = 'd', fields = { { config = { type = 'record', fields = { { a = { type = 'string', custom_validator = function() end } } } } } } }"
    sandbox = Sandbox(modules={"s": ModuleSource("s.lua", text.encode())})
    table = load_modules([Job("schema", "s")], sandbox).loaded[0].value
    assert isinstance(table, dict)
    assert validate_configuration("d", table, {"a": "x"}).not_run == ("config.a (custom_validator)",)
