-- As much of busted as the specs of plugins here use: describe, it, before_each and a few assertions.
-- Arguments: spec files. Prints the number of passed cases; a failure ends the program.

local passed = 0
local scopes = {}

local function fail(text)
  error(text, 3)
end

local assertion = setmetatable({
  equal = function(expected, actual)
    if expected ~= actual then
      fail(("expected %s, got %s"):format(tostring(expected), tostring(actual)))
    end
  end,
  truthy = function(value) return value or fail "expected something truthy" end,
  falsy = function(value) return not value or fail "expected something falsy" end,
  is_nil = function(value) return value == nil or fail("expected nil, got " .. tostring(value)) end,
}, { __call = function(_, value, ...)
  if not value then
    error((...) or "assertion failed", 2)
  end
  return value, ...
end })

-- specs are given these; modules under test keep the plain ones
local environment = setmetatable({ assert = assertion }, { __index = _G, __newindex = _G })

function environment.describe(name, body)
  scopes[#scopes + 1] = { name = name }
  body()
  scopes[#scopes] = nil
end

function environment.before_each(action)
  local scope = scopes[#scopes]
  if scope then
    scope.before = action
  else
    scopes[0] = { name = "", before = action }
  end
end

function environment.it(name, body)
  for level = 0, #scopes do
    if scopes[level] and scopes[level].before then
      scopes[level].before()
    end
  end
  local ok, problem = xpcall(body, debug.traceback)
  if not ok then
    local path = {}
    for level = 1, #scopes do
      path[level] = scopes[level].name
    end
    io.stderr:write(table.concat(path, " "), " ", name, ": ", tostring(problem), "\n")
    os.exit(1)
  end
  passed = passed + 1
end

for _, file in ipairs(arg) do
  scopes = {}
  setfenv(assert(loadfile(file)), environment)()
end
print(passed)
