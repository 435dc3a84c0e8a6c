"""`pumice try` with a real nginx: a plugin is tried, edited, broken and mended while it serves."""

import http.client
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

pytestmark = pytest.mark.peer

HANDLER = """
local Demo = { PRIORITY = 1000, VERSION = "1.0.0" }
function Demo:access(conf)
  if kong.request.get_query_arg("fail") then
    error("asked to fail")
  end
  kong.log.notice("hello from ", conf.who)
  kong.service.request.set_header("X-Who", conf.who)
end
function Demo:header_filter(conf)
  kong.response.set_header("X-Answer", "one")
end
return Demo
"""
SCHEMA = """
return { name = "demo", fields = { { config = { type = "record", fields = {
  { who = { type = "string", required = true, default = "me" } } } } } } }
"""
ROCKSPEC = """
rockspec_format = "3.0"
package = "kong-plugin-demo"
version = "1.0.0-1"
source = { url = "git+https://example.com/demo.git", tag = "1.0.0" }
description = { summary = "A demo", license = "MIT" }
dependencies = { "lua >= 5.1" }
build = { type = "builtin", modules = {
  ["kong.plugins.demo.handler"] = "kong/plugins/demo/handler.lua",
  ["kong.plugins.demo.schema"] = "kong/plugins/demo/schema.lua",
} }
"""


@pytest.fixture
def plugin(tmp_path):
    """The sources of a plugin."""
    if shutil.which("luajit") is None or not os.path.exists("/usr/sbin/nginx"):
        pytest.skip("no nginx, or no luajit")
    directory = tmp_path / "plugin"
    (directory / "kong/plugins/demo").mkdir(parents=True)
    (directory / "kong/plugins/demo/handler.lua").write_text(HANDLER)
    (directory / "kong/plugins/demo/schema.lua").write_text(SCHEMA)
    (directory / "kong-plugin-demo-1.0.0-1.rockspec").write_text(ROCKSPEC)
    return directory


class Trial:
    """A running `pumice try`."""

    def __init__(self, directory, *words, **environment):
        self.scratch = directory.parent / "scratch"
        self.scratch.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pumice", "try", str(directory), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "TMPDIR": str(self.scratch), "HOME": str(directory.parent), **environment},
        )
        self.seen = ""
        self._lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def wait_for(self, text):
        """The line with a text; what came since the last wait is in `passed`."""
        self.passed = ""
        deadline = time.monotonic() + 40
        while True:
            try:
                line = self._lines.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                pytest.fail(f"{text!r} never came:\n{self.seen}")
            assert line is not None, f"it ended before {text!r}:\n{self.seen}"
            self.seen += line
            self.passed += line
            if text in line:
                return line

    def serving(self):
        """Waits until it serves."""
        self.port = int(re.search(r":(\d+) ", self.wait_for("It serves at")).group(1))
        return self

    def ask(self, path="/"):
        """Headers and body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return dict(answer.getheaders()), json.loads(answer.read())
        finally:
            connection.close()

    def end(self, number=signal.SIGINT):
        """Ends it as a signal does, and gives the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(40)
        while (line := self._lines.get(timeout=10)) is not None:
            self.seen += line
        return code

    def leftovers(self):
        """Files and processes that are still there."""
        processes = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True).stdout
        return list(self.scratch.iterdir()), [
            line for line in processes.splitlines() if str(self.scratch) in line
        ]


@pytest.fixture
def trial(plugin):
    """Starts trials of the plugin."""
    running = []

    def start(*words, **environment):
        running.append(Trial(plugin, *words, **environment))
        return running[-1]

    yield start
    for one in running:
        if one.process.poll() is None:
            one.end(signal.SIGTERM)
        one.process.stdout.close()


