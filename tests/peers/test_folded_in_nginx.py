"""A folded plugin beside the same one unfolded: nginx with its Lua module runs both, on the same requests."""

import json
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.peer

Run = Callable[..., subprocess.CompletedProcess[str]]
Nginx = Callable[[str], tuple[int, Path]]

LIBRARY = {
    "words-1.0-1.rockspec": """
package = "words" version = "1.0-1" source = { url = "git+https://example.com/words.git" }
build = { type = "builtin", modules = { words = "words/init.lua", ["words.case"] = "words/case.lua" } }
""",
    "words/init.lua": """
-- The usual idiom for siblings: the own name is what `...` gives.
local here = (...)
local case = require(here .. ".case")
require "words.case"
return { title = function(text) return case.upper(text:sub(1, 1)) .. text:sub(2) end, name = here }
""",
    "words/case.lua": """
local _, file = ...
return { upper = string.upper, named = (...), has_file = file ~= nil }
""",
}

PLUGIN = {
    "kong-plugin-maze-2.1.0-1.rockspec": """
package = "kong-plugin-maze" version = "2.1.0-1"
source = { url = "git+https://example.com/maze.git", tag = "2.1.0" }
dependencies = { "words >= 1.0" }
build = { type = "builtin", modules = {
  ["kong.plugins.maze.handler"] = "kong/plugins/maze/handler.lua",
  ["kong.plugins.maze.schema"] = "kong/plugins/maze/schema.lua",
  ["kong.plugins.maze.limits"] = "kong/plugins/maze/limits.lua",
  ["kong.plugins.maze.deep"] = "kong/plugins/maze/deep/init.lua",
  ["kong.plugins.maze.deep.down.left"] = "kong/plugins/maze/deep/down/left.lua",
  ["kong.plugins.maze.deep.down.right"] = "kong/plugins/maze/deep/down/right.lua",
} }
""",
    "kong/plugins/maze/handler.lua": """
local words = require "words"
local deep = require "kong.plugins.maze.deep"
local limits = require "kong.plugins.maze.limits"
local absent = pcall(require, "kong.plugins.maze.nowhere")

local Maze = { PRIORITY = 900 + limits.step, VERSION = "2.1.0" }

function Maze:init_worker()
  deep.count("worker")
end

function Maze:access(conf)
  local path = kong.request.get_path()
  if path == "/fail" then
    deep.fail("on purpose")
  elseif path == "/index" then
    return deep.index(nil)
  elseif path == "/circle" then
    return kong.response.exit(200, tostring(deep.circle()))
  elseif path == "/stop" then
    return kong.response.exit(418, words.title("teapot"))
  end
  kong.service.request.set_header("X-Maze", words.title(deep.down(path)))
end

function Maze:header_filter(conf)
  kong.response.set_header("X-Count", deep.count("filter") .. "/" .. tostring(absent))
  kong.response.set_header("X-Names", deep.names())
  kong.response.set_header("X-Limit", tostring(conf.limit))
end

return Maze
""",
    "kong/plugins/maze/limits.lua": "return { step = 7, least = 1, most = 9 }\n",
    "kong/plugins/maze/deep/init.lua": """
local name = ...
local left = require(name .. ".down.left")
local counts = {}

local deep = {}

function deep.count(of)
  counts[of] = (counts[of] or 0) + 1
  return of .. counts[of]
end

function deep.down(path)
  return left.turn(path)
end

function deep.names()
  return table.concat({ name, left.name, require("words").name, tostring(require "words.case".has_file) }, " ")
end

function deep.fail(why)
  error("the maze is closed " .. why)
end

function deep.index(value)
  return value.field
end

function deep.circle()
  return left.circle() == deep
end

return deep
""",
    "kong/plugins/maze/deep/down/left.lua": """
local M = { name = ... }
-- Each needs the other: this one asks at load, the other one when it is called.
local right = require "kong.plugins.maze.deep.down.right"
function M.turn(path)
  return right.turn(path, 2)
end
function M.circle()
  return require "kong.plugins.maze.deep"
end
return M
""",
    "kong/plugins/maze/deep/down/right.lua": """
local function left() return require "kong.plugins.maze.deep.down.left" end
return {
  turn = function(path, times)
    if times == 0 then return (path:gsub("^/", "")) end
    return left().name:sub(-4) .. "-" .. require "kong.plugins.maze.deep.down.right".turn(path, times - 1)
  end,
}
""",
    "kong/plugins/maze/schema.lua": """
local typedefs = require "kong.db.schema.typedefs"
local limits = require "kong.plugins.maze.limits"
return { name = "maze", fields = {
  { protocols = typedefs.protocols_http },
  { config = { type = "record", fields = {
    { limit = { type = "integer", between = { limits.least, limits.most }, default = limits.step } } } } },
} }
""",
}

