-- Plugin entities: completed with a schema's defaults, and judged by it. Takes the engine, the words, and what tells
-- why a schema is refused.

local engine, violation, refused = ...
local check_entity, fields_of, filled = engine.check_entity, engine.fields_of, engine.filled
local ipairs, next, pairs, type = ipairs, next, pairs, type

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
