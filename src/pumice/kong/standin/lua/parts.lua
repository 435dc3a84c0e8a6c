-- Joins the parts of the stand-in. Takes its directory and the value that stands for null; gives `part(name)`,
-- which loads each once, beside Lua's own modules: a plugin's tree neither sees nor shadows them.

local directory, null = ...
local assert, loadfile = assert, loadfile

local made, make = {}, {}

local function run(name, ...)
  return assert(loadfile(directory .. "/lua/" .. name .. ".lua"))(...)
end

local function part(name)
  if made[name] == nil then
    made[name] = make[name]()
  end
  return made[name]
end

function make.null() return null end
function make.settings()
  local settings = assert(loadfile(directory .. "/settings.lua"))()
  settings.directory = directory
  return settings
end
function make.system() return run("system") end
function make.json() return run("json", null) end
function make.yaml() return run("yaml", null, part("json").array_mt) end
function make.words() return run("words") end
function make.schema_engine()
  local function entity_checks(check_field)
    return run("entity_checks", null, check_field)
  end
  return run("schema_engine", null, part("inert"), run("validators", null), entity_checks)
end
function make.judge()
  local metaschema = assert(loadfile(directory .. "/metaschema.lua"))()
  return run("judge", part("schema_engine"), part("words"), metaschema, part("inert"))
end
function make.schema() return run("schema", part("schema_engine"), part("words"), part("judge")) end
function make.plugins() return run("plugins", null, part("schema"), part("settings").bundled) end
function make.conf() return run("conf", part("system"), part("settings")) end
function make.nginx_conf() return run("nginx_conf", part("conf"), part("settings")) end
function make.store() return run("store", part) end
function make.declarative() return run("declarative", part) end
function make.facts() return assert(loadfile(directory .. "/facts.lua"))() end
function make.inert() return run("inert") end
function make.libraries() return run("libraries", part, run) end
function make.pdk_http() return run("pdk_http", part) end
function make.pdk() return run("pdk", part) end
function make.proxy() return run("proxy", part) end
function make.http() return run("http", part) end
function make.admin_entities() return run("admin_entities", part) end
function make.admin_plugins() return run("admin_plugins", part) end
function make.admin() return run("admin", part) end
function make.cluster() return run("cluster", part) end

return part
