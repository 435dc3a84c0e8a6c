-- The `kong` that plugins of a node get: what plugins commonly use does what it does in a gateway; the rest takes
-- everything and does nothing.

local part = ...
local http, inert, json, store = part("pdk_http"), part("inert"), part("json"), part("store")
local request_context = http.context
local concat = table.concat
local ipairs, next, pairs, setmetatable, tostring, type = ipairs, next, pairs, setmetatable,
  tostring, type

local levels = {
  emerg = "EMERG", alert = "ALERT", crit = "CRIT", err = "ERR", error = "ERR", warn = "WARN", notice = "NOTICE",
  info = "INFO", debug = "DEBUG",
}

local function logger()
  local function written(level, ...)
    local parts = {}
    for index = 1, select("#", ...) do
      local value = select(index, ...)
      parts[index] = type(value) == "table" and json.plain.encode(store.without_nulls(value)) or tostring(value)
    end
    local context = request_context()
    ngx.log(ngx[levels[level]], "[", context.plugin or "kong", "] ", concat(parts))
  end
  local log = {}
  for level in pairs(levels) do
    log[level] = function(...) written(level, ...) end
  end
  local function nothing() end
  log.inspect = setmetatable({ on = nothing, off = nothing }, { __call = function(_, ...) written("debug", ...) end })
  log.deprecation = setmetatable({ write = nothing }, { __call = nothing })
  log.set_serialize_value = function(key, value)
    local context = request_context()
    context.serialized = context.serialized or {}
    context.serialized[key] = value
  end
  log.serialize = function()
    local context = request_context()
    return {
      request = {
        method = ngx.req.get_method(), uri = ngx.var.request_uri, headers = ngx.req.get_headers(),
        querystring = ngx.req.get_uri_args(), size = tonumber(ngx.var.request_length), id = context.id,
      },
      response = { status = ngx.status, headers = ngx.resp.get_headers(), size = tonumber(ngx.var.bytes_sent) },
      latencies = { request = (ngx.now() - ngx.req.start_time()) * 1000, kong = 0, proxy = 0 },
      client_ip = ngx.var.remote_addr, service = context.service, route = context.route,
      started_at = ngx.req.start_time() * 1000,
    }
  end
  log.new = function() return log end
  return setmetatable(log, { __call = function(_, ...) written("notice", ...) end })
end

local function make_cache()
  local kept = {}
  return inert.partly("kong.cache", {
    get = function(_, key, _, callback, ...)
      if kept[key] == nil and callback then
        local value, why = callback(...)
        if why then
          return nil, why
        end
        kept[key] = value
      end
      return kept[key]
    end,
    probe = function(_, key) return nil, nil, kept[key] end,
    invalidate = function(_, key) kept[key] = nil end,
    invalidate_local = function(_, key) kept[key] = nil end,
    purge = function() kept = {} end,
  })
end

local function make_db(node)
  local by_kind = {}
  local function dao(kind)
    local function all()
      return node.store and node.store.entities[kind] or {}
    end
    return inert.partly("kong.db." .. kind, {
      select = function(_, key) return all()[type(key) == "table" and key.id or key] end,
      select_by_name = function(_, name)
        for _, entity in pairs(all()) do
          if entity.name == name then
            return entity
          end
        end
      end,
      each = function()
        local id, entity
        local entities = all()
        return function()
          id, entity = next(entities, id)
          return entity
        end
      end,
      cache_key = function(_, ...) return kind .. ":" .. concat({ ... }, ":") end,
    })
  end
  for _, kind in ipairs(store.kinds) do
    by_kind[kind] = dao(kind)
  end
  by_kind.strategy = node.properties.database
  return inert.partly("kong.db", by_kind)
end

-- Lists of the configuration are lists, switches are booleans, as `kong.configuration` has them.
local function make_configuration(node)
  local configuration = {}
  for name, value in pairs(node.properties) do
    configuration[name] = value
  end
  configuration.plugins = part("conf").list(node.properties.plugins)
  configuration.loaded_plugins = {}
  configuration.nginx_pid = node.properties.prefix .. "/pids/nginx.pid"
  configuration.kong_env = node.properties.prefix .. "/.kong_env"
  return configuration
end

