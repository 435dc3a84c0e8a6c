-- Control plane and data planes: what a data plane tells about itself, whether the control plane sends it the
-- configuration (the gates of Kong 3.9), and the list that `GET /clustering/data-planes` answers with.
-- They talk plain HTTP here, twice a second.

local part = ...
local conf, json, null, pdk, schemas, system = part("conf"), part("json"), part("null"), part("pdk"), part("schema"),
  part("system")
local ipairs, next, pairs, tonumber = ipairs, next, pairs, tonumber

local EVERY = 0.5
local KEPT = 14 * 24 * 3600
local EMPTY_HASH = ("0"):rep(32)

local function numbers(version)
  local major, minor, patch = (version or ""):match("^(%d+)%.(%d+)%.(%d+)")
  return tonumber(major), tonumber(minor), tonumber(patch)
end

-- Whether a data plane gets the configuration: its `sync_status`, and what the log says.
local function judged(node, report, entities)
  local major, minor = numbers(node.settings.version)
  local their_major, their_minor = numbers(report.version)
  if major ~= their_major or their_minor > minor then
    return "kong_version_incompatible", "data plane version " .. report.version .. " is incompatible"
  end
  local theirs = {}
  for _, plugin in ipairs(report.plugins) do
    theirs[plugin.name] = plugin
  end
  for _, entity in pairs(entities.plugins) do
    local own, other = node.plugins[entity.name], theirs[entity.name]
    local version = own and own.handler and own.handler.VERSION
    if not other then
      return "plugin_set_incompatible",
        "configured " .. entity.name .. " plugin " .. (version or "") .. " is missing from data plane"
    end
    local a, b = numbers(version)
    local c, d = numbers(other.version)
    if a and c and (a ~= c or b < d) then
      return "plugin_version_incompatible", "configured data plane " .. entity.name .. " plugin version "
        .. other.version .. " is different to control plane plugin version " .. version
    end
  end
  return "normal"
end

local function new(node)
  local cluster = {}
  local path = conf.database(node.properties) and conf.database(node.properties) .. "/data_planes.json"

  -- Those that were heard of in the last 14 days, by id.
  function cluster.known()
    local known = json.safe.decode(path and system.read(path) or "{}") or {}
    for id, plane in pairs(known) do
      if ngx.time() - plane.last_seen > KEPT then
        known[id] = nil
      end
    end
    return known
  end

  local function remember(report, status, address)
    system.locked(path .. ".lock", function()
      local known = cluster.known()
      local before = known[report.id] or {}
      local now = ngx.time()
      if before.last_seen == now and before.sync_status == status and before.config_hash == report.config_hash
        and before.version == report.version then
        return
      end
      known[report.id] = {
        id = report.id, hostname = report.hostname, ip = address, version = report.version, last_seen = now,
        updated_at = now, created_at = before.created_at or now, config_hash = report.config_hash,
        sync_status = status, labels = null, cert_details = { expiry_timestamp = 0 }, rpc_capabilities = {},
      }
      assert(system.write(path, json.plain.encode(known)))
    end)
  end

  -- A data plane reports.
  function cluster.serve()
    local report = json.safe.decode(pdk.body_of_request())
    if ngx.req.get_method() ~= "POST" or not report then
      return ngx.exit(400)
    end
    local status, why = judged(node, report, node.store.entities)
    local hash = node.store.hash()
    remember(report, status, ngx.var.remote_addr)
    local answer = { sync_status = status, config_hash = hash }
    if status ~= "normal" then
      if node.shared:get("told:" .. report.id) ~= why then
        node.shared:set("told:" .. report.id, why)
        ngx.log(ngx.WARN, "[clustering] unable to send updated configuration to data plane: ", why)
      end
    elseif report.config_hash ~= hash then
      answer.entities = node.store.entities
    end
    local body = json.plain.encode(answer)
    ngx.header.content_length = #body
    ngx.print(body)
  end

  local function own_plugins()
    local plugins = {}
    for name, plugin in pairs(node.plugins) do
      plugins[#plugins + 1] = {
        name = name, version = plugin.handler and plugin.handler.VERSION or node.settings.version,
      }
    end
    return setmetatable(plugins, json.array_mt)
  end

  -- Why the configuration of a control plane does not fit the schemas of this node.
  local function unusable(entities)
    for _, entity in pairs(entities.plugins) do
      local plugin = node.plugins[entity.name]
      if not plugin then
        return "plugin '" .. entity.name .. "' not enabled; add it to the 'plugins' configuration property"
      end
      local _, problems = schemas.instance(plugin.schema, entity)
      if problems then
        return schemas.violation(problems)
      end
    end
  end

  local function report()
    local host, port = node.properties.cluster_control_plane:match("^(.-):(%d+)$")
    local socket = ngx.socket.tcp()
    socket:settimeout(2000)
    if not host or not socket:connect(host, tonumber(port)) then
      return
    end
    local body = json.plain.encode {
      id = node.id, hostname = node.hostname, version = node.settings.version, plugins = own_plugins(),
      config_hash = node.store.hash(),
    }
    socket:send("POST /stand-in HTTP/1.1\r\nHost: control-plane\r\nConnection: close\r\nContent-Length: " .. #body
      .. "\r\n\r\n" .. body)
    local head = socket:receiveuntil("\r\n\r\n")()
    local length = head and tonumber(head:lower():match("content%-length: (%d+)"))
    local answer = length and json.safe.decode(socket:receive(length) or "")
    socket:close()
    if not answer or not answer.entities or ngx.worker.exiting() then
      return
    end
    local why = unusable(answer.entities)
    if why then
      if node.told ~= why then
        node.told = why
        ngx.log(ngx.ERR, "[clustering] unable to update running config: bad config received from control plane ", why)
      end
      return
    end
    node.store.replace(answer.entities)
    node.rebuild()
  end

  function cluster.start()
    if node.properties.role ~= "data_plane" or ngx.worker.id() ~= 0 then
      return
    end
    node.store.refresh()
    local ends = ngx.now() + conf.number(node.properties, "standin_lag")
    ngx.timer.every(EVERY, function()
      ngx.update_time()
      if ngx.now() >= ends then
        report()
      end
    end)
    if ends <= ngx.now() then
      ngx.timer.at(0, report)
    end
  end

  function cluster.is_empty(hash)
    return hash == EMPTY_HASH or next(node.store.entities) == nil
  end

  return cluster
end

return { new = new }
