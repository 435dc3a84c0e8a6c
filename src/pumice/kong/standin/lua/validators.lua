-- What may be demanded of a single value, in the order in which a gateway looks. Takes null; gives a list of pairs: the
-- attribute's name, and a function that gives Kong's words when a value fails it.

local null = ...
local concat = table.concat
local ipairs, pairs, tostring, type = ipairs, pairs, tostring, type

local function shown(value)
  return value == null and "null" or tostring(value)
end

local function listed(values)
  local parts = {}
  for index, value in ipairs(values) do
    parts[index] = shown(value)
  end
  return concat(parts, ", ")
end

local function among(value, values)
  for _, item in ipairs(values) do
    if item == value then
      return true
    end
  end
  return false
end

local function size(value)
  if type(value) == "string" then
    return #value
  end
  local count = 0
  for _ in pairs(value) do
    count = count + 1
  end
  return count
end

local function matches_any(value, patterns)
  for _, pattern in ipairs(patterns) do
    if value:match(pattern) then
      return true
    end
  end
  return false
end

return {
  { "eq", function(value, wanted) return value ~= wanted and "value must be " .. shown(wanted) end },
  { "ne", function(value, wanted) return value == wanted and "value must not be " .. shown(value) end },
  { "not_one_of", function(value, wanted) return among(value, wanted) and "must not be one of: " .. listed(wanted) end },
  { "one_of", function(value, wanted) return not among(value, wanted) and "expected one of: " .. listed(wanted) end },
  { "gt", function(value, wanted) return not (value > wanted) and "value must be greater than " .. shown(wanted) end },
  { "timestamp", function(value) return not (value > 0) and "expected a valid timestamp" end },
  { "uuid", function(value)
    local x = "%x%x%x%x"
    return not value:match("^" .. x .. x .. "%-" .. x .. "%-" .. x .. "%-" .. x .. "%-" .. x .. x .. x .. "$")
      and "expected a valid UUID"
  end },
  { "between", function(value, wanted)
    return (value < wanted[1] or value > wanted[2])
      and ("value should be between %d and %d"):format(wanted[1], wanted[2])
  end },
  { "len_eq", function(value, wanted) return size(value) ~= wanted and ("length must be %d"):format(wanted) end },
  { "len_min", function(value, wanted)
    return size(value) < wanted and ("length must be at least %d"):format(wanted)
  end },
  { "len_max", function(value, wanted)
    return size(value) > wanted and ("length must be at most %d"):format(wanted)
  end },
  { "starts_with", function(value, wanted)
    return value:sub(1, #wanted) ~= wanted and "should start with: " .. wanted
  end },
  { "not_match", function(value, wanted) return value:match(wanted) and "invalid value: " .. value end },
  { "match_none", function(value, wanted)
    for _, rule in ipairs(wanted) do
      if value:match(rule.pattern) then
        return rule.err or "invalid value: " .. value
      end
    end
  end },
  { "match", function(value, wanted) return not value:match(wanted) and "invalid value: " .. value end },
  { "match_all", function(value, wanted)
    for _, rule in ipairs(wanted) do
      if not value:match(rule.pattern) then
        return rule.err or "invalid value: " .. value
      end
    end
  end },
  { "match_any", function(value, wanted)
    return not matches_any(value, wanted.patterns) and (wanted.err or "invalid value: " .. value)
  end },
  { "contains", function(value, wanted)
    return not among(wanted, value) and "expected to contain: " .. shown(wanted)
  end },
  { "custom_validator", function(value, wanted)
    local ok, why = wanted(value)
    return not ok and (why or "invalid value: " .. shown(value))
  end },
}
