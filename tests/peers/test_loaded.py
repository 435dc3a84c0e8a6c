"""An installed plugin is loaded for real: by luajit, and by nginx with its Lua module."""

import shutil
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.peer


def test_luajit_requires_every_module_from_the_tree(rich: Path, tree: Path, pumice: Run) -> None:
    """Lua, C and data beside each other, found through what `pumice path` prints."""
    pumice("make", cwd=rich)
    exports = pumice("path").stdout
    program = (
        "local r = require 'rich'; assert(r.util.twice(4) == 8); assert(r.core.answer() == 42); io.write 'ok'"
    )
    done = subprocess.run(
        ["sh", "-c", 'eval "$1"; exec luajit -e "$2"', "sh", exports, program],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stdout) == (0, "ok"), done.stderr


def test_an_installed_command_runs(rich: Path, tree: Path, pumice: Run) -> None:
    pumice("make", cwd=rich)
    for command, answer in (("rich", "42\n"), ("rich-sh", "tool\n")):
        done = subprocess.run([tree / "bin" / command], capture_output=True, text=True, timeout=30)
        assert answer == done.stdout, done.stderr


_GATEWAY = """
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
worker_processes 1;
error_log logs/error.log info;
pid nginx.pid;
events { worker_connections 64; }
http {
  access_log off;
  lua_package_path "TREE/share/lua/5.1/?.lua;TREE/share/lua/5.1/?/init.lua;;";
  lua_package_cpath "TREE/lib/lua/5.1/?.so;;";
  init_by_lua_block {
    -- Typedefs are the package's own stand-ins: what Kong itself would answer is not seen here.
    package.preload["kong.db.schema.typedefs"] = function() return assert(loadfile "STANDINS/typedefs.lua")(ngx.null, {}) end
    -- The few functions of Kong's PDK that the example uses, on the real ngx.
    local function join(...) local out = {} for i = 1, select("#", ...) do out[i] = tostring((select(i, ...))) end return table.concat(out) end
    local log = setmetatable({}, { __call = function(_, ...) ngx.log(ngx.NOTICE, join(...)) end,
      __index = function() return function(...) ngx.log(ngx.NOTICE, join(...)) end end })
    kong = {
      log = log,
      request = { get_header = function(n) return ngx.req.get_headers()[n] end, get_method = ngx.req.get_method,
        get_path = function() return ngx.var.uri end, get_headers = function() return ngx.req.get_headers() end },
      service = { request = { set_header = function(n, v) ngx.req.set_header(n, v) end,
        clear_header = function(n) ngx.req.clear_header(n) end } },
      response = { set_header = function(n, v) ngx.header[n] = v end, clear_header = function(n) ngx.header[n] = nil end,
        get_header = function(n) return ngx.header[n] end, get_status = function() return ngx.status end,
        exit = function(s, b) ngx.status = s; ngx.say(b or ""); return ngx.exit(s) end },
      client = { get_forwarded_ip = function() return ngx.var.remote_addr end, get_ip = function() return ngx.var.remote_addr end },
      router = { get_service = function() return nil end, get_route = function() return nil end },
      node = { get_id = function() return "node-1" end, get_hostname = function() return "node-1" end },
      ctx = setmetatable({}, { __index = function(_, key)
        ngx.ctx.kong = ngx.ctx.kong or { plugin = {}, shared = {} }
        return ngx.ctx.kong[key] end }),
    }
    handler = require "kong.plugins.request-stamp.handler"
    schema = require "kong.plugins.request-stamp.schema"
    -- The configuration with every default of the schema, as Kong would complete an empty one.
    local function defaults(fields)
      local conf = {}
      for _, field in ipairs(fields) do
        local name, def = next(field)
        if def.default ~= nil then conf[name] = def.default
        elseif def.type == "record" then conf[name] = defaults(def.fields) end
      end
      return conf
    end
    for _, field in ipairs(schema.fields) do
      if field.config then conf = defaults(field.config.fields) end
    end
    function phase(name) if handler[name] then handler[name](handler, conf) end end
  }
  server {
    listen 127.0.0.1:PORT;
    location /upstream { content_by_lua_block {
      for name, value in pairs(ngx.req.get_headers()) do ngx.say(name, ": ", value) end } }
    location / {
      access_by_lua_block { phase "access" }
      header_filter_by_lua_block { phase "header_filter" }
      log_by_lua_block { phase "log" }
      proxy_pass http://127.0.0.1:PORT/upstream;
    }
  }
}
"""


def test_a_proxied_response_carries_the_plugins_header(
    example: Path, tree: Path, pumice: Run, nginx: Callable[[str], tuple[int, Path]], project: Path
) -> None:
    """nginx with its Lua module runs the installed handler in its phases, with the schema's defaults."""
    pumice("make", cwd=example)
    shutil.rmtree(example)
    tree.chmod(0o755)
    for parent in tree.parents:
        if parent == Path("/tmp"):
            break
        parent.chmod(parent.stat().st_mode | 0o055)
    port, folder = nginx(
        _GATEWAY.replace("TREE", str(tree)).replace("STANDINS", str(project / "src/pumice/kong/standins"))
    )
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/anything", timeout=10) as answer:
            headers, body = dict(answer.headers), answer.read().decode()
    except OSError as error:
        raise AssertionError((folder / "logs" / "error.log").read_text()) from error
    stamped = {name.lower(): value for name, value in headers.items()}
    assert stamped.get("x-request-id"), f"{headers}\n{(folder / 'logs' / 'error.log').read_text()}"
    assert f"x-request-id: {stamped['x-request-id']}" in body.lower()
