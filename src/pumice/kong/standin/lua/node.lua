-- What a node does while it starts and reloads (`init_by_lua`). Takes the stand-in's directory and the node's
-- prefix; everything else it has from `.kong_env`. Whatever fails here stops the start; after a reload nginx
-- goes on with the old workers.

local directory, prefix = ...
local part = assert(loadfile(directory .. "/lua/parts.lua"))(directory, ngx.null)
local conf, libraries, null, plugins, system = part("conf"), part("libraries"), part("null"), part("plugins"),
  part("system")
local settings = part("settings")
local error, ipairs, pairs = error, ipairs, pairs

local properties = assert(conf.of_node(prefix))
local node = { properties = properties, names = conf.plugin_names(properties, settings.bundled), settings = settings }

local function identity()
  local path = prefix .. "/kong.id"
  local id = system.read(path)
  if not id or not id:match("^%x+%-%x+%-%x+%-%x+%-%x+$") then
    id = part("store").uuid()
    system.write(path, id)
  end
  return id
end

local function check_migrations()
  local database = conf.database(properties)
  if not database then
    return
  end
  local text = system.read(database .. "/migrations.json")
  if not text then
    error("Database needs bootstrapping or is older than Kong 1.0.\n\n"
      .. "To start a new installation from scratch, run 'kong migrations bootstrap'.", 0)
  end
  local executed = part("json").plain.decode(text)
  for _, name in ipairs(node.names) do
    for _, migration in ipairs(not plugins.is_bundled[name] and plugins.migrations(name) or {}) do
      if not (executed[name] and executed[name][migration]) then
        error("New migrations available; run 'kong migrations up' to proceed", 0)
      end
    end
  end
end

-- The entities of the start, from the database or the declarative file.
local function check_entities()
  local store = node.store
  if properties.role == "data_plane" then
    return
  elseif store.has_database then
    for _, entity in pairs(store.entities.plugins) do
      if not node.plugins[entity.name] then
        error("error building initial plugins: " .. entity.name .. " plugin is in use but not enabled", 0)
      end
    end
  elseif properties.declarative_config ~= "" then
    local file, declarative = properties.declarative_config, part("declarative")
    local text, why = system.read(file)
    local read
    if text then
      read, why = declarative.read(text)
    end
    local entities, problems = nil, { error = why }
    if read then
      entities, problems = declarative.entities(read, node.plugins)
    end
    if not entities then
      error("error parsing declarative config file " .. file .. ":\n" .. declarative.told(problems), 0)
    end
    store.replace(entities)
  end
end

local shadowed, file = libraries.shadowed(properties.lua_package_path)
if shadowed then
  error("module '" .. shadowed .. "' is taken from " .. file .. " instead of the gateway's own", 0)
end
-- Kong's own patch: while a node starts, a sleep blocks instead of failing
local sleep = ngx.sleep
ngx.sleep = function(seconds)
  local phase = ngx.get_phase()
  if phase == "init" or phase == "init_worker" then
    return system.sleep(seconds)
  end
  return sleep(seconds)
end

node.id = identity()
node.hostname = settings.hostname or system.hostname()
libraries.install()
_G.kong = part("pdk").new(node)
check_migrations()
local loaded, why = plugins.load(node.names, { strategy = properties.database })
if not loaded then
  error(why, 0)
end
node.plugins = loaded
for name in pairs(loaded) do
  kong.configuration.loaded_plugins[name] = true
end
node.store = part("store").open(properties)
check_entities()

local proxy, admin, cluster = part("proxy").new(node), part("admin").new(node), part("cluster").new(node)
node.rebuild = proxy.rebuild

local function init_worker()
  node.shared = ngx.shared.pumice_standin
  node.shared:set("worker:" .. ngx.worker.id(), ngx.worker.pid())
  node.started = ngx.now()
  proxy.start()
  cluster.start()
  local owner = conf.number(properties, "standin_owner")
  if owner > 0 then
    ngx.timer.every(0.5, function()
      if not system.kill(owner, 0) then
        system.kill(system.parent(), 15)
      end
    end)
  end
  if node.store.has_database then
    local every = math.max(0.05, conf.number(properties, "db_update_frequency"))
    ngx.timer.every(every, function()
      if node.store.refresh() then
        proxy.rebuild()
      end
    end)
  end
end

package.loaded["pumice.standin"] = {
  init_worker = init_worker, admin = admin.admin, status = admin.status, cluster = cluster.serve,
  rewrite = proxy.rewrite, access = proxy.access, content = proxy.content, header_filter = proxy.header_filter,
  body_filter = proxy.body_filter, log = proxy.log,
}
