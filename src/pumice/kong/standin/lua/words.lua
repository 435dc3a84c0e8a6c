-- A gateway's words for what is wrong in a table: `schema violation (…)`, what lies deeper as a Lua table.

local concat, sort = table.concat, table.sort
local format, match = string.format, string.match
local pairs, tostring, type = pairs, tostring, type

local function ordered(problems, numbers_first)
  local keys = {}
  for key in pairs(problems) do
    keys[#keys + 1] = key
  end
  sort(keys, function(a, b)
    local left, right = type(a) == "number", type(b) == "number"
    if left ~= right then
      return left == numbers_first
    end
    return left and a < b or not left and tostring(a) < tostring(b)
  end)
  return keys
end

local function nested(problem)
  if type(problem) ~= "table" then
    return format('"%s"', (tostring(problem):gsub('[\\"]', "\\%0"):gsub("\n", "\\n")))
  end
  local parts, count = {}, 0
  while problem[count + 1] ~= nil do
    count = count + 1
    parts[count] = nested(problem[count])
  end
  for _, key in pairs(ordered(problem, false)) do
    if type(key) ~= "number" or key < 1 or key > count then
      local name = type(key) == "string" and (match(key, "^[%a_][%w_]*$") or format('["%s"]', key)) or format("[%s]", key)
      parts[#parts + 1] = name .. " = " .. nested(problem[key])
    end
  end
  return #parts > 0 and "{ " .. concat(parts, ", ") .. " }" or "{ }"
end

local function violation(problems)
  local found = {}
  for _, said in pairs(problems["@entity"] or {}) do
    found[#found + 1] = said
  end
  for _, name in pairs(ordered(problems, true)) do
    local problem = problems[name]
    if name == "@entity" then
      -- told already
    elseif type(problem) == "table" then
      for _, inner in pairs(ordered(problem, true)) do
        local item = problem[inner]
        found[#found + 1] = tostring(name) .. "." .. tostring(inner) .. ": " ..
          (type(item) == "table" and nested(item) or item)
      end
    else
      found[#found + 1] = tostring(name) .. ": " .. problem
    end
  end
  if #found == 1 then
    return format("schema violation (%s)", found[1])
  end
  return format("%d schema violations (%s)", #found, concat(found, "; "))
end

return violation
