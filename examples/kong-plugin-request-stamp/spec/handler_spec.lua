--- The handler, with a gateway that only remembers what it was told.

local RANDOM = "00112233445566778899aabbccddeeff"
local UUID = "00112233-4455-4677-8899-aabbccddeeff"

local handler, request, upstream, response, logged

local function configuration(changes)
  local conf = {
    header_name = "X-Request-Id", format = "uuid4", policy = "accept", max_length = 64, echo = true,
    labels = {}, skip_methods = {}, skip_paths = {}, names = {},
    timing = { enabled = false, header_name = "X-Gateway-Time", digits = 0 },
  }
  for key, value in pairs(changes or {}) do
    conf[key] = value
  end
  return conf
end

local function run(changes)
  local conf = configuration(changes)
  handler:access(conf)
  handler:header_filter(conf)
  handler:log(conf)
end

before_each(function()
  request = { method = "GET", path = "/orders", headers = {} }
  upstream, response, logged = {}, {}, {}
  _G.ngx = {
    var = { request_id = RANDOM },
    now = function() return 1700000000.5 end,
    time = function() return 1700000000 end,
    req = { start_time = function() return 1700000000.4876 end },
    worker = { pid = function() return 4711 end },
  }
  _G.kong = {
    ctx = { plugin = {} },
    log = {
      notice = function() end,
      set_serialize_value = function(key, value) logged[key] = value end,
    },
    node = { get_hostname = function() return "node-1" end },
    router = { get_service = function() return { name = "orders", id = "0" } end },
    request = {
      get_method = function() return request.method end,
      get_path = function() return request.path end,
      get_header = function(name) return request.headers[name] end,
    },
    response = { set_header = function(name, value) response[name] = value end },
    service = { request = { set_header = function(name, value) upstream[name] = value end } },
  }
  package.loaded["kong.plugins.request-stamp.handler"] = nil
  handler = require "kong.plugins.request-stamp.handler"
end)

describe("a request", function()
  it("gets an id that the service, the client and the log see", function()
    run()
    assert.equal(UUID, upstream["X-Request-Id"])
    assert.equal(UUID, response["X-Request-Id"])
    assert.equal(UUID, logged["request_stamp.id"])
    assert.equal("gateway", logged["request_stamp.origin"])
  end)

  it("keeps the id that the client sent", function()
    request.headers["X-Request-Id"] = "from-client"
    run()
    assert.equal("from-client", upstream["X-Request-Id"])
    assert.equal("client", logged["request_stamp.origin"])
  end)

  it("loses an id that is too long", function()
    request.headers["X-Request-Id"] = ("x"):rep(65)
    run()
    assert.equal(UUID, upstream["X-Request-Id"])
  end)

  it("loses any id under the policy 'replace'", function()
    request.headers["X-Request-Id"] = "from-client"
    run { policy = "replace" }
    assert.equal(UUID, upstream["X-Request-Id"])
  end)

  it("is counted in order under the format 'counter'", function()
    run { format = "counter" }
    assert.equal("6553f100-4711-1", upstream["X-Request-Id"])
    run { format = "counter" }
    assert.equal("6553f100-4711-2", upstream["X-Request-Id"])
  end)

  it("carries the labels to the service", function()
    run { labels = { ["X-Environment"] = "prod" } }
    assert.equal("prod", upstream["X-Environment"])
    assert.is_nil(response["X-Environment"])
  end)

  it("is left alone when its method or path is skipped", function()
    request.method = "OPTIONS"
    run { skip_methods = { OPTIONS = true } }
    request.method, request.path = "GET", "/health/db"
    run { skip_paths = { "/health" } }
    assert.is_nil(next(upstream))
    assert.is_nil(next(response))
    assert.is_nil(next(logged))
  end)
end)

describe("a response", function()
  it("does not carry the id when told not to", function()
    run { echo = false }
    assert.is_nil(response["X-Request-Id"])
    assert.equal(UUID, upstream["X-Request-Id"])
  end)

  it("tells who answered", function()
    run { names = { node_header = "X-Node", service_header = "X-Service" } }
    assert.equal("node-1", response["X-Node"])
    assert.equal("orders", response["X-Service"])
  end)

  it("tells the time in milliseconds", function()
    run { timing = { enabled = true, header_name = "X-Gateway-Time", digits = 1 } }
    assert.equal("12.4", response["X-Gateway-Time"])
  end)
end)
