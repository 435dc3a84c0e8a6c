-- The `kong` that plugins of a node get: what plugins commonly use does what it does in a gateway; the rest takes
-- everything and does nothing.

local part = ...
local inert, json, null, store = part("inert"), part("json"), part("null"), part("store")
local concat = table.concat
local error, ipairs, next, pairs, setmetatable, tostring, type = error, ipairs, next, pairs, setmetatable,
  tostring, type

local levels = {
  emerg = "EMERG", alert = "ALERT", crit = "CRIT", err = "ERR", error = "ERR", warn = "WARN", notice = "NOTICE",
  info = "INFO", debug = "DEBUG",
}

local function in_request()
  local phase = ngx.get_phase()
  return phase ~= "init" and phase ~= "init_worker" and phase ~= "timer"
end

local function request_context()
  if not in_request() then
    return {}
  end
  local context = ngx.ctx
  context.standin = context.standin or { plugins = {}, shared = {}, upstream = {} }
  return context.standin
end

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

local function body_of_request()
  ngx.req.read_body()
  local body = ngx.req.get_body_data()
  local file = not body and ngx.req.get_body_file()
  return body or file and part("system").read(file) or ""
end

local function decoded(body, kind)
  kind = kind or "application/json"
  if kind:find("application/json", 1, true) then
    local value = json.safe.decode(body)
    if value == nil then
      return nil, "invalid json body", kind
    end
    return value, nil, "application/json"
  elseif kind:find("application/x-www-form-urlencoded", 1, true) then
    return ngx.decode_args(body), nil, "application/x-www-form-urlencoded"
  end
  return nil, "unsupported content type '" .. kind .. "'", kind
end

local function first(value)
  if type(value) == "table" then
    return value[1]
  end
  return value
end

local function make_request()
  local request = {
    get_scheme = function() return ngx.var.scheme end,
    get_host = function() return (ngx.var.host or ""):gsub(":%d+$", "") end,
    get_port = function() return tonumber(ngx.var.server_port) end,
    get_http_version = ngx.req.http_version,
    get_method = function()
      return request_context().method or ngx.req.get_method()
    end,
    get_path = function() return (ngx.unescape_uri(ngx.var.request_uri:match("^[^?]*"))) end,
    get_raw_path = function() return ngx.var.request_uri:match("^[^?]*") end,
    get_path_with_query = function() return ngx.var.request_uri end,
    get_raw_query = function() return ngx.var.args or "" end,
    get_query_arg = function(name) return first(ngx.req.get_uri_args()[name]) end,
    get_query = function(most) return ngx.req.get_uri_args(most) end,
    get_header = function(name) return first(ngx.req.get_headers()[name]) end,
    get_headers = function(most) return ngx.req.get_headers(most) end,
    get_raw_body = body_of_request,
    get_body = function(kind) return decoded(body_of_request(), kind or ngx.var.content_type) end,
    get_start_time = function() return ngx.req.start_time() * 1000 end,
    get_uri_captures = function() return request_context().captures or { unnamed = {}, named = {} } end,
  }
  request.get_forwarded_scheme = request.get_scheme
  request.get_forwarded_host = request.get_host
  request.get_forwarded_port = request.get_port
  request.get_forwarded_path = request.get_raw_path
  request.get_forwarded_prefix = function() return nil end
  return inert.partly("kong.request", request)
end

