rockspec_format = "3.0"
package = "kong-plugin-pumice-probe"
version = "0.1.0-1"
source = { url = "git+https://github.com/pumice/kong-plugin-pumice-probe.git", tag = "0.1.0" }
description = {
   summary = "Tells on the Status API which plugins a gateway has loaded, with versions and digests",
   detailed = "For data planes, which publish no plugins: GET /pumice on the Status API. It has no phases.",
   license = "MIT",
}
dependencies = { "lua >= 5.1" }
build = {
   type = "builtin",
   modules = {
      ["kong.plugins.pumice-probe.handler"] = "kong/plugins/pumice-probe/handler.lua",
      ["kong.plugins.pumice-probe.loaded"] = "kong/plugins/pumice-probe/loaded.lua",
      ["kong.plugins.pumice-probe.schema"] = "kong/plugins/pumice-probe/schema.lua",
      ["kong.plugins.pumice-probe.status_api"] = "kong/plugins/pumice-probe/status_api.lua",
   },
}
