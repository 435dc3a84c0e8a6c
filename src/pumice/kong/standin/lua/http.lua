-- Requests to the APIs read, and answers written.

local part = ...
local json, pdk, schemas = part("json"), part("pdk"), part("schema")
local pairs, tonumber, type = pairs, tonumber, type

local function array(values)
  return setmetatable(values, json.array_mt)
end

local function reply(status, body)
  ngx.status = status
  if body ~= nil then
    body = json.plain.encode(body)
    ngx.header.content_type = "application/json; charset=utf-8"
    ngx.header.content_length = #body
    ngx.print(body)
  else
    ngx.header.content_length = 0
  end
  return ngx.exit(ngx.OK)
end

local function violation(problems)
  return reply(400, { code = 2, name = "schema violation", message = schemas.violation(problems), fields = problems })
end

-- `a.b=1` of a form as a table; texts that look like another type are taken for it.
local function from_form(form)
  local body = {}
  for name, value in pairs(form) do
    if value == "true" or value == "false" then
      value = value == "true"
    elseif type(value) == "string" and value:match("^-?%d+%.?%d*$") then
      value = tonumber(value)
    end
    local parent, last = body, nil
    for key in name:gmatch("[^.]+") do
      if last then
        parent[last] = type(parent[last]) == "table" and parent[last] or {}
        parent = parent[last]
      end
      last = key
    end
    local list = last and last:match("^(.*)%[%]$")
    if list then
      parent[list] = array(type(value) == "table" and value or { value })
    elseif last then
      parent[last] = value
    end
  end
  return body
end

local function sent()
  local text, kind = pdk.body_of_request(), ngx.var.content_type or "application/json"
  if text == "" then
    return {}
  end
  local value, why = pdk.decoded(text, kind)
  if type(value) ~= "table" then
    return reply(400, { message = "Cannot parse JSON body", reason = why })
  end
  return kind:find("urlencoded", 1, true) and from_form(value) or value
end

return { array = array, reply = reply, violation = violation, sent = sent }