local function make_service_request()
  local function upstream()
    return request_context().upstream
  end
  return inert.partly("kong.service.request", {
    set_scheme = function(scheme) upstream().scheme = scheme end,
    set_path = function(path) ngx.var.upstream_uri = path end,
    set_raw_query = function(query) ngx.req.set_uri_args(query) end,
    set_query = function(query) ngx.req.set_uri_args(query) end,
    set_method = function(method) upstream().method = method end,
    set_header = function(name, value) ngx.req.set_header(name, value) end,
    add_header = function(name, value)
      local old = ngx.req.get_headers()[name]
      local values = type(old) == "table" and old or { old }
      values[#values + 1] = value
      ngx.req.set_header(name, values)
    end,
    clear_header = function(name) ngx.req.clear_header(name) end,
    set_headers = function(headers)
      for name, value in pairs(headers) do
        ngx.req.set_header(name, value)
      end
    end,
    set_raw_body = function(body)
      ngx.req.read_body()
      ngx.req.set_body_data(body)
    end,
    set_body = function(value, kind)
      kind = kind or ngx.var.content_type or "application/json"
      ngx.req.read_body()
      local is_form = kind:find("urlencoded", 1, true)
      ngx.req.set_body_data(is_form and ngx.encode_args(value) or json.plain.encode(value))
      ngx.req.set_header("Content-Type", kind)
      return true
    end,
    enable_buffering = function() end,
    disable_tls = function() return true end,
  })
end

local function make_service_response()
  local function answer()
    return request_context().answer or {}
  end
  local function header(name)
    for key, value in pairs(answer().headers or {}) do
      if key:lower():gsub("_", "-") == name:lower():gsub("_", "-") then
        return value
      end
    end
  end
  return inert.partly("kong.service.response", {
    get_status = function() return answer().status end,
    get_header = header,
    get_headers = function() return answer().headers or {} end,
    get_raw_body = function() return answer().body end,
    get_body = function() return decoded(answer().body or "", header("content-type")) end,
  })
end

local function make_response()
  local response = {
    get_status = function() return ngx.status end,
    get_header = function(name) return first(ngx.resp.get_headers()[name]) end,
    get_headers = function(most) return ngx.resp.get_headers(most) end,
    get_source = function() return request_context().source or "service" end,
    set_status = function(status) ngx.status = status end,
    set_header = function(name, value) ngx.header[name] = value end,
    add_header = function(name, value)
      local old = ngx.header[name]
      local values = type(old) == "table" and old or { old }
      values[#values + 1] = value
      ngx.header[name] = values
    end,
    clear_header = function(name) ngx.header[name] = nil end,
    set_headers = function(headers)
      for name, value in pairs(headers) do
        ngx.header[name] = value
      end
    end,
    get_raw_body = function()
      local context = request_context()
      if ngx.get_phase() ~= "body_filter" then
        return context.answer and context.answer.body
      end
      context.chunks = context.chunks or {}
      context.chunks[#context.chunks + 1] = ngx.arg[1]
      if ngx.arg[2] then
        local body = concat(context.chunks)
        context.chunks = { body }
        ngx.arg[1] = body
        return body
      end
      ngx.arg[1] = nil
      return nil
    end,
    set_raw_body = function(body)
      if ngx.get_phase() == "body_filter" then
        ngx.arg[1], ngx.arg[2] = body, true
      else
        request_context().answer.body = body
        ngx.header.content_length = #body
      end
    end,
  }

  function response.exit(status, body, headers)
    if type(status) ~= "number" then
      error("code must be a number", 2)
    end
    request_context().source = "exit"
    ngx.status = status
    for name, value in pairs(headers or {}) do
      ngx.header[name] = value
    end
    if type(body) == "table" then
      body = json.plain.encode(body)
      ngx.header.content_type = ngx.header.content_type or "application/json; charset=utf-8"
    end
    ngx.header.content_length = body and #body or 0
    if body then
      ngx.print(body)
    end
    return ngx.exit(ngx.OK)
  end

  function response.error(status, message, headers)
    request_context().source = "error"
    return response.exit(status, { message = message or "An unexpected error occurred" }, headers)
  end

  return inert.partly("kong.response", response)
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
    request = make_request(),
    response = make_response(),
    service = inert.partly("kong.service", {
      request = make_service_request(),
      response = make_service_response(),
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

return { new = new, context = request_context, body_of_request = body_of_request, decoded = decoded }
