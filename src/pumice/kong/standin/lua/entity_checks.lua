-- Checks over several fields of a record, with a gateway's words. Takes null and `check_field(field, value)`.

local null, check_field = ...
local concat = table.concat
local error, ipairs, next, pairs, type = error, ipairs, next, pairs, type

local function shown(value)
  return value == null and "null" or tostring(value)
end

local function quoted_list(values)
  local parts = {}
  for index, value in ipairs(values) do
    parts[index] = type(value) == "table" and "(" .. quoted_list(value) .. ")" or "'" .. shown(value) .. "'"
  end
  return concat(parts, ", ")
end

local function at(entity, path)
  for part in path:gmatch("[^.]+") do
    if type(entity) ~= "table" then
      return nil
    end
    entity = entity[part]
  end
  return entity
end

local function definition_at(fields, path)
  local head, tail = path:match("^([^.]+)%.?(.*)$")
  for _, entry in ipairs(fields or {}) do
    local name, field = next(entry)
    if name == head then
      return tail == "" and field or definition_at(field.fields, tail)
    end
  end
end

local function put(table, path, value)
  local parent, last = table, path:match("([^.]+)$")
  for part in path:gmatch("([^.]+)%.") do
    parent[part] = type(parent[part]) == "table" and parent[part] or {}
    parent = parent[part]
  end
  parent[last] = value
end

local function set_names(entity, names)
  local found = {}
  for _, name in ipairs(names or {}) do
    local value = at(entity, name)
    if value ~= nil and value ~= null and value ~= "" and not (type(value) == "table" and next(value) == nil) then
      found[#found + 1] = name
    end
  end
  return found
end

local simple = {}

function simple.at_least_one_of(entity, names)
  return #set_names(entity, names) == 0 and "at least one of these fields must be non-empty: " .. quoted_list(names)
end

function simple.only_one_of(entity, names)
  return #set_names(entity, names) ~= 1 and "exactly one of these fields must be non-empty: " .. quoted_list(names)
end

function simple.distinct(entity, names)
  local seen = {}
  for _, name in ipairs(set_names(entity, names)) do
    local value = at(entity, name)
    if seen[value] then
      return "values of these fields must be distinct: " .. quoted_list(names)
    end
    seen[value] = true
  end
end

function simple.mutually_exclusive(entity, names)
  return #set_names(entity, names) > 1 and "only one or none of these fields must be set: " .. quoted_list(names)
end

function simple.mutually_required(entity, names)
  local count = #set_names(entity, names)
  return count > 0 and count < #names and "all or none of these fields must be set: " .. quoted_list(names)
end

function simple.mutually_exclusive_sets(entity, rule)
  local one, other = set_names(entity, rule.set1), set_names(entity, rule.set2)
  return #one > 0 and #other > 0
    and "these sets are mutually exclusive: " .. quoted_list { one, other }
end

-- The definition of a field with other demands.
local function merged(fields, path, demands)
  local definition = {}
  for _, from in ipairs { definition_at(fields, path) or { type = "any" }, demands or {} } do
    for name, value in pairs(from) do
      definition[name] = value
    end
  end
  return definition
end

local conditions = {}

function conditions.conditional(entity, rule, fields, problems)
  if check_field(merged(fields, rule.if_field, rule.if_match), at(entity, rule.if_field)) then
    return false
  end
  local value = at(entity, rule.then_field)
  local problem
  if rule.then_match.required == true and (value == nil or value == null) then
    problem = "required field missing"
  else
    problem = check_field(merged(fields, rule.then_field, rule.then_match), value)
  end
  if problem then
    put(problems, rule.then_field, problem)
    return rule.then_err and rule.then_err:gsub("%%s", rule.if_field)
      or ("failed conditional validation given value of field '%s'"):format(rule.if_field)
  end
end

function conditions.conditional_at_least_one_of(entity, rule, fields)
  local value = at(entity, rule.if_field)
  if value == nil then
    return false
  end
  local names, said = rule.then_at_least_one_of, rule.then_err
  if check_field(merged(fields, rule.if_field, rule.if_match), value) then
    if not rule.else_match or check_field(merged(fields, rule.if_field, rule.else_match), value) then
      return false
    end
    names, said = rule.else_then_at_least_one_of, rule.else_then_err
  end
  if #set_names(entity, names) > 0 then
    return false
  end
  return said and said:gsub("%%s", quoted_list(names))
    or "at least one of these fields must be non-empty: " .. quoted_list(names)
end

function conditions.custom_entity_check(entity, rule, fields, problems)
  local projection, missing, present = {}, {}, false
  for _, name in ipairs(rule.field_sources) do
    local value = at(entity, name)
    if value ~= nil then
      present = true
      put(projection, name, value)
    elseif not rule.run_with_missing_fields then
      missing[#missing + 1] = name
    end
    if problems[name] and not rule.run_with_invalid_fields then
      return false
    end
  end
  if not present then
    return false
  end
  for _, name in ipairs(missing) do
    put(problems, name, "field required for entity check")
  end
  if #missing > 0 then
    return false
  end
  if type(rule.fn) ~= "function" then
    error("attempt to call field 'fn' (a " .. type(rule.fn) .. " value)", 0)
  end
  local ok, said, own = rule.fn(projection)
  return not ok and (own or said or "failed entity check: custom_entity_check({ … })")
end

-- Checks that are left out when one of their fields is wrong itself.
local only_valid = { mutually_required = true, mutually_exclusive = true, mutually_exclusive_sets = true }

local any_wrong
function any_wrong(argument, problems)
  for _, name in pairs(argument) do
    if type(name) == "table" and any_wrong(name, problems) or type(name) == "string" and problems[name] then
      return true
    end
  end
  return false
end

-- Adds what the checks of a definition find to `problems`, by name and under `@entity`.
return function(schema, entity, problems)
  for _, check in ipairs(schema.entity_checks or {}) do
    for name, argument in pairs(check) do
      local said
      if argument == null or only_valid[name] and any_wrong(argument, problems) then
        said = nil
      elseif simple[name] then
        said = simple[name](entity, argument)
      elseif conditions[name] then
        said = conditions[name](entity, argument, schema.fields, problems)
      end
      if said then
        problems["@entity"] = problems["@entity"] or {}
        table.insert(problems["@entity"], said)
      end
    end
  end
end
