-- The plugins that a node lists, loaded in a gateway's order and with a gateway's words.
-- Takes null, the schema part and the names of the bundled plugins, of which there is no code here.

local null, schemas, bundled = ...
local error, ipairs, pairs, require, tonumber, tostring, type, xpcall = error, ipairs, pairs, require,
  tonumber, tostring, type, xpcall
local find, format, match = string.find, string.format, string.match

local is_bundled = {}
for _, name in ipairs(bundled) do
  is_bundled[name] = true
end

-- True and the module; false when it is not there. Raises when it is there and fails.
local function optional(module)
  local ok, result = xpcall(function() return require(module) end, function(problem)
    problem = tostring(problem)
    if find(problem, "module '" .. module .. "' not found", 1, true) then
      return problem
    end
    return debug.traceback("error loading module '" .. module .. "':\n" .. problem, 2)
  end)
  if ok then
    return true, result
  elseif find(result, "module '" .. module .. "' not found", 1, true) == 1 then
    return false
  end
  error(result, 0)
end

-- A version as Kong keeps it: its numbers; nil when there are none.
local function cleaned(version)
  local numbers = type(version) == "string" and match(version, "%d[%d%.]*")
  if not numbers or find(numbers, "..", 1, true) then
    return nil
  end
  local parts = {}
  for part in numbers:gmatch("%d+") do
    parts[#parts + 1] = tostring(tonumber(part))
  end
  return #parts <= 3 and table.concat(parts, ".") or nil
end

local function handler_problem(name, handler)
  if type(handler) ~= "table" then
    return nil
  end
  local priority = handler.PRIORITY
  if type(priority) ~= "number" or priority ~= priority or priority % 1 ~= 0 then
    return format("Plugin %q cannot be loaded because its PRIORITY field is not a valid integer number, got: %q.",
      name, tostring(priority))
  end
  local version = cleaned(handler.VERSION)
  if not version then
    return format('Plugin %q cannot be loaded because its VERSION field does not follow the "x.y.z" format, got: %q.',
      name, tostring(handler.VERSION))
  end
  handler.VERSION = version
  if type(handler.response) == "function"
    and (type(handler.header_filter) == "function" or type(handler.body_filter) == "function") then
    return format("Plugin %q can't be loaded because it implements both `response` and `header_filter` or "
      .. "`body_filter` methods.", name)
  end
end

local steps = {}

function steps.handler(plugin, known)
  local found, handler = optional("kong.plugins." .. plugin.name .. ".handler")
  if not found then
    if known.is_parse then
      error("attempt to index upvalue 'kong' (a nil value)", 0)
    end
    return plugin.name .. " plugin is enabled but not installed; no plugin found"
  elseif handler == false then
    return "nil"
  elseif type(handler) ~= "table" and type(handler) ~= "string" then
    error("attempt to index local 'handler' (a " .. type(handler) .. " value)", 0)
  end
  plugin.handler = handler
  return handler_problem(plugin.name, handler)
end

function steps.schema(plugin, known)
  local found, schema = optional("kong.plugins." .. plugin.name .. ".schema")
  if not found then
    if known.is_parse then
      error("attempt to index upvalue 'kong' (a nil value)", 0)
    end
    return "no configuration schema found for plugin: " .. plugin.name
  end
  if type(schema) ~= "table" then
    error("expected an input table", 0)
  end
  local why = schemas.refused(plugin.name, schema)
  if why then
    return known.is_parse and "[declarative] " .. why or "[" .. known.strategy .. "] " .. why
  end
  plugin.schema = schema
end

function steps.daos(plugin)
  local found, daos = optional("kong.plugins." .. plugin.name .. ".daos")
  if not found or type(daos) ~= "table" then
    return nil
  end
  for key in pairs(daos) do
    if type(key) ~= "number" then
      return format("custom plugin '%s' returned non-array daos definition table", plugin.name)
    end
  end
  plugin.daos = daos
end

-- The plugins by name, or nil and Kong's words. `known`: strategy, is_parse.
local function load(names, known)
  local loaded, problems = {}, {}
  local order = known.is_parse and { "daos", "schema", "handler" } or { "handler", "schema", "daos" }
  for _, name in ipairs(names) do
    local plugin = { name = name }
    local problem
    if is_bundled[name] and not package.searchpath("kong.plugins." .. name .. ".handler", package.path) then
      plugin.is_bundled = true
    else
      for _, step in ipairs(order) do
        problem = steps[step](plugin, known)
        if problem then
          break
        end
      end
    end
    if not problem then
      loaded[name] = plugin
    elseif known.is_parse and find(problem, "[declarative]", 1, true) then
      problems[#problems + 1] = problem
    else
      problems[#problems + 1] = "on plugin '" .. name .. "': " .. problem
    end
  end
  if #problems > 0 then
    return nil, "error loading plugin schemas: " .. table.concat(problems, "; ")
  end
  return loaded
end

-- The names of a plugin's migrations, in order; nil when it has none.
local function migrations(name)
  local module = "kong.plugins." .. name .. ".migrations"
  local found, index = optional(module)
  if not found then
    return nil
  elseif type(index) ~= "table" then
    error("migrations index from '" .. module .. "' must be a table", 0)
  end
  for _, migration in ipairs(index) do
    local there, content = optional(module .. "." .. migration)
    if not there then
      error(format("failed to load migration '%s' of '%s' subsystem", migration, name), 0)
    elseif type(content) ~= "table" or type(content.postgres) ~= "table" then
      error(format("migration '%s' of '%s' subsystem is invalid: schema violation (postgres: required field missing)",
        migration, name), 0)
    end
  end
  return index
end

return { load = load, migrations = migrations, optional = optional, is_bundled = is_bundled }
