local plugin_name = "request-stamp"
local package_name = "kong-plugin-" .. plugin_name
local package_version = "0.1.0"
local rockspec_revision = "1"

package = package_name
version = package_version .. "-" .. rockspec_revision
supported_platforms = { "linux", "macosx" }

source = {
  url = "git+https://github.com/pumice-examples/" .. package_name .. ".git",
  tag = package_version,
}

description = {
  summary = "Stamps every request and response with an id, names and timing",
  detailed = [[
    A Kong Gateway plugin. Each request gets an id (accepted from the client
    or made here), each response tells the id, who answered and how long it
    took, and every log entry carries the id too.
  ]],
  homepage = "https://github.com/pumice-examples/" .. package_name,
  license = "MIT",
}

dependencies = {}

build = {
  type = "builtin",
  modules = {
    ["kong.plugins." .. plugin_name .. ".handler"] = "kong/plugins/" .. plugin_name .. "/handler.lua",
    ["kong.plugins." .. plugin_name .. ".schema"] = "kong/plugins/" .. plugin_name .. "/schema.lua",
    ["kong.plugins." .. plugin_name .. ".stamp"] = "kong/plugins/" .. plugin_name .. "/stamp.lua",
  },
}
