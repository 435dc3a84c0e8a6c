-- Declarative files: read, held against the plugins that a node has loaded, and laid flat as entities.

local part = ...
local json, null, schemas, store, yaml = part("json"), part("null"), part("schema"), part("store"), part("yaml")
local ipairs, next, pairs, pcall, type = ipairs, next, pairs, pcall, type

local known = { _format_version = true, _transform = true, _comment = true, _info = true, _workspace = true }
local children = { services = { "routes", "plugins" }, routes = { "plugins" }, consumers = { "plugins" }, plugins = {} }
local owner_of = { services = "service", routes = "route", consumers = "consumer" }

local declarative = {}

-- What a text says: a table, or nil and why it cannot be read.
function declarative.read(text)
  if text:match("^%s*[{%[]") then
    return json.safe.decode(text)
  end
  local ok, value = pcall(yaml, text)
  if not ok then
    return nil, "failed parsing declarative configuration: " .. value
  end
  return value
end

-- A plugin entity with its defaults, or nil and the problems by name.
function declarative.plugin(plugins, entity)
  local plugin = plugins[entity.name]
  if type(entity.name) ~= "string" then
    return nil, { name = "required field missing" }
  elseif not plugin then
    return nil, {
      name = "plugin '" .. entity.name .. "' not enabled; add it to the 'plugins' configuration property",
    }
  end
  local complete, problems = schemas.instance(plugin.schema, entity)
  if problems then
    return nil, problems
  end
  return complete
end

local function add(flat, plugins, kind, list, owner, seed)
  local problems
  for index, given in ipairs(list) do
    local entity, why, deeper = {}, nil, {}
    for key, value in pairs(type(given) == "table" and given or {}) do
      entity[key] = value
    end
    for _, inner in ipairs(children[kind]) do
      deeper[inner], entity[inner] = entity[inner], nil
    end
    for key, value in pairs(owner) do
      entity[key] = value
    end
    for _, reference in pairs(owner_of) do
      if type(entity[reference]) == "string" then
        entity[reference] = { id = entity[reference] }
      end
    end
    local here = seed .. "/" .. kind .. "/" .. (entity.name or entity.username or index)
    entity.id = entity.id or store.uuid(here)
    if kind == "plugins" then
      local complete
      complete, why = declarative.plugin(plugins, entity)
      entity = complete or entity
    end
    flat[kind][entity.id] = entity
    for _, inner in ipairs(children[kind]) do
      local told = deeper[inner]
        and add(flat, plugins, inner, deeper[inner], { [owner_of[kind]] = { id = entity.id } }, here)
      if told then
        why = why or {}
        why[inner] = told
      end
    end
    if why then
      problems = problems or {}
      problems[index] = why
    end
  end
  return problems
end

-- The entities that a declarative table describes, or nil and the problems as a table.
function declarative.entities(table, plugins)
  local flat, problems = {}, {}
  for _, kind in ipairs(store.kinds) do
    flat[kind] = {}
  end
  if type(table) ~= "table" then
    return nil, { error = "expected an object" }
  end
  if table._format_version == nil then
    problems._format_version = "required field missing"
  end
  for kind, list in pairs(table) do
    if flat[kind] then
      problems[kind] = list ~= null and add(flat, plugins, kind, list, {}, "") or nil
    elseif not known[kind] and kind:sub(1, 1) ~= "_" and kind ~= "upstreams" and kind ~= "certificates" then
      problems[kind] = "unknown field"
    end
  end
  -- a route or a plugin may name its service by name
  for _, kind in ipairs { "routes", "plugins" } do
    for _, entity in pairs(flat[kind]) do
      for owner, reference in pairs(owner_of) do
        local named = type(entity[reference]) == "table" and (entity[reference].id or entity[reference].name)
        for id, other in pairs(named and flat[owner] or {}) do
          if other.name == named or other.username == named then
            entity[reference] = { id = id }
          end
        end
      end
    end
  end
  if next(problems) then
    return nil, problems
  end
  return flat
end

-- Problems as a gateway prints them.
function declarative.told(problems, indent)
  indent = indent or ""
  local keys, lines = {}, {}
  for key in pairs(problems) do
    keys[#keys + 1] = key
  end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for _, key in ipairs(keys) do
    local problem = problems[key]
    local start = type(key) == "number" and indent .. "- in entry " .. key .. ":" or indent .. "in '" .. key .. "':"
    if type(problem) == "table" then
      lines[#lines + 1] = start .. "\n" .. declarative.told(problem, indent .. "  ")
    else
      lines[#lines + 1] = start .. " " .. problem
    end
  end
  return table.concat(lines, "\n")
end

return declarative
