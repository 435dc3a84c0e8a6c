--- Stamps each request and response with an id, and tells who answered and how long it took.

local stamp = require "kong.plugins.request-stamp.stamp"

local kong = kong
local ngx = ngx
local format = string.format
local pairs = pairs

local RequestStamp = {
  -- before authentication, so that refused requests carry an id as well
  PRIORITY = 100010,
  VERSION = "0.1.0",
}

-- One sequence for each worker; made at its first request, when the worker has its own process id.
local next_count

local makers = {
  uuid4 = function()
    return stamp.uuid4(ngx.var.request_id)
  end,
  uuid7 = function()
    return stamp.uuid7(ngx.var.request_id, ngx.now())
  end,
  counter = function()
    if not next_count then
      next_count = stamp.counter(format("%x-%d", ngx.time(), ngx.worker.pid()))
    end
    return next_count()
  end,
}

local function wanted(conf)
  return not conf.skip_methods[kong.request.get_method()]
     and not stamp.under(kong.request.get_path(), conf.skip_paths)
end

local function choose(conf)
  if conf.policy == "accept" then
    local given = kong.request.get_header(conf.header_name)
    if stamp.acceptable(given, conf.max_length) then
      return given, "client"
    end
    if given then
      kong.log.notice("an id that the client sent was replaced: it is too long or has odd characters")
    end
  end
  return makers[conf.format](), "gateway"
end

function RequestStamp:access(conf)
  if not wanted(conf) then
    return
  end

  local id, origin = choose(conf)
  kong.ctx.plugin.id = id
  kong.ctx.plugin.origin = origin

  kong.service.request.set_header(conf.header_name, id)
  for name, value in pairs(conf.labels) do
    kong.service.request.set_header(name, value)
  end
end

function RequestStamp:header_filter(conf)
  local id = kong.ctx.plugin.id
  if not id then
    return
  end

  if conf.echo then
    kong.response.set_header(conf.header_name, id)
  end

  local names = conf.names
  if names.node_header then
    kong.response.set_header(names.node_header, kong.node.get_hostname())
  end
  if names.service_header then
    local service = kong.router.get_service()
    if service then
      kong.response.set_header(names.service_header, service.name or service.id)
    end
  end

  local timing = conf.timing
  if timing.enabled then
    local milliseconds = (ngx.now() - ngx.req.start_time()) * 1000
    kong.response.set_header(timing.header_name, format("%." .. timing.digits .. "f", milliseconds))
  end
end

function RequestStamp:log()
  local id = kong.ctx.plugin.id
  if id then
    kong.log.set_serialize_value("request_stamp.id", id)
    kong.log.set_serialize_value("request_stamp.origin", kong.ctx.plugin.origin)
  end
end

return RequestStamp
