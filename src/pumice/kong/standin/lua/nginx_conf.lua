-- The nginx configuration of a node. Takes the configuration part and the settings of this stand-in; gives a
-- function of the node's properties.

local conf, settings = ...
local concat = table.concat
local format = string.format
local ipairs = ipairs

-- The dictionaries that Kong itself declares.
local dictionaries = {
  "kong", "kong_locks", "kong_healthchecks", "kong_cluster_events", "kong_rate_limiting_counters",
  "kong_core_db_cache", "kong_core_db_cache_miss", "kong_db_cache", "kong_db_cache_miss", "kong_secrets",
  "prometheus_metrics", "pumice_standin",
}

local function quoted(text)
  return "'" .. text:gsub("[\\']", "\\%0") .. "'"
end

-- Where Lua looks: the node's own entries, then what the machine has, as in a gateway.
local function search(own, suffix, directory)
  local entries = own == "" and {} or { own }
  for _, root in ipairs { settings.system_tree, "/usr" } do
    entries[#entries + 1] = format("%s/%s/lua/5.1/?%s", root, directory, suffix)
    if suffix == ".lua" then
      entries[#entries + 1] = format("%s/%s/lua/5.1/?/init%s", root, directory, suffix)
    end
  end
  return concat(entries, ";")
end

local function listens(text)
  local lines = {}
  for _, address in ipairs(conf.addresses(text)) do
    lines[#lines + 1] = "    listen " .. address .. ";"
  end
  return concat(lines, "\n")
end

local function call(name)
  return format([[package.loaded["pumice.standin"].%s()]], name)
end

local function plain_server(text, action)
  local addresses = listens(text)
  return addresses == "" and "" or format([[
  server {
%s
    location / {
      default_type application/json;
      content_by_lua_block { %s }
    }
  }
]], addresses, call(action))
end

local function proxy_server(text)
  local addresses = listens(text)
  return addresses == "" and "" or format([[
  server {
%s
    error_page 400 404 411 412 413 414 417 494 /kong_error_handler;
    location / {
      default_type "";
      set $upstream_uri "";
      rewrite_by_lua_block { %s }
      access_by_lua_block { %s }
      content_by_lua_block { %s }
      header_filter_by_lua_block { %s }
      body_filter_by_lua_block { %s }
      log_by_lua_block { %s }
    }
  }
]], addresses, call "rewrite", call "access", call "content", call "header_filter", call "body_filter", call "log")
end

return function(properties, is_root)
  local prefix = properties.prefix
  local zones = {}
  for _, name in ipairs(dictionaries) do
    zones[#zones + 1] = format("  lua_shared_dict %s %s;", name, name == "pumice_standin" and "256k" or "64k")
  end
  for name, size in (properties.nginx_http_lua_shared_dict or ""):gmatch("(%S+)%s+(%w+)") do
    zones[#zones + 1] = format("  lua_shared_dict %s %s;", name, size)
  end
  local modules = {}
  for _, module in ipairs(settings.nginx_modules) do
    modules[#modules + 1] = format("load_module %s;", quoted(module))
  end
  local is_control_plane = properties.role == "control_plane"
  local is_data_plane = properties.role == "data_plane"
  return concat({
    "# Written by Pumice's stand-in for a gateway. This is not Kong.",
    concat(modules, "\n"),
    is_root and "user root;" or "",
    format("daemon %s;", properties.nginx_daemon),
    format("worker_processes %s;", properties.nginx_worker_processes),
    format("pid %s;", quoted(prefix .. "/pids/nginx.pid")),
    format("error_log %s %s;", quoted(prefix .. "/logs/error.log"), properties.log_level),
    "worker_shutdown_timeout 5s;",
    "events { worker_connections 256; }",
    "http {",
    "  server_tokens off;",
    "  access_log off;",
    "  lua_socket_log_errors off;",
    "  client_max_body_size 0;",
    "  client_body_buffer_size 1m;",
    "  keepalive_timeout 5s;",
    format("  client_body_temp_path %s;", quoted(prefix .. "/tmp/body")),
    format("  proxy_temp_path %s;", quoted(prefix .. "/tmp/proxy")),
    format("  fastcgi_temp_path %s;", quoted(prefix .. "/tmp/fastcgi")),
    format("  scgi_temp_path %s;", quoted(prefix .. "/tmp/scgi")),
    format("  uwsgi_temp_path %s;", quoted(prefix .. "/tmp/uwsgi")),
    format("  lua_package_path %s;", quoted(search(properties.lua_package_path, ".lua", "share"))),
    format("  lua_package_cpath %s;", quoted(search(properties.lua_package_cpath, ".so", "lib"))),
    concat(zones, "\n"),
    "  init_by_lua_block {",
    format("    assert(loadfile(%q))(%q, %q)", settings.directory .. "/lua/node.lua", settings.directory, prefix),
    "  }",
    format("  init_worker_by_lua_block { %s }", call "init_worker"),
    is_data_plane and "" or plain_server(properties.admin_listen, "admin"),
    plain_server(properties.status_listen, "status"),
    is_control_plane and plain_server(properties.cluster_listen, "cluster") or proxy_server(properties.proxy_listen),
    "}",
    "",
  }, "\n")
end
