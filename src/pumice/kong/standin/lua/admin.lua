-- The Admin API and the Status API of a node: the documented shapes of Kong 3.9, and the endpoints that plugins
-- bring in `api.lua` and `status_api.lua`.

local part = ...
local declarative, json, null, pdk, plugin_part, schemas, store, system = part("declarative"), part("json"),
  part("null"), part("pdk"), part("plugins"), part("schema"), part("store"), part("system")
local ipairs, next, pairs, pcall, tostring, type = ipairs, next, pairs, pcall, tostring, type

local owners = { service = "services", route = "routes", consumer = "consumers" }
local name_of = { plugins = "instance_name", consumers = "username" }

local function array(values)
  return setmetatable(values, json.array_mt)
end

local function reply(status, body)
  ngx.status = status
  if body ~= nil then
    body = json.plain.encode(body)
    ngx.header.content_type = "application/json; charset=utf-8"
    ngx.header.content_length = #body
    ngx.print(body)
  else
    ngx.header.content_length = 0
  end
  return ngx.exit(ngx.OK)
end

local function violation(problems)
  return reply(400, { code = 2, name = "schema violation", message = schemas.violation(problems), fields = problems })
end

-- `a.b=1` of a form as a table; texts that look like another type are taken for it.
local function from_form(form)
  local body = {}
  for name, value in pairs(form) do
    if value == "true" or value == "false" then
      value = value == "true"
    elseif type(value) == "string" and value:match("^-?%d+%.?%d*$") then
      value = tonumber(value)
    end
    local parent, last = body, nil
    for key in name:gmatch("[^.]+") do
      if last then
        parent[last] = type(parent[last]) == "table" and parent[last] or {}
        parent = parent[last]
      end
      last = key
    end
    local list = last and last:match("^(.*)%[%]$")
    if list then
      parent[list] = array(type(value) == "table" and value or { value })
    elseif last then
      parent[last] = value
    end
  end
  return body
end

local function sent()
  local text, kind = pdk.body_of_request(), ngx.var.content_type or "application/json"
  if text == "" then
    return {}
  end
  local value, why = pdk.decoded(text, kind)
  if type(value) ~= "table" then
    return reply(400, { message = "Cannot parse JSON body", reason = why })
  end
  return kind:find("urlencoded", 1, true) and from_form(value) or value
end

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

local function pids(node)
  local workers = array {}
  for id = 0, ngx.worker.count() - 1 do
    workers[id + 1] = node.shared:get("worker:" .. id)
  end
  return { master = system.parent(), workers = workers }
end

local hidden = { pg_password = true, redis_password = true, admin_gui_auth_conf = true }

