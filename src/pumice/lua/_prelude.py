"""The Lua half of the sandbox: loads one chunk in an empty environment and flattens what it leaves.

It runs once in a fresh Lua 5.4, keeps every library function it needs as a local, and returns the one
function that Python calls. A chunk sees nothing but its own environment: it holds no library, so it can
neither catch an error, nor set a metatable, nor start a coroutine. Values that several chunks share are
functions and strings, which no chunk can change.

The result is a flat text in Python's `marshal` form (one C call reads it: a third of the cost of walking
tables through lupa). Only this trusted code writes that text; the chunk is over when it does.
"""

__all__ = [
    "BROKEN",
    "CHUNK_NAME",
    "LOAD_FAILED",
    "NEEDS_STRINGS",
    "OUT_OF_BOUNDS",
    "PLAIN",
    "PRELUDE",
    "RUN_FAILED",
    "WITH_FUNCTIONS",
]

# What a run answers, as its first value.
PLAIN = b"plain"  # the flat text
WITH_FUNCTIONS = b"functions"  # the flat text, with functions in it (`...` stands for each)
LOAD_FAILED = b"load"  # the message of Lua's parser
RUN_FAILED = b"run"  # the message of a run-time error
BROKEN = b"broken"  # a limit was broken while it loaded or ran; the message
OUT_OF_BOUNDS = b"bounds"  # it ran, but left what is refused; the message
NEEDS_STRINGS = b"strings"  # it called a string method that no hook can interrupt

CHUNK_NAME = b"(chunk)"  # stands for the file's name in Lua's messages, which would cut a long one

