"""`pumice konnect push` against a server with Konnect's documented shapes; not seen on the real one."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from pumice.cli.main import main

TOKEN = "kpat_secret0123456789"
PLANE = "9524ec7d-36d9-465d-a8c5-83a3c9390458"
HANDLER = 'return { PRIORITY = 1000, VERSION = "1.0.0", access = function(self, conf) end }\n'
SCHEMA = """return { name = "demo", fields = {
  { config = { type = "record", fields = {
    { who = { type = "string" } },
  } } },
} }
"""
ROCKSPEC = """
rockspec_format = "3.0"
package = "kong-plugin-demo"
version = "1.0.0-1"
source = { url = "git+https://example.com/demo.git", tag = "1.0.0" }
description = { summary = "A demo", license = "MIT" }
build = { type = "builtin", modules = {
  ["kong.plugins.demo.handler"] = "kong/plugins/demo/handler.lua",
  ["kong.plugins.demo.schema"] = "kong/plugins/demo/schema.lua",
} }
"""


class Konnect(ThreadingHTTPServer):
    """What is on it, what was asked of it, and how it misbehaves."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.planes = [{"id": PLANE, "name": "edge"}, {"id": PLANE.replace("9", "8"), "name": "edge-2"}]
        self.entities = {"plugin-schemas": {}, "custom-plugins": {}}
        self.bundled = {"jwt"}
        self.asked = []
        self.answers = []
        """Answers that come before all others: (status, body) each, or a function of the request."""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def writes(self):
        return [f"{method} {path}" for method, path, _ in self.asked if method != "GET"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 20

    def do_GET(self):
        self.answer()

    def do_POST(self):
        self.answer()

    def do_PUT(self):
        self.answer()

    def log_message(self, *_):
        """Nothing."""

    def answer(self):
        length = int(self.headers.get("Content-Length", 0))
        sent = json.loads(self.rfile.read(length)) if length else None
        self.server.asked.append((self.command, self.path, sent))
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            status, body = 401, {"status": 401, "title": "Unauthorized", "detail": "Invalid credentials"}
        elif self.server.answers:
            given = self.server.answers.pop(0)
            status, body = given(self) if callable(given) else given
        else:
            status, body = self.found(urlsplit(self.path), sent)
        if status is None:
            self.close_connection = True
            return
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if status == 302:
            self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()
        self.wfile.write(data)

    def found(self, url, sent):
        parts = unquote(url.path).strip("/").split("/")
        server = self.server
        if parts == ["v2", "control-planes"]:
            (name,) = parse_qs(url.query)["filter[name][eq]"]
            return 200, {"data": [one for one in server.planes if one["name"].startswith(name)], "meta": {}}
        if parts[:2] == ["v2", "control-planes"] and len(parts) == 3:
            one = next((one for one in server.planes if one["id"] == parts[2]), None)
            return (200, one) if one else (404, {"status": 404, "title": "Not Found"})
        assert parts[:4] == ["v2", "control-planes", PLANE, "core-entities"]
        return self.entity(parts[4], parts[5] if len(parts) > 5 else None, sent)

    def entity(self, kind, name, sent):
        there = self.server.entities[kind]
        if self.command == "GET":
            found = there.get(name)
            if found is None:
                return 404, {"code": 5, "message": "Not found", "details": []}
            return 200, ({"item": found} if kind == "plugin-schemas" else found)
        name = name or sent.get("name") or re.search('name = "([^"]*)"', sent["lua_schema"]).group(1)
        if self.command == "POST" and (name in there or name in self.server.bundled):
            details = [{"type": "ERROR_TYPE_REFERENCE", "field": "name", "messages": ["name must be unique"]}]
            return 409, {"code": 6, "message": "data constraint error", "details": details}
        status = 200 if name in there else 201
        there[name] = {**sent, "name": name, "created_at": 1, "updated_at": 2}
        return status, ({"item": there[name]} if kind == "plugin-schemas" else there[name])


@pytest.fixture
def konnect():
    """A server that runs."""
    server = Konnect()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)


