"""What Kong refuses in a schema is refused in its words, and what it takes is not (Kong contract 2.8, 8.1)."""

import copy
import random
import time

import pytest

from pumice.kong.loaded import Job, Loaded, Opaque
from pumice.kong.metaschema import Verdict, judge
from pumice.kong.metaschema_doubts import doubts
from pumice.kong.sandbox import ModuleSource, Sandbox, load_modules

CONFIG = "{ config = { type = 'record', fields = {} } }"
TYPES = "array, boolean, foreign, function, integer, json, map, number, record, set, string"
SHORT_TYPES = "array, boolean, integer, json, map, number, set, string"
CHECKERS = (
    "'at_least_one_of', 'conditional_at_least_one_of', 'only_one_of', 'distinct', 'conditional', "
    "'custom_entity_check', 'mutually_required', 'mutually_exclusive', 'mutually_exclusive_sets'"
)


def load(text: str) -> Loaded:
    """The schema of this text, with `t` for Kong's typedefs."""
    source = "local t = require 'kong.db.schema.typedefs'\n" + text
    outcome = load_modules(
        [Job("schema", "s")], Sandbox(modules={"s": ModuleSource("s.lua", source.encode())})
    )
    assert outcome.failure is None
    return outcome.loaded[0]


def verdict_of(text: str) -> Verdict | None:
    loaded = load(text)
    assert loaded.error is None
    assert isinstance(loaded.value, dict)
    return judge("d", loaded.value)


def whole(text: str) -> str:
    """The verdict on a whole schema."""
    verdict = verdict_of(text)
    return verdict.words if verdict else ""


def field(definition: str, *, after: str = "") -> str:
    """The verdict on a plugin with one setting `a`."""
    config = f"{{ config = {{ type = 'record', fields = {{ {{ a = {definition} }} {after} }} }} }}"
    return whole(f"return {{ name = 'd', fields = {{ {config} }} }}")


