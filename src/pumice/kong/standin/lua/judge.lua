-- A plugin's schema held against what a gateway demands of one. Takes the engine, the words, the metaschema (a
-- definition written out by Python) and `inert`; gives a function that tells why a schema is refused.

local engine, violation, metaschema, inert = ...
local check_entity, fields_of, filled = engine.check_entity, engine.fields_of, engine.filled
local error, ipairs, next, pairs, rawget, tostring, type = error, ipairs, next, pairs, rawget, tostring, type

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
return function(plugin, schema)
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