@pytest.fixture
def plugin(tmp_path, monkeypatch, konnect):
    """The sources of a plugin; the environment knows token and address."""
    directory = tmp_path / "demo"
    (directory / "kong/plugins/demo").mkdir(parents=True)
    (directory / "kong/plugins/demo/handler.lua").write_text(HANDLER)
    (directory / "kong/plugins/demo/schema.lua").write_text(SCHEMA)
    (directory / "kong-plugin-demo-1.0.0-1.rockspec").write_text(ROCKSPEC)
    for name in (
        "DECK_KONNECT_TOKEN",
        "DECK_KONNECT_TOKEN_FILE",
        "DECK_KONNECT_CONTROL_PLANE_NAME",
        "KONNECT_CONTROL_PLANE_URL",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KONNECT_TOKEN", TOKEN)
    monkeypatch.setenv("DECK_KONNECT_ADDR", konnect.url)
    return directory


@pytest.fixture
def push(plugin, capsys):
    """Pushes: the exit code, and all that was printed."""

    def push(*words, plane="edge"):
        chosen = ["--control-plane", plane] if plane else []
        code = main(["konnect", "push", str(plugin), *chosen, *words])
        told = capsys.readouterr()
        assert TOKEN not in told.out + told.err, "the token is never printed"
        return code, told.out + told.err

    return push


ENTITIES = f"/v2/control-planes/{PLANE}/core-entities"


def test_a_schema_is_created_then_left_alone_then_updated(push, plugin, konnect):
    assert push() == (0, "demo: schema created\n")
    assert konnect.writes() == [f"POST {ENTITIES}/plugin-schemas"]
    assert konnect.asked[-1][2] == {"lua_schema": SCHEMA}
    assert push() == (0, "demo: schema unchanged\n")
    assert len(konnect.writes()) == 1
    field = '    { who = { type = "string" } },\n'
    (plugin / "kong/plugins/demo/schema.lua").write_text(
        SCHEMA.replace(field, field + '    { more = { type = "string", default = "x" } },\n')
    )
    code, told = push()
    assert (code, konnect.writes()[1:]) == (0, [f"PUT {ENTITIES}/plugin-schemas/demo"])
    assert "demo: schema updated\n" in told
    assert "    --- konnect/schema.lua\n    +++ here/schema.lua\n" in told
    assert '    +    { more = { type = "string", default = "x" } },\n' in told
    assert "the new schema asks for: control planes" in told
    assert "update the plugin's instances" in told


def test_a_dry_run_changes_nothing(push, plugin, konnect):
    assert push("--dry-run") == (0, "demo: schema would be created\n")
    push()
    (plugin / "kong/plugins/demo/schema.lua").write_text(SCHEMA.replace('"string"', '"number"'))
    code, told = push("--dry-run", "--json")
    (one,) = json.loads(told)
    assert (code, one["plugin"], one["result"], one["order"]) == (
        0,
        "demo",
        "would be updated",
        "new-plugin-name",
    )
    assert '+    { who = { type = "number" } },' in one["difference"]
    assert len(konnect.writes()) == 1


def test_a_streamed_plugin_has_handler_and_schema(push, plugin, konnect):
    assert push("--streamed") == (0, "demo: streamed plugin created\n")
    assert konnect.asked[-1] == (
        "POST",
        f"{ENTITIES}/custom-plugins",
        {"name": "demo", "schema": SCHEMA, "handler": HANDLER},
    )
    assert push("--streamed") == (0, "demo: streamed plugin unchanged\n")
    (plugin / "kong/plugins/demo/handler.lua").write_text(HANDLER.replace("1000", "1001"))
    code, told = push("--streamed")
    assert (code, konnect.writes()[-1]) == (0, f"PUT {ENTITIES}/custom-plugins/demo")
    assert "+++ here/handler.lua" in told


def test_what_cannot_be_streamed_is_refused_before_anything_is_sent(push, plugin, konnect):
    handler = HANDLER.replace("access", "init_worker")
    (plugin / "kong/plugins/demo/handler.lua").write_text(handler)
    code, told = push("--streamed")
    assert (code, konnect.asked) == (1, [])
    assert "demo cannot be streamed: its handler has init_worker" in told


def test_a_plugin_that_fails_its_check_is_not_sent(push, plugin, konnect):
    (plugin / "kong/plugins/demo/handler.lua").write_text("return { PRIORITY = 1 }")
    code, told = push()
    assert (code, konnect.asked) == (1, [])
    assert "The check found errors, and nothing was sent" in told
    assert push("--no-check")[0] == 0


def test_a_control_plane_is_found_by_name_and_by_id(push, konnect):
    assert push(plane=PLANE)[0] == 0
    assert konnect.asked[0][:2] == ("GET", f"/v2/control-planes/{PLANE}")
    code, told = push(plane="edg")
    assert (code, "has no control plane edg" in told) == (1, True)
    assert push(plane=PLANE.replace("9", "7"))[0] == 1


def test_decks_names_serve_too(push, konnect, monkeypatch, tmp_path):
    monkeypatch.delenv("KONNECT_TOKEN")
    monkeypatch.setenv("DECK_KONNECT_CONTROL_PLANE_NAME", "edge")
    (tmp_path / "token").write_text(TOKEN + "\n")
    monkeypatch.setenv("DECK_KONNECT_TOKEN_FILE", str(tmp_path / "token"))
    assert push(plane=None)[0] == 0
    monkeypatch.setenv("DECK_KONNECT_TOKEN", TOKEN)
    assert push(plane=None)[0] == 0


@pytest.mark.parametrize(
    ("words", "environment", "told"),
    [
        ((), {"KONNECT_TOKEN": None}, "there is no token for Konnect"),
        ((), {"KONNECT_TOKEN": "two\nlines"}, "the token is not one"),
        ((), {"KONNECT_TOKEN": None, "DECK_KONNECT_TOKEN_FILE": "/nonexistent"}, "the token cannot be read"),
        ((), {"DECK_KONNECT_ADDR": "http://example.com"}, "a token would be readable on the way"),
        (("--region", "US/.."), {}, "'US/..' is no region"),
        (("--region", "mars"), {}, "Konnect has us, eu, au, me, in, sg"),
    ],
    ids=["no token", "broken token", "no file", "clear", "region", "region unknown"],
)
def test_what_is_missing_or_unsafe_is_told_first(push, konnect, monkeypatch, words, environment, told):
    for name, value in environment.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
    code, said = push(*words)
    assert (code, konnect.asked) == (1, [])
    assert told in said


def test_another_action_and_no_control_plane_are_refused(push, capsys):
    assert "missing option '--control-plane'" in push(plane=None)[1]
    assert main(["konnect", "pull"]) == 1
    assert "'konnect pull' is no command" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, {"title": "Unauthorized"}, "make a new one, and set KONNECT_TOKEN"),
        (403, {"status": 403, "detail": "no permission"}, "(no permission)"),
        (
            400,
            {"title": "Bad Request", "invalid_parameters": [{"field": "lua_schema", "reason": "no"}]},
            "lua_schema: no",
        ),
        (
            422,
            {"message": "validation error", "details": [{"field": "f", "messages": ["a", "b"]}]},
            "(validation error; f: a; b)",
        ),
        (413, None, "too large"),
        (418, ["?"], "answers 418"),
    ],
)
def test_refusals_are_told_in_konnects_words(push, konnect, status, body, words):
    konnect.answers = [lambda it: it.found(urlsplit(it.path), None)] * 2 + [(status, body)]
    code, told = push()
    assert (code, words in told) == (1, True), told
    assert f"answers {status}" in told