PRELUDE = rb"""
local load, pcall, next, type, error, tostring = load, pcall, next, type, error, tostring
local getmetatable, setmetatable, rawget = getmetatable, setmetatable, rawget
local sethook, clock = debug.sethook, os.clock
local pack, format, sub, rep = string.pack, string.format, string.sub, string.rep
local concat, sort, unpack = table.concat, table.sort, table.unpack
local integer_type = math.type
local string_library, strings = string, getmetatable("")

local INSTRUCTIONS_PER_CHECK = 50
local PIECE = 4096

-- Methods that only copy or format: linear in their strings, so the checks in between bound them.
local plain_methods = {
  byte = string.byte, char = string.char, format = string.format, len = string.len,
  lower = string.lower, reverse = string.reverse, sub = string.sub, upper = string.upper,
}
local all_methods = {}
for name, method in next, string_library do
  if name ~= "dump" then all_methods[name] = method end
end

local broken, needs_strings

-- Where a string of the chunk finds its methods, unless this process is guarded.
local function find_plain_method(_, name)
  local method = plain_methods[name]
  if method == nil and all_methods[name] then
    needs_strings = true
    error("needs string methods", 0)
  end
  return method
end

-- Loads in pieces when the text is long: a parser that takes quadratic time (long `or` chains do that)
-- is stopped between two of them.
local function load_text(source, environment, deadline)
  if #source <= PIECE then
    return load(source, "=(chunk)", "t", environment)
  end
  local at = 1
  return load(function()
    if clock() > deadline then
      broken = "takes too long to parse"
      error(broken, 0)
    end
    local piece = sub(source, at, at + PIECE - 1)
    at = at + PIECE
    return piece
  end, "=(chunk)", "t", environment)
end

local out, size, fields, most_fields, most_depth, functions

local function wide(value)
  local digits, sign = {}, value < 0 and -1 or 1
  if value < 0 then value = -value end
  repeat
    digits[#digits + 1] = value & 0x7fff
    value = value >> 15
  until value == 0
  return pack("<Bi4", 108, sign * #digits) .. pack("<" .. rep("H", #digits), unpack(digits))
end

local function number(value)
  if integer_type(value) == "float" then return pack("<Bd", 103, value) end
  if value >= -0x80000000 and value <= 0x7fffffff then return pack("<Bi4", 105, value) end
  return wide(value)
end

local function count(more)
  fields = fields + more
  if fields > most_fields then
    error("has more than " .. most_fields .. " fields", 0)
  end
end

local flatten

local function flatten_odd_keys(value, numbers, depth)
  sort(numbers)
  for i = 1, #numbers do
    local key = numbers[i]
    size = size + 1
    out[size] = number(key)
    flatten(value[key], depth)
  end
  for key, digit in next, {[false] = 0, [true] = 1} do
    if rawget(value, key) ~= nil then
      if rawget(value, digit) ~= nil then
        error("has a table with both the keys " .. tostring(key) .. " and " .. digit, 0)
      end
      size = size + 1
      out[size] = key and "T" or "F"
      flatten(value[key], depth)
    end
  end
end

local function flatten_table(value, depth)
  if depth > most_depth then
    error("has tables that nest deeper than " .. most_depth .. " levels, or that contain themselves", 0)
  end
  size = size + 1
  out[size] = "{"
  if #value > most_fields then count(#value) end
  local length = 0
  local item = value[1]
  while item ~= nil do
    length = length + 1
    size = size + 1
    if type(item) == "string" then
      out[size] = pack("<Bi4Bs4", 105, length, 117, item)
    else
      out[size] = pack("<Bi4", 105, length)
      flatten(item, depth)
    end
    item = value[length + 1]
  end
  count(length)
  local names, numbers, named, numbered, odd = {}, {}, 0, 0, false
  for key in next, value do
    local kind = type(key)
    if kind == "string" then
      named = named + 1
      names[named] = key
    elseif kind == "number" then
      if integer_type(key) == "float" or key < 1 or key > length then
        numbered = numbered + 1
        numbers[numbered] = key
        odd = true
      end
    elseif kind == "boolean" then
      count(1)
      odd = true
    else
      error("has a table with a " .. kind .. " as a key", 0)
    end
  end
  count(named + numbered)
  if odd then flatten_odd_keys(value, numbers, depth) end
  if named > 1 then sort(names) end
  for i = 1, named do
    local key = names[i]
    item = value[key]
    size = size + 1
    if type(item) == "string" then
      out[size] = pack("<Bs4Bs4", 117, key, 117, item)
    else
      out[size] = pack("<Bs4", 117, key)
      flatten(item, depth)
    end
  end
  size = size + 1
  out[size] = "0"
end

function flatten(value, depth)
  local kind = type(value)
  if kind == "table" then
    return flatten_table(value, depth + 1)
  end
  size = size + 1
  if kind == "string" then
    out[size] = pack("<Bs4", 117, value)
  elseif kind == "boolean" then
    out[size] = value and "T" or "F"
  elseif kind == "number" then
    out[size] = number(value)
  elseif kind == "nil" then
    out[size] = "N"
  else
    functions = true
    out[size] = "."
  end
end

local function flatten_result(environment, returned, undefined)
  size = 1
  out[1] = pack("<Bi4", 91, 3)
  flatten(environment, 0)
  flatten(returned, 0)
  local names = {}
  for i = 1, #undefined do
    local name = undefined[i]
    names[i] = type(name) == "table" and "table" or tostring(name)
  end
  flatten(names, 0)
  return concat(out, "", 1, size)
end

-- Runs `source` with `environment` as its globals. `guarded`: this process may be killed, so every string
-- method is there. Answers a status and a text.
return function(source, environment, variables, guarded, instructions, seconds, depth, most)
  broken, needs_strings = nil, nil
  local deadline = clock() + seconds
  strings.__index = guarded and all_methods or find_plain_method

  local chunk, message = load_text(source, environment, deadline)
  source = nil
  if not chunk then
    if message == "not enough memory" then broken = "needs too much memory to load" end
    return broken and "broken" or "load", broken or message
  end

  if variables then
    environment.os_getenv = function(name) return variables[name] end
    environment.dump_env = function() end
  end
  local undefined, known = {}, {}
  setmetatable(environment, {__index = function(_, name)
    if not known[name] then
      known[name] = true
      undefined[#undefined + 1] = name
    end
  end})

  local checks = instructions // INSTRUCTIONS_PER_CHECK
  sethook(function()
    checks = checks - 1
    if checks < 0 then
      broken = "runs for more than " .. instructions .. " instructions"
      error(broken, 2)
    elseif clock() > deadline then
      broken = "runs for more than " .. format("%g", seconds) .. " s"
      error(broken, 2)
    end
  end, "", INSTRUCTIONS_PER_CHECK)
  local ran, returned = pcall(chunk)
  sethook()
  chunk = nil

  if broken then return "broken", broken end
  if needs_strings then return "strings", "" end
  if not ran then
    if returned == "not enough memory" then return "broken", "needs too much memory" end
    return "run", tostring(returned)
  end

  setmetatable(environment, nil)
  if variables then
    environment.os_getenv, environment.dump_env = nil, nil
  end
  out, fields, most_fields, most_depth, functions = {}, 0, most, depth, false
  local flat, text = pcall(flatten_result, environment, returned, undefined)
  out = nil
  if not flat then
    if text == "not enough memory" then return "broken", "needs too much memory" end
    return "bounds", text
  end
  return functions and "functions" or "plain", text
end
"""
