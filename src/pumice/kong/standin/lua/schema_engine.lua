-- Values held against field definitions, as a gateway does it. Takes null, `inert`, whose values say nothing, the
-- validators of single values, and what makes the checks over several. Unlike the judge of `check` it calls the
-- plugin's own functions.

local null, inert, validators, entity_checks = ...
local error, getmetatable, ipairs, next, pairs, pcall, setmetatable, tostring, type = error, getmetatable, ipairs, next,
  pairs, pcall, setmetatable, tostring, type

local REQUIRED = "required field missing"

local expected = {
  array = "expected an array", set = "expected a set", map = "expected a map", record = "expected a record",
  string = "expected a string", number = "expected a number", boolean = "expected a boolean",
  integer = "expected an integer", ["function"] = "expected a function",
}

local function is_sequence(value)
  local count = 0
  for _ in pairs(value) do
    count = count + 1
  end
  return count == #value
end

local function fields_of(schema)
  local found = {}
  if inert.is(schema.fields) then
    return found
  end
  for _, entry in ipairs(schema.fields) do
    if type(entry) == "table" and not inert.is(entry) then
      for name, field in pairs(entry) do
        if type(field) == "table" and not inert.is(field) then
          found[name] = field
        end
      end
    end
  end
  return found
end

local check_entity, check_field, filled, run_checks

local function check_typed(field, value)
  local kind = field.type
  if kind == "array" or kind == "set" then
    if type(value) ~= "table" or not is_sequence(value) then
      return expected[kind]
    end
    local problems
    if type(field.elements) ~= "table" then
      error("attempt to index field 'elements' (a nil value)", 0)
    end
    for index, item in ipairs(value) do
      local problem = item == null and REQUIRED or check_field(field.elements, item)
      if problem then
        problems = problems or {}
        problems[index] = problem
      end
    end
    return problems
  elseif kind == "map" then
    if type(value) ~= "table" then
      return expected.map
    elseif type(field.keys) ~= "table" or type(field.values) ~= "table" then
      error("attempt to index field 'keys' (a nil value)", 0)
    end
    for key, item in pairs(value) do
      local problem = check_field(field.keys, key) or check_field(field.values, item)
      if problem then
        return problem
      end
    end
  elseif kind == "record" then
    if type(value) ~= "table" then
      return expected.record
    end
    local problems = check_entity(field, filled(field, value))
    return next(problems) and problems or nil
  elseif kind == "integer" then
    return (type(value) ~= "number" or value % 1 ~= 0) and expected.integer or nil
  elseif kind == "foreign" or kind == "any" or kind == "json" then
    return nil
  elseif expected[kind] then
    return type(value) ~= kind and expected[kind] or nil
  else
    return "invalid type: " .. tostring(kind)
  end
end

function check_field(field, value)
  if value == nil then
    value = null
  end
  if inert.is(value) or inert.is(field) then
    return nil
  end
  local own = type(field.err) == "string" and field.err or nil
  if value == null then
    if field.eq ~= nil and field.eq ~= null then
      return "value must be " .. tostring(field.eq)
    end
    return field.required and REQUIRED or nil
  elseif field.eq == null then
    return own or "value must be null"
  elseif field.abstract then
    return "error in schema definition: abstract field was not specialized"
  end
  local problem = check_typed(field, value)
  if problem then
    return problem
  end
  if field.referenceable and type(value) == "string" and value:match("^{vault://.+}$") then
    return nil
  end
  for _, entry in ipairs(validators) do
    local name, validate = entry[1], entry[2]
    local wanted = field[name]
    if wanted == nil and name == "len_min" and field.type == "string" then
      wanted = 1
    end
    if wanted ~= nil and wanted ~= null then
      problem = validate(value, wanted)
      if problem then
        return own or problem
      end
    end
  end
end

run_checks = entity_checks(check_field)

function check_entity(schema, entity)
  local known, problems = fields_of(schema), {}
  for key, value in pairs(entity) do
    local field = known[key]
    local problem
    if not field then
      problem = value ~= null and "unknown field" or nil
    elseif field.type == "self" then
      local ok, told = pcall(check_field, entity, value)
      problem = ok and told or (not ok and "error in schema prevents from validating this field" or nil)
    else
      problem = check_field(field, value)
    end
    problems[key] = problem
  end
  for name, field in pairs(known) do
    if field.required and (entity[name] == nil or entity[name] == null) then
      problems[name] = REQUIRED
    end
  end
  run_checks(schema, entity, problems)
  return problems
end

local function copied(value)
  if type(value) ~= "table" or inert.is(value) then
    return value
  end
  local new = setmetatable({}, getmetatable(value))
  for key, item in pairs(value) do
    new[key] = copied(item)
  end
  return new
end

local function in_context(field, value)
  if field.abstract then
    return value
  end
  if value == nil then
    if field.default ~= nil then
      value = copied(field.default)
    elseif field.nilable then
      return nil
    elseif field.required ~= true then
      return null
    elseif field.type == "record" then
      value = {}
    else
      return nil
    end
  end
  if type(value) == "table" and not inert.is(value) then
    if field.type == "record" then
      return filled(field, value)
    end
    local inner = field.type == "map" and field.values or field.elements
    if type(inner) == "table" then
      local new = setmetatable({}, getmetatable(value))
      for key, item in pairs(value) do
        new[key] = in_context(inner, item)
      end
      return new
    end
  end
  return value
end

-- The record as a gateway stores it: shorthands folded, defaults and nulls where nothing was.
function filled(schema, entity)
  local whole = {}
  for key, value in pairs(entity) do
    whole[key] = value
  end
  for _, entry in ipairs(schema.shorthand_fields or {}) do
    local name, definition = next(entry)
    if whole[name] ~= nil and type(definition.func) == "function" then
      local value = whole[name]
      whole[name] = nil
      for key, item in pairs(definition.func(value) or {}) do
        whole[key] = item
      end
    end
  end
  for name, field in pairs(fields_of(schema)) do
    whole[name] = in_context(field, whole[name])
  end
  return whole
end

return { check_field = check_field, check_entity = check_entity, filled = filled, fields_of = fields_of }
