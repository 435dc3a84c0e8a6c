-- The oracle of test_data_corpus.py: evaluates every file of one large text as LuaRocks does (an empty
-- environment, string methods, text only) and prints a canonical dump of what each leaves.
-- Input: repeated "NAME\nLENGTH\n" and LENGTH bytes. Output: the same frame around each dump.
local input = assert(io.open(arg[1], "rb"))
local output = assert(io.open(arg[2], "wb"))

local function dump(value, out)
  local kind = type(value)
  if kind == "table" then
    local numbers, others = {}, {}
    for key in pairs(value) do
      if type(key) == "number" then
        numbers[#numbers + 1] = key
      else
        assert(type(key) == "string" or type(key) == "boolean", "odd key")
        others[#others + 1] = tostring(key)
      end
    end
    table.sort(numbers)
    table.sort(others)
    out[#out + 1] = "{"
    for _, key in ipairs(numbers) do
      dump(key, out)
      dump(value[key], out)
    end
    for _, key in ipairs(others) do
      dump(key, out)
      dump(value[key], out)
    end
    out[#out + 1] = "}"
  elseif kind == "string" then
    out[#out + 1] = "s" .. #value .. ":" .. value
  elseif kind == "number" then
    out[#out + 1] = ("n%.17g;"):format(value)
  elseif kind == "boolean" then
    out[#out + 1] = value and "T" or "F"
  else
    out[#out + 1] = kind
  end
end

local function evaluate(source, name)
  source = source:gsub("^#![^\n]*\n", "")
  if source:sub(1, 1) == "\27" then return "refused" end
  local undefined, environment = {}, {}
  setmetatable(environment, {__index = function(_, key) undefined[tostring(key)] = true end})
  local chunk
  if setfenv then
    chunk = loadstring(source, name)
    if chunk then setfenv(chunk, environment) end
  else
    chunk = load(source, name, "t", environment)
  end
  if not chunk then return "refused" end
  debug.sethook(function() error("runs for ever") end, "", 10000000)
  local ran = pcall(chunk)
  debug.sethook()
  if not ran then return "refused" end
  setmetatable(environment, nil)
  local names, out = {}, {}
  for key in pairs(undefined) do names[#names + 1] = key end
  table.sort(names)
  dump(environment, out)
  dump(names, out)
  return table.concat(out)
end

for name in input:lines() do
  local source = input:read(tonumber(input:read("*l")))
  local text = evaluate(source or "", name)
  output:write(name, "\n", #text, "\n", text)
end
output:close()
