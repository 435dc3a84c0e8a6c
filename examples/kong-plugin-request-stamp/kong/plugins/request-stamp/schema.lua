local typedefs = require "kong.db.schema.typedefs"

return {
  name = "request-stamp",
  fields = {
    { consumer = typedefs.no_consumer },
    { protocols = typedefs.protocols_http },
    { config = {
        type = "record",
        fields = {
          { header_name = typedefs.header_name {
              description = "The header that carries the id, to the service and back to the client.",
              required = true,
              default = "X-Request-Id",
          } },
          { format = {
              description = "What a new id looks like.",
              type = "string",
              required = true,
              one_of = { "uuid4", "uuid7", "counter" },
              default = "uuid4",
          } },
          { policy = {
              description = "Whether an id that the client sent is kept.",
              type = "string",
              required = true,
              one_of = { "accept", "replace" },
              default = "accept",
          } },
          { max_length = {
              description = "The longest id that is accepted from a client.",
              type = "integer",
              required = true,
              between = { 8, 256 },
              default = 128,
          } },
          { echo = {
              description = "Whether the response carries the id too.",
              type = "boolean",
              required = true,
              default = true,
          } },
          { labels = {
              description = "More headers for the service, with fixed values.",
              type = "map",
              required = true,
              keys = typedefs.header_name,
              values = { type = "string", len_max = 256 },
              default = {},
          } },
          { skip_methods = {
              description = "Requests with these methods get no stamp.",
              type = "set",
              required = true,
              elements = typedefs.http_method,
              default = {},
          } },
          { skip_paths = {
              description = "Requests under these paths get no stamp.",
              type = "array",
              required = true,
              elements = { type = "string", match = "^/" },
              default = {},
          } },
          { names = {
              description = "Response headers that tell who answered; a name that is not set is not sent.",
              type = "record",
              required = true,
              fields = {
                { node_header = typedefs.header_name },
                { service_header = typedefs.header_name },
              },
          } },
          { timing = {
              description = "A response header with the milliseconds since the request began.",
              type = "record",
              required = true,
              fields = {
                { enabled = { type = "boolean", required = true, default = true } },
                { header_name = typedefs.header_name { required = true, default = "X-Gateway-Time" } },
                { digits = { type = "integer", required = true, between = { 0, 3 }, default = 0 } },
              },
          } },
        },
    } },
  },
}
