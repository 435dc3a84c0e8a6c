-- The Admin API and the Status API of a node: the documented shapes of Kong 3.9, and the endpoints that plugins
-- bring in `api.lua` and `status_api.lua`.

local part = ...
local declarative, json, pdk, system = part("declarative"), part("json"), part("pdk"), part("system")
local entities, http, plugin_endpoints = part("admin_entities"), part("http"), part("admin_plugins")
local array, collection, listed, named, one = http.array, entities.collection, entities.listed, entities.named,
  entities.one
local owners, reply, sent, violation = entities.owners, http.reply, http.sent, http.violation
local error, pairs, pcall, tostring, type = error, pairs, pcall, tostring, type

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

  local function brought_by_plugins(module)
    endpoints[module] = endpoints[module] or plugin_endpoints.endpoints_of(node, module)
    return endpoints[module]
  end

  local function admin()
    ngx.header["Server"] = "kong/" .. node.settings.version
    ngx.header["Access-Control-Allow-Origin"] = "*"
    guarded(function()
      local brought = brought_by_plugins("api")
      local path, method = ngx.var.request_uri:match("^[^?]*"), ngx.req.get_method()
      documented(node, parts_of(path), method, cluster)
      plugin_endpoints.answer(brought, path, method)
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
      local ok, brought = pcall(brought_by_plugins, "status_api")
      if path == "/status" then
        if not ok then
          error(brought, 0)
        end
        return reply(200, status_of(node))
      end
      plugin_endpoints.answer(ok and brought or {}, path, method)
      return reply(404, { message = "Not found" })
    end)
  end

  return { admin = admin, status = status }
end

return { new = new }
