-- Makes a Lua state look like a gateway that is about to load plugins.
-- Takes `read(name)`, which gives the text of a stand-in, and `facts` of the version (`sandbox`); sets the globals
-- `kong` and `ngx`; gives `provide(module)`, which returns what the gateway would (true, value) or false,
-- `perhaps(module)` for what only Enterprise may have, and `context`, whose `phase` is "init" while the node
-- starts and "worker" afterwards.

local read, facts = ...
-- without facts: a 3.9 that has every module
facts = facts or {
  version = "3.9.3", version_num = 3009003, absent = {}, gone = {}, absent_typedefs = {},
  modules = setmetatable({}, { __index = function() return true end }),
}
local assert, bit, jit, loadstring, next, pairs, setmetatable = assert, bit, jit, loadstring, next, pairs,
  setmetatable

local function standin(name, ...)
  return assert(loadstring(read(name), "=[stand-in] " .. name))(...)
end

local context = { phase = "init" }
local inert = standin("inert")
local provided, perhaps = standin("provided", facts)
_G.ngx = standin("ngx", inert, context)
_G.kong = standin("kong", inert, facts)

local null = _G.ngx.null
-- validators of typedefs, by function: what they would do is known outside
local named = setmetatable({}, { __mode = "k" })

-- The library as it is, from the stand-in for a gateway's workers; what it has not is inert.
local json
local function cjson(kind)
  return function()
    json = json or standin("json", null)
    return inert.partly(kind == "safe" and "cjson.safe" or "cjson", json[kind])
  end
end

local made = {
  ["kong.db.schema.typedefs"] = function() return standin("typedefs", null, named, facts, inert.touch) end,
  ["cjson"] = cjson("plain"),
  ["cjson.safe"] = cjson("safe"),
  ["table.new"] = function() return function() return {} end end,
  ["table.clear"] = function() return _G.kong.table.clear end,
  ["table.nkeys"] = function()
    return function(t)
      local count = 0
      for _ in pairs(t) do
        count = count + 1
      end
      return count
    end
  end,
  ["table.isempty"] = function() return function(t) return next(t) == nil end end,
  ["bit"] = function() return bit end,
  ["jit"] = function() return jit end,
}

local function provide(module)
  if made[module] then
    return true, made[module]()
  end
  if provided(module) then
    return true, inert.new(module)
  end
  return false
end

return {
  provide = provide, perhaps = perhaps, provided = provided, context = context, inert = inert,
  named = named,
}
