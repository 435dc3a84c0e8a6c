-- Which modules a gateway (Kong 3.x on OpenResty) brings, so that a plugin need not.
-- "exact" names, "roots" (the name itself and all below it), and what Kong 3.0 took away.

local function set(list)
  local names = {}
  for i = 1, #list do
    names[list[i]] = true
  end
  return names
end

local exact = set {
  "MessagePack", "binaryheap", "bit", "cjson", "cjson.safe", "ffi", "ffi-zlib", "inspect", "jit",
  "lfs_ffi", "lpeg", "ltn12", "lua_pack", "lua_system_constants", "lua_system_constants.core",
  "luaxxhash", "lxp", "lxp.lom", "lyaml", "mime", "multipart", "pb", "protoc", "re",
  "string.buffer", "syslog", "lsyslog", "table.clear", "table.clone", "table.isarray",
  "table.isempty", "table.new", "table.nkeys", "tablepool", "thread", "version", "yaml",
  "resty.aes", "resty.counter", "resty.http_connect", "resty.http_headers", "resty.ipmatcher",
  "resty.jit-uuid", "resty.ljsonschema", "resty.lmdb", "resty.md5", "resty.memcached", "resty.mlcache",
  "resty.mysql", "resty.random", "resty.redis", "resty.sha", "resty.sha1", "resty.sha224", "resty.sha256",
  "resty.sha384", "resty.sha512", "resty.shell", "resty.signal", "resty.snappy", "resty.string", "resty.upload",
  "resty.ada", "resty.http",
}

local roots = set {
  "jit", "kong", "lapis", "luatz", "lyaml", "ngx", "pgmoon", "pl", "socket", "ssl", "opentelemetry",
  "resty.acme", "resty.ada", "resty.aws", "resty.core", "resty.dns", "resty.events", "resty.evp", "resty.gcp",
  "resty.healthcheck", "resty.kong", "resty.limit", "resty.lmdb", "resty.lock", "resty.lrucache", "resty.openssl",
  "resty.rsa", "resty.session", "resty.timerng", "resty.upstream", "resty.websocket", "resty.worker",
}

local removed = set {
  "kong.api.crud_helpers", "kong.core", "kong.dao", "kong.plugins.base_plugin", "kong.singletons",
  "kong.tools.public", "kong.tools.responses",
}

local bundled = set {
  "acl", "acme", "ai-prompt-decorator", "ai-prompt-guard", "ai-prompt-template", "ai-proxy",
  "ai-request-transformer", "ai-response-transformer", "aws-lambda", "azure-functions", "basic-auth",
  "bot-detection", "correlation-id", "cors", "datadog", "file-log", "grpc-gateway", "grpc-web", "hmac-auth",
  "http-log", "ip-restriction", "jwt", "key-auth", "ldap-auth", "loggly", "oauth2", "opentelemetry",
  "post-function", "pre-function", "prometheus", "proxy-cache", "rate-limiting", "redirect",
  "request-size-limiting", "request-termination", "request-transformer", "response-ratelimiting",
  "response-transformer", "session", "standard-webhooks", "statsd", "syslog", "tcp-log", "udp-log", "zipkin",
}

local function below(names, module)
  while module do
    if names[module] then
      return true
    end
    module = module:match("^(.*)%.[^.]*$")
  end
  return false
end

return function(module)
  if below(removed, module) then
    return false
  end
  local plugin = module:match("^kong%.plugins%.([^.]+)")
  if plugin then
    return bundled[plugin] == true
  end
  return exact[module] == true or below(roots, module)
end
