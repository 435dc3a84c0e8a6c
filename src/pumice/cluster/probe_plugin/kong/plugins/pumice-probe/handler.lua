-- No phases: what there is to tell is found out while the gateway loads its plugins.
require "kong.plugins.pumice-probe.loaded"

return { PRIORITY = 1, VERSION = "0.1.0" }
