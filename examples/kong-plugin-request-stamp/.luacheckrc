std = "ngx_lua"
globals = { "kong" }
max_line_length = 120
unused_args = false
files["spec"] = { std = "+busted" }
exclude_files = { ".luarocks", ".pumice", "lua_modules" }