GATEWAY = """
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
worker_processes 1;
error_log logs/error.log notice;
pid nginx.pid;
events { worker_connections 64; }
http {
  access_log off;
  lua_package_path "ROOT/?.lua;ROOT/?/init.lua;;";
  init_by_lua_block {
    package.preload["kong.db.schema.typedefs"] = function()
      return assert(loadfile "STANDINS/typedefs.lua")(ngx.null, {}) end
    kong = {
      request = { get_path = function() return ngx.var.uri end },
      service = { request = { set_header = function(n, v) ngx.req.set_header(n, v) end } },
      response = { set_header = function(n, v) ngx.header[n] = v end,
        exit = function(s, b) ngx.status = s; ngx.say(b); return ngx.exit(s) end },
    }
    handler = require "kong.plugins.maze.handler"
    local schema = require "kong.plugins.maze.schema"
    conf = { limit = schema.fields[2].config.fields[1].limit.default }
    between = table.concat(schema.fields[2].config.fields[1].limit.between, "-")
  }
  init_worker_by_lua_block { handler:init_worker() }
  server {
    listen 127.0.0.1:PORT;
    location /upstream { content_by_lua_block { ngx.say(ngx.req.get_headers()["x-maze"] or "none") } }
    location /about { content_by_lua_block {
      ngx.say(handler.PRIORITY, " ", handler.VERSION, " ", between, " ",
        tostring(rawget(package.loaded, "kong.plugins.maze.nowhere"))) } }
    location / {
      access_by_lua_block { handler:access(conf) }
      header_filter_by_lua_block { handler:header_filter(conf) }
      proxy_pass http://127.0.0.1:PORT/upstream;
    }
  }
}
"""

