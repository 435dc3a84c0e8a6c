"""Plugins run in the stand-in gateway: their phases, their order, and what they commonly ask of `kong`."""

import json
import re

import pytest

pytestmark = pytest.mark.peer

SCHEMA = """
return { name = "%s", fields = { { config = { type = "record", fields = {
  { text = { type = "string", default = "dear" } }, { absent = { type = "string" } } } } } } }
"""


@pytest.fixture
def serving(node):
    """Starts a node whose plugins have these handlers, global and on one route at `/`."""

    def serving(*, config=None, **handlers):
        one = node(declarative_config="kong.json", plugins=",".join(handlers))
        for name, handler in handlers.items():
            one.plugin(name, handler=handler, schema=SCHEMA % name)
        routes = [{"name": "all", "paths": ["/"]}, {"name": "api", "paths": ["/api"], "methods": ["GET"]}]
        services = [{"name": "echo", "url": "http://127.0.0.1:9", "routes": routes}]
        plugins = [{"name": name, "config": config or {}} for name in handlers]
        (one.directory / "kong.json").write_text(
            json.dumps({"_format_version": "3.0", "services": services, "plugins": plugins})
        )
        one.start()
        return one

    return serving


def handler(body, priority=1000):
    return f"local H = {{ PRIORITY = {priority}, VERSION = '1.0.0' }}\n{body}\nreturn H"


def test_phases_run_in_order_and_plugins_by_priority(serving):
    body = "\n".join(
        f"""function H:{phase}(conf)
          local seen = kong.ctx.shared.seen or {{}}
          seen[#seen + 1] = '{phase}{{n}}'
          kong.ctx.shared.seen = seen
        end"""
        for phase in ("rewrite", "access")
    )
    show = "function H:header_filter() kong.response.set_header('X-Seen', table.concat(kong.ctx.shared.seen, ' ')) end"
    one = serving(
        low=handler(body.replace("{n}", "2") + "\n" + show, 1), high=handler(body.replace("{n}", "1"), 9)
    )
    assert one.ask("proxy", "/")[1]["x-seen"] == "rewrite1 rewrite2 access1 access2"


def test_a_request_reaches_the_echo_as_a_plugin_made_it(serving):
    one = serving(
        demo=handler("""
        function H:access(conf)
          kong.service.request.set_header('X-Text', conf.text .. ' ' .. tostring(conf.absent))
          kong.service.request.clear_header('X-Secret')
          kong.service.request.set_path('/elsewhere')
          kong.service.request.set_method('PUT')
          kong.service.request.set_query({ a = kong.request.get_query_arg('b') })
          kong.service.request.set_body({ got = kong.request.get_body().n }, 'application/json')
          kong.ctx.plugin.name = kong.router.get_route().name
        end
        function H:header_filter(conf)
          kong.response.set_header('X-Route', kong.ctx.plugin.name)
          kong.response.clear_header('Via')
          kong.response.set_status(203)
        end
        """)
    )
    status, headers, body = one.ask("proxy", "/api?b=2", method="POST", body={"n": 7}, **{"X-Secret": "s"})
    assert (status, headers["x-route"], "via" in headers) == (203, "all", False)
    assert (body["method"], body["path"], body["query"]) == ("PUT", "/elsewhere", {"a": "2"})
    assert (body["headers"]["x-text"], "x-secret" in body["headers"]) == ("dear nil", False)
    assert body["body"] == '{"got":7}'


def test_the_longest_path_and_the_method_choose_the_route(serving):
    show = "function H:header_filter() kong.response.set_header('X-Route', kong.router.get_route().name) end"
    one = serving(demo=handler(show))
    assert one.ask("proxy", "/api/x")[1]["x-route"] == "api"
    assert one.ask("proxy", "/api/x")[2]["path"] == "/x", "the path of a route is stripped"
    assert one.ask("proxy", "/api/x", method="POST")[1]["x-route"] == "all"


def test_a_plugin_answers_itself(serving):
    one = serving(
        demo=handler(
            "function H:access() return kong.response.exit(418, { tea = true }, { ['X-A'] = 'b' }) end"
        )
    )
    status, headers, body = one.ask("proxy", "/")
    assert (status, headers["x-a"], body) == (418, "b", {"tea": True})


def test_a_body_is_replaced_in_its_filter(serving):
    one = serving(
        demo=handler("""
        function H:header_filter()
          kong.response.clear_header('Content-Length')
          kong.response.set_header('Content-Type', 'text/plain')
        end
        function H:body_filter()
          local body = kong.response.get_raw_body()
          if body then kong.response.set_raw_body('<' .. #body .. '>') end
        end
        """)
    )
    assert re.fullmatch("<[0-9]+>", one.ask("proxy", "/")[2])


def test_the_response_phase_has_the_whole_answer(serving):
    one = serving(
        demo=handler("""
        function H:response()
          local body = kong.service.response.get_body()
          kong.response.set_header('X-Method', body.method)
          kong.response.set_header('X-Upstream', kong.service.response.get_status())
        end
        """)
    )
    _, headers, _ = one.ask("proxy", "/")
    assert (headers["x-method"], headers["x-upstream"]) == ("GET", "200")


def test_init_worker_that_fails_leaves_a_node_that_serves_and_warns(serving):
    one = serving(demo=handler("function H:init_worker() error('not ready') end"))
    assert one.ask("proxy", "/")[0] == 200
    assert 'failed to execute the "init_worker" handler for plugin "demo"' in one.log()
    assert "unsafe request processing due to earlier initialization errors" in one.log()


def test_configure_gets_every_enabled_configuration(serving):
    one = serving(
        demo=handler("""
        local seen = 0
        function H:configure(configs) seen = #configs end
        function H:header_filter(conf) kong.response.set_header('X-Configs', seen) end
        """)
    )
    assert one.ask("proxy", "/")[1]["x-configs"] == "1"


def test_what_plugins_require_of_a_gateway_is_there(serving):
    one = serving(
        demo=handler("""
        local cjson = require 'cjson.safe'
        local http = require 'resty.http'
        local utils = require 'kong.tools.string'
        function H:access()
          local client = http.new()
          kong.service.request.set_header('X-J', cjson.encode({ a = cjson.null, b = { 1 } }))
        end
        """)
    )
    assert one.ask("proxy", "/")[2]["headers"]["x-j"] == '{"a":null,"b":[1]}'
