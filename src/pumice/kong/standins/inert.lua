-- A value that takes everything and does nothing: indexed or called it gives another one.
-- It stands for whatever Kong or OpenResty would provide and the plugin merely touches while it loads.

local setmetatable, getmetatable, tostring, type = setmetatable, getmetatable, tostring, type

-- what was asked of it first since `take`: then nothing depends on what a gateway would have said
local touched
local function touch(name)
  touched = touched or name
end

local function take()
  local name = touched
  touched = nil
  return name
end

local meta = {}
local names = setmetatable({}, { __mode = "k" })

local function inert(name)
  local value = setmetatable({}, meta)
  names[value] = name
  return value
end

local function is_inert(value)
  return type(value) == "table" and getmetatable(value) == meta
end

local function zero()
  return 0
end

local function no()
  return false
end

meta.__index = function(self, key)
  touch(names[self] or "?")
  return inert((names[self] or "?") .. "." .. tostring(key))
end
meta.__call = function(self)
  touch(names[self] or "?")
  return inert((names[self] or "?") .. "()")
end
meta.__tostring = function(self)
  return names[self] or "?"
end
meta.__concat = function(left, right)
  return tostring(left) .. tostring(right)
end
meta.__add, meta.__sub, meta.__mul, meta.__div, meta.__mod, meta.__pow, meta.__unm = zero, zero, zero, zero, zero,
  zero, zero
meta.__lt, meta.__le = no, no

-- A table with real members; whatever else is asked of it is inert.
local function partly(name, members)
  return setmetatable(members, {
    __index = function(_, key)
      touch(name .. "." .. tostring(key))
      return inert(name .. "." .. tostring(key))
    end,
  })
end

return { new = inert, is = is_inert, partly = partly, touch = touch, take = take }