def inside(words: str) -> str:
    """Kong's text for a problem inside the first field of config, which is the first field."""
    return f"schema violation (fields.1: {{ fields = {{ {{ {words} }} }} }})"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"return {{ fields = {{ {CONFIG} }} }}", "schema violation (name: field required for entity check)"),
        (f"return {{ name = 5, fields = {{ {CONFIG} }} }}", "schema violation (name: expected a string)"),
        ("return { name = 'd' }", "schema violation (fields: field required for entity check)"),
        (f"return {{ name = 'd', fields = {CONFIG} }}", "schema violation (fields: expected an array)"),
        (
            "return { name = 'd', fields = { { config = { type = 'record', fields = { a = { type = 'string' } } } } } }",
            'schema violation (fields.1: { fields = "expected an array" })',
        ),
        (
            "return { name = 'd', fields = { { enabled = { type = 'boolean' }, tags = t.tags } } }",
            "schema violation (fields.1: length must be 1)",
        ),
        ("return { name = 'd', fields = { {} } }", "schema violation (fields: field entry table is empty)"),
        (
            "return { name = 'd', fields = { 5 } }",
            "schema violation (fields: each entry in fields must be a sub-table)",
        ),
        (
            "return { no_consumer = true, fields = { a = { type = 'string' } }, self_check = function() end }",
            (
                "4 schema violations (fields: expected an array; name: field required for entity check; "
                "no_consumer: unknown field; self_check: unknown field)"
            ),
        ),
        (
            f"return {{ name = 'd', shorthands = {{}}, primary_key = {{ 'id' }}, fields = {{ {CONFIG} }} }}",
            "2 schema violations (primary_key: unknown field; shorthands: unknown field)",
        ),
        (
            f"return {{ name = 'd', check = 5, fields = {{ {CONFIG} }} }}",
            "schema violation (check: expected a function)",
        ),
        (
            f"return {{ name = 'd', entity_checks = function() end, fields = {{ {CONFIG} }} }}",
            "schema violation (entity_checks: expected an array)",
        ),
        (
            f"return {{ name = 'd', entity_checks = {{ 'x' }}, fields = {{ {CONFIG} }} }}",
            "schema violation (entity_checks.1: expected a record)",
        ),
        (
            f"return {{ name = 'd', entity_checks = {{ {{ one = {{ 'x' }} }} }}, fields = {{ {CONFIG} }} }}",
            (
                'schema violation (entity_checks.1: { ["@entity"] = { "exactly one of these fields must be non-empty: '
                f'{CHECKERS}" }}, one = "unknown field" }})'
            ),
        ),
        (
            (
                "return { name = 'd', entity_checks = { { distinct = { 'x' }, only_one_of = { 'x' } } }, "
                f"fields = {{ {CONFIG} }} }}"
            ),
            (
                'schema violation (entity_checks.1: { ["@entity"] = { "exactly one of these fields must be non-empty: '
                f'{CHECKERS}" }} }})'
            ),
        ),
        (
            f"return {{ name = 'd', fields = {{ {CONFIG} }}, transformations = {{ {{ input = {{ 'x' }} , on_read = print }} }} }}",
            'schema violation (transformations.input: { { "invalid field name: x" } })',
        ),
        (
            f"return {{ name = 'd', fields = {{ {CONFIG}, {{ other = {{ type = 'string' }} }} }} }}",
            "error initializing schema for plugin: error in definition of 'd': other: cannot create a new field",
        ),
        (
            f"return {{ name = 'd', fields = {{ {CONFIG}, {{ run_on = {{ type = 'string' }} }} }} }}",
            "error initializing schema for plugin: error in definition of 'd': run_on: cannot create a new field",
        ),
        (
            (
                "return { name = 'd', fields = { { config = { type = 'map', keys = { type = 'string' }, "
                "values = { type = 'string' } } } } }"
            ),
            (
                "error initializing schema for plugin: error in definition of 'd': config: cannot change type in a "
                "specialized field"
            ),
        ),
        (
            f"return {{ name = 'd', fields = {{ {CONFIG}, {{ protocols = {{ type = 'array', elements = {{ type = 'string' }} }} }} }} }}",
            (
                "error initializing schema for plugin: error in definition of 'd': protocols: cannot change type in a "
                "specialized field"
            ),
        ),
        (
            f"return {{ name = 'd', fields = {{ {CONFIG}, {{ protocols = {{ type = 'set', elements = {{ type = 'integer' }} }} }} }} }}",
            (
                "error initializing schema for plugin: error in definition of 'd': protocols: cannot change type in a "
                "specialized field"
            ),
        ),
        (
            (
                f"return {{ name = 'd', fields = {{ {CONFIG}, {{ consumer_group = {{ type = 'foreign', "
                "reference = 'consumer_groups', eq = ngx.null } } } }"
            ),
            "error initializing schema for plugin: schema refers to an invalid foreign entity: consumer_groups",
        ),
    ],
)
def test_a_schema_is_refused_in_kongs_words(text: str, words: str) -> None:
    assert whole(text) == words


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        (
            "{}",
            (
                "2 schema violations (a: missing type declaration; "
                'fields.1: { fields = { { type = "required field missing" } } })'
            ),
        ),
        ("{ type = 'table' }", inside(f'type = "expected one of: {TYPES}"')),
        ("{ type = 'any' }", inside(f'type = "expected one of: {TYPES}"')),
        ("{ type = 'array' }", "schema violation (a: field of type 'array' must declare 'elements')"),
        ("{ type = 'set' }", "schema violation (a: field of type 'set' must declare 'elements')"),
        (
            "{ type = 'map', keys = { type = 'string' } }",
            "schema violation (a: field of type 'map' must declare 'values')",
        ),
        ("{ type = 'record' }", "schema violation (a: field of type 'record' must declare 'fields')"),
        ("{ type = 'json' }", "schema violation (a: field of type 'json' must declare 'json_schema')"),
        ("{ type = 'string', enum = { 'x' } }", inside('enum = "unknown field"')),
        ("{ type = 'string', regex = 'x' }", inside('regex = "unknown field"')),
        ("{ type = 'string', func = print }", inside('func = "unknown field"')),
        ("{ type = 'string', schema = {} }", inside('schema = "unknown field"')),
        ("{ type = 'string', legacy = true }", inside('legacy = "unknown field"')),
        ("{ type = 'string', required = 'yes' }", inside('required = "expected a boolean"')),
        ("{ type = 'integer', default = 'x' }", inside('default = "expected an integer"')),
        ("{ type = 'integer', default = 1.5 }", inside('default = "expected an integer"')),
        ("{ type = 'string', default = '' }", inside('default = "length must be at least 1"')),
        (
            "{ type = 'string', one_of = { 'x', 'y' }, default = 'z' }",
            inside('default = "expected one of: x, y"'),
        ),
        (
            "{ type = 'number', between = { 1, 5 }, default = 6 }",
            inside('default = "value should be between 1 and 5"'),
        ),
        (
            "{ type = 'array', elements = { type = 'string' }, default = { 'x', 1 } }",
            inside('default = { [2] = "expected a string" }'),
        ),
        (
            "{ type = 'array', default = { 'x' } }",
            (
                "2 schema violations (a: field of type 'array' must declare 'elements'; fields.1: { fields = "
                '{ { default = "error in schema prevents from validating this field" } } })'
            ),
        ),
        ("{ type = 'integer', between = { 1 } }", inside('between = "length must be 2"')),
        *(
            (
                f"{{ type = '{kind}', {attribute} = {value} }}",
                f"schema violation (a: field of type '{kind}' cannot have attribute '{attribute}')",
            )
            for kind, attribute, value in [
                ("string", "between", "{ 1, 2 }"),
                ("integer", "match", "'x'"),
                ("boolean", "one_of", "{ true }"),
                ("integer", "len_eq", "1"),
                ("integer", "uuid", "true"),
                ("integer", "is_regex", "true"),
                ("string", "timestamp", "true"),
                ("string", "contains", "'x'"),
                ("boolean", "unique", "true"),
                ("boolean", "abstract", "true"),
                ("foreign", "transient", "true"),
            ]
        ),
        (
            "{ type = 'string', unique_across_ws = true }",
            inside(
                '["@entity"] = { "failed conditional validation given value of field '
                '\'unique_across_ws\'" }, unique = "required field missing"'
            ),
        ),
        ("{ type = 'string', custom_validator = 5 }", inside('custom_validator = "expected a function"')),
        ("{ type = 'string', match_all = { 'x' } }", inside('match_all = { "expected a record" }')),
        ("t.port { default = 99999 }", inside('default = "value should be between 0 and 65535"')),
        ("t.host { default = 'a b' }", inside('default = "invalid value: a b"')),
        (
            "{ type = 'string', deprecation = { message = 'gone' } }",
            inside('deprecation = { removal_in_version = "required field missing" }'),
        ),
        ("{ type = 'string', description = 'short' }", inside('description = "length must be at least 10"')),
        (
            "{ type = 'string', on_delete = 'x' }",
            inside('on_delete = "expected one of: restrict, cascade, null"'),
        ),
        ("{ type = 'record', abstract = true }", "attempt to index field 'fields' (a nil value)"),
        (
            "5",
            "2 schema violations (a: 'a' must be a table; fields.1: { fields = { \"expected a record\" } })",
        ),
    ],
)
def test_a_field_is_refused_in_kongs_words(definition: str, words: str) -> None:
    assert field(definition) == words


