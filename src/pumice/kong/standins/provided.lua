-- Which modules a gateway (Kong on OpenResty) brings, so that a plugin need not: "exact" names, "roots" (the name
-- itself and all below it), and Kong's own by the version's list. Takes `facts`; gives `provided(module)` and
-- `perhaps(module)`, which is for modules of Kong that are not published.

local facts = ...

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
  "cassandra", "jit", "lapis", "luatz", "lyaml", "ngx", "pgmoon", "pl", "socket", "ssl", "opentelemetry",
  "resty.acme", "resty.ada", "resty.aws", "resty.core", "resty.dns", "resty.events", "resty.evp", "resty.gcp",
  "resty.healthcheck", "resty.kong", "resty.limit", "resty.lmdb", "resty.lock", "resty.lrucache", "resty.openssl",
  "resty.rsa", "resty.session", "resty.timerng", "resty.upstream", "resty.websocket", "resty.worker",
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

local function own(module)
  return module == "kong" or module:sub(1, 5) == "kong."
end

local function provided(module)
  if own(module) then
    return facts.modules[module] or facts.modules[module:match("^(.*)%.init$") or module] or false
  end
  return not below(facts.absent, module) and (exact[module] == true or below(roots, module))
end

local function perhaps(module)
  return facts.enterprise and own(module) and not facts.gone[module] and not module:find("^kong%.plugins%.")
end

return provided, perhaps
