-- The `ngx` of a gateway's start: constants as they are, pure functions that work, and the rest as nginx has it
-- in init_by_lua: what needs a request, a timer or a socket is refused.

local inert, context = ...
local error, floor, tostring, type = error, math.floor, tostring, type
local byte, char, format, gsub = string.byte, string.char, string.format, string.gsub
local clock, date, time = os.clock, os.date, os.time

-- Tells it at the line that called or indexed: `level` frames up, 3 when not said.
local function disabled(level)
  if context.phase == "init" then
    error("API disabled in the context of init_by_lua*", level or 3)
  end
end

local function needs_request(name)
  return function()
    disabled()
    return inert.new(name .. "()")
  end
end

local function refusing(name, members)
  return setmetatable(members or {}, {
    __index = function(_, key)
      disabled()
      return inert.new(name .. "." .. tostring(key))
    end,
    __newindex = function()
      disabled()
    end,
  })
end

local ngx = {
  OK = 0, ERROR = -1, AGAIN = -2, DONE = -4, DECLINED = -5,
  -- the one value of its kind; a userdata, as in nginx
  null = newproxy(),

  HTTP_GET = 2, HTTP_HEAD = 4, HTTP_POST = 8, HTTP_PUT = 16, HTTP_DELETE = 32, HTTP_MKCOL = 64, HTTP_COPY = 128,
  HTTP_MOVE = 256, HTTP_OPTIONS = 512, HTTP_PROPFIND = 1024, HTTP_PROPPATCH = 2048, HTTP_LOCK = 4096,
  HTTP_UNLOCK = 8192, HTTP_PATCH = 16384, HTTP_TRACE = 32768,

  HTTP_CONTINUE = 100, HTTP_SWITCHING_PROTOCOLS = 101, HTTP_OK = 200, HTTP_CREATED = 201, HTTP_ACCEPTED = 202,
  HTTP_NO_CONTENT = 204, HTTP_PARTIAL_CONTENT = 206, HTTP_SPECIAL_RESPONSE = 300, HTTP_MOVED_PERMANENTLY = 301,
  HTTP_MOVED_TEMPORARILY = 302, HTTP_SEE_OTHER = 303, HTTP_NOT_MODIFIED = 304, HTTP_TEMPORARY_REDIRECT = 307,
  HTTP_PERMANENT_REDIRECT = 308, HTTP_BAD_REQUEST = 400, HTTP_UNAUTHORIZED = 401, HTTP_PAYMENT_REQUIRED = 402,
  HTTP_FORBIDDEN = 403, HTTP_NOT_FOUND = 404, HTTP_NOT_ALLOWED = 405, HTTP_NOT_ACCEPTABLE = 406,
  HTTP_REQUEST_TIMEOUT = 408, HTTP_CONFLICT = 409, HTTP_GONE = 410, HTTP_UPGRADE_REQUIRED = 426,
  HTTP_TOO_MANY_REQUESTS = 429, HTTP_CLOSE = 444, HTTP_ILLEGAL = 451, HTTP_INTERNAL_SERVER_ERROR = 500,
  HTTP_NOT_IMPLEMENTED = 501, HTTP_METHOD_NOT_IMPLEMENTED = 501, HTTP_BAD_GATEWAY = 502,
  HTTP_SERVICE_UNAVAILABLE = 503, HTTP_GATEWAY_TIMEOUT = 504, HTTP_VERSION_NOT_SUPPORTED = 505,
  HTTP_INSUFFICIENT_STORAGE = 507,

  STDERR = 0, EMERG = 1, ALERT = 2, CRIT = 3, ERR = 4, WARN = 5, NOTICE = 6, INFO = 7, DEBUG = 8,

  log = function() end,
  print = function() end,
  sleep = function() end,
  update_time = function() end,
  now = function() return time() + clock() % 1 end,
  time = function() return time() end,
  today = function() return date("!%Y-%m-%d") end,
  localtime = function() return date("%Y-%m-%d %H:%M:%S") end,
  utctime = function() return date("!%Y-%m-%d %H:%M:%S") end,
  http_time = function(seconds) return date("!%a, %d %b %Y %H:%M:%S GMT", seconds) end,
  cookie_time = function(seconds) return date("!%a, %d-%b-%y %H:%M:%S GMT", seconds) end,
  get_phase = function() return context.phase == "init" and "init" or "init_worker" end,

  config = {
    subsystem = "http", debug = false, ngx_lua_version = 10028, nginx_version = 1027001,
    prefix = function() return "/usr/local/kong/" end,
    nginx_configure = function() return "" end,
  },
  worker = inert.partly("ngx.worker", {
    pid = function() return 1 end, id = function() return 0 end, count = function() return 1 end,
    pids = function() return { 1 } end, exiting = function() return false end,
  }),
  process = inert.new("ngx.process"),
  re = inert.new("ngx.re"),
  thread = inert.new("ngx.thread"),
  semaphore = inert.new("ngx.semaphore"),

  ctx = refusing("ngx.ctx"),
  var = refusing("ngx.var"),
  header = refusing("ngx.header"),
  req = refusing("ngx.req"),
  resp = refusing("ngx.resp"),
  arg = refusing("ngx.arg"),
  location = refusing("ngx.location"),
  timer = { at = needs_request("ngx.timer.at"), every = needs_request("ngx.timer.every") },
  exit = needs_request("ngx.exit"), say = needs_request("ngx.say"), exec = needs_request("ngx.exec"),
  redirect = needs_request("ngx.redirect"), flush = needs_request("ngx.flush"), eof = needs_request("ngx.eof"),
  send_headers = needs_request("ngx.send_headers"), on_abort = needs_request("ngx.on_abort"),
}

