-- Runs in the child that loads a plugin's modules. Takes the request, gives `run(index)`: does one job and
-- returns a line of JSON about it. Nothing of what the plugin's code can reach is used after that code has run:
-- all that is needed is kept in locals first, tables are read raw, and text is never used through its metatable.

local request = ...

local assert, error, getmetatable, ipairs, load, loadstring, next, pcall, rawget, require, tostring, type, xpcall =
  assert, error, getmetatable, ipairs, load, loadstring, next, pcall, rawget, require, tostring, type, xpcall
local getinfo, traceback = debug.getinfo, debug.traceback
local floor, min = math.floor, math.min
local unpack, select = unpack, select
local io_open, loadlib = io.open, package.loadlib
local byte, find, format, gsub, match, sub = string.byte, string.find, string.format, string.gsub, string.match,
  string.sub
local concat = table.concat
local band, rshift = bit.band, bit.rshift
local util = require "jit.util"
local funcbc, funcinfo, funck = util.funcbc, util.funcinfo, util.funck
package.loaded["jit.util"] = nil

local globals = _G
local effects, requires = {}, {}

-- The place in the plugin's own code that led here.
local function place()
  for level = 3, 60 do
    local info = getinfo(level, "Sl")
    if not info then
      break
    end
    if sub(info.source, 1, 1) == "@" then
      return sub(info.source, 2), info.currentline
    end
  end
  return nil, nil
end

-- ---------------------------------------------------------------------------------------------- the guard

local function effect(name, detail)
  if #effects < 50 then
    local file, line = place()
    effects[#effects + 1] = {
      { "call", name }, { "detail", type(detail) == "string" and sub(detail, 1, 200) or nil },
      { "file", file }, { "line", line },
    }
  end
end

local function refuse(name)
  return function(detail)
    effect(name, detail)
    return nil, name .. " is refused while a plugin is checked", 1
  end
end

-- A file or pipe that is empty, and takes what is written to it.
local function empty_file()
  return {
    read = function() return "" end,
    lines = function() return function() return nil end end,
    write = function(self) return self end,
    seek = function() return 0 end,
    flush = function() return true end,
    setvbuf = function() return true end,
    close = function() return true end,
  }
end

-- Code goes on as if it had worked, so that what else is wrong is found as well.
local function pretend(name, result)
  return function(detail)
    effect(name, detail)
    return result()
  end
end

os.remove, os.rename = refuse "os.remove", refuse "os.rename"
os.execute = pretend("os.execute", function() return 0 end)
os.tmpname = pretend("os.tmpname", function() return "/nonexistent/lua" end)
io.popen, io.tmpfile, io.output = pretend("io.popen", empty_file), pretend("io.tmpfile", empty_file),
  pretend("io.output", empty_file)
io.write = function() return true end
print = function() end

function os.exit(code)
  effect("os.exit", tostring(code))
  error("os.exit was called while the module loads", 2)
end

function io.open(path, mode)
  if type(mode) == "string" and find(mode, "[wa+]") then
    effect("io.open", path)
    return nil, tostring(path) .. ": writing is refused while a plugin is checked", 13
  end
  return io_open(path, mode)
end

-- Bytecode can break out of LuaJIT; only text is compiled.
local function compile(text, chunk)
  if byte(text) == 27 then
    return nil, "bytecode is refused: only Lua text is loaded"
  end
  text = gsub(text, "^\239\187\191", "")
  text = gsub(text, "^#[^\n]*", "")
  return load(text, chunk, "t")
end

local function read(path)
  local file, problem = io_open(path, "rb")
  if not file then
    return nil, problem
  end
  local text, failure = file:read("*a")
  file:close()
  return text, failure
end

function _G.load(chunk, name, mode, ...)
  return load(chunk, name, "t", ...)
end

function _G.loadstring(text, name)
  return load(text, name or text, "t")
end

function _G.loadfile(path, mode, ...)
  local text, problem = read(path)
  if not text then
    return nil, problem
  end
  return compile(text, "@" .. path)
