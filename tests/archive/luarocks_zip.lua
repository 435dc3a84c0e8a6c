-- Runs LuaRocks's own zip writer and reader on a zlib that stores: arg: "zip" or "unzip", the file, members.
local function crc32(text)
   local crc = 0xFFFFFFFF
   for i = 1, #text do
      crc = crc ~ text:byte(i)
      for _ = 1, 8 do
         crc = (crc >> 1) ~ (0xEDB88320 & -(crc & 1))
      end
   end
   return crc ~ 0xFFFFFFFF
end

package.preload.zlib = function()
   return {
      _VERSION = "lzlib stand-in",
      crc32 = function(_, text) return text and crc32(text) or 0 end,
      compress = function(text)
         assert(#text < 65536)
         return string.pack("<BI2I2", 1, #text, #text ~ 0xFFFF) .. text
      end,
      decompress = function(data)
         local parts, at = {}, 1
         while true do
            local last, length = string.unpack("<BI2", data, at)
            parts[#parts + 1] = data:sub(at + 5, at + 4 + length)
            at = at + 5 + length
            if last == 1 then return table.concat(parts) end
         end
      end,
   }
end

local cfg = require("luarocks.core.cfg")
cfg.init()
local fs = require("luarocks.fs")
fs.init()
local zip = require("luarocks.tools.zip")
local action, file = arg[1], arg[2]
if action == "zip" then
   assert(zip.zip(file, table.unpack(arg, 3)))
else
   assert(zip.unzip(file))
end