def test_a_name_of_kongs_own_is_a_conflict(push, plugin, konnect):
    konnect.bundled.add("demo")
    code, told = push()
    assert (code, "name: name must be unique" in told, "rename the plugin" in told) == (1, True, True)


def test_a_token_that_is_not_known_is_told(push, konnect, monkeypatch):
    monkeypatch.setenv("KONNECT_TOKEN", "kpat_other")
    code, told = push()
    assert (code, "Invalid credentials" in told, "kpat_other" in told) == (1, True, False)


def test_what_may_pass_is_tried_again(push, konnect):
    konnect.answers = [(503, None), (429, None), (None, None)]
    assert push()[0] == 0
    assert [method for method, _, _ in konnect.asked] == ["GET"] * 5 + ["POST"]


def test_a_creation_that_was_heard_the_first_time_is_no_conflict(push, konnect):
    konnect.answers = [lambda it: it.found(urlsplit(it.path), None)] * 2 + [
        lambda it: (it.found(urlsplit(it.path), it.server.asked[-1][2]), (None, None))[1]
    ]
    assert push() == (0, "demo: schema created\n")
    assert len(konnect.writes()) == 2


def test_a_redirect_gets_no_token(push, konnect):
    konnect.answers = [(302, None)]
    code, told = push()
    assert (code, "leads elsewhere" in told) == (1, True)


def test_a_server_that_answers_no_json_is_refused(push, konnect):
    konnect.answers = [(200, "?")]
    assert "has no control plane edge" in push()[1]