@pytest.mark.parametrize(
    ("shorthand", "words"),
    [
        ("{ type = 'string' }", 'func = "required field missing"'),
        ("{ type = 'record', fields = {}, func = print }", f'type = "expected one of: {SHORT_TYPES}"'),
        (
            "{ type = 'string', func = print, translate_backwards = { 'x' } }",
            'translate_backwards = "unknown field"',
        ),
    ],
)
def test_a_shorthand_is_refused_in_kongs_words(shorthand: str, words: str) -> None:
    text = f"{{ config = {{ type = 'record', fields = {{}}, shorthand_fields = {{ {{ old = {shorthand} }} }} }} }}"
    assert whole(f"return {{ name = 'd', fields = {{ {text} }} }}") == (
        f"schema violation (fields.1: {{ shorthand_fields = {{ {{ {words} }} }} }})"
    )


@pytest.mark.parametrize("typedef", ["run_on_first", "no_consumer_group", "nonsense"])
def test_an_unknown_typedef_stops_the_load(typedef: str) -> None:
    error = load(f"return {{ name = 'd', fields = {{ {{ x = t.{typedef} }} }} }}").error
    assert error is not None
    assert f"schema typedef error: definition {typedef} does not exist" in error


@pytest.mark.parametrize(
    "definition",
    [
        "{ type = 'string', required = true, default = 'x', len_min = 0, encrypted = true }",
        "{ type = 'set', elements = { type = 'string', one_of = { 'x' } }, default = { 'x' } }",
        "{ type = 'map', keys = t.header_name, values = { type = 'array', elements = t.url } }",
        (
            "{ type = 'record', fields = { { b = { type = 'integer', gt = 0, default = 1 } } }, "
            "entity_checks = { { at_least_one_of = { 'b' } } } }"
        ),
        "{ type = 'json', json_schema = { inline = { type = 'object' } } }",
        "{ type = 'string', eq = ngx.null }",
        "{ type = 'foreign', reference = 'services' }",
        "{ type = 'function' }",
        "{ type = 'string', unique = true, unique_across_ws = true }",
        "{ type = 'string', match_any = { patterns = { '^a' }, err = 'no' }, custom_validator = print }",
        "{ type = 'string', deprecation = { message = 'gone', removal_in_version = '4.0' } }",
    ],
)
def test_what_kong_takes_is_not_refused(definition: str) -> None:
    assert field(definition) == ""