def test_it_serves_reloads_shows_what_is_broken_and_leaves_nothing(trial, plugin):
    one = trial().serving()
    assert "This is not Kong" in one.seen
    assert "Loaded: demo 1.0.0, priority 1000, phases access, header_filter" in one.seen
    headers, body = one.ask("/some/path?x=1")
    assert (headers["X-Answer"], body["headers"]["x-who"], body["path"]) == ("one", "me", "/some/path")
    one.wait_for("< 200")
    for line in (
        "> GET /some/path?x=1\n",
        "    access ",
        "      request header x-who: me\n",
        "    header_filter ",
        "      response header x-answer: one\n",
        "    log notice: [demo] hello from me\n",
    ):
        assert line in one.passed
    assert "rewrite" not in one.passed, "the plugin has no such phase"

    handler = plugin / "kong/plugins/demo/handler.lua"
    handler.write_text(HANDLER.replace('"one"', '"two"'))
    one.wait_for("Reloaded in")
    assert one.ask()[0]["X-Answer"] == "two"

    handler.write_text(HANDLER.replace('"one"', '"three" ='))
    one.wait_for("goes on with the code that it had")
    assert "[lua-syntax]" in one.passed
    assert re.search(r"handler.lua:1\d: error", one.passed)
    assert one.ask()[0]["X-Answer"] == "two"

    handler.write_text(HANDLER.replace('"one"', '"four"'))
    one.wait_for("Reloaded in")
    assert one.ask()[0]["X-Answer"] == "four"

    assert one.end() == 0
    assert "its files are gone" in one.seen
    assert one.leftovers() == ([], [])


def test_without_the_check_the_gateway_itself_tells(trial, plugin):
    one = trial("--no-check").serving()
    handler = plugin / "kong/plugins/demo/handler.lua"
    handler.write_text(HANDLER.replace("PRIORITY = 1000,", ""))
    one.wait_for("goes on with the code that it had")
    assert 'its PRIORITY field is not a valid integer number, got: "nil"' in one.passed
    assert "mend:" in one.passed
    assert one.ask()[0]["X-Answer"] == "one"


def test_a_phase_that_fails_is_seen(trial):
    one = trial().serving()
    with pytest.raises(ConnectionError):
        one.ask("/?fail=1")
    one.wait_for("< closed without an answer")
    assert "asked to fail" in one.passed
    assert re.search(r"access .* answered here, or failed", one.passed)


def test_settings_are_given_and_taken_up_when_their_file_changes(trial, plugin, tmp_path):
    settings = tmp_path / "settings.json"
    settings.write_text('{"who": "you"}')
    one = trial("--config", str(settings)).serving()
    assert one.ask()[1]["headers"]["x-who"] == "you"
    settings.write_text('{"name": "demo", "config": {"who": "they"}}')
    one.wait_for("Reloaded in")
    assert one.ask()[1]["headers"]["x-who"] == "they"
    settings.write_text('{"who": 7}')
    one.wait_for("goes on with")
    assert "expected a string" in one.passed


def test_variables_of_the_shell_do_not_reach_the_gateway(trial):
    one = trial(KONG_PLUGINS="bundled", KONG_PREFIX="/nonexistent").serving()
    assert one.ask()[0]["X-Answer"] == "one"


@pytest.mark.parametrize(
    ("words", "change", "told"),
    [
        (["--config", '{"who": 7}'], None, "a gateway would not take these settings of demo"),
        (["--config", "absent.json"], None, "absent.json does not exist"),
        (["--port", "0"], None, "malformed argument '0'"),
        ([], ("PRIORITY = 1000,", ""), "A gateway would refuse it."),
        (["--no-check"], ("PRIORITY = 1000,", ""), "its PRIORITY field is not a valid integer number"),
        (["--no-check"], ("local Demo", "os.exit(0) local Demo"), "ends the gateway without a word"),
    ],
    ids=["settings", "no settings", "port", "check", "start", "exit"],
)
def test_what_cannot_start_says_why_and_leaves_nothing(trial, plugin, words, change, told):
    if change is not None:
        handler = plugin / "kong/plugins/demo/handler.lua"
        handler.write_text(HANDLER.replace(*change))
    one = trial(*words)
    assert one.process.wait(60) != 0
    assert one.end() != 0
    assert told in one.seen, one.seen
    assert one.leftovers() == ([], [])


