"""Small plugins to roll out: their sources, by what is wrong with them."""

from __future__ import annotations

from pathlib import Path

NAME = "fleet-mark"
HEADER = "X-Fleet-Mark"

_SCHEMA = """\
local typedefs = require "kong.db.schema.typedefs"

return {
  name = "@NAME@",
  fields = {
    { consumer = typedefs.no_consumer },
    { protocols = typedefs.protocols_http },
    { config = {
        type = "record",
        fields = {
          { word = { description = "A word for the header.", type = "string", default = "plain" } },
        },
    } },
  },
}
"""
_HANDLER = """\
local kong = kong
local words = require "kong.plugins.@NAME@.words"

local Mark = {
  PRIORITY = 900,
  VERSION = "@VERSION@",
}

function Mark:header_filter(conf)
  kong.response.set_header("@HEADER@", words.of("@VERSION@"))
end

return Mark
"""
_WORDS = """\
local words = {}

function words.of(version)
  return "mark " .. version
end

return words
"""
_DAOS = """\
local typedefs = require "kong.db.schema.typedefs"

return {
  {
    name = "fleet_words",
    primary_key = { "id" },
    fields = {
      { id = typedefs.uuid },
      { word = { type = "string", required = true } },
    },
  },
}
"""
_MIGRATION = """\
return {
  postgres = {
    up = [[ CREATE TABLE IF NOT EXISTS "fleet_words" ("id" UUID PRIMARY KEY, "word" TEXT); ]],
  },
}
"""
# Only the gateway's own prefix has the file: a parse with a private prefix does not see it.
FAULT = "fault"
_FAULT = """
local fault = io.open(ngx.config.prefix() .. "/fault", "r")
if fault then
  local text = fault:read("*a")
  fault:close()
  error("the table of words cannot be read: " .. text)
end
"""


def write_plugin(
    folder: Path,
    version: str,
    *,
    name: str = NAME,
    fails_where_told: bool = False,
    broken_syntax: bool = False,
    header: bool = True,
    c_module: bool = False,
    extra_files: int = 0,
    migrations: bool = False,
    broken_migration: bool = False,
) -> Path:
    """The sources of a plugin that sets a header with its version.

    With `fails_where_told` it does not load on a gateway whose prefix has a file `fault`, which no preflight
    notices; without `header` it sets none. With `migrations` it has a table of its own, which one of them
    makes; a `broken_migration` names a second one that is not there.
    """
    place = folder / f"kong/plugins/{name}"
    place.mkdir(parents=True)
    texts = {"schema.lua": _SCHEMA, "handler.lua": _HANDLER, "words.lua": _WORDS}
    if fails_where_told:
        texts["handler.lua"] = _HANDLER.replace("\nlocal Mark", f"{_FAULT}\nlocal Mark", 1)
    if broken_syntax:
        texts["handler.lua"] += "end end\n"
    if not header:
        texts["handler.lua"] = texts["handler.lua"].replace('"@HEADER@"', '"X-Something-Else"')
    for number in range(extra_files):
        texts[f"table{number:03}.lua"] = f"return {{ {number}, {{}} }}\n" + f"-- {number}\n" * 400
    if migrations or broken_migration:
        (place / "migrations").mkdir()
        names = '"000_base_@NAME@", "001_missing"' if broken_migration else '"000_base_@NAME@"'
        texts["daos.lua"] = _DAOS
        texts["migrations/init.lua"] = f"return {{ {names} }}\n"
        texts[f"migrations/000_base_{name}.lua"] = _MIGRATION
    modules = ""
    for file, text in texts.items():
        for mark, value in (("@NAME@", name), ("@VERSION@", version), ("@HEADER@", HEADER)):
            text = text.replace(mark, value)
        (place / file).write_text(text, encoding="utf-8")
        module = f"kong.plugins.{name}.{file.removesuffix('.lua').replace('/', '.')}"
        modules += f'    ["{module}"] = "kong/plugins/{name}/{file}",\n'
    if c_module:
        (folder / "fleet.c").write_text(_C_MODULE, encoding="utf-8")
        modules += '    ["fleet_native"] = "fleet.c",\n'
    package = f"kong-plugin-{name}"
    (folder / f"{package}-{version}-1.rockspec").write_text(
        f'package = "{package}"\nversion = "{version}-1"\n'
        f'source = {{ url = "git+https://example.com/{package}.git", tag = "{version}" }}\n'
        'description = { summary = "Marks answers.", license = "MIT", homepage = "https://example.com" }\n'
        f'dependencies = {{}}\nbuild = {{\n  type = "builtin",\n  modules = {{\n{modules}  }},\n}}\n',
        encoding="utf-8",
    )
    return folder


_C_MODULE = """\
#include <lua.h>
#include <lauxlib.h>

int luaopen_fleet_native(lua_State *L) {
  lua_newtable(L);
  return 1;
}
"""
