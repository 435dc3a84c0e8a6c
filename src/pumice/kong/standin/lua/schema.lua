-- Values held against field definitions, and a plugin's schema against what a gateway demands of one.
-- Takes null, the words, the metaschema (a definition written out by Python), `inert`, whose values say nothing,
-- and what makes the checks over several fields.

local null, violation, metaschema, inert, entity_checks = ...
local concat = table.concat
local error, ipairs, next, pairs, pcall, rawget, tostring, type = error, ipairs, next, pairs, pcall, rawget, tostring,
  type

local REQUIRED = "required field missing"

local expected = {
  array = "expected an array", set = "expected a set", map = "expected a map", record = "expected a record",
  string = "expected a string", number = "expected a number", boolean = "expected a boolean",
  integer = "expected an integer", ["function"] = "expected a function",
}

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

-- Each gives Kong's words when `value` fails the validator's argument.
local validators = {
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
      return "value must be " .. shown(field.eq)
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

local companions = {
  array = { "elements" }, set = { "elements" }, map = { "keys", "values" }, record = { "fields" },
  json = { "json_schema" },
}

local numbers = { integer = true, number = true }
local keys = { string = true, number = true, integer = true, foreign = true }
local text, lists = { string = true }, { array = true, set = true }
local only_on = {
  between = numbers, len_eq = { array = true, set = true, string = true, map = true }, match = text,
  one_of = { integer = true, number = true, string = true }, contains = lists, is_regex = text, timestamp = numbers,
  uuid = text, unique = keys, unique_across_ws = keys, json_schema = { json = true },
  abstract = {
    string = true, number = true, integer = true, record = true, array = true, set = true, map = true,
  },
  transient = { string = true, number = true, integer = true, array = true, set = true, boolean = true },
}

local function has_field(schema, path)
  local head, tail = path:match("^([^.]+)%.?(.*)$")
  for _, entry in ipairs(schema.fields) do
    if type(entry) == "table" and entry[head] ~= nil then
      return tail == "" or entry[head].type == "foreign" or has_field(entry[head], tail)
    end
  end
  return false
end

local function check_transformations(schema, found)
  for index, transformation in ipairs(schema.transformations or {}) do
    for _, part in ipairs { "input", "needs" } do
      for place, name in ipairs(type(transformation) == "table" and transformation[part] or {}) do
        if type(name) == "string" and not has_field(schema, name) then
          found.transformations = { [part] = { [index] = { [place] = "invalid field name: " .. name } } }
        end
      end
    end
  end
end

local check_fields

local function check_definition(name, field, found, depth)
  if not field.type then
    found[name] = "missing type declaration"
    return
  end
  for _, companion in ipairs(companions[field.type] or {}) do
    if not field[companion] and not (field.type == "record" and field.abstract) then
      found[name] = ("field of type '%s' must declare '%s'"):format(field.type, companion)
    end
  end
  for attribute in pairs(field) do
    if only_on[attribute] and not only_on[attribute][field.type] then
      found[name] = ("field of type '%s' cannot have attribute '%s'"):format(field.type, attribute)
    end
  end
  for _, inner in ipairs { "elements", "keys", "values" } do
    if inert.is(field[inner]) then
      -- nobody knows here
    elseif type(field[inner]) == "table" then
      check_definition(name, field[inner], found, depth + 1)
    elseif field[inner] then
      found[name] = ("'%s' must be a table"):format(inner)
    end
  end
  if field.fields then
    check_fields(field, found, depth + 1)
  end
end

function check_fields(schema, found, depth)
  if depth > 24 or inert.is(schema.fields) then
    return
  end
  check_transformations(schema, found)
  for _, entry in ipairs(schema.fields) do
    if inert.is(entry) then
      -- nobody knows here
      return
    elseif type(entry) ~= "table" then
      found.fields = "each entry in fields must be a sub-table"
      return
    end
    local name, field = next(entry)
    if name == nil then
      found.fields = "field entry table is empty"
      return
    elseif inert.is(field) then
      -- nobody knows here
    elseif type(field) == "table" then
      check_definition(name, field, found, depth)
    else
      found[name] = ("'%s' must be a table"):format(tostring(name))
    end
  end
end

local entities = {}
for name in ([[
  ca_certificates certificates clustering_data_planes consumers filter_chains key_sets keys parameters plugins routes
  services snis tags targets upstreams vaults workspaces
]]):gmatch("%S+") do
  entities[name] = true
end

local elements_of = { protocols = "string", tags = "string" }
local parent = {
  id = "string", name = "string", instance_name = "string", created_at = "integer", updated_at = "integer",
  route = "foreign", service = "foreign", consumer = "foreign", config = "record", protocols = "set",
  enabled = "boolean", tags = "set",
}

-- A record without fields stops Kong when it goes through the nested records.
local function check_nested_records(field)
  if field.fields == nil then
    error("attempt to index field 'fields' (a nil value)", 0)
  end
  for _, inner in pairs(fields_of(field)) do
    if inner.type == "record" then
      check_nested_records(inner)
    end
  end
end

-- Why a gateway refuses the schema of a plugin: Kong's words, or nil. May raise where Kong's own code fails.
local function refused(plugin, schema)
  local problems = check_entity(metaschema, filled(metaschema, schema))
  if rawget(schema, "name") == nil or schema.fields == nil then
    for _, name in ipairs { "name", "fields" } do
      if schema[name] == nil then
        problems[name] = "field required for entity check"
      end
    end
  else
    check_fields(schema, problems, 0)
  end
  if next(problems) then
    return violation(problems)
  end
  for _, field in pairs(fields_of(schema)) do
    if field.type == "foreign" and not entities[field.reference] then
      return "error initializing schema for plugin: schema refers to an invalid foreign entity: "
        .. tostring(field.reference)
    end
  end
  for name, field in pairs(fields_of(schema)) do
    local wanted = elements_of[name]
    local wrong = not parent[name] and "cannot create a new field"
      or (field.type ~= parent[name] or wanted and (field.elements or {}).type ~= wanted)
        and "cannot change type in a specialized field"
    if name == "config" and not wrong then
      check_nested_records(field)
    end
    if wrong then
      return ("error initializing schema for plugin: error in definition of '%s': %s: %s"):format(plugin, name, wrong)
    end
  end
end

-- In a plugin's schema every record is required unless it says otherwise.
local function records_required(field)
  if field.type ~= "record" or type(field.fields) ~= "table" then
    return field
  end
  local new, fields = {}, {}
  for key, value in pairs(field) do
    new[key] = value
  end
  for index, entry in ipairs(field.fields) do
    local name, inner = next(entry)
    fields[index] = { [name] = records_required(inner) }
  end
  new.fields = fields
  if new.required == nil then
    new.required = true
  end
  return new
end

local all_protocols = { "grpc", "grpcs", "http", "https", "tcp", "tls", "tls_passthrough", "udp" }
local entity_fields = {
  id = { type = "string", uuid = true },
  name = { type = "string", required = true },
  instance_name = { type = "string" },
  created_at = { type = "integer", timestamp = true },
  updated_at = { type = "integer", timestamp = true },
  route = { type = "foreign", reference = "routes" },
  service = { type = "foreign", reference = "services" },
  consumer = { type = "foreign", reference = "consumers" },
  config = { type = "record", abstract = true },
  protocols = {
    type = "set", required = true, default = { "grpc", "grpcs", "http", "https" },
    elements = { type = "string", one_of = all_protocols },
  },
  enabled = { type = "boolean", required = true, default = true },
  tags = { type = "set", elements = { type = "string" } },
}

-- A plugin entity with all its defaults, and what is wrong with it by name (nil: nothing).
local function instance(schema, entity)
  local own, whole = schema and fields_of(schema) or {}, { fields = {}, entity_checks = schema and schema.entity_checks }
  for name, field in pairs(entity_fields) do
    table.insert(whole.fields, { [name] = own[name] and records_required(own[name]) or field })
  end
  if not schema then
    -- a bundled plugin: nothing is known of its settings
    table.insert(whole.fields, { config = { type = "map", keys = { type = "string" }, values = { type = "any" } } })
  end
  local complete = filled(whole, entity)
  local problems = check_entity(whole, complete)
  return complete, next(problems) and problems or nil
end

return { refused = refused, instance = instance, violation = violation }