local function number_of(version)
  local major, minor, patch = version:match("^(%d+)%.(%d+)%.?(%d*)")
  return major * 1000000 + minor * 1000 + (tonumber(patch) or 0)
end

-- The `kong` of a node.
local function new(node)
  local function nothing() end
  local plugin_context = setmetatable({}, {
    __index = function(_, key)
      local context = request_context()
      local own = context.plugins and context.plugins[context.plugin or ""]
      return own and own[key]
    end,
    __newindex = function(_, key, value)
      local context = request_context()
      local name = context.plugin or ""
      context.plugins[name] = context.plugins[name] or {}
      context.plugins[name][key] = value
    end,
  })
  local shared_context = setmetatable({}, {
    __index = function(_, key) return (request_context().shared or {})[key] end,
    __newindex = function(_, key, value) request_context().shared[key] = value end,
  })

  local kong = {
    version = node.settings.version,
    version_num = number_of(node.settings.version),
    configuration = make_configuration(node),
    log = logger(),
    ctx = { plugin = plugin_context, shared = shared_context, core = {} },
    request = http.make_request(),
    response = http.make_response(),
    service = inert.partly("kong.service", {
      request = http.make_service_request(),
      response = http.make_service_response(),
      set_upstream = function(name)
        request_context().upstream.name = name
        return true
      end,
      set_target = function(host, port)
        local upstream = request_context().upstream
        upstream.host, upstream.port = host, port
      end,
      set_retries = nothing, set_timeouts = nothing, set_tls_verify = nothing,
    }),
    client = inert.partly("kong.client", {
      get_ip = function() return ngx.var.remote_addr end,
      get_forwarded_ip = function() return ngx.var.remote_addr end,
      get_port = function() return tonumber(ngx.var.remote_port) end,
      get_forwarded_port = function() return tonumber(ngx.var.server_port) end,
      get_protocol = function() return ngx.var.scheme end,
      get_credential = function() return request_context().credential end,
      get_consumer = function() return request_context().consumer end,
      load_consumer = function(id) return node.store.entities.consumers[id] end,
      authenticate = function(consumer, credential)
        local context = request_context()
        context.consumer, context.credential = consumer, credential
      end,
    }),
    router = inert.partly("kong.router", {
      get_route = function() return request_context().route end,
      get_service = function() return request_context().service end,
    }),
    node = inert.partly("kong.node", {
      get_id = function() return node.id end,
      get_hostname = function() return node.hostname end,
      get_memory_stats = function()
        return { lua_shared_dicts = {}, workers_lua_vms = { { pid = ngx.worker.pid(), http_allocated_gc = collectgarbage("count") * 1024 } } }
      end,
    }),
    nginx = inert.partly("kong.nginx", {
      get_subsystem = function() return "http" end,
      get_statistics = function() return {} end,
    }),
    ip = { is_trusted = function() return false end },
    db = make_db(node),
    cache = make_cache(),
    core_cache = make_cache(),
    plugin = { get_id = function() return request_context().plugin_id end },
    jwe = inert.new("kong.jwe"),
    vault = inert.partly("kong.vault", {
      get = function(reference) return nil, "no vaults in a stand-in: " .. tostring(reference) end,
      is_reference = function(value) return type(value) == "string" and value:match("^{vault://.+}$") ~= nil end,
      try = function(callback, options) return callback(options) end,
    }),
    timer = inert.partly("kong.timer", {
      at = function(_, delay, callback, ...) return ngx.timer.at(delay, callback, ...) end,
      every = function(_, delay, callback, ...) return ngx.timer.every(delay, callback, ...) end,
      named_at = function(_, _, delay, callback, ...) return ngx.timer.at(delay, callback, ...) end,
      named_every = function(_, _, delay, callback, ...) return ngx.timer.every(delay, callback, ...) end,
    }),
    table = inert.partly("kong.table", {
      new = function() return {} end,
      clear = function(value)
        for key in pairs(value) do
          value[key] = nil
        end
      end,
      merge = function(a, b)
        local merged = {}
        for _, from in ipairs { a or {}, b or {} } do
          for key, value in pairs(from) do
            merged[key] = value
          end
        end
        return merged
      end,
    }),
  }
  kong.default_workspace = store.uuid("default workspace")
  return inert.partly("kong", kong)
end

return { new = new, context = request_context, body_of_request = http.body_of_request, decoded = http.decoded }