end

function _G.dofile(path)
  return assert(_G.loadfile(path))()
end

debug = { traceback = traceback, getinfo = getinfo }
package.loaded.debug = debug
package.loaded.python, python = nil, nil
package.loadlib = nil
for name in next, package.preload do
  package.preload[name] = nil
end

-- ---------------------------------------------------------------------------------------------- the modules

local gateway = loadstring(request.standins.gateway, "=[stand-in] gateway")(function(name)
  return request.standins[name]
end, request.facts)

local null = ngx.null

local function note(module, from, path)
  if #requires < 1000 then
    local file, line = place()
    requires[#requires + 1] = {
      { "module", module }, { "from", from }, { "path", path }, { "file", file }, { "line", line },
    }
  end
end

local function loaded_text(module, text, path)
  local chunk, problem = compile(text, "@" .. path)
  if not chunk then
    error(format("error loading module '%s' from file '%s':\n\t%s", module, path, problem), 0)
  end
  note(module, "package", path)
  return chunk
end

local function from_memory(module)
  local given = request.modules[module]
  if given then
    return loaded_text(module, given.source, given.path)
  end
  return ""
end

local function from_lua_tree(module)
  if not request.lua_dir then
    return ""
  end
  local searched = ""
  for _, tail in ipairs { ".lua", "/init.lua" } do
    local path = request.lua_dir .. "/" .. gsub(module, "%.", "/") .. tail
    local text = read(path)
    if text then
      return loaded_text(module, text, path)
    end
    searched = searched .. "\n\tno file '" .. path .. "'"
  end
  return searched
end

local function from_c_tree(module)
  if not request.lib_dir then
    return ""
  end
  local searched = ""
  local name = gsub(module, "^[^-]*%-", "")
  local root = match(module, "^[^.]+")
  for _, candidate in ipairs { module, root } do
    local path = request.lib_dir .. "/" .. gsub(candidate, "%.", "/") .. "." .. request.lib_extension
    local file = io_open(path, "rb")
    if file then
      file:close()
      local opened, problem = loadlib(path, "luaopen_" .. gsub(name, "%.", "_"))
      if opened then
        note(module, "library", path)
        return opened
      end
      if candidate == module then
        error(format("error loading module '%s' from file '%s':\n\t%s", module, path, tostring(problem)), 0)
      end
    end
    searched = searched .. "\n\tno file '" .. path .. "'"
  end
  return searched
end

local function from_gateway(module)
  local known, value = gateway.provide(module)
  if known then
    note(module, "gateway")
    return function() return value end
  end
  if request.assumed[module] or gateway.perhaps(module) or (request.assume and sub(module, 1, 5) ~= "kong.") then
    note(module, "assumed")
    return function() return gateway.inert.new(module) end
  end
  note(module, "missing")
  return ""
end

package.loaders = { package.loaders[1], from_memory, from_lua_tree, from_c_tree, from_gateway }
package.searchers = nil
if request.lua_dir then
  package.path = request.lua_dir .. "/?.lua;" .. request.lua_dir .. "/?/init.lua"
  package.cpath = request.lib_dir .. "/?." .. request.lib_extension
else
  package.path, package.cpath = "./?.lua;./?/init.lua", ""
end

-- ---------------------------------------------------------------------------------------------- JSON

local budget

local function quoted(text)
  if #text > 8192 then
    text = sub(text, 1, 8192)
  end
  budget = budget - #text
  return '"' .. gsub(text, '[%c"\\\127-\255]', function(c) return format("\\u%04x", byte(c)) end) .. '"'
end

local function number(value)
  if value ~= value or value == 1 / 0 or value == -1 / 0 then
    return '{"$":"number","text":"' .. tostring(value) .. '"}'
  end
  return format("%.17g", value)
end

