-- Services, routes, consumers and plugins over the Admin API: listed, made, changed and removed.

local part = ...
local declarative, http, null, store = part("declarative"), part("http"), part("null"), part("store")
local array, reply, sent, violation = http.array, http.reply, http.sent, http.violation
local pairs, tonumber, tostring, type = pairs, tonumber, tostring, type

local owners = { service = "services", route = "routes", consumer = "consumers" }
local name_of = { plugins = "instance_name", consumers = "username" }

local function named(entities, kind, key)
  local all = entities[kind]
  if all[key] then
    return all[key]
  end
  for _, entity in pairs(all) do
    if entity[name_of[kind] or "name"] == key then
      return entity
    end
  end
end

local function listed(entities, keep)
  local found = array {}
  for _, entity in pairs(entities) do
    if not keep or keep(entity) then
      found[#found + 1] = entity
    end
  end
  table.sort(found, function(a, b) return a.id < b.id end)
  return reply(200, { data = found, next = null })
end

local function referred(entity, reference)
  local value = entity[reference]
  return type(value) == "table" and value.id or nil
end

-- Completed and judged: the entity, or the problems by name.
local function completed(node, entities, kind, entity)
  for reference, other in pairs(owners) do
    local value = entity[reference]
    if type(value) == "table" and (value.id or value.name) then
      local found = named(entities, other, value.id or value.name)
      if not found then
        return nil, { [reference] = "the foreign key '{id=\"" .. tostring(value.id) .. "\"}' does not reference an existing '" .. other .. "' entity." }
      end
      entity[reference] = { id = found.id }
    end
  end
  if kind == "plugins" then
    return declarative.plugin(node.plugins, entity)
  end
  if kind == "services" then
    local scheme, host, port, path = (type(entity.url) == "string" and entity.url or ""):match("^(%a+)://([^:/]+):?(%d*)(.*)$")
    if scheme then
      entity.url, entity.protocol, entity.host = nil, scheme, host
      entity.port = tonumber(port) or (scheme == "https" and 443 or 80)
      entity.path = path ~= "" and path or null
    end
    if type(entity.host) ~= "string" then
      return nil, { host = "required field missing" }
    end
  end
  return entity
end

local function duplicate(entities, kind, entity)
  for id, other in pairs(entities[kind]) do
    if id ~= entity.id then
      local key = name_of[kind] or "name"
      if type(entity[key]) == "string" and entity[key] == other[key] then
        return key
      elseif kind == "plugins" and entity.name == other.name and referred(entity, "service") == referred(other, "service")
        and referred(entity, "route") == referred(other, "route")
        and referred(entity, "consumer") == referred(other, "consumer") then
        return "name"
      end
    end
  end
end

-- Creates or changes an entity. `base` is what was there.
local function save(node, kind, body, id, base, status)
  if not node.store.has_database then
    return reply(405, {
      code = 12, name = "operation unsupported",
      message = "cannot create or update '" .. kind .. "' entities when not using a database",
    })
  end
  local entity, problems, taken
  node.store.change(function(entities)
    local now = ngx.time()
    local draft = {}
    for key, value in pairs(base or {}) do
      draft[key] = value
    end
    for key, value in pairs(body) do
      if key == "config" and base and type(value) == "table" and type(draft.config) == "table" then
        local config = {}
        for name, item in pairs(draft.config) do
          config[name] = item
        end
        for name, item in pairs(value) do
          config[name] = item
        end
        draft.config = config
      else
        draft[key] = value
      end
    end
    draft.id = id or draft.id or store.uuid()
    draft.created_at, draft.updated_at = draft.created_at or now, now
    entity, problems = completed(node, entities, kind, draft)
    taken = entity and duplicate(entities, kind, entity)
    if entity and not taken then
      entities[kind][entity.id] = entity
    end
  end)
  if problems then
    return violation(problems)
  elseif taken then
    local told = ("UNIQUE violation detected on '{%s=\"%s\"}'"):format(taken, tostring(entity[taken]))
    return reply(409, { code = 5, name = "unique constraint violation", message = told, fields = { [taken] = entity[taken] } })
  end
  node.rebuild()
  return reply(status, entity)
end

local function remove(node, kind, entity)
  if not node.store.has_database then
    return reply(405, {
      code = 12, name = "operation unsupported",
      message = "cannot remove '" .. kind .. "' entities when not using a database",
    })
  end
  local user
  node.store.change(function(entities)
    if not entity then
      return
    end
    local reference = kind:gsub("s$", "")
    for other_kind, others in pairs(entities) do
      for id, other in pairs(others) do
        if referred(other, reference) == entity.id then
          if other_kind == "plugins" then
            others[id] = nil
          else
            user = other_kind
          end
        end
      end
    end
    if not user then
      entities[kind][entity.id] = nil
    end
  end)
  if user then
    return reply(400, {
      code = 4, name = "foreign key violation",
      message = "an existing '" .. user .. "' entity references this '" .. kind .. "' entity",
    })
  end
  node.rebuild()
  return reply(204)
end

local function one(node, kind, key, method, preset)
  local entity = named(node.store.entities, kind, key)
  if method == "PUT" then
    local body = sent()
    for name, value in pairs(preset or {}) do
      body[name] = value
    end
    local is_id = key:match("^%x+%-%x+%-%x+%-%x+%-%x+$")
    if not is_id then
      body[name_of[kind] or "name"] = key
    end
    return save(node, kind, body, entity and entity.id or (is_id and key or nil), nil, 200)
  elseif method == "DELETE" then
    return remove(node, kind, entity)
  elseif not entity then
    return reply(404, { message = "Not found" })
  elseif method == "PATCH" then
    return save(node, kind, sent(), entity.id, entity, 200)
  end
  return reply(200, entity)
end

local function collection(node, kind, method, preset)
  if method == "POST" then
    local body = sent()
    for name, value in pairs(preset or {}) do
      body[name] = value
    end
    return save(node, kind, body, nil, nil, 201)
  end
  return listed(node.store.entities[kind], function(entity)
    for name, value in pairs(preset or {}) do
      if referred(entity, name) ~= value.id then
        return false
      end
    end
    return true
  end)
end

return { owners = owners, named = named, listed = listed, one = one, collection = collection }
