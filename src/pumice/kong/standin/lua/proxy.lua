-- The proxy of a node: a route for a request, the phases of the plugins that apply, and an echo in the upstream's
-- place: it answers with the request as an upstream would have got it.

local part = ...
local json, pdk, store = part("json"), part("pdk"), part("store")
local ipairs, pairs, pcall, tostring, type = ipairs, pairs, pcall, tostring, type

local context_of = pdk.context

local function sorted_routes(entities)
  local candidates = {}
  for _, route in pairs(entities.routes) do
    local clean = store.without_nulls(route)
    local paths = clean.paths and #clean.paths > 0 and clean.paths or { false }
    for _, path in ipairs(paths) do
      candidates[#candidates + 1] = {
        route = clean, path = path or nil, weight = (path and #path or 0) + (clean.hosts and #clean.hosts > 0 and 1000 or 0),
      }
    end
  end
  table.sort(candidates, function(a, b)
    if a.weight ~= b.weight then
      return a.weight > b.weight
    end
    return a.route.id < b.route.id
  end)
  return candidates
end

local function listed(list, value)
  if not list or #list == 0 then
    return true
  end
  for _, item in ipairs(list) do
    if item == value or (item:sub(1, 2) == "*." and value:sub(-#item + 1) == item:sub(2)) then
      return true
    end
  end
  return false
end

-- What stands of `uri` behind the path of a route; nil when the path does not match.
local function rest_of(path, uri, context)
  if not path then
    return uri
  elseif path:sub(1, 1) == "~" then
    local captures = ngx.re.match(uri, "^" .. path:sub(2), "jo")
    if not captures then
      return nil
    end
    context.captures = { unnamed = captures, named = captures }
    return uri:sub(#captures[0] + 1)
  elseif uri:sub(1, #path) == path then
    return uri:sub(#path + 1)
  end
end

local function new(node)
  local routes, configured, by_name = {}, {}, {}
  local proxy = {}

  -- The enabled plugin entities, in the order in which they run.
  local function collect(entities)
    local instances = {}
    for _, entity in pairs(entities.plugins) do
      local plugin = node.plugins[entity.name]
      if not plugin then
        return nil, entity.name .. " plugin is in use but not enabled"
      end
      if entity.enabled ~= false and type(plugin.handler) == "table" then
        local clean = store.without_nulls(entity)
        local config = clean.config or {}
        config.__plugin_id = entity.id
        instances[#instances + 1] = {
          id = entity.id, name = entity.name, handler = plugin.handler, config = config,
          route = clean.route and clean.route.id, service = clean.service and clean.service.id,
          consumer = clean.consumer and clean.consumer.id,
        }
      end
    end
    table.sort(instances, function(a, b)
      local left, right = a.handler.PRIORITY, b.handler.PRIORITY
      if left ~= right then
        return left > right
      elseif a.name ~= b.name then
        return a.name > b.name
      end
      return a.id < b.id
    end)
    return instances
  end

  -- Takes the entities as they are now; keeps what there was when a plugin is not here.
  function proxy.rebuild()
    local instances, why = collect(node.store.entities)
    if not instances then
      ngx.log(ngx.ERR, "[kong] error building plugins iterator: ", why)
      return
    end
    routes, configured, by_name = sorted_routes(node.store.entities), instances, {}
    for _, instance in ipairs(instances) do
      local name = instance.name
      by_name[name] = by_name[name] or { handler = instance.handler, configs = {} }
      table.insert(by_name[name].configs, instance.config)
    end
    if node.properties.role ~= "control_plane" then
      for name, plugin in pairs(node.plugins) do
        local configure = type(plugin.handler) == "table" and plugin.handler.configure
        if configure then
          local ok, problem = pcall(configure, plugin.handler, by_name[name] and by_name[name].configs)
          if not ok then
            ngx.log(ngx.ERR, '[kong] failed to execute plugin "', name, '" configure handler: ', tostring(problem))
          end
        end
      end
    end
    node.has_configuration = not node.store.is_empty()
  end

  function proxy.start()
    for name, plugin in pairs(node.plugins) do
      local init_worker = type(plugin.handler) == "table" and plugin.handler.init_worker
      if init_worker then
        local ok, problem = pcall(init_worker, plugin.handler)
        if not ok then
          node.unsafe = true
          ngx.log(ngx.CRIT, '[kong] worker initialization error: failed to execute the "init_worker" handler for plugin "',
            name, '": ', tostring(problem), "; this node must be restarted")
        end
      end
    end
    proxy.rebuild()
  end

  local function applies(instance, context)
    return (not instance.route or (context.route and context.route.id == instance.route))
      and (not instance.service or (context.service and context.service.id == instance.service))
      and (not instance.consumer or (context.consumer and context.consumer.id == instance.consumer))
  end

  -- Of each plugin the instance that fits the request most closely, in order.
  local function chosen(context, only_global)
    local best, order = {}, {}
    for _, instance in ipairs(configured) do
      local is_global = not (instance.route or instance.service or instance.consumer)
      if (is_global or not only_global) and applies(instance, context) then
        local weight = (instance.route and 4 or 0) + (instance.service and 2 or 0) + (instance.consumer and 1 or 0)
        if not best[instance.name] then
          order[#order + 1] = instance.name
        end
        if not best[instance.name] or best[instance.name].weight < weight then
          best[instance.name] = { weight = weight, instance = instance }
        end
      end
    end
    local instances = {}
    for index, name in ipairs(order) do
      instances[index] = best[name].instance
    end
    return instances
  end

  local function run(phase, instances, on_error)
    local context = context_of()
    for _, instance in ipairs(instances) do
      local handler = instance.handler[phase]
      if type(handler) == "function" then
        context.plugin, context.plugin_id = instance.name, instance.id
        local ok, problem = pcall(handler, instance.handler, instance.config)
        context.plugin = nil
        if not ok then
          ngx.log(ngx.ERR, '[kong] plugin "', instance.name, '" failed in its ', phase, " phase: ", tostring(problem))
          if on_error then
            return on_error()
          end
        end
      end
    end
  end

  -- The client gets nothing at all, which is what a failing phase handler looks like.
  local function hang_up()
    return ngx.exit(444)
  end

  function proxy.rewrite()
    local context = context_of()
    context.id = store.uuid()
    if node.unsafe then
      ngx.log(ngx.ALERT, "[kong] unsafe request processing due to earlier initialization errors; this node must be restarted")
    end
    run("rewrite", chosen(context, true), hang_up)
  end

  local function find_route(context)
    local uri, host, method = ngx.var.uri, ngx.var.host or "", ngx.req.get_method()
    for _, candidate in ipairs(routes) do
      local route = candidate.route
      if listed(route.hosts, host) and listed(route.methods, method) then
        local rest = rest_of(candidate.path, uri, context)
        if rest then
          context.route = route
          local service = route.service and node.store.entities.services[route.service.id]
          context.service = service and store.without_nulls(service)
          ngx.var.upstream_uri = route.strip_path == false and uri
            or (rest:sub(1, 1) == "/" and rest or "/" .. rest)
          return true
        end
      end
    end
    return false
  end

  function proxy.access()
    local context = context_of()
    if not find_route(context) then
      context.source = "error"
      return kong.response.exit(404, { message = "no Route matched with those values", request_id = context.id })
    end
    context.instances = chosen(context, false)
    run("access", context.instances, hang_up)
  end

  function proxy.content()
    local context = context_of()
    local upstream = context.upstream
    local headers = {}
    for name, value in pairs(ngx.req.get_headers()) do
      headers[name] = value
    end
    local body = json.plain.encode {
      upstream = "the echo of Pumice's stand-in gateway", method = upstream.method or ngx.req.get_method(),
      path = ngx.var.upstream_uri, query = ngx.req.get_uri_args(), headers = headers, body = pdk.body_of_request(),
      target = upstream.host and upstream.host .. ":" .. upstream.port or upstream.name,
    }
    context.answer = { status = 200, headers = { ["Content-Type"] = "application/json" }, body = body }
    ngx.status = 200
    ngx.header.content_type = "application/json"
    ngx.header.content_length = #body
    ngx.header["Via"] = "1.1 kong/" .. node.settings.version
    ngx.header["X-Kong-Upstream-Latency"] = 0
    ngx.header["X-Kong-Proxy-Latency"] = 0
    ngx.header["X-Kong-Request-Id"] = context.id
    run("response", context.instances or {}, hang_up)
    ngx.print(context.answer.body)
  end

  function proxy.header_filter()
    local context = context_of()
    context.instances = context.instances or chosen(context, true)
    if context.source == "exit" or context.source == "error" then
      ngx.header["Server"] = "kong/" .. node.settings.version
    end
    run("header_filter", context.instances, hang_up)
  end

  function proxy.body_filter()
    run("body_filter", context_of().instances or {})
  end

  function proxy.log()
    run("log", context_of().instances or {})
  end

  return proxy
end

return { new = new }
