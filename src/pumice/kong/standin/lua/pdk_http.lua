-- What plugins may ask of a request and an answer: `kong.request`, `kong.response` and `kong.service`'s.

local part = ...
local inert, json = part("inert"), part("json")
local concat = table.concat
local error, pairs, tonumber, type = error, pairs, tonumber, type

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

return {
  context = request_context, body_of_request = body_of_request, decoded = decoded, make_request = make_request,
  make_response = make_response, make_service_request = make_service_request,
  make_service_response = make_service_response,
}
