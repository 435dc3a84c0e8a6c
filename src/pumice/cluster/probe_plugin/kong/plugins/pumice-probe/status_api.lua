local digests = require "kong.plugins.pumice-probe.loaded"

local function answer()
  local plugins = {}
  for name, files in pairs(digests) do
    local loaded, handler = pcall(require, "kong.plugins." .. name .. ".handler")
    if loaded and type(handler) == "table" then
      plugins[name] = { version = handler.VERSION, priority = handler.PRIORITY, digests = files }
    end
  end
  return kong.response.exit(200, { plugins = plugins, worker = ngx.worker.pid() })
end

return {
  ["/pumice"] = {
    GET = answer,
  },
}
