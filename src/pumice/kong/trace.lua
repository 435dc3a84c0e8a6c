-- The handler of one of two plugins that `pumice try` puts around the plugin that is tried: the one runs before all
-- others in each phase, the other after them. Each tells what it sees, a line of JSON a phase, in a file.
-- They use nothing that a gateway does not have. SIDE and RANK are written in by Python.

local SIDE, RANK = "@SIDE@", @RANK@

local cjson = require "cjson.safe"

local Trace = { PRIORITY = RANK, VERSION = "1.0.0" }

local MOST = 65536
local count = 0

local function variable(name)
  local ok, value = pcall(function() return ngx.var[name] end)
  return ok and value or nil
end

local function tell(conf, phase, more)
  ngx.update_time()
  more.side, more.phase, more.id, more.at = SIDE, phase, ngx.ctx.pumice_try, ngx.now() * 1000
  local file = io.open(conf.file, "ab")
  if file then
    file:write(cjson.encode(more), "\n")
    file:close()
  end
end

local function request()
  return {
    method = ngx.req.get_method(), path = variable("upstream_uri") or "", query = ngx.req.get_uri_args(),
    headers = ngx.req.get_headers(),
  }
end

local function response()
  return { status = ngx.status, headers = ngx.resp.get_headers() }
end

function Trace:rewrite(conf)
  if not ngx.ctx.pumice_try then
    count = count + 1
    ngx.ctx.pumice_try = ngx.worker.pid() .. "-" .. count
    tell(conf, "request", { method = ngx.req.get_method(), uri = variable("request_uri") })
  end
  tell(conf, "rewrite", { request = request() })
end

function Trace:access(conf)
  tell(conf, "access", { request = request() })
end

function Trace:header_filter(conf)
  tell(conf, "header_filter", { response = response() })
end

function Trace:body_filter(conf)
  if ngx.ctx.pumice_try then
    local name = "pumice_try_" .. SIDE
    local kept = ngx.ctx[name] or ""
    if #kept < MOST and type(ngx.arg[1]) == "string" then
      ngx.ctx[name] = (kept .. ngx.arg[1]):sub(1, MOST)
    end
  end
end

function Trace:log(conf)
  local seen = response()
  seen.body = ngx.ctx["pumice_try_" .. SIDE]
  tell(conf, "log", { response = seen, began = ngx.req.start_time() * 1000 })
end

return Trace
