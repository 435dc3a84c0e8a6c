"""The stand-in gateway refuses, loads and reloads as a running Kong 3.9.3 was seen to (contract 8, 8.1)."""

import os
import shutil
import subprocess
import tempfile
import time

import pytest

pytestmark = pytest.mark.peer

HANDLER = """
local Demo = { PRIORITY = 1000, VERSION = "%s" }
function Demo:header_filter(conf) kong.response.set_header("X-Demo", Demo.VERSION) end
return Demo
"""
NOBODY = 65534
EVERYWHERE = """
_format_version: "3.0"
services:
- name: echo
  url: http://127.0.0.1:9
  routes:
  - name: all
    paths: [ / ]
    plugins:
    - name: demo
"""

REFUSALS = {
    "not installed": (
        {"handler": None, "schema": None},
        "demo plugin is enabled but not installed; no plugin found",
    ),
    "handler missing": ({"handler": None}, "demo plugin is enabled but not installed; no plugin found"),
    "schema missing": ({"schema": None}, "no configuration schema found for plugin: demo"),
    "syntax error": ({"handler": "return {"}, "error loading module 'kong.plugins.demo.handler':"),
    "dependency missing": (
        {"handler": "require 'acme.nothing' return { PRIORITY = 1, VERSION = '1.0.0' }"},
        "module 'acme.nothing' not found",
    ),
    "no priority": (
        {"handler": "return { VERSION = '1.0.0' }"},
        'its PRIORITY field is not a valid integer number, got: "nil"',
    ),
    "no version": (
        {"handler": "return { PRIORITY = 1 }"},
        'its VERSION field does not follow the "x.y.z" format',
    ),
    "typo in a type": (
        {"schema": "return { name = 'demo', fields = { {}, {}, { config = { type = 'recrod' } } } }"},
        "schema violation",
    ),
    "nothing returned": ({"handler": ""}, "attempt to index local 'handler'"),
    "false returned": ({"handler": "return false"}, "on plugin 'demo': nil"),
    "schema returns nothing": ({"schema": ""}, "expected an input table"),
    "daos are no list": ({"daos": "return { a = {} }"}, "returned non-array daos definition table"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_start_is_refused_with_the_words_of_a_gateway(node, case):
    files, words = REFUSALS[case]
    one = node()
    one.plugin(**files)
    done = one.kong("start", "-c", one.conf)
    assert (done.returncode, words in done.stderr) == (1, True), done.stderr
    assert one.parse().returncode == 1
    assert one.kong("check", one.conf).returncode == 0, "a check sees no plugin"


def test_a_schema_with_a_typo_is_told_by_its_number(node):
    one = node()
    typo = "{ config = { type = 'record', fields = { { a = { type = 'strnig' } } } } }"
    one.plugin(schema=f"return {{ name = 'demo', fields = {{ {typo} }} }}")
    told = one.kong("start", "-c", one.conf).stderr
    assert "on plugin 'demo': [off] schema violation (fields.1: { " in told
    assert "[declarative] schema violation (fields.1: { " in one.parse().stderr


def test_a_missing_handler_or_schema_stops_a_parse_with_a_fault(node):
    one = node()
    one.plugin(schema=None)
    assert "attempt to index upvalue 'kong'" in one.parse().stderr


def test_a_version_of_two_parts_is_accepted(node):
    one = node()
    one.plugin(handler="return { PRIORITY = 1, VERSION = '0.1' }")
    one.start()
    assert one.ask("admin", "/")[2]["plugins"]["available_on_server"]["demo"]["version"] == "0.1"


def test_a_declarative_file_with_a_plugin_that_is_not_listed_stops_the_start(node):
    one = node(declarative_config="kong.yml", plugins="bundled")
    (one.directory / "kong.yml").write_text(EVERYWHERE)
    done = one.kong("start", "-c", one.conf)
    assert done.returncode == 1
    assert "error parsing declarative config file" in done.stderr
    assert "plugin 'demo' not enabled; add it to the 'plugins' configuration property" in done.stderr
    assert one.parse(EVERYWHERE).returncode == 1


def test_a_schema_of_another_name_and_a_failing_phase_are_not_seen_at_start(node):
    one = node(declarative_config="kong.yml")
    (one.directory / "kong.yml").write_text(EVERYWHERE)
    one.plugin(
        handler="return { PRIORITY = 1, VERSION = '1.0.0', access = function() error('ouch') end }",
        schema="return { name = 'other', fields = { { config = { type = 'record', fields = {} } } } }",
    )
    assert one.parse(EVERYWHERE).returncode == 0
    one.start()
    assert "demo" in one.ask("admin", "/plugins/enabled")[2]["enabled_plugins"]
    with pytest.raises(ConnectionError):
        one.ask("proxy", "/")
    assert "ouch" in one.log()


def test_a_tree_of_plugins_that_are_not_listed_shows_nothing(node):
    one = node(plugins="bundled")
    one.start()
    assert "demo" not in one.ask("admin", "/")[2]["plugins"]["available_on_server"]


def test_a_reload_says_it_went_well_though_the_old_code_goes_on(node):
    one = node(declarative_config="kong.yml")
    (one.directory / "kong.yml").write_text(EVERYWHERE)
    one.plugin(handler=HANDLER % "1.0.0")
    one.start()
    before = one.workers()
    one.plugin(handler="return {")
    done = one.kong("reload", "-p", str(one.prefix))
    assert (done.returncode, done.stdout) == (0, "Kong reloaded\n")
    deadline = time.monotonic() + 20
    while "init_by_lua error" not in one.log():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert one.workers() == before
    assert one.ask("proxy", "/")[1]["x-demo"] == "1.0.0"
    assert "error loading module 'kong.plugins.demo.handler'" in one.log()
    assert one.kong("restart", "-c", one.conf).returncode == 1, "the next start fails"


def test_a_good_reload_takes_new_files_names_and_paths(node, eventually):
    one = node(declarative_config="kong.yml", plugins="bundled,demo")
    (one.directory / "kong.yml").write_text(EVERYWHERE)
    one.plugin(handler=HANDLER % "1.0.0")
    one.start()
    before = one.workers()
    one.plugin(handler=HANDLER % "1.1.0")
    one.plugin("second", handler=HANDLER % "3.0.0", schema="return { name = 'second', fields = {} }")
    one.configure(plugins="bundled,demo,second")
    assert one.kong("reload", "-p", str(one.prefix)).returncode == 0
    # a worker that is about to end may answer still, and tell of the new workers' pids
    known = lambda: one.ask("admin", "/")[2]["plugins"]["available_on_server"]  # noqa: E731
    eventually(lambda: one.workers() != before and known()["demo"]["version"] == "1.1.0")
    assert "second" not in known(), "without -c a reload reads what the last prepare stored"
    assert one.kong("reload", "-c", one.conf).returncode == 0
    eventually(lambda: "second" in one.ask("admin", "/")[2]["plugins"]["available_on_server"])
    assert one.ask("proxy", "/")[1]["x-demo"] == "1.1.0"


def test_variables_of_the_shell_beat_the_file(node):
    one = node()
    assert one.kong("start", "-c", one.conf, KONG_PLUGINS="bundled").returncode == 0
    assert "demo" not in one.ask("admin", "/plugins/enabled")[2]["enabled_plugins"]
    assert "plugins = bundled\n" in (one.prefix / ".kong_env").read_text()


def test_prepare_stores_what_a_reload_then_reads(node, eventually):
    one = node(plugins="bundled")
    one.start()
    one.configure(plugins="bundled,demo")
    assert one.kong("prepare", "-p", str(one.prefix), "-c", one.conf).returncode == 0
    assert one.kong("reload", "-p", str(one.prefix)).returncode == 0
    eventually(lambda: "demo" in one.ask("admin", "/plugins/enabled")[2]["enabled_plugins"])


PASSES_PARSE = {
    "an undeclared dictionary": "ngx.shared.acme_counts:get('x')",
    "a timer": "assert(ngx.timer.at(0, function() end))",
    "a socket": "ngx.socket.tcp():connect('127.0.0.1', 1)",
}
PASSES_START = {"kong.db": "local _ = kong.db.plugins.each", "ngx.sleep": "ngx.sleep(0.01)"}
AT_LOAD = "%s return { PRIORITY = 1, VERSION = '1.0.0' }"


@pytest.mark.parametrize("code", PASSES_PARSE.values(), ids=PASSES_PARSE)
def test_a_parse_passes_what_a_start_refuses(node, code):
    one = node()
    one.plugin(handler=AT_LOAD % code)
    assert one.parse().returncode == 0
    assert one.kong("start", "-c", one.conf).returncode == 1


@pytest.mark.parametrize("code", PASSES_START.values(), ids=PASSES_START)
def test_a_parse_refuses_what_a_start_takes(node, code):
    one = node()
    one.plugin(handler=AT_LOAD % code)
    assert one.parse().returncode == 1
    one.start()


def test_a_tree_that_shadows_a_module_of_the_gateway_is_seen_by_a_start_only(node):
    one = node()
    (one.tree / "share/lua/5.1/kong/constants.lua").write_text("return {}")
    assert one.parse().returncode == 0
    done = one.kong("start", "-c", one.conf)
    assert (done.returncode, "kong.constants" in done.stderr) == (1, True)


def test_a_plugin_that_ends_the_process_leaves_no_node_and_no_error(node):
    one = node()
    one.plugin(handler="os.exit(0)")
    assert one.parse().returncode == 0
    assert one.kong("start", "-c", one.conf).returncode == 0
    assert one.kong("health", "-p", str(one.prefix)).returncode == 1


def test_checks_come_in_the_order_of_the_command(node):
    one = node()
    one.plugin(handler="return {", schema="return }", daos="return {")
    assert "kong.plugins.demo.handler" in one.kong("start", "-c", one.conf).stderr
    assert "kong.plugins.demo.daos" in one.parse().stderr


def test_a_handler_may_be_a_directory(node):
    one = node()
    one.plugin(handler=None)
    inner = one.tree / "share/lua/5.1/kong/plugins/demo/handler"
    inner.mkdir()
    (inner / "init.lua").write_text(HANDLER % "2.0.0")
    one.start()


def test_commands_that_need_a_node_say_when_there_is_none(node):
    one = node()
    for command in ("stop", "quit", "reload"):
        done = one.kong(command, "-p", str(one.prefix))
        assert (done.returncode, "not running in prefix" in done.stderr) == (1, True)
    assert one.kong("start", "-c", "nothing.conf").stderr.startswith("Error: no file at: nothing.conf")
    one.start()
    assert "already running" in one.kong("start", "-c", one.conf).stderr
    assert "Kong is healthy" in one.kong("health", "-p", str(one.prefix)).stdout
    assert one.kong("quit", "-p", str(one.prefix)).returncode == 0
    assert not (one.prefix / "pids/nginx.pid").exists()
    assert one.kong("version").stdout == "3.9.1\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="all other tests run as nobody special")
def test_it_needs_no_root(node):
    made = node()
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copytree(made.directory, scratch, dirs_exist_ok=True)
        for file in ("gateway/settings.lua", "gateway/bin/kong", "kong.conf"):
            path = os.path.join(scratch, file)
            with open(path) as opened:
                text = opened.read().replace(str(made.directory), scratch)
            with open(path, "w") as opened:
                opened.write(text)
        for directory, _, files in os.walk(scratch):
            for name in (directory, *(os.path.join(directory, file) for file in files)):
                os.chown(name, NOBODY, NOBODY)
        command = [f"{scratch}/gateway/bin/kong"]

        def kong(*words):
            return subprocess.run(
                [*command, *words],
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
                capture_output=True,
                text=True,
                cwd="/",
            )

        assert kong("config", "parse", f"{scratch}/kong.conf", "-c", f"{scratch}/kong.conf").returncode == 1
        started = kong("start", "-c", f"{scratch}/kong.conf")
        try:
            assert started.returncode == 0, started.stderr
            (worker,) = made.workers()
            assert os.stat(f"/proc/{worker}").st_uid == NOBODY
            assert kong("reload", "-c", f"{scratch}/kong.conf").returncode == 0
        finally:
            assert kong("stop", "-p", f"{scratch}/prefix").returncode == 0


def test_a_prefix_that_cannot_be_written_is_told(node):
    one = node(prefix="/proc/nothing")
    assert "could not prepare Kong prefix" in one.kong("start", "-c", one.conf).stderr


def test_it_starts_and_reloads_in_no_time_and_little_memory(node):
    one = node()
    began = time.monotonic()
    one.start()
    assert time.monotonic() - began < 2.0, "ten times what it takes"
    pids = [*one.workers(), one.ask("admin", "/")[2]["pids"]["master"]]
    used = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            used += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    assert used < 100_000, "kilobytes, ten times what it takes"


def test_it_says_what_it_is(node):
    one = node()
    with open(one.stand_in.kong) as file:
        assert "This is not Kong" in file.read()
    one.start()
    assert one.ask("admin", "/")[2]["tagline"] == "Pumice's stand-in for Kong"
