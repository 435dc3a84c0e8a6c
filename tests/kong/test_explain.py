"""Every text of the Kong contract's sections 1.7 and 8 is explained."""

import time

import pytest

from pumice.kong.catalogue import ROWS
from pumice.kong.explain import Explanation, explain

START = "2026/11/20 09:15:01 [error] 1#0: init_by_lua error: /usr/local/share/lua/5.1/kong/init.lua:553: "

TEXTS = [
    # 1.7
    ("acme plugin is enabled but not installed; no plugin found", "plugin-not-installed", "acme"),
    ("no configuration schema found for plugin: acme", "schema-not-found", "acme"),
    (
        "error loading module 'kong.plugins.acme.handler': x.lua:3: '=' expected near 'y'",
        "module-broken",
        None,
    ),
    ("module 'kong.plugins.base_plugin' not found:", "base-plugin", None),
    ("module 'resty.jwt' not found:", "module-not-found", None),
    (
        'Plugin "acme" cannot be loaded because its PRIORITY field is not a valid integer number, got: "nil".',
        "priority",
        "acme",
    ),
    ('its PRIORITY field is not a valid integer number, got: "nil"', "priority", None),
    (
        'Plugin "acme" cannot be loaded because its VERSION field does not follow the "x.y.z" format, got: "a".',
        "version",
        "acme",
    ),
    ('its VERSION field does not follow the "x.y.z" format', "version", None),
    (
        (
            'Plugin "acme" can\'t be loaded because it implements both `response` and `header_filter` or '
            "`body_filter` methods."
        ),
        "response-exclusive",
        "acme",
    ),
    (
        "on plugin 'acme': schema violation (name: field required for entity check)",
        "schema-violation",
        "acme",
    ),
    ("on plugin 'acme': [off] schema violation (fields.3: {})", "schema-violation", "acme"),
    (
        "on plugin 'acme': 2 schema violations (fields: expected an array; name: x)",
        "schema-violation",
        "acme",
    ),
    ("[declarative] schema violation (fields.2: …)", "schema-violation", None),
    (
        "error initializing schema for plugin: error in definition of 'acme': run_on: cannot create a new field",
        "field-unknown-to-edition",
        "acme",
    ),
    (
        "error in definition of 'acme': protocols: cannot change type in a specialized field",
        "field-type-changed",
        "acme",
    ),
    ("schema refers to an invalid foreign entity: consumer_groups", "foreign-entity", None),
    ("schema typedef error: definition run_on_first does not exist", "typedef", None),
    ("acme plugin is in use but not enabled", "in-use-not-enabled", "acme"),
    ("plugin 'acme' not enabled; add it to the 'plugins' configuration property", "not-enabled", "acme"),
    ("No plugin named 'acme'", "unknown-to-node", "acme"),
    ("retrieve schema for acme from Kong: HTTP status 404", "deck-schema", "acme"),
    ("error building initial plugins: something else", "initial-plugins", None),
    (
        (
            "[clustering] unable to send updated configuration to data plane: configured acme plugin 1.0.0 is "
            "missing from data plane"
        ),
        "missing-on-data-plane",
        "acme",
    ),
    (
        "configured data plane acme plugin version 2.0.0 is different to control plane plugin version 1.0.0",
        "version-skew",
        "acme",
    ),
    (
        "unable to update running config: bad config received from control plane in 'plugins': unknown field",
        "config-skew",
        None,
    ),
    ("New migrations available; run 'kong migrations up' to proceed", "migrations-pending", None),
    ('failed to execute the "init_worker" handler for plugin "acme"', "init-worker", "acme"),
    (
        "unsafe request processing due to earlier initialization errors; this node must be restarted",
        "node-degraded",
        None,
    ),
    # 1.1 to 1.5
    ("custom plugin 'acme' returned non-array daos definition table", "daos-no-array", "acme"),
    ("schema of custom plugin entity 'acme.keys' is invalid: name: required", "daos-invalid", None),
    ("migrations index from 'kong.plugins.acme.migrations' must be a table", "migrations-no-table", None),
    ("failed to load migration '000_base' of 'acme' subsystem: x", "migration-broken", "acme"),
    ("migration '000_base' of 'acme' subsystem is invalid: x", "migration-broken", "acme"),
    ("worker initialization error: boom; this node must be restarted", "init-worker", None),
    ("Database needs bootstrapping or is older than Kong 1.0.", "database-empty", None),
    ("query_command undefined for pluginserver go", "plugin-server", None),
    ("duplicate plugin/wasm filter name: acme", "wasm-name", "acme"),
    # 8 and 8.1
    ("error parsing declarative config file /kong.yml:", "declarative-file", None),
    ("sync_status: plugin_set_incompatible", "missing-on-data-plane", None),
    ('"sync_status":"plugin_version_incompatible"', "version-skew", None),
    ("attempt to index upvalue 'kong' (a nil value)", "parse-bug", None),
    ("attempt to index local 'handler' (a boolean value)", "handler-no-table", None),
    ("error loading plugin schemas: on plugin 'acme': nil", "handler-false", "acme"),
    ("config: error in schema definition: abstract field was not specialized", "config-unspecialized", None),
    ("attempt to index local 'input' (a number value)", "shorthand-mismatch", None),
    ("attempt to index field 'fields' (a nil value)", "config-abstract", None),
    ("expected an input table", "schema-no-table", None),
    ("error in schema prevents from validating this field", "validator-throws", None),
    ("API disabled in the context of init_by_lua*", "api-disabled", None),
]


