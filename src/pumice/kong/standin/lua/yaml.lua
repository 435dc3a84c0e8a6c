-- Reads declarative files: the part of YAML that people write in them (maps, lists, flow lists and maps on one
-- line, quoted and plain scalars, block texts, comments). Takes null and the metatable of arrays; anything
-- beyond (anchors, tags, several documents) is an error with its line.

local null, array_mt = ...
local error, setmetatable, tonumber = error, setmetatable, tonumber
local concat = table.concat
local find, format, gsub, match, rep, sub = string.find, string.format, string.gsub, string.match, string.rep, string.sub

local function fail(line, why)
  error(format("%d: %s", line, why), 0)
end

local words = {
  ["true"] = true, ["True"] = true, ["false"] = false, ["False"] = false,
  null = null, Null = null, ["~"] = null, [""] = null,
}

local escapes = { n = "\n", t = "\t", r = "\r", ["0"] = "\0", e = "\27", ['"'] = '"', ["\\"] = "\\", ["/"] = "/" }

local function scalar(text)
  if words[text] ~= nil then
    return words[text]
  end
  if match(text, "^[-+]?%d") or match(text, "^[-+]?%.%d") then
    return tonumber(text) or text
  end
  return text
end

-- A quoted text that starts at `at`; gives it and the place behind it.
local function quoted(text, at, number)
  local mark, parts = sub(text, at, at), {}
  at = at + 1
  while true do
    local stop = find(text, mark == "'" and "'" or '["\\]', at)
    if not stop then
      fail(number, "a quoted text does not end on its line")
    end
    parts[#parts + 1] = sub(text, at, stop - 1)
    local found, following = sub(text, stop, stop), sub(text, stop + 1, stop + 1)
    if found == "\\" then
      parts[#parts + 1] = escapes[following] or fail(number, "an escape that is not known here: \\" .. following)
      at = stop + 2
    elseif mark == "'" and following == "'" then
      parts[#parts + 1] = "'"
      at = stop + 2
    else
      return concat(parts), stop + 1
    end
  end
end

local flow

local function after_space(text, at)
  return find(text, "%S", at) or #text + 1
end

local function flow_item(text, at, number, stops)
  local mark = sub(text, at, at)
  if mark == "[" or mark == "{" then
    return flow(text, at, number)
  elseif mark == '"' or mark == "'" then
    return quoted(text, at, number)
  end
  local stop = find(text, stops, at) or #text + 1
  return scalar(match(sub(text, at, stop - 1), "^(.-)%s*$")), stop
end

function flow(text, at, number)
  local list = sub(text, at, at) == "["
  local value, last = list and setmetatable({}, array_mt) or {}, list and "]" or "}"
  at = after_space(text, at + 1)
  while sub(text, at, at) ~= last do
    local key, item
    if at > #text then
      fail(number, "a flow list or map does not end on its line")
    end
    if list then
      item, at = flow_item(text, at, number, "[,%]]")
      value[#value + 1] = item
    else
      key, at = flow_item(text, at, number, "[:,}]")
      at = after_space(text, at)
      if sub(text, at, at) ~= ":" then
        fail(number, "a colon was expected")
      end
      item, at = flow_item(text, after_space(text, at + 1), number, "[,}]")
      value[key] = item
    end
    at = after_space(text, at)
    if sub(text, at, at) == "," then
      at = after_space(text, at + 1)
    end
  end
  return value, at + 1
end

-- The text without a comment at its end.
local function uncommented(text)
  local mark
  for at = 1, #text do
    local c = sub(text, at, at)
    if mark then
      if c == mark then
        mark = nil
      end
    elseif (c == '"' or c == "'") and (at == 1 or find(sub(text, at - 1, at - 1), "[%s%[{,:]")) then
      mark = c
    elseif c == "#" and (at == 1 or find(sub(text, at - 1, at - 1), "%s")) then
      return match(sub(text, 1, at - 1), "^(.-)%s*$")
    end
  end
  return match(text, "^(.-)%s*$")
end

local function lines_of(text)
  local lines, number = {}, 0
  for raw in string.gmatch(gsub(text, "\r\n", "\n") .. "\n", "(.-)\n") do
    number = number + 1
    local indent, rest = match(raw, "^( *)(.*)$")
    if sub(rest, 1, 1) == "\t" then
      fail(number, "a tab cannot indent")
    end
    local cut = uncommented(rest)
    lines[#lines + 1] = { number = number, indent = #indent, text = cut, raw = raw }
  end
  return lines
end

return function(text)
  local lines, at = lines_of(text), 1

  local function current()
    while lines[at] and (lines[at].text == "" or lines[at].text == "---") do
      at = at + 1
    end
    return lines[at]
  end

  local block

  local function block_text(style, indent)
    local parts, inner = {}, nil
    while lines[at] and (match(lines[at].raw, "^%s*$") or lines[at].indent > indent) do
      local line = lines[at]
      if not inner and not match(line.raw, "^%s*$") then
        inner = line.indent
      end
      parts[#parts + 1] = sub(line.raw, (inner or 0) + 1)
      at = at + 1
    end
    while parts[#parts] and match(parts[#parts], "^%s*$") do
      parts[#parts] = nil
    end
    local joined = concat(parts, sub(style, 1, 1) == ">" and " " or "\n")
    return sub(style, 2, 2) == "-" and joined or joined .. "\n"
  end

  -- What stands behind a key or a dash of a line whose own indent is `indent`.
  local function value_of(rest, indent, number, in_list)
    if rest == "" then
      local following = current()
      local list = following and match(following.text, "^%-%s") or following and following.text == "-"
      if following and (following.indent > indent or (list and not in_list and following.indent == indent)) then
        return block(following.indent)
      end
      return null
    elseif match(rest, "^[|>][-+]?$") then
      return block_text(rest, indent)
    end
    local mark = sub(rest, 1, 1)
    if mark == "&" or mark == "*" or mark == "!" then
      fail(number, "anchors and tags are not known here")
    elseif mark == '"' or mark == "'" or mark == "[" or mark == "{" then
      local value, stop = flow_item(rest, 1, number, "$")
      if after_space(rest, stop) <= #rest then
        fail(number, "something stands behind a value")
      end
      return value
    end
    return scalar(rest)
  end

  -- A key and what stands behind its colon; nil when the line has none.
  local function key_of(line)
    local mark = sub(line.text, 1, 1)
    if mark == '"' or mark == "'" then
      local key, stop = quoted(line.text, 1, line.number)
      local rest = match(line.text, "^%s*:%s*(.*)$", stop)
      return rest and key, rest
    end
    local key, rest = match(line.text, "^([^:]-)%s*:%s+(.*)$")
    if not key then
      key, rest = match(line.text, "^(.-)%s*:$"), ""
    end
    return key, rest
  end

  function block(indent)
    local line = current()
    if line.text == "-" or match(line.text, "^%-%s") then
      local list = setmetatable({}, array_mt)
      while line and line.indent == indent and (line.text == "-" or match(line.text, "^%-%s")) do
        local dash, rest = match(line.text, "^(%-%s*)(.*)$")
        local item = { number = line.number, indent = indent + #dash, text = rest, raw = rep(" ", indent + #dash) .. rest }
        if rest ~= "" and (key_of(item) or match(rest, "^%-%s")) and not match(rest, "^[%[{]") then
          lines[at] = item
          list[#list + 1] = block(item.indent)
        else
          at = at + 1
          list[#list + 1] = value_of(rest, indent, line.number, true)
        end
        line = current()
      end
      return list
    end
    local key, rest = key_of(line)
    if not key then
      at = at + 1
      return value_of(line.text, indent, line.number)
    end
    local map = {}
    while line and line.indent == indent do
      key, rest = key_of(line)
      if not key then
        fail(line.number, "a key was expected")
      end
      at = at + 1
      map[key] = value_of(rest, indent, line.number)
      line = current()
    end
    return map
  end

  local first = current()
  if not first then
    return null
  end
  local value = block(first.indent)
  local left = current()
  if left then
    fail(left.number, "this line is not indented as the others are")
  end
  return value
end
