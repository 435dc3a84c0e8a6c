--- Ids: made, and judged when they come from outside. Pure functions; the caller gives time and randomness.

local byte = string.byte
local find = string.find
local format = string.format
local floor = math.floor
local sub = string.sub
local tonumber = tonumber

local stamp = {}

--- The id of a request as a UUID of version 4.
-- @param random 32 hexadecimal digits, all of them random
function stamp.uuid4(random)
  local variant = format("%x", 8 + tonumber(sub(random, 17, 17), 16) % 4)
  return format("%s-%s-4%s-%s%s-%s", sub(random, 1, 8), sub(random, 9, 12), sub(random, 14, 16),
                variant, sub(random, 18, 20), sub(random, 21, 32))
end

--- The id of a request as a UUID of version 7: ids sort by the time of their request.
-- @param random 32 hexadecimal digits, all of them random
-- @param seconds the time since the epoch, with a fraction
function stamp.uuid7(random, seconds)
  local milliseconds = floor(seconds * 1000)
  -- two halves: %x takes no more than 32 bits everywhere
  local time = format("%08x%04x", floor(milliseconds / 65536), milliseconds % 65536)
  local variant = format("%x", 8 + tonumber(sub(random, 17, 17), 16) % 4)
  return format("%s-%s-7%s-%s%s-%s", sub(time, 1, 8), sub(time, 9, 12), sub(random, 14, 16),
                variant, sub(random, 18, 20), sub(random, 21, 32))
end

--- A function that gives short ids in order: PREFIX-1, PREFIX-2, …
-- @param prefix what tells this sequence from every other one
function stamp.counter(prefix)
  local count = 0
  return function()
    count = count + 1
    return format("%s-%d", prefix, count)
  end
end

--- Whether an id from outside may be kept: visible ASCII without quotes, and not too long.
-- Anything else could break a log line or a header.
function stamp.acceptable(id, max_length)
  return type(id) == "string" and #id > 0 and #id <= max_length
     and not find(id, "[^%w%-%._~:/+=#@]")
end

--- Whether a path lies under one of the prefixes: "/health" covers "/health" and "/health/db", not "/healthy".
function stamp.under(path, prefixes)
  for i = 1, #prefixes do
    local prefix = prefixes[i]
    if sub(path, 1, #prefix) == prefix then
      local follower = byte(path, #prefix + 1)
      if not follower or follower == 47 or byte(prefix, -1) == 47 then
        return true
      end
    end
  end
  return false
end

return stamp
