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


@pytest.mark.peer
def test_its_own_specs_pass_in_the_real_luajit(project: Path, luajit: RunLua) -> None:
    busted = (Path(__file__).parent / "busted.lua").read_text()
    specs = ["spec/stamp_spec.lua", "spec/handler_spec.lua"]
    printed = luajit(busted, *specs, cwd=project / "examples" / "kong-plugin-request-stamp")
    assert int(printed) == 21


@pytest.mark.peer
def test_its_specs_can_fail(project: Path, luajit: RunLua, tmp_path: Path) -> None:
    """A plugin that never stamps a response does not pass."""
    example = project / "examples" / "kong-plugin-request-stamp"
    target = tmp_path / "kong/plugins/request-stamp"
    target.mkdir(parents=True)
    for file in (example / "kong/plugins/request-stamp").iterdir():
        (target / file.name).write_text(file.read_text().replace("if conf.echo then", "if false then"))
    busted = (Path(__file__).parent / "busted.lua").read_text()
    with pytest.raises(AssertionError, match="expected 00112233-4455-4677-8899-aabbccddeeff, got nil"):
        luajit(busted, str(example / "spec/handler_spec.lua"), cwd=tmp_path)