local function information(node)
  local available, configuration, in_use, seen = {}, {}, array {}, {}
  for name, plugin in pairs(node.plugins) do
    local handler = type(plugin.handler) == "table" and plugin.handler or {}
    available[name] = {
      version = handler.VERSION or node.settings.version, priority = handler.PRIORITY or 0,
    }
  end
  for _, entity in pairs(node.store.entities.plugins) do
    if not seen[entity.name] then
      seen[entity.name] = true
      in_use[#in_use + 1] = entity.name
    end
  end
  for name, value in pairs(kong.configuration) do
    configuration[name] = hidden[name] and "******" or value
  end
  return {
    version = node.settings.version, edition = "community", hostname = node.hostname, node_id = node.id,
    lua_version = jit.version, tagline = "Pumice's stand-in for Kong", pids = pids(node),
    configuration = configuration, timers = { running = 0, pending = 0 },
    plugins = { available_on_server = available, enabled_in_cluster = in_use },
  }
end

local function status_of(node)
  local body = {
    server = {
      total_requests = tonumber(ngx.var.connection_requests) or 0, connections_active = 1, connections_accepted = 1,
      connections_handled = 1, connections_reading = 0, connections_writing = 1, connections_waiting = 0,
    },
    memory = {
      workers_lua_vms = array { { pid = ngx.worker.pid(), http_allocated_gc = collectgarbage("count") .. " KiB" } },
      lua_shared_dicts = {},
    },
    database = { reachable = true },
  }
  if not node.store.has_database then
    body.configuration_hash = node.store.hash()
    body.database = nil
  end
  return body
end

-- Functions cannot be told in JSON.
local function without_functions(value)
  if type(value) ~= "table" then
    return type(value) ~= "function" and type(value) ~= "userdata" and value or nil
  end
  local new = #value > 0 and array {} or {}
  for key, item in pairs(value) do
    new[key] = without_functions(item)
  end
  return new
end

local function load_configuration(node)
  if node.store.has_database then
    return reply(400, { message = "this endpoint is only available when Kong is configured to not use a database" })
  end
  local text, kind = pdk.body_of_request(), ngx.var.content_type or "application/json"
  local table, why
  if kind:find("application/json", 1, true) then
    table, why = json.safe.decode(text)
    text = table and type(table.config) == "string" and table.config or nil
  elseif kind:find("urlencoded", 1, true) then
    text = ngx.decode_args(text).config or text
  end
  if text then
    table, why = declarative.read(text)
  end
  local entities, problems = nil, { error = why or "expected a declarative configuration" }
  if table then
    entities, problems = declarative.entities(table, node.plugins)
  end
  if not entities then
    return reply(400, {
      code = 14, name = "invalid declarative configuration", fields = problems,
      message = "declarative config is invalid: " .. json.plain.encode(problems), flattened_errors = array {},
    })
  end
  node.store.replace(entities)
  node.rebuild()
  return reply(201, { services = entities.services, routes = entities.routes, plugins = entities.plugins })
end

local function not_a_control_plane(node)
  if node.properties.role ~= "control_plane" then
    return reply(400, {
      message = "this endpoint is only available when Kong is configured to run as Control Plane for the cluster",
    })
  end
end

-- The documented endpoints; `parts` are those of the path.
local function documented(node, parts, method, cluster)
  local first, second, third, fourth = parts[1], parts[2], parts[3], parts[4]
  if not first then
    return reply(200, information(node))
  elseif first == "status" then
    return reply(200, status_of(node))
  elseif first == "plugins" and second == "enabled" and not third then
    local names = array {}
    for name in pairs(node.plugins) do
      names[#names + 1] = name
    end
    return reply(200, { enabled_plugins = names })
  elseif first == "schemas" and second == "plugins" and third == "validate" then
    local body = sent()
    local entity, problems = declarative.plugin(node.plugins, body)
    if not entity then
      return violation(problems)
    end
    return reply(200, { message = "schema validation successful" })
  elseif first == "schemas" and second == "plugins" and third then
    local plugin = node.plugins[third]
    if not plugin then
      return reply(404, { message = "No plugin named '" .. third .. "'" })
    end
    local schema = plugin.schema or { fields = array {} }
    return reply(200, {
      fields = without_functions(schema.fields), entity_checks = without_functions(schema.entity_checks),
    })
  elseif first == "config" and not second then
    if method == "POST" then
      return load_configuration(node)
    end
    return reply(200, { config = json.plain.encode(node.store.entities) })
  elseif first == "clustering" then
    not_a_control_plane(node)
    local known = cluster.known()
    if second == "data-planes" then
      return listed(known)
    end
    return reply(200, known)
  elseif owners[first:gsub("s$", "")] or first == "plugins" then
    if not second then
      return collection(node, first, method)
    elseif not third then
      return one(node, first, second, method)
    end
    local reference = first:gsub("s$", "")
    local owner = named(node.store.entities, first, second)
    if not owner or not node.store.entities[third] then
      return reply(404, { message = "Not found" })
    elseif fourth then
      return one(node, third, fourth, method, { [reference] = { id = owner.id } })
    end
    return collection(node, third, method, { [reference] = { id = owner.id } })
  end
end

local function parameters_of(pattern, path)
  local names = {}
  local lua_pattern = pattern:gsub("[%-%.%+%*%?%^%$%%%(%)%[%]]", "%%%0"):gsub(":([%w_]+)", function(name)
    names[#names + 1] = name
    return "([^/]+)"
  end)
  local found = { path:match("^" .. lua_pattern .. "/?$") }
  if #found == 0 then
    return nil
  end
  local parameters = {}
  for index, name in ipairs(names) do
    parameters[name] = ngx.unescape_uri(found[index])
  end
  return parameters
end

-- The endpoints that plugins bring, from `api` or `status_api`; loaded with the first request, as in a gateway.
local function endpoints_of(node, module)
  local endpoints = {}
  for name, plugin in pairs(node.plugins) do
    local found, api
    if not plugin.is_bundled then
      found, api = plugin_part.optional("kong.plugins." .. name .. "." .. module)
    end
    for pattern, definition in pairs(found and type(api) == "table" and api or {}) do
      if pattern ~= "_stream" then
        endpoints[#endpoints + 1] = { pattern = pattern, methods = definition.methods or definition }
      end
    end
  end
  return endpoints
end

local function from_plugin(endpoints, path, method)
  for _, endpoint in ipairs(endpoints) do
    local parameters = parameters_of(endpoint.pattern, path)
    local action = parameters and (endpoint.methods[method] or (method == "HEAD" and endpoint.methods.GET))
    if parameters and not action then
      return reply(405, { message = "Method not allowed" })
    elseif parameters then
      local body = (method == "POST" or method == "PUT" or method == "PATCH") and sent() or {}
      for name, value in pairs(ngx.req.get_uri_args()) do
        parameters[name] = value
      end
      for name, value in pairs(body) do
        parameters[name] = value
      end
      local self = { params = parameters, req = { method = method, headers = ngx.req.get_headers() }, json = body }
      local helpers = { responses = kong.response }
      if endpoint.methods.before then
        endpoint.methods.before(self, kong.db, helpers)
      end
      local answer = action(self, kong.db, helpers)
      if type(answer) == "table" then
        return reply(answer.status or 200, answer.json or {})
      end
      return ngx.exit(ngx.OK)
    end
  end
end

local function parts_of(path)
  local parts = {}
  for piece in path:gmatch("[^/]+") do
    parts[#parts + 1] = ngx.unescape_uri(piece)
  end
  return parts
end

local function new(node)
  local cluster = part("cluster").new(node)
  local endpoints = {}

  local function guarded(action)
    local ok, problem = pcall(action)
    if not ok then
      ngx.log(ngx.ERR, "[lua] ", tostring(problem))
      if not ngx.headers_sent then
        return reply(500, { message = "An unexpected error occurred" })
      end
    end
  end

  local function plugin_endpoints(module)
    endpoints[module] = endpoints[module] or endpoints_of(node, module)
    return endpoints[module]
  end

  local function admin()
    ngx.header["Server"] = "kong/" .. node.settings.version
    ngx.header["Access-Control-Allow-Origin"] = "*"
    guarded(function()
      local brought = plugin_endpoints("api")
      local path, method = ngx.var.request_uri:match("^[^?]*"), ngx.req.get_method()
      documented(node, parts_of(path), method, cluster)
      from_plugin(brought, path, method)
      return reply(404, { message = "Not found" })
    end)
  end

  local function ready()
    if node.properties.role == "data_plane" and not node.has_configuration then
      return reply(503, { message = "no configuration available (empty configuration present)" })
    end
    return reply(200, { message = "ready" })
  end

  local function status()
    ngx.header["Server"] = "kong/" .. node.settings.version
    guarded(function()
      local path, method = ngx.var.request_uri:match("^[^?]*"), ngx.req.get_method()
      if path == "/status/ready" then
        return ready()
      end
      local ok, brought = pcall(plugin_endpoints, "status_api")
      if path == "/status" then
        if not ok then
          error(brought, 0)
        end
        return reply(200, status_of(node))
      end
      from_plugin(ok and brought or {}, path, method)
      return reply(404, { message = "Not found" })
    end)
  end

  return { admin = admin, status = status }
end

return { new = new }