local function socket()
  disabled()
  return inert.new("socket")
end
ngx.socket = { tcp = socket, udp = socket, stream = socket, connect = socket }

-- Only the dictionaries that Kong itself declares exist.
ngx.shared = {}
for _, name in ipairs {
  "kong", "kong_locks", "kong_healthchecks", "kong_cluster_events", "kong_rate_limiting_counters",
  "kong_core_db_cache", "kong_core_db_cache_miss", "kong_db_cache", "kong_db_cache_miss", "kong_secrets",
  "prometheus_metrics",
} do
  ngx.shared[name] = inert.new("ngx.shared." .. name)
end

function ngx.escape_uri(text)
  return (gsub(tostring(text), "[^%w%-%._~]", function(c) return format("%%%02X", byte(c)) end))
end

function ngx.unescape_uri(text)
  return (gsub(gsub(tostring(text), "+", " "), "%%(%x%x)", function(hex) return char(tonumber(hex, 16)) end))
end

function ngx.quote_sql_str(text)
  return "'" .. gsub(tostring(text), "['\\]", "\\%0") .. "'"
end

function ngx.encode_args(args)
  local parts = {}
  for key, value in pairs(args) do
    parts[#parts + 1] = ngx.escape_uri(key) .. (value == true and "" or "=" .. ngx.escape_uri(value))
  end
  return table.concat(parts, "&")
end

local digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

function ngx.encode_base64(text, no_padding)
  text = tostring(text)
  local out = {}
  for i = 1, #text, 3 do
    local a, b, c = byte(text, i, i + 2)
    local bits = a * 65536 + (b or 0) * 256 + (c or 0)
    local four = ""
    for shift = 18, 0, -6 do
      local index = floor(bits / 2 ^ shift) % 64 + 1
      four = four .. digits:sub(index, index)
    end
    local missing = (b and 0 or 1) + (c and 0 or 1)
    out[#out + 1] = four:sub(1, 4 - missing) .. (no_padding and "" or ("="):rep(missing))
  end
  return table.concat(out)
end

-- What hashes, decodes or compiles patterns is real in a gateway; while a plugin loads its result hardly matters.
for _, name in ipairs {
  "crc32_short", "crc32_long", "hmac_sha1", "md5", "md5_bin", "sha1_bin", "decode_base64", "decode_args",
  "parse_http_time", "run_worker_thread",
} do
  ngx[name] = function(value)
    inert.touch("ngx." .. name)
    return type(value) == "string" and value or ""
  end
end

return setmetatable(ngx, {
  __index = function(_, key)
    if key == "headers_sent" or key == "is_subrequest" or key == "status" then
      disabled()
      return nil
    end
    return nil
  end,
})
