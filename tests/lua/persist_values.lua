-- The oracle of test_write.py: what LuaRocks's own writer makes of many values, in one process.
-- Input: a chunk that returns a list of { "value" | "globals" | "module", value, order }. Output: for each,
-- its length, a line feed, and its text; -1 where the writer refuses.
local persist = require("luarocks.persist")

local function text_of(kind, value, order)
  if kind == "globals" then
    return persist.save_from_table_to_string(value, order)
  elseif kind == "module" then
    local name = os.tmpname()
    assert(persist.save_as_module(name, value))
    local file = assert(io.open(name, "rb"))
    local text = file:read("*a")
    file:close()
    os.remove(name)
    return text
  end
  local out = {}
  persist.write_value({write = function(_, piece) out[#out + 1] = piece end}, value)
  return table.concat(out)
end

local cases = dofile(arg[1])
local output = assert(io.open(arg[2], "wb"))
for _, case in ipairs(cases) do
  local text = text_of(case[1], case[2], case[3])
  output:write(text and #text or -1, "\n", text or "")
end
output:close()
