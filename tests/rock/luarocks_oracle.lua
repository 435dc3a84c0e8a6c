-- Answers questions with the installed LuaRocks itself. Each line of the input is a question, a tab and an
-- item (in which a line's end is written \n); the answer to each is one line of JSON.
local cfg = require("luarocks.core.cfg")
assert(cfg.init())
local util = require("luarocks.core.util")
local warned = {}
util.warning = function(text) table.insert(warned, text) end
local vers = require("luarocks.core.vers")
local queries = require("luarocks.queries")

local function quoted(text)
   return '"' .. text:gsub('[%c"\\\128-\255]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
end

local function json(value)
   local kind = type(value)
   if kind == "string" then
      return quoted(value)
   elseif kind == "number" then
      if value == math.huge then return '"inf"' end
      if math.type and math.type(value) == "integer" then return ("%d"):format(value) end
      return ("%.17g"):format(value)
   elseif kind == "table" then
      local out = {}
      for k, v in pairs(value) do
         table.insert(out, quoted(type(k) == "string" and k or "#" .. tostring(k)) .. ":" .. json(v))
      end
      return "{" .. table.concat(out, ",") .. "}"
   end
   return tostring(value == nil and "null" or value)
end

local function array(list)
   local out = {}
   for i = 1, #list do out[i] = json(list[i]) end
   return "[" .. table.concat(out, ",") .. "]"
end

local answer = {}

function answer.parse(text)
   -- A module loaded anew: it warns only of versions that it does not remember.
   warned, package.loaded["luarocks.core.vers"] = {}, nil
   local v = require("luarocks.core.vers").parse_version(text)
   return '{"text":' .. json(v.string) .. ',"components":' .. array(v) .. ',"revision":' .. json(v.revision)
      .. ',"warnings":' .. array(warned) .. "}"
end

-- Items: two versions, a tab between. Answer: is <, <=, ==, ~>.
function answer.compare(line)
   local left, right = line:match("^(.-)\t(.*)$")
   local a, b = vers.parse_version(left), vers.parse_version(right)
   local prefix = vers.match_constraints(a, { { op = "~>", version = b } })
   return ("[%s,%s,%s,%s]"):format(tostring(a < b), tostring(a <= b), tostring(a == b), tostring(prefix))
end

function answer.sort(line)
   local versions = {}
   for text in line:gmatch("[^\t]+") do table.insert(versions, text) end
   table.sort(versions, vers.compare_versions)
   return array(versions)
end

local function dependency(query)
   local constraints = {}
   for i, c in ipairs(query.constraints) do
      constraints[i] = "[" .. json(c.op) .. "," .. json(c.version.string) .. "," .. tostring(c.no_upgrade or false) .. "]"
   end
   return '{"name":' .. json(query.name) .. ',"namespace":' .. json(query.namespace)
      .. ',"constraints":[' .. table.concat(constraints, ",") .. "]}"
end

function answer.dependency(text)
   local query, err = queries.from_dep_string(text)
   if not query then return '{"error":' .. json(err) .. "}" end
   return dependency(query)
end

-- Items: a rockspec format, a tab, a dependency string. Answer: whether such a rockspec may have it.
function answer.dependency_allowed(line)
   local format, text = line:match("^(.-)\t(.*)$")
   local ok = require("luarocks.type.rockspec").check({
      rockspec_format = format, package = "a", version = "1-1", source = { url = "" }, build = {},
      dependencies = { text },
   }, {})
   return tostring(ok or false)
end

-- Items: a version, a tab, a dependency string. Answer: whether it matches.
function answer.match(line)
   local version, text = line:match("^(.-)\t(.*)$")
   local query = assert(queries.from_dep_string(text))
   return tostring(vers.match_constraints(vers.parse_version(version), query.constraints))
end

function answer.parse_name(file)
   local found = { require("luarocks.path").parse_name(file) }
   return found[1] and array(found) or "null"
end

function answer.base_name(path)
   return json(require("luarocks.dir").base_name(path))
end

function answer.split_url(url)
   return array({ require("luarocks.dir").split_url(url) })
end

-- Items: a Lua expression of a `build` table. Answer: it after the overrides of this platform.
function answer.overrides(expression)
   local load_text = loadstring or load
   local table = load_text("return " .. expression)()
   local rockspec = assert(require("luarocks.rockspecs").from_persisted_table("x", {
      package = "a", version = "1-1", source = { url = "x" }, build = table,
   }, {}, true))
   return json(rockspec.build)
end

function answer.rockspec(file)
   local fetch = require("luarocks.fetch")
   local ok, rockspec, err = pcall(fetch.load_local_rockspec, file)
   if not ok then return '{"crash":' .. json(rockspec) .. "}" end
   if not rockspec then return '{"error":' .. json(err) .. "}" end
   local out = {}
   for _, kind in ipairs({ "dependencies", "build_dependencies", "test_dependencies" }) do
      local list = {}
      for i = 1, #rockspec[kind] do list[i] = dependency(rockspec[kind][i]) end
      table.insert(out, json(kind) .. ":[" .. table.concat(list, ",") .. "]")
   end
   local build = rockspec.build or {}
   table.insert(out, '"build":' .. json(build))
   local source = rockspec.source
   local shown = {}
   for _, field in ipairs({ "url", "protocol", "pathname", "file", "dir", "dir_set", "md5", "tag", "branch", "module" }) do
      shown[field] = source[field]
   end
   table.insert(out, '"source":' .. json(shown))
   table.insert(out, '"external_dependencies":' .. json(rockspec.external_dependencies or {}))
   return '{"package":' .. json(rockspec.package) .. ',"name":' .. json(rockspec.name) .. ',"version":'
      .. json(rockspec.version) .. "," .. table.concat(out, ",") .. "}"
end

-- Items: a Lua expression that gives the table. Answer: the text of `rock_manifest = <table>`.
function answer.persist(expression)
   local persist = require("luarocks.persist")
   local load_text = loadstring or load
   return json(persist.save_from_table_to_string({ rock_manifest = load_text("return " .. expression)() }))
end

function answer.lock(expression)
   local persist = require("luarocks.persist")
   local load_text = loadstring or load
   local name = os.tmpname()
   assert(persist.save_as_module(name, load_text("return " .. expression)()))
   local file = io.open(name)
   local text = file:read("*a")
   file:close()
   os.remove(name)
   return json(text)
end

require("luarocks.fs").init()
cfg.root_dir = "/nowhere"
for line in io.lines() do
   local question, item = line:match("^(.-)\t(.*)$")
   io.write(answer[question]((item:gsub("\\n", "\n"))), "\n")
   io.flush()
end
