-- The endpoints that plugins bring for the Admin API and the Status API, in `api.lua` and `status_api.lua`.

local part = ...
local http, plugin_part = part("http"), part("plugins")
local reply, sent = http.reply, http.sent
local ipairs, pairs, type = ipairs, pairs, type

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

return { endpoints_of = endpoints_of, answer = from_plugin }
