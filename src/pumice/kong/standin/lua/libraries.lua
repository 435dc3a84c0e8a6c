-- What plugins may require of a gateway: JSON and the typedefs as they are; the rest of what Kong and OpenResty
-- bring, where this machine has it not, as values that take everything and do nothing.

local part, run = ...
local null, json, inert = part("null"), part("json"), part("inert")
local ipairs, package = ipairs, package

local facts = part("facts")
local provided = run("provided", facts)

local preload = {
  ["cjson"] = function() return json.plain end,
  ["cjson.safe"] = function() return json.safe end,
  ["kong.db.schema.typedefs"] = function()
    return run("typedefs", null, setmetatable({}, { __mode = "k" }), facts, inert.touch)
  end,
}

-- Kong's own modules that a plugin's tree is seen to shadow.
local own = {
  "kong", "kong.constants", "kong.globalpatches", "kong.meta", "kong.cache", "kong.pdk", "kong.router",
  "kong.db", "kong.db.schema", "kong.db.schema.typedefs", "kong.runloop.handler", "kong.runloop.plugins_iterator",
  "kong.tools.utils", "kong.tools.string", "kong.tools.table", "kong.tools.module", "kong.tools.uri",
}

-- Makes `require` find them, after everything that lies on the path.
local function install()
  for name, make in pairs(preload) do
    package.preload[name] = make
  end
  local searchers = package.searchers or package.loaders
  searchers[#searchers + 1] = function(name)
    if provided(name) then
      return function() return inert.new(name) end
    end
    return ""
  end
end

-- The first of Kong's own modules that a search path has as well, and its file.
local function shadowed(path)
  for _, name in ipairs(own) do
    local file = package.searchpath(name, path)
    if file then
      return name, file
    end
  end
end

return { install = install, shadowed = shadowed }