def test_what_the_plugin_needs_comes_from_a_server_into_the_private_tree(trial, plugin, tmp_path):
    helper = tmp_path / "helper"
    helper.mkdir()
    (helper / "acme_helper.lua").write_text("return { name = 'a helper' }\n")
    (helper / "acme-helper-1.0-1.rockspec").write_text(
        ROCKSPEC.partition("description")[0]
        .replace("kong-plugin-demo", "acme-helper")
        .replace("1.0.0-1", "1.0-1")
        + 'build = { type = "builtin", modules = { acme_helper = "acme_helper.lua" } }\n'
    )
    pumice = [sys.executable, "-m", "pumice"]
    subprocess.run([*pumice, "make", "--pack-binary-rock"], cwd=helper, check=True, capture_output=True)
    server = tmp_path / "server"
    server.mkdir()
    shutil.copy(helper / "acme-helper-1.0-1.all.rock", server)
    subprocess.run([*pumice, "index", "build", str(server)], check=True, capture_output=True)
    rockspec = plugin / "kong-plugin-demo-1.0.0-1.rockspec"
    rockspec.write_text(ROCKSPEC.replace('"lua >= 5.1"', '"lua >= 5.1", "acme-helper >= 1.0"'))
    handler = plugin / "kong/plugins/demo/handler.lua"
    handler.write_text(HANDLER.replace('"one"', "require('acme_helper').name"))
    one = trial(f"--only-server={server}").serving()
    assert one.ask()[0]["X-Answer"] == "a helper"
    assert one.end() == 0
    assert one.leftovers() == ([], [])


def test_a_rock_is_tried_too(plugin, tmp_path):
    pumice = [sys.executable, "-m", "pumice"]
    subprocess.run([*pumice, "make", "--pack-binary-rock"], cwd=plugin, check=True, capture_output=True)
    one = Trial(plugin / "kong-plugin-demo-1.0.0-1.all.rock")
    try:
        assert one.serving().ask()[0]["X-Answer"] == "one"
        assert one.end() == 0
        assert one.leftovers() == ([], [])
    finally:
        one.process.stdout.close()


def test_without_a_gateway_it_says_what_to_install(trial, tmp_path):
    one = trial(PATH=str(tmp_path))
    assert one.process.wait(40) != 0
    one.end()
    assert "no gateway can be started here" in one.seen
    assert "apt-get install nginx-light libnginx-mod-http-lua luajit" in one.seen


def test_a_kong_on_the_path_is_what_is_used(trial, tmp_path):
    """Here it is the stand-in under the name of the real one."""
    from pumice.kong.standin.write import find_programs, write_gateway

    gateway = write_gateway(str(tmp_path / "gw"), programs=find_programs(os.environ["PATH"]), version="3.8.0")
    path = f"{os.path.dirname(gateway.kong)}:{os.environ['PATH']}"
    one = trial(PATH=path).serving()
    assert f"The gateway is Kong 3.8.0 ({gateway.kong})." in one.seen
    assert one.ask()[0]["X-Answer"] == "one"
    assert one.end() == 0
    assert one.leftovers() == ([], [])


def test_a_request_to_end_leaves_nothing_either(trial):
    one = trial().serving()
    assert one.end(signal.SIGTERM) == 128 + signal.SIGTERM
    assert one.leftovers() == ([], [])


def test_the_stand_in_ends_with_whoever_started_it(trial):
    one = trial().serving()
    one.end(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while one.leftovers()[1]:
        assert time.monotonic() < deadline, one.leftovers()
        time.sleep(0.1)


def test_an_interrupt_while_it_starts_leaves_nothing(trial):
    for wait in (0.2, 0.4, 0.5, 0.6, 0.7):
        one = trial()
        time.sleep(wait)
        one.end()
        assert one.leftovers() == ([], [])