NAMES = [
    "auto_timestamp_ms",
    "auto_timestamp_s",
    "capability",
    "certificate",
    "key",
    "cidr",
    "cidr_v4",
    "cookie_name",
    "header_name",
    "headers",
    "no_headers",
    "host",
    "host_with_optional_port",
    "wildcard_host",
    "hosts",
    "no_hosts",
    "http_method",
    "methods",
    "no_methods",
    "ip",
    "ip_or_cidr",
    "jwk",
    "pem",
    "lua_code",
    "name",
    "utf8_name",
    "no_consumer",
    "no_route",
    "no_service",
    "path",
    "router_path",
    "router_paths",
    "no_paths",
    "port",
    "propagation",
    "queue",
    "protocol",
    "protocols",
    "protocols_http",
    "redis_host",
    "redis_server_name",
    "semantic_version",
    "sni",
    "sources",
    "no_sources",
    "destinations",
    "no_destinations",
    "tag",
    "tags",
    "timeout",
    "ttl",
    "url",
    "uuid",
]


def test_every_typedef_is_there_is_valid_and_takes_overrides() -> None:
    fields = ", ".join(f"{{ f{n} = t.{name} {{ required = false }} }}" for n, name in enumerate(NAMES))
    assert len(NAMES) == 53
    assert (
        whole(
            f"return {{ name = 'd', fields = {{ {{ config = {{ type = 'record', fields = {{ {fields} }} }} }} }} }}"
        )
        == ""
    )


def test_the_paths_that_kong_hides_are_told() -> None:
    verdict = verdict_of(
        "return { name = 'd', fields = { { config = { type = 'record', fields = { { ok = { type = 'string' } }, "
        "{ sub = { type = 'record', fields = { { a = { type = 'string', enum = {} } } } } } } } } } }"
    )
    assert verdict is not None
    assert verdict.problems == (("config.sub.a.enum", "unknown field"),)
    assert verdict.words == (
        'schema violation (fields.1: { fields = { [2] = { fields = { { enum = "unknown field" } } } } })'
    )


@pytest.mark.parametrize(
    ("fields", "more", "code", "path"),
    [
        ("{ a = { type = 'string' } }, { a = { type = 'string' } }", "", "schema-duplicate", "config.a"),
        ("{ a = { type = 'integer', len_min = 1 } }", "", "schema-useless", "config.a"),
        ("{ a = { type = 'string', gt = 1 } }", "", "schema-useless", "config.a"),
        ("{ a = { type = 'integer', encrypted = true } }", "", "schema-useless", "config.a"),
        ("{ a = { type = 'boolean', referenceable = true } }", "", "schema-useless", "config.a"),
        ("{ a = { type = 'function' } }", "", "schema-useless", "config.a"),
        (
            "{ a = { type = 'map', keys = { type = 'integer' }, values = { type = 'string' } } }",
            "",
            "schema-never",
            "config.a",
        ),
        ("{ a = { type = 'foreign' } }", "", "schema-never", "config.a"),
        ("{ a = { type = 'string', abstract = true } }", "", "schema-never", "config.a"),
        ("{ a = { type = 'string', eq = 'v1' } }", "", "schema-never", "config.a"),
        ("{ a = { type = 'string', match = '[a' } }", "", "schema-never", "config.a"),
        ("{ a = { type = 'string', one_of = { true } } }", "", "schema-never", "config.a"),
        (
            "",
            ", entity_checks = { { at_least_one_of = { 'nope' } } }",
            "schema-check",
            "config.at_least_one_of",
        ),
        (
            "{ a = { type = 'string' } }",
            ", entity_checks = { { custom_entity_check = { field_sources = { 'a' } } } }",
            "schema-check",
            "config.custom_entity_check",
        ),
    ],
)
def test_what_loads_and_is_wrong_is_doubted(fields: str, more: str, code: str, path: str) -> None:
    loaded = load(
        f"return {{ name = 'd', fields = {{ {{ config = {{ type = 'record', fields = {{ {fields} }} {more} }} }} }} }}"
    )
    assert isinstance(loaded.value, dict)
    assert judge("d", loaded.value) is None
    assert [(doubt.code, doubt.path) for doubt in doubts(loaded.value)] == [(code, path)]


