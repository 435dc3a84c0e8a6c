-- What Lua alone cannot ask of the operating system.

local ffi = require "ffi"
local io, os, table = io, os, table

pcall(ffi.cdef, [[
  extern char **environ;
  int kill(int pid, int signal);
  int getpid(void);
  int getppid(void);
  unsigned getuid(void);
  int mkdir(const char *path, unsigned mode);
  int gethostname(char *name, size_t length);
  char *realpath(const char *path, char *resolved);
  char *getcwd(char *buffer, size_t size);
  int usleep(unsigned microseconds);
  int flock(int descriptor, int operation);
  int fileno(void *stream);
  void free(void *pointer);
]])
local C = ffi.C

local system = {}

function system.kill(pid, signal)
  return C.kill(pid, signal) == 0
end

function system.parent()
  return C.getppid()
end

function system.is_root()
  return C.getuid() == 0
end

function system.sleep(seconds)
  C.usleep(seconds * 1000000)
end

function system.hostname()
  local buffer = ffi.new("char[256]")
  return C.gethostname(buffer, 255) == 0 and ffi.string(buffer) or "localhost"
end

function system.directory()
  local buffer = ffi.new("char[4096]")
  return C.getcwd(buffer, 4095) ~= nil and ffi.string(buffer) or "."
end

function system.absolute(path)
  if path:sub(1, 1) ~= "/" then
    path = system.directory() .. "/" .. path
  end
  local resolved = C.realpath(path, nil)
  if resolved == nil then
    return path
  end
  local text = ffi.string(resolved)
  C.free(resolved)
  return text
end

-- Makes a directory and those above it; gives an error text when that fails.
function system.make_directories(path)
  local at = 1
  repeat
    at = path:find("/", at + 1, true)
    C.mkdir(path:sub(1, (at or 0) - 1), 493)
  until not at
  local handle, why = io.open(path .. "/.", "r")
  if not handle then
    return why
  end
  handle:close()
end

function system.environment()
  local found, index = {}, 0
  while C.environ[index] ~= nil do
    local name, value = ffi.string(C.environ[index]):match("^([^=]+)=(.*)$")
    if name then
      found[name] = value
    end
    index = index + 1
  end
  return found
end

function system.read(path)
  local file, why = io.open(path, "rb")
  if not file then
    return nil, why
  end
  local text = file:read("*a")
  file:close()
  if not text then
    return nil, path .. ": cannot be read"
  end
  return text
end

-- Replaces a file as a whole.
function system.write(path, text)
  local draft = path .. "." .. C.getpid() .. ".new"
  local file, why = io.open(draft, "wb")
  if not file then
    return nil, why
  end
  local written, problem = file:write(text)
  local closed, other = file:close()
  if not written or not closed then
    os.remove(draft)
    return nil, problem or other
  end
  return os.rename(draft, path)
end

-- Runs `action` while nobody else holds the lock on `path`.
function system.locked(path, action)
  local file = assert(io.open(path, "a"))
  C.flock(C.fileno(file), 2)
  local result = table.pack and table.pack(pcall(action)) or { pcall(action) }
  file:close()
  if not result[1] then
    error(result[2], 0)
  end
  return result[2], result[3]
end

-- A text as one word of a shell.
function system.quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- Runs a command: its exit code, and what it wrote (both streams).
function system.run(command)
  local pipe = assert(io.popen("{ " .. command .. "; } 2>&1; echo \"=$?\"", "r"))
  local output = pipe:read("*a")
  pipe:close()
  local text, code = output:match("^(.-)\n?=(%d+)\n$")
  return tonumber(code) or 1, text or output
end

return system
