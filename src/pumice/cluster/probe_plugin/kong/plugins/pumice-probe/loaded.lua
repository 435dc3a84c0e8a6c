-- The plugins of this gateway, and digests of their files as they were when the gateway read them: this module
-- is loaded in the same breath, and a worker never reads them again.
local found, sha256 = pcall(require, "resty.sha256")

local function hex(bytes)
  return (bytes:gsub(".", function(byte)
    return ("%02x"):format(byte:byte())
  end))
end

local function digest(data)
  local hash = found and sha256:new()
  if hash then
    hash:update(data)
    local bytes = hash:final()
    if type(bytes) == "string" and #bytes == 32 then
      return "sha256:" .. hex(bytes)
    end
  end
  return "md5:" .. ngx.md5(data)
end

local function read(module)
  local path = package.searchpath(module, package.path)
  local file = path and io.open(path, "rb")
  if not file then
    return nil
  end
  local data = file:read("*a")
  file:close()
  return data
end

local configuration = kong and kong.configuration or {}
local names = {}
for name in pairs(configuration.loaded_plugins or {}) do
  names[name] = true
end
for _, name in ipairs(type(configuration.plugins) == "table" and configuration.plugins or {}) do
  names[name] = true
end

local digests = {}
for name in pairs(names) do
  local files = {}
  for _, part in ipairs { "handler", "schema" } do
    local data = read("kong.plugins." .. name .. "." .. part)
    if data then
      files[part] = digest(data)
    end
  end
  digests[name] = files
end

return digests