PATHS = ("/about", "/one/two", "/", "/fail", "/stop", "/index", "/circle", "/one/two", "/fail")


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def readable(folder: Path) -> None:
    """The worker of nginx is another user."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o055 if path.is_dir() else path.stat().st_mode | 0o044)
    for parent in folder.parents:
        if parent == Path("/tmp"):
            break
        parent.chmod(parent.stat().st_mode | 0o055)


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory whose name is short: Lua tells no more than 60 letters of a file's path."""
    with tempfile.TemporaryDirectory(prefix="f", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def answers(nginx: Nginx, project: Path) -> Callable[[Path], tuple[list[Any], list[str]]]:
    """What a gateway with these modules says to every request, and the errors in its log."""

    def ask(root: Path) -> tuple[list[Any], list[str]]:
        readable(root)
        standins = project / "src/pumice/kong/standins"
        port, folder = nginx(GATEWAY.replace("ROOT", str(root)).replace("STANDINS", str(standins)))
        given: list[Any] = []
        for path in PATHS:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                    got = answer.status, answer.headers, answer.read()
            except urllib.error.HTTPError as error:
                got = error.code, error.headers, error.read()
                error.close()
            headers = {name: got[1][name] for name in ("X-Count", "X-Names", "X-Limit")}
            given.append((path, got[0], headers, got[2].decode()))
        log = (folder / "logs" / "error.log").read_text()
        found = re.findall(r"runtime error: (.*)", log)
        traces = re.findall(r"^\t(\S+\.lua:\d+): in function", log, re.MULTILINE)
        return given, [*found, *traces]

    return ask


def mapped(text: str, spans: list[dict[str, Any]]) -> str:
    """Places in the folded files as places in the plugin's own, by the map that was written beside them."""

    def original(match: re.Match[str]) -> str:
        line = int(match[2])
        for span in spans:
            if span["file"] == match[1] and span["first"] <= line <= span["last"]:
                return f"{span['path']}:{line - span['first'] + 1}"
        return match[0]

    return re.sub(r"\S*?kong/plugins/maze/((?:handler|schema)\.lua):(\d+)", original, text)


def test_the_same_answers_and_the_same_errors(
    tmp_path: Path,
    short: Path,
    tree: Path,
    pumice: Run,
    answers: Callable[[Path], tuple[list[Any], list[str]]],
) -> None:
    """Nested modules, a dependency, `...` for the own name, a circle, a guarded require, errors deep inside."""
    library = write(tmp_path / "library", LIBRARY)
    plugin = write(tmp_path / "plugin", PLUGIN)
    pumice("make", cwd=library)
    pumice("pack", "--single-file", cwd=plugin)
    single = plugin / "kong-plugin-maze-2.1.0-1.single"
    folded = short / "folded"
    shutil.copytree(single / "kong", folded / "kong")
    assert sorted(path.name for path in folded.rglob("*.lua")) == ["handler.lua", "schema.lua"]
    pumice("make", cwd=plugin)
    shutil.copytree(tree / "share/lua/5.1", short / "whole")
    before, errors = answers(short / "whole")
    after, folded_errors = answers(folded)
    assert before == after
    by_path = {path: (status, body.strip()) for path, status, _, body in before}
    assert by_path["/about"] == (200, "907 2.1.0 1-9 nil")
    assert by_path["/one/two"] == (200, "Left-left-one/two")
    assert by_path["/stop"] == (418, "Teapot")
    assert by_path["/circle"] == (200, "true")
    assert by_path["/fail"][0] == by_path["/index"][0] == 500
    assert before[1][2] == {
        "X-Count": "filter1/false",
        "X-Names": "kong.plugins.maze.deep kong.plugins.maze.deep.down.left words false",
        "X-Limit": "7",
    }
    spans = json.loads((single / "maze.lines.json").read_text())
    here = f"{short}/whole/"
    assert len(errors) > 5
    assert any("deep/init.lua:22: the maze is closed on purpose" in error for error in errors)
    assert [error.replace(here, "") for error in errors] == [mapped(error, spans) for error in folded_errors]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('package.loaded["kong.plugins.maze.limits"] = nil', "looks for modules in the table `package`"),
        ("for name in pairs(package.loaded) do print(name) end", "looks for modules in the table `package`"),
        ('local l = _G.require "kong.plugins.maze.limits"', "uses _G.require"),
    ],
)
def test_what_a_fold_would_change_is_refused_with_its_place(
    tmp_path: Path, tree: Path, pumice: Run, line: str, why: str
) -> None:
    library = write(tmp_path / "library", LIBRARY)
    files = dict(PLUGIN)
    files["kong/plugins/maze/deep/init.lua"] = (
        "local name = ...\n" + line + "\n" + PLUGIN["kong/plugins/maze/deep/init.lua"]
    )
    plugin = write(tmp_path / "plugin", files)
    pumice("make", cwd=library)
    done = pumice("pack", "--single-file", cwd=plugin, fails=True)
    assert f"kong/plugins/maze/deep/init.lua:2 cannot be folded: it {why}" in done.stderr
    assert not list(plugin.glob("*.single"))
