"""The example plugin, run for real."""

from collections.abc import Callable
from pathlib import Path

import pytest

import pumice.kong

RunLua = Callable[..., str]

LOAD = """
-- a gateway that is about to start, made of the stand-ins; the plugin is found by the real require
local standins = assert(os.getenv("STANDINS") or arg[1])
local function read(name)
  local file = assert(io.open(standins .. "/" .. name .. ".lua"))
  return file:read("*a"), file:close()
end
local gateway = assert(loadfile(standins .. "/gateway.lua"))(read)
table.insert(package.loaders, function(name)
  local known, value = gateway.provide(name)
  return known and function() return value end or ""
end)
package.path = "./?.lua"
local handler = require "kong.plugins.request-stamp.handler"
local schema = require "kong.plugins.request-stamp.schema"
print(handler.PRIORITY, handler.VERSION, type(handler.access), schema.name, #schema.fields)
"""


@pytest.mark.peer
def test_handler_and_schema_load_in_the_real_luajit_with_the_stand_ins(project: Path, luajit: RunLua) -> None:
    standins = Path(pumice.kong.__file__).parent / "standins"
    printed = luajit(LOAD, str(standins), cwd=project / "examples" / "kong-plugin-request-stamp")
    assert printed.split() == ["100010", "0.1.0", "function", "request-stamp", "3"]