-- Any Lua value: tables as {"t":[[key,value],…]}, what has no counterpart as {"$":type}.
local function dump(value, depth, inside)
  budget = budget - 8
  local kind = type(value)
  if kind == "string" then
    return quoted(value)
  elseif kind == "number" then
    return number(value)
  elseif kind == "boolean" then
    return tostring(value)
  elseif kind == "nil" then
    return "null"
  elseif kind == "function" and gateway.named[value] then
    return '{"$":"function","name":"' .. gateway.named[value] .. '"}'
  elseif kind ~= "table" then
    return '{"$":"' .. kind .. '"}'
  elseif gateway.inert.is(value) then
    return '{"$":"inert"}'
  elseif inside[value] or depth > 24 or budget < 0 then
    return '{"$":"' .. (inside[value] and "cycle" or "more") .. '"}'
  end
  inside[value] = true
  local parts = {}
  local key, item = next(value)
  while key ~= nil and budget > 0 do
    parts[#parts + 1] = "[" .. dump(key, depth + 1, inside) .. "," .. dump(item, depth + 1, inside) .. "]"
    key, item = next(value, key)
  end
  inside[value] = nil
  return '{"t":[' .. concat(parts, ",") .. "]}"
end

-- Our own records: lists of {name, plain value} pairs, so that the order is ours.
local function record(pairs_of)
  local parts = {}
  for i = 1, #pairs_of do
    local name, value = pairs_of[i][1], pairs_of[i][2]
    if value ~= nil then
      parts[#parts + 1] = '"' .. name .. '":' .. dump(value, 0, {})
    end
  end
  return "{" .. concat(parts, ",") .. "}"
end

local function records(list)
  local parts = {}
  for i = 1, #list do
    parts[i] = record(list[i])
  end
  return "[" .. concat(parts, ",") .. "]"
end

-- ---------------------------------------------------------------------------------------------- the jobs

local function describe(problem)
  if type(problem) == "string" then
    return problem
  end
  local ok, text = pcall(tostring, problem)
  if ok and type(text) == "string" and type(problem) ~= "nil" then
    return "an error object that is no text: " .. text
  end
  return "an error object of type " .. type(problem)
end

local function fetch(value, key)
  local ok, found = pcall(function() return value[key] end)
  if ok then
    return found
  end
  return nil
end

-- A member for people and for the rules: its type, its text as Lua shows it, and whether it is integral.
local function member(value)
  local kind = type(value)
  local text = (kind == "string" or kind == "number" or kind == "boolean" or kind == "nil") and tostring(value)
    or "(a " .. kind .. ")"
  local integral = kind == "number" and value == value and value - value == 0 and value == floor(value)
  return record { { "type", kind }, { "text", text }, { "integral", integral } }
end

local function pack(...)
  return { n = select("#", ...), ... }
end

local function functions_of(handler)
  local found, seen = {}, {}
  local level = handler
  for _ = 1, 8 do
    if type(level) ~= "table" or seen[level] then
      break
    end
    seen[level] = true
    local key, value = next(level)
    while key ~= nil do
      if type(key) == "string" and type(value) == "function" and #found < 200 then
        found[#found + 1] = quoted(key)
      end
      key, value = next(level, key)
    end
    local meta = getmetatable(level)
    level = type(meta) == "table" and rawget(meta, "__index") or nil
  end
  return "[" .. concat(found, ",") .. "]"
end

local function judge(kind, value)
  if kind == "handler" and type(value) == "table" then
    return '{"priority":' .. member(fetch(value, "PRIORITY")) .. ',"version":' .. member(fetch(value, "VERSION"))
      .. ',"functions":' .. functions_of(value) .. "}"
  elseif kind == "schema" or kind == "data" or value == false then
    return dump(value, 0, {})
  end
  return "null"
end

local function globals_now()
  local names = {}
  local name = next(globals)
  while name ~= nil do
    names[name] = true
    name = next(globals, name)
  end
  return names
end

-- The names that the code has made global: all plugins of a node share them.
local function new_globals(before)
  local found = {}
  local name = next(globals)
  while name ~= nil do
    if type(name) == "string" and not before[name] and #found < 50 then
      found[#found + 1] = quoted(name)
    end
    name = next(globals, name)
  end
  return "[" .. concat(found, ",") .. "]"
end

-- The compiled instruction that makes a name global.
local make_global = band(funcbc(loadstring("x = 1"), 2), 255)

-- What the functions of a compiled chunk (not the chunk itself, whose globals are seen when it runs) make global.
local function writes_of(proto, depth, found)
  local info = funcinfo(proto)
  for place = 1, depth > 0 and info.bytecodes - 1 or 0 do
    local instruction = funcbc(proto, place)
    if band(instruction, 255) == make_global and #found < 200 then
      found[#found + 1] = {
        { "name", funck(proto, -rshift(instruction, 16) - 1) },
        { "line", funcinfo(proto, place).currentline },
      }
    end
  end
  for place = 1, depth < 100 and info.gcconsts or 0 do
    local inner = funck(proto, -place)
    if type(inner) == "proto" then
      writes_of(inner, depth + 1, found)
    end
  end
  return found
end

local function scan(module)
  local given = request.modules[module]
  local chunk = given and compile(given.source, "@" .. given.path)
  local found = chunk and writes_of(chunk, 0, {}) or {}
  budget = 1048576
  return '{"ok":true,"type":"nil","effects":[],"requires":[],"writes":' .. records(found) .. "}"
end

-- An argument as `schema_functions` writes it.
local function revive(value)
  if type(value) ~= "table" then
    return value
  elseif value.null then
    return null
  elseif value.other then
    return gateway.inert.new(value.other)
  end
  local made = {}
  for place = 1, #value.t do
    made[revive(value.t[place][1])] = revive(value.t[place][2])
  end
  return made
end

-- Calls the function at a path in a module's value, as a worker would that answers a request.
local function call(job)
  local found = require(job.module)
  for place = 1, #job.path do
    found = type(found) == "table" and rawget(found, job.path[place]) or nil
  end
  local arguments = {}
  for place = 1, #job.arguments do
    arguments[place] = revive(job.arguments[place])
  end
  gateway.context.phase = "worker"
  effects = {}
  gateway.inert.take()
  local results = pack(xpcall(function() return found(unpack(arguments, 1, #job.arguments)) end, describe))
  local touched = gateway.inert.take() or effects[1] and effects[1][1][2]
  budget = 1048576
  local values = {}
  for place = 2, results[1] and min(results.n, 4) or 0 do
    values[#values + 1] = dump(results[place], 0, {})
  end
  local problem = results[1] and "" or ',"error":' .. quoted(describe(results[2]))
  return '{"ok":' .. tostring(results[1]) .. ',"type":"nil","effects":[],"requires":[],"values":[' .. concat(values, ",")
    .. ']' .. problem .. (touched and ',"touched":' .. quoted(touched) or "") .. "}"
end

return function(index)
  local job = request.jobs[index]
  if job.kind == "scan" then
    return scan(job.module)
  elseif job.kind == "known" then
    local module = job.module
    local known = rawget(package.loaded, module) ~= nil or request.modules[module] or request.assumed[module]
      or gateway.perhaps(module) or gateway.provide(module)
    return '{"ok":true,"type":"nil","effects":[],"requires":[],"values":[' .. tostring(known and true or false) .. "]}"
  elseif job.kind == "call" then
    effects, requires = {}, {}
    gateway.context.phase = "init"
    return call(job)
  end
  effects, requires = {}, {}
  local before = globals_now()
  gateway.context.phase = job.kind == "module" and "worker" or "init"
  local ok, value = xpcall(function() return require(job.module) end, describe)
  budget = 1048576
  local head = '{"ok":' .. tostring(ok) .. ',"type":"' .. type(value) .. '"'
  local body = ok and ',"value":' .. judge(job.kind, value) or ',"error":' .. quoted(describe(value))
  budget = 1048576
  return head .. body .. ',"effects":' .. records(effects) .. ',"requires":' .. records(requires)
    .. ',"globals":' .. new_globals(before) .. "}"
end
