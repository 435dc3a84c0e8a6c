-- The entities of a node: in a directory that stands for the database (all nodes that name it share them), or in
-- a file of the node's prefix when it has no database.

local part = ...
local conf, json, null, system = part("conf"), part("json"), part("null"), part("system")
local ipairs, next, pairs = ipairs, next, pairs

local KINDS = { "services", "routes", "consumers", "plugins" }
local EMPTY_HASH = ("0"):rep(32)

local store = { kinds = KINDS }

local function nothing()
  local entities = {}
  for _, kind in ipairs(KINDS) do
    entities[kind] = {}
  end
  return entities
end

local function readable(text)
  local entities = nothing()
  local stored = text and text ~= "" and json.safe.decode(text) or {}
  for _, kind in ipairs(KINDS) do
    entities[kind] = stored[kind] or entities[kind]
  end
  return entities
end

local random_seeded = false

-- An id for an entity: always the same one for a seed, else a random one.
function store.uuid(seed)
  local hex = ""
  if seed then
    local hash = 5381
    for round = 1, 4 do
      for at = 1, #seed do
        hash = (hash * 33 + seed:byte(at) + round) % 4294967296
      end
      hex = hex .. ("%08x"):format(hash)
    end
  else
    if not random_seeded then
      local source = io.open("/dev/urandom", "rb")
      local bytes = source and source:read(4) or tostring(os.time())
      if source then
        source:close()
      end
      local a, b, c, d = bytes:byte(1, 4)
      math.randomseed(((a * 256 + b) * 256 + c) * 256 + d)
      random_seeded = true
    end
    for _ = 1, 4 do
      hex = hex .. ("%04x%04x"):format(math.random(0, 65535), math.random(0, 65535))
    end
  end
  return ("%s-%s-4%s-8%s-%s"):format(hex:sub(1, 8), hex:sub(9, 12), hex:sub(14, 16), hex:sub(18, 20), hex:sub(21, 32))
end

-- Opens the entities of a node; the result has `entities`, `refresh`, `change`, `replace` and `hash`.
function store.open(properties)
  local database = conf.database(properties)
  local path = database and database .. "/entities.json" or properties.prefix .. "/dbless.json"
  local self = { has_database = database ~= nil, path = path, text = "", entities = nothing() }

  -- Reads what others may have written; true when it is not what was there.
  function self.refresh()
    local text = system.read(path) or ""
    if text == self.text then
      return false
    end
    self.text, self.entities = text, readable(text)
    return true
  end

  -- Writes what `action` makes of the entities; gives what it returns.
  function self.change(action)
    return system.locked(path .. ".lock", function()
      self.refresh()
      local first, second = action(self.entities)
      local text = json.plain.encode(self.entities)
      assert(system.write(path, text))
      self.text, self.entities = text, readable(text)
      return first, second
    end)
  end

  function self.replace(entities)
    local text = entities and json.plain.encode(entities) or ""
    assert(system.write(path, text))
    self.text, self.entities = text, readable(text)
  end

  function self.is_empty()
    for _, kind in ipairs(KINDS) do
      if next(self.entities[kind]) then
        return false
      end
    end
    return true
  end

  function self.hash()
    if self.is_empty() then
      return EMPTY_HASH
    end
    return ngx.md5(json.plain.encode(self.entities))
  end

  self.refresh()
  return self
end

-- An entity without its nulls, as plugins get it.
function store.without_nulls(value)
  if type(value) ~= "table" then
    return value
  end
  local new = setmetatable({}, getmetatable(value))
  for key, item in pairs(value) do
    if item ~= null then
      new[key] = store.without_nulls(item)
    end
  end
  return new
end

return store
