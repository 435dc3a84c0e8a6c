-- Stands in for `cjson` where the library is not on the machine: JSON read and written, keys sorted.
-- Takes the value that stands for null. Arrays that were read keep being arrays when they are empty.

local null = ...
local concat, sort = table.concat, table.sort
local byte, char, find, format, gsub, match, sub = string.byte, string.char, string.find, string.format, string.gsub,
  string.match, string.sub
local error, getmetatable, pairs, pcall, setmetatable, tonumber, tostring, type = error, getmetatable, pairs, pcall,
  setmetatable, tonumber, tostring, type

local array_mt = {}
local empty_array = setmetatable({}, array_mt)

local escapes = {
  ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
}

local function quoted(text)
  return '"' .. gsub(text, '[%c"\\\127]', function(c)
    return escapes[c] or format("\\u%04x", byte(c))
  end) .. '"'
end

local write

local function write_array(value, out, length, depth)
  out[#out + 1] = "["
  for index = 1, length do
    if index > 1 then
      out[#out + 1] = ","
    end
    write(value[index], out, depth)
  end
  out[#out + 1] = "]"
end

function write(value, out, depth)
  local kind = type(value)
  if value == nil or value == null then
    out[#out + 1] = "null"
  elseif kind == "string" then
    out[#out + 1] = quoted(value)
  elseif kind == "number" then
    if value ~= value or value == math.huge or value == -math.huge then
      error("Cannot serialise number: must not be NaN or Infinity", 0)
    end
    out[#out + 1] = value % 1 == 0 and value > -1e15 and value < 1e15 and format("%d", value) or format("%.14g", value)
  elseif kind == "boolean" then
    out[#out + 1] = tostring(value)
  elseif kind == "table" then
    if depth > 200 then
      error("Cannot serialise, excessive depth (" .. depth .. ")", 0)
    end
    local length = #value
    if length > 0 or getmetatable(value) == array_mt then
      return write_array(value, out, length, depth + 1)
    end
    local keys = {}
    for key in pairs(value) do
      if type(key) ~= "string" and type(key) ~= "number" then
        error("Cannot serialise table: table key must be a number or string", 0)
      end
      keys[#keys + 1] = key
    end
    sort(keys, function(a, b) return tostring(a) < tostring(b) end)
    out[#out + 1] = "{"
    for index = 1, #keys do
      out[#out + 1] = (index > 1 and "," or "") .. quoted(tostring(keys[index])) .. ":"
      write(value[keys[index]], out, depth + 1)
    end
    out[#out + 1] = "}"
  else
    error("Cannot serialise " .. kind .. ": type not supported", 0)
  end
end

local function encode(value)
  local out = {}
  write(value, out, 1)
  return concat(out)
end

local function utf8(code)
  if code < 0x80 then
    return char(code)
  elseif code < 0x800 then
    return char(0xC0 + math.floor(code / 64), 0x80 + code % 64)
  elseif code < 0x10000 then
    return char(0xE0 + math.floor(code / 4096), 0x80 + math.floor(code / 64) % 64, 0x80 + code % 64)
  end
  return char(0xF0 + math.floor(code / 262144), 0x80 + math.floor(code / 4096) % 64,
    0x80 + math.floor(code / 64) % 64, 0x80 + code % 64)
end

local plain = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\", ["/"] = "/" }
local words = { ["true"] = true, ["false"] = false, null = null }

local function fail(at, wanted)
  error(format("Expected %s but found invalid token at character %d", wanted, at), 0)
end

local function read_string(text, at)
  local parts = {}
  at = at + 1
  while true do
    local stop = find(text, '["\\]', at)
    if not stop then
      fail(at, "the end of a string")
    end
    parts[#parts + 1] = sub(text, at, stop - 1)
    if sub(text, stop, stop) == '"' then
      return concat(parts), stop + 1
    end
    local escape = sub(text, stop + 1, stop + 1)
    if escape == "u" then
      local code = tonumber(match(text, "^%x%x%x%x", stop + 2) or fail(stop, "four hex digits"), 16)
      at = stop + 6
      local low = code >= 0xD800 and code < 0xDC00 and match(text, "^\\u([dD][c-fC-F]%x%x)", at)
      if low then
        code = 0x10000 + (code - 0xD800) * 0x400 + tonumber(low, 16) - 0xDC00
        at = at + 6
      end
      parts[#parts + 1] = utf8(code)
    else
      parts[#parts + 1] = plain[escape] or fail(stop, "an escape")
      at = stop + 2
    end
  end
end

local read

local function after_space(text, at)
  return find(text, "[^ \t\r\n]", at) or #text + 1
end

local function read_object(text, at, depth)
  local object = {}
  at = after_space(text, at + 1)
  if sub(text, at, at) == "}" then
    return object, at + 1
  end
  while true do
    if sub(text, at, at) ~= '"' then
      fail(at, "object key string")
    end
    local key, value
    key, at = read_string(text, at)
    at = after_space(text, at)
    if sub(text, at, at) ~= ":" then
      fail(at, "colon")
    end
    value, at = read(text, after_space(text, at + 1), depth)
    object[key] = value
    at = after_space(text, at)
    local mark = sub(text, at, at)
    if mark == "}" then
      return object, at + 1
    elseif mark ~= "," then
      fail(at, "comma or object end")
    end
    at = after_space(text, at + 1)
  end
end

local function read_array(text, at, depth)
  local array = setmetatable({}, array_mt)
  at = after_space(text, at + 1)
  if sub(text, at, at) == "]" then
    return array, at + 1
  end
  while true do
    local value
    value, at = read(text, at, depth)
    array[#array + 1] = value
    at = after_space(text, at)
    local mark = sub(text, at, at)
    if mark == "]" then
      return array, at + 1
    elseif mark ~= "," then
      fail(at, "comma or array end")
    end
    at = after_space(text, at + 1)
  end
end

function read(text, at, depth)
  if depth > 200 then
    error("Found too many nested data structures (" .. depth .. ")", 0)
  end
  local mark = sub(text, at, at)
  if mark == "{" then
    return read_object(text, at, depth + 1)
  elseif mark == "[" then
    return read_array(text, at, depth + 1)
  elseif mark == '"' then
    return read_string(text, at)
  end
  local word = match(text, "^%a+", at)
  if word and words[word] ~= nil then
    return words[word], at + #word
  end
  local number = match(text, "^-?%d+%.?%d*[eE]?[+-]?%d*", at)
  if not number or not tonumber(number) then
    fail(at, "value")
  end
  return tonumber(number), at + #number
end

local function decode(text)
  if type(text) ~= "string" then
    error("bad argument #1 to 'decode' (string expected, got " .. type(text) .. ")", 2)
  end
  local value, at = read(text, after_space(text, 1), 1)
  if after_space(text, at) <= #text then
    fail(at, "the end")
  end
  return value
end

local function nothing() end

local function library(safe)
  local function guarded(action)
    return not safe and action or function(value)
      local ok, result = pcall(action, value)
      if ok then
        return result
      end
      return nil, result
    end
  end
  local json = {
    _NAME = safe and "cjson.safe" or "cjson", _VERSION = "2.1.0 (stand-in)",
    null = null, array_mt = array_mt, empty_array = empty_array, empty_array_mt = array_mt,
    encode = guarded(encode), decode = guarded(decode),
  }
  for _, setting in pairs {
    "encode_empty_table_as_object", "encode_number_precision", "encode_max_depth", "encode_sparse_array",
    "encode_keep_buffer", "encode_invalid_numbers", "encode_escape_forward_slash", "decode_max_depth",
    "decode_invalid_numbers", "decode_array_with_array_mt",
  } do
    json[setting] = nothing
  end
  json.new = function() return library(safe) end
  return json
end

return { plain = library(false), safe = library(true), array_mt = array_mt }