def only(found: tuple[Explanation, ...]) -> Explanation:
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize(("text", "code", "plugin"), TEXTS)
def test_each_text_is_explained(text: str, code: str, plugin: str | None) -> None:
    for log in (text, f"noise\n{START}{text}\nstack traceback:\n", f"{START}{text}".replace('"', '\\"')):
        item = only(explain(log))
        assert (code, plugin) == (item.code, item.plugin)
        assert item.cause
        assert item.mend
        assert "{plugin}" not in item.cause + item.mend


def test_every_row_has_its_text() -> None:
    assert {row.code for row in ROWS} == {code for _, code, _ in TEXTS}
    assert all(any(row.needle in text for text, _, _ in TEXTS) for row in ROWS)


def test_a_quiet_log_has_nothing_to_explain() -> None:
    assert explain("") == ()
    assert explain("2026/11/20 09:15:01 [notice] 1#0: start worker processes\nLoading plugin: acme\n") == ()


def test_several_problems_of_one_line_are_each_told_once() -> None:
    line = (
        "error loading plugin schemas: on plugin 'a': a plugin is enabled but not installed; no plugin found; "
        "on plugin 'b': no configuration schema found for plugin: b; "
        "on plugin 'c': error loading module 'kong.plugins.c.handler': module 'resty.jwt' not found:No LuaRocks"
    )
    found = explain(f"{line}\n{line}\n")
    assert [(item.code, item.plugin, item.line) for item in found] == [
        ("plugin-not-installed", "a", 1),
        ("schema-not-found", "b", 1),
        ("module-not-found", None, 1),
    ]


def test_what_only_carries_another_text_is_left_out() -> None:
    item = only(explain("error building initial plugins: acme plugin is in use but not enabled"))
    assert item.code == "in-use-not-enabled"


def test_kongs_hidden_paths_are_told() -> None:
    item = only(explain("acme plugin is enabled but not installed; no plugin found"))
    assert "/usr/local/share/lua/5.1/kong/plugins/acme/handler.lua" in item.looked
    assert "./kong/plugins/acme/handler/init.lua" in item.looked


def test_the_path_that_the_log_tells_is_the_one_looked_at_first() -> None:
    log = "lua_package_path = /opt/p/?.lua;;\nacme plugin is enabled but not installed; no plugin found"
    assert only(explain(log)).looked[0] == "/opt/p/kong/plugins/acme/handler.lua"


def test_paths_that_an_older_kong_lists_are_taken_from_it() -> None:
    log = (
        "acme plugin is enabled but not installed;\nmodule 'kong.plugins.acme.handler' not found:\n"
        "\tno file '/x/kong/plugins/acme/handler.lua'\n\tno file '/y/kong/plugins/acme/handler.lua'\n"
    )
    item = only(explain(log))
    assert item.looked == ("/x/kong/plugins/acme/handler.lua", "/y/kong/plugins/acme/handler.lua")


@pytest.mark.parametrize(
    "text",
    [
        "a" * 4_000_000,
        "schema violation (" * 200_000,
        "a.b-c plugin is enabled but not installed; " * 60_000,
        "module '" * 300_000,
        "' not found" * 300_000,
        "lua_package_path = " + "?" * 2_000_000,
        "\x00\x1b[31m\ufffd" * 500_000,
        "".join(f"p{number} plugin is in use but not enabled\n" for number in range(30_000)),
    ],
)
def test_any_input_is_read_in_bounded_time(text: str) -> None:
    began = time.process_time()
    found = explain(text)
    assert time.process_time() - began < 10
    assert len(found) <= 250


def test_control_characters_of_a_log_never_reach_the_terminal() -> None:
    item = only(explain("\x1b[31macme plugin is enabled but not installed\x07; no plugin found"))
    assert item.text.isprintable()
