-- `kong.db.schema.typedefs`: the field definitions that Kong offers to schemas, by name.
-- Each is a field and can be called with overrides: `typedefs.port { default = 80 }`.
-- Gives the definitions that the version of `facts` has. The validators do nothing here; `named` learns which
-- function belongs to which typedef.

local null, named, facts, touch = ...
-- without facts: those of an open-source 3.9
facts = facts or { absent_typedefs = { paths = true, no_consumer_group = true, protocols_http_and_ws = true } }
touch = touch or function() end
local error, ipairs, pairs, setmetatable, tostring, type = error, ipairs, pairs, setmetatable, tostring, type

local function copy(value)
  if type(value) ~= "table" then
    return value
  end
  local new = {}
  for key, item in pairs(value) do
    new[key] = copy(item)
  end
  return new
end

local callable = {
  __call = function(self, overrides)
    local field = copy(self)
    for key, value in pairs(overrides) do
      field[key] = value
    end
    return field
  end,
}

local function field(definition)
  return setmetatable(definition, callable)
end

local function text(more)
  local definition = { type = "string" }
  for key, value in pairs(more or {}) do
    definition[key] = value
  end
  return field(definition)
end

-- A text with a validator of its own, under the typedef's name.
local validators = {}
local function judged(name, more)
  validators[name] = validators[name] or function() touch("typedefs." .. name) return true end
  named[validators[name]] = name
  local definition = text(more)
  definition.custom_validator = validators[name]
  return definition
end

local T = {}

T.auto_timestamp_ms = field { type = "number", timestamp = true, auto = true }
T.auto_timestamp_s = field { type = "integer", timestamp = true, auto = true }
T.capability = text()
T.certificate = judged("certificate")
T.key = judged("key")
T.cidr_v4 = judged("cidr")
T.cidr = T.cidr_v4
T.cookie_name = judged("cookie_name")
T.header_name = judged("header_name")
T.host = judged("host")
T.host_with_optional_port = judged("host_with_optional_port")
T.wildcard_host = judged("wildcard_host")
T.http_method = text { match = "^%u+$" }
T.ip = judged("ip")
T.ip_or_cidr = judged("ip_or_cidr")
local jwk_fields = { { kid = { type = "string", required = true } } }
for _, name in ipairs {
  "issuer", "kty", "use", "alg", "x5u", "x5t", "x5t#S256", "k", "x", "y", "crv", "n", "e", "d", "p", "q", "dp", "dq",
  "qi", "oth", "r", "t",
} do
  jwk_fields[#jwk_fields + 1] = { [name] = { type = "string" } }
end
jwk_fields[#jwk_fields + 1] = { x5c = { type = "array", elements = { type = "string" } } }
jwk_fields[#jwk_fields + 1] = { key_ops = { type = "array", elements = { type = "string" } } }
T.jwk = field { type = "record", fields = jwk_fields }
T.lua_code = field {
  type = "map", keys = { type = "string", len_min = 1 }, values = judged("lua_code", { len_min = 1 }),
}
T.name = judged("name", { unique = true })
T.utf8_name = judged("utf8_name", { unique = true })
T.path = judged("path", {
  starts_with = "/", match_none = { { pattern = "//", err = "must not have empty segments" } },
})
T.router_path = judged("router_path")
T.port = field { type = "integer", between = { 0, 65535 } }
T.redis_host = judged("host")
T.redis_server_name = judged("sni")
T.semantic_version = judged("semantic_version")
T.sni = judged("sni")
T.tag = judged("tag", { required = true })
T.timeout = field { type = "integer", between = { 0, 2147483646 } }
T.ttl = field { type = "number", between = { 0, 100000000 } }
T.url = judged("url")
T.uuid = text { uuid = true, auto = true }

local protocols = { "grpc", "grpcs", "http", "https", "tcp", "tls", "tls_passthrough", "udp" }
T.protocol = text { one_of = protocols }
T.protocols = field {
  type = "set", required = true, default = { "grpc", "grpcs", "http", "https" }, elements = T.protocol,
}
T.protocols_http = field {
  type = "set", required = true, default = { "grpc", "grpcs", "http", "https" },
  elements = { type = "string", one_of = { "grpc", "grpcs", "http", "https" } },
}

T.headers = field { type = "map", keys = T.header_name, values = { type = "array", elements = { type = "string" } } }
T.hosts = field { type = "array", elements = T.wildcard_host }
T.methods = field { type = "set", elements = T.http_method }
T.tags = field { type = "set", elements = T.tag }
T.router_paths = field { type = "array", elements = T.router_path }
T.pem = field {
  type = "record",
  fields = {
    { private_key = { type = "string", encrypted = true, referenceable = true } },
    { public_key = { type = "string", referenceable = true } },
  },
  entity_checks = { { at_least_one_of = { "private_key", "public_key" } } },
}

local endpoints = {
  type = "set",
  elements = {
    type = "record",
    fields = { { ip = T.ip_or_cidr }, { port = T.port } },
    entity_checks = { { at_least_one_of = { "ip", "port" } } },
  },
}
T.sources = field(copy(endpoints))
T.destinations = field(copy(endpoints))

local formats = { "w3c", "b3", "b3-single", "jaeger", "ot", "aws", "datadog", "gcp", "instana", "ignore", "preserve" }
T.propagation = field {
  type = "record",
  fields = {
    { extract = { type = "array", elements = { type = "string", one_of = formats } } },
    { clear = { type = "array", elements = { type = "string" } } },
    { inject = { type = "array", elements = { type = "string", one_of = formats } } },
    { default_format = { type = "string", required = true, one_of = formats } },
  },
}
T.queue = field {
  type = "record",
  fields = {
    { max_batch_size = { type = "integer", default = 1, between = { 1, 1000000 } } },
    { max_coalescing_delay = { type = "number", default = 1, between = { 0, 3600 } } },
    { max_entries = { type = "integer", default = 10000, between = { 1, 1000000 } } },
    { max_bytes = { type = "integer" } },
    { max_retry_time = { type = "number", default = 60 } },
    { initial_retry_delay = { type = "number", default = 0.01, between = { 0.001, 1000000 } } },
    { max_retry_delay = { type = "number", default = 60, between = { 0.001, 1000000 } } },
    { concurrency_limit = { type = "integer", default = 1, one_of = { -1, 1 } } },
  },
}

for name, reference in pairs { consumer = "consumers", route = "routes", service = "services" } do
  T["no_" .. name] = field { type = "foreign", reference = reference, eq = null }
end
for _, name in pairs { "headers", "hosts", "methods", "sources", "destinations" } do
  T["no_" .. name] = T[name] { eq = null }
end
T.no_paths = T.router_paths { eq = null }
T.paths = field { type = "array", elements = T.path }
T.no_consumer_group = field { type = "foreign", reference = "consumer_groups", eq = null }
T.protocols_http_and_ws = field {
  type = "set", required = true, default = { "grpc", "grpcs", "http", "https", "ws", "wss" },
  elements = { type = "string", one_of = { "grpc", "grpcs", "http", "https", "ws", "wss" } },
}
for _, name in pairs { "no_headers", "no_hosts", "no_methods", "no_sources", "no_destinations", "no_paths" } do
  setmetatable(T[name], callable)
end

for name in pairs(facts.absent_typedefs) do
  T[name] = nil
end

return setmetatable(T, {
  __index = function(_, name)
    error("schema typedef error: definition " .. tostring(name) .. " does not exist", 2)
  end,
})
