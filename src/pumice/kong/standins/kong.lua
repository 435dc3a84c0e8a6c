-- The `kong` of a plugin's start: facts that plugins branch on are real, functions do nothing.

local inert, facts = ...
local pairs, setmetatable = pairs, setmetatable

local function nothing() end

local log
log = setmetatable({
  emerg = nothing, alert = nothing, crit = nothing, err = nothing, error = nothing, warn = nothing, notice = nothing,
  info = nothing, debug = nothing, serialize = function() return {} end, set_serialize_value = nothing,
  on = nothing, off = nothing,
  inspect = setmetatable({ on = nothing, off = nothing }, { __call = nothing }),
  deprecation = setmetatable({ write = nothing }, { __call = nothing }),
  new = function() return log end,
}, { __call = nothing })

return inert.partly("kong", {
  version = facts.version,
  version_num = facts.version_num,
  log = log,
  ctx = { shared = {}, plugin = {}, core = {} },
  configuration = inert.partly("kong.configuration", {
    prefix = "/usr/local/kong", database = "off", role = "traditional", plugins = { "bundled" },
    loaded_plugins = {}, log_level = "notice", lua_package_path = "./?.lua;./?/init.lua;", lua_package_cpath = "",
  }),
  node = inert.partly("kong.node", {
    get_id = function() return "00000000-0000-4000-8000-000000000000" end,
    get_hostname = function() return "localhost" end,
  }),
  table = inert.partly("kong.table", {
    new = function() return {} end,
    clear = function(t)
      for key in pairs(t) do
        t[key] = nil
      end
    end,
    merge = function(a, b)
      local merged = {}
      for _, from in pairs { a or {}, b or {} } do
        for key, value in pairs(from) do
          merged[key] = value
        end
      end
      return merged
    end,
  }),
})