def test_what_comes_from_kong_itself_and_is_not_known_here_is_not_doubted() -> None:
    loaded = load(
        "local redis = require 'kong.tools.redis.schema' return { name = 'd', fields = { { config = { type = 'record', "
        "fields = { { redis = redis.config_schema }, { l = { type = 'array', elements = redis.x, default = { 1 } } } }, "
        "entity_checks = { { at_least_one_of = { 'redis.host' } } } } } } }"
    )
    assert isinstance(loaded.value, dict)
    assert judge("d", loaded.value) is None
    assert list(doubts(loaded.value)) == []
    assert judge("d", {"name": "d", "fields": Opaque("inert")}) is None


SEED = """
return { name = "d", entity_checks = { { at_least_one_of = { "config.a" } } }, fields = {
  { consumer = t.no_consumer }, { protocols = t.protocols_http },
  { config = { type = "record", fields = {
    { a = { type = "string", one_of = { "x", "y" }, default = "x", match = "^[xy]$", len_max = 5 } },
    { b = { type = "array", elements = { type = "integer", between = { 1, 9 } }, default = { 1, 2 } } },
    { c = { type = "map", keys = t.header_name, values = { type = "string" }, default = { k = "v" } } },
    { d = { type = "record", required = true, fields = { { port = t.port { default = 80 } }, { q = t.queue } },
        entity_checks = { { conditional = { if_field = "port", if_match = { gt = 1 }, then_field = "q",
          then_match = { required = true } } } } } },
    { e = t.sources }, { f = { type = "json", json_schema = { inline = { type = "object" } } } },
  }, shorthand_fields = { { old = { type = "string", func = function() end } } } } } } }
"""
SCRAPS: list[object] = [
    None, True, False, 0, -1, 1.5, 10**20, "", "x", "string", "record", "map", "%", "[", "config.a", {}, {1: "x"},
    {1: {}}, {"a": {}}, Opaque("function"), Opaque("userdata"), Opaque("inert"), Opaque("cycle"), Opaque("number"),
    {1: {"a": {"type": "string"}}},
]  # fmt: skip


def tables(value: object) -> list[dict[object, object]]:
    found = [value] if isinstance(value, dict) else []
    return found + [
        inner for item in (value.values() if isinstance(value, dict) else ()) for inner in tables(item)
    ]


def mutants(count: int, seed: int) -> None:
    start = load(SEED).value
    assert isinstance(start, dict)
    assert judge("d", start) is None
    keys = [key for table in tables(start) for key in table] + ["fields", "abstract", "ne", "json_schema"]
    choose = random.Random(seed)
    refused = 0
    for _ in range(count):
        mutant = copy.deepcopy(start)
        for _ in range(choose.randint(1, 2)):
            everything = tables(mutant)
            table = choose.choice(everything)
            key = choose.choice([*table] or ["type"]) if choose.random() < 0.8 else choose.choice(keys)
            scrap = choose.choice([*SCRAPS, choose.choice(everything)])
            if scrap is None:
                table.pop(key, None)
            else:
                table[key] = copy.deepcopy(scrap)
        began = time.perf_counter()
        verdict = judge("d", mutant)
        if verdict is None:
            list(doubts(mutant))
        assert time.perf_counter() - began < 2
        refused += verdict is not None
        assert verdict is None or verdict.words
    assert count // 3 < refused <= count


def test_a_mutated_schema_gets_a_verdict() -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    mutants(300, seed)


@pytest.mark.sweep
def test_ten_thousand_mutated_schemas_get_a_verdict() -> None:
    mutants(10_000, 4)
