-- kong.conf, `KONG_*` and `.kong_env`: which counts for what, as in Kong 3.9. Takes the system part and the
-- settings of this stand-in.

local system, settings = ...
local ipairs, pairs, tonumber, type = ipairs, pairs, tonumber, type
local format = string.format

local defaults = {
  prefix = settings.prefix, log_level = "notice", role = "traditional", database = "postgres",
  pg_host = "127.0.0.1", pg_port = "5432", pg_database = "kong", pg_user = "kong",
  plugins = "bundled", lua_package_path = "./?.lua;./?/init.lua;", lua_package_cpath = "",
  admin_listen = "127.0.0.1:8001 reuseport backlog=16384, 127.0.0.1:8444 http2 ssl reuseport backlog=16384",
  proxy_listen = "0.0.0.0:8000 reuseport backlog=16384, 0.0.0.0:8443 http2 ssl reuseport backlog=16384",
  status_listen = "127.0.0.1:8007 reuseport backlog=16384", cluster_listen = "0.0.0.0:8005",
  cluster_control_plane = "127.0.0.1:8005", declarative_config = "", nginx_daemon = "on",
  nginx_worker_processes = "1", db_update_frequency = "0.5",
  -- of the stand-in alone: seconds that a data plane waits before it reports; a process without which the node ends
  standin_lag = "0", standin_owner = "",
}

local choices = {
  role = { "traditional", "control_plane", "data_plane" },
  database = { "postgres", "cassandra", "off" },
  log_level = { "debug", "info", "notice", "warn", "error", "crit", "alert", "emerg" },
  nginx_daemon = { "on", "off" },
}

local conf = {}

-- The properties of a text with one `name = value` a line.
function conf.parse(text)
  local found = {}
  for line in (text .. "\n"):gmatch("(.-)\r?\n") do
    local name, value = line:match("^%s*([%w_]+)%s*=%s*(.-)%s*$")
    if name then
      value = value:gsub("^#.*$", ""):gsub("%s+#.*$", ""):gsub("\\#", "#")
      found[name] = value:match('^"(.*)"$') or value:match("^'(.*)'$") or value
    end
  end
  return found
end

local function overlaid(base, ...)
  local result = {}
  for _, layer in ipairs { base, ... } do
    for name, value in pairs(layer) do
      result[name] = value
    end
  end
  return result
end

local function from_environment()
  local found = {}
  for name, value in pairs(system.environment()) do
    local property = name:match("^KONG_([A-Z0-9_]+)$")
    if property then
      found[property:lower()] = value
    end
  end
  return found
end

-- The properties of a file that the user named, or of the first of the default files that is there.
local function from_file(path)
  if path then
    local text = system.read(path)
    if not text then
      return nil, "no file at: " .. path
    end
    return conf.parse(text)
  end
  for _, default in ipairs(settings.default_confs) do
    local text = system.read(default)
    if text then
      return conf.parse(text)
    end
  end
  return {}
end

function conf.list(text)
  local items = {}
  for item in (text or ""):gmatch("[^,]+") do
    item = item:match("^%s*(.-)%s*$")
    if item ~= "" then
      items[#items + 1] = item
    end
  end
  return items
end

local function wrong(properties)
  for name, allowed in pairs(choices) do
    local known = false
    for _, value in ipairs(allowed) do
      known = known or value == properties[name]
    end
    if not known then
      return format("%s has an invalid value: '%s' (%s)", name, properties[name], table.concat(allowed, ", "))
    end
  end
  if properties.role == "data_plane" and properties.database ~= "off" then
    return 'only in-memory storage can be used when role = "data_plane"\nHint: set database = off in your kong.conf'
  elseif properties.role == "control_plane" and properties.database == "off" then
    return "in-memory storage can not be used when role = \"control_plane\""
  end
end

local function checked(properties)
  properties.prefix = system.absolute(properties.prefix)
  local why = wrong(properties)
  if why then
    return nil, why
  end
  return properties
end

-- The properties as `kong` has them: `options` are `file` and `prefix` of the command line, and `stored`, which
-- lays `.kong_env` of the prefix beneath.
function conf.load(options)
  local environment = from_environment()
  local file, why = from_file(options.file)
  if not file then
    return nil, why
  end
  local given = options.prefix and { prefix = options.prefix } or {}
  local whole = overlaid(defaults, file, environment, given)
  if options.stored then
    local prefix = system.absolute(whole.prefix)
    local text = system.read(prefix .. "/.kong_env")
    if text then
      whole = overlaid(defaults, conf.parse(text), options.file and file or {}, environment, { prefix = prefix })
    end
  end
  return checked(whole)
end

-- What a node itself reads: `.kong_env` alone.
function conf.of_node(prefix)
  local text, why = system.read(prefix .. "/.kong_env")
  if not text then
    return nil, why
  end
  return overlaid(defaults, conf.parse(text), { prefix = prefix })
end

-- The names in `plugins`, with `bundled` spelt out.
function conf.plugin_names(properties, bundled)
  local names, seen = {}, {}
  local function add(name)
    if not seen[name] then
      seen[name] = true
      names[#names + 1] = name
    end
  end
  for _, name in ipairs(conf.list(properties.plugins)) do
    if name == "bundled" then
      for _, each in ipairs(bundled) do
        add(each)
      end
    elseif name ~= "off" then
      add(name)
    end
  end
  return names
end

-- The addresses of a `*_listen` that are served here: those without TLS.
function conf.addresses(listen)
  local found = {}
  for _, entry in ipairs(conf.list(listen)) do
    local address = entry:match("^%S+")
    if address ~= "off" and not entry:match("%sssl") then
      found[#found + 1] = address
    end
  end
  return found
end

function conf.number(properties, name)
  return type(properties[name]) == "string" and tonumber(properties[name]) or 0
end

-- The directory that stands for the database of a node; nil when the node has none.
function conf.database(properties)
  if properties.database == "off" or not settings.database then
    return nil
  end
  return settings.database .. "/" .. properties.pg_database
end

return conf
