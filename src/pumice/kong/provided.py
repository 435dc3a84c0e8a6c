"""The rocks that a Kong Gateway brings: `--for kong@3.9` counts them as installed (Kong contract 3.2).

From the dependency lists of the gateway's own rockspecs on the public server, newest patch of each minor
version; `lua-cjson` comes with OpenResty. Enterprise editions bring more, which is not published.
"""

from __future__ import annotations

from pumice.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KONG_VERSIONS", "provided_by_kong"]

_OPENRESTY = "lua-cjson 2.1.0"

_ROCKS: Mapping[str, str] = {
    "2.8": """
kong 2.8.1-0, inspect 3.1.2, luasec 1.0.2, luasocket 3.0-rc1, penlight 1.12.0, lua-resty-http 0.16.1,
lua-resty-jit-uuid 0.0.7, lua-ffi-zlib 0.5, multipart 0.5.9, version 1.0.1, kong-lapis 1.8.3.1,
lua-cassandra 1.5.1, pgmoon 1.13.0, luatz 0.4, lua_system_constants 0.1.4, lyaml 6.2.7, luasyslog 2.0.1,
lua_pack 2.0.0, binaryheap 0.4, luaxxhash 1.0, lua-protobuf 0.3.3, lua-resty-worker-events 1.0.0,
lua-resty-healthcheck 1.5.1, lua-resty-mlcache 2.5.0, lua-messagepack 0.5.2, lua-resty-openssl 0.8.7,
lua-resty-counter 0.2.1, lua-resty-ipmatcher 0.6.1, lua-resty-acme 0.7.2, lua-resty-session 3.10
""",
    "3.0": """
kong 3.0.0-0, inspect 3.1.3, luasec 1.2.0, luasocket 3.0-rc1, penlight 1.13.1, lua-resty-http 0.17,
lua-resty-jit-uuid 0.0.7, lua-ffi-zlib 0.5, multipart 0.5.9, version 1.0.1, kong-lapis 1.8.3.1,
lua-cassandra 1.5.2, pgmoon 1.15.0, luatz 0.4, lua_system_constants 0.1.4, lyaml 6.2.7, luasyslog 2.0.1,
lua_pack 2.0.0, binaryheap 0.4, luaxxhash 1.0, lua-protobuf 0.3.3, lua-resty-worker-events 1.0.0,
lua-resty-healthcheck 1.6.1, lua-resty-mlcache 2.6.0, lua-messagepack 0.5.2, lua-resty-openssl 0.8.10,
lua-resty-counter 0.2.1, lua-resty-ipmatcher 0.6.1, lua-resty-acme 0.8.1, lua-resty-session 3.10,
lua-resty-timer-ng 0.2.0
""",
    "3.1": """
kong 3.1.0-0, inspect 3.1.3, luasec 1.2.0, luasocket 3.0-rc1, penlight 1.13.1, lua-resty-http 0.17,
lua-resty-jit-uuid 0.0.7, lua-ffi-zlib 0.5, multipart 0.5.9, version 1.0.1, kong-lapis 1.8.3.1,
lua-cassandra 1.5.2, pgmoon 1.16.0, luatz 0.4, lua_system_constants 0.1.4, lyaml 6.2.8, luasyslog 2.0.1,
lua_pack 2.0.0, binaryheap 0.4, luaxxhash 1.0, lua-protobuf 0.3.3, lua-resty-worker-events 1.0.0,
lua-resty-healthcheck 1.6.2, lua-resty-mlcache 2.6.0, lua-messagepack 0.5.2, lua-resty-openssl 0.8.15,
lua-resty-counter 0.2.1, lua-resty-ipmatcher 0.6.1, lua-resty-acme 0.9.0, lua-resty-session 3.10,
lua-resty-timer-ng 0.2.0
""",
    "3.2": """
kong 3.2.2-0, inspect 3.1.3, luasec 1.2.0, luasocket 3.0-rc1, penlight 1.13.1, lua-resty-http 0.17,
lua-resty-jit-uuid 0.0.7, lua-ffi-zlib 0.5, multipart 0.5.9, version 1.0.1, kong-lapis 1.8.3.1,
lua-cassandra 1.5.2, pgmoon 1.16.0, luatz 0.4, lua_system_constants 0.1.4, lyaml 6.2.8, luasyslog 2.0.1,
lua_pack 2.0.0, binaryheap 0.4, luaxxhash 1.0, lua-protobuf 0.3.3, lua-resty-worker-events 1.0.0,
lua-resty-healthcheck 1.6.2, lua-resty-mlcache 2.6.0, lua-messagepack 0.5.2, lua-resty-openssl 0.8.17,
lua-resty-counter 0.2.1, lua-resty-ipmatcher 0.6.1, lua-resty-acme 0.10.1, lua-resty-session 4.0.3,
lua-resty-timer-ng 0.2.3
""",
    "3.3": """
kong 3.3.0-0, inspect 3.1.3, luasec 1.3.1, luasocket 3.0-rc1, penlight 1.13.1, lua-resty-http 0.17.1,
lua-resty-jit-uuid 0.0.7, lua-ffi-zlib 0.5, multipart 0.5.9, version 1.0.1, kong-lapis 1.8.3.1,
lua-cassandra 1.5.2, pgmoon 1.16.0, luatz 0.4, lua_system_constants 0.1.4, lyaml 6.2.8, luasyslog 2.0.1,
lua_pack 2.0.0, binaryheap 0.4, luaxxhash 1.0, lua-protobuf 0.5.0, lua-resty-healthcheck 1.6.2,
lua-resty-mlcache 2.6.0, lua-messagepack 0.5.2, lua-resty-openssl 0.8.20, lua-resty-counter 0.2.1,
lua-resty-ipmatcher 0.6.1, lua-resty-acme 0.11.0, lua-resty-session 4.0.3, lua-resty-timer-ng 0.2.5,
lpeg 1.0.2
""",
    "3.4": """
kong 3.4.2-0, inspect 3.1.3, luasec 1.3.1, luasocket 3.0-rc1, penlight 1.13.1, lua-resty-http 0.17.1,
lua-resty-jit-uuid 0.0.7, lua-ffi-zlib 0.5, multipart 0.5.9, version 1.0.1, kong-lapis 1.14.0.2,
kong-pgmoon 1.16.2, luatz 0.4, lua_system_constants 0.1.4, lyaml 6.2.8, luasyslog 2.0.1, lua_pack 2.0.0,
binaryheap 0.4, luaxxhash 1.0, lua-protobuf 0.5.0, lua-resty-healthcheck 1.6.2, lua-messagepack 0.5.2,
lua-resty-openssl 0.8.23, lua-resty-counter 0.2.1, lua-resty-ipmatcher 0.6.1, lua-resty-acme 0.11.0,
lua-resty-session 4.0.4, lua-resty-timer-ng 0.2.5, lpeg 1.0.2
""",
    "3.5": """
kong 3.5.0-0, inspect 3.1.3, luasec 1.3.2, luasocket 3.0-rc1, penlight 1.13.1, lua-resty-http 0.17.1,
lua-resty-jit-uuid 0.0.7, lua-ffi-zlib 0.6, multipart 0.5.9, version 1.0.1, kong-lapis 1.14.0.3,
kong-pgmoon 1.16.2, luatz 0.4, lua_system_constants 0.1.4, lyaml 6.2.8, luasyslog 2.0.1, lua_pack 2.0.0,
binaryheap 0.4, luaxxhash 1.0, lua-protobuf 0.5.0, lua-resty-healthcheck 1.6.3, lua-messagepack 0.5.2,
lua-resty-aws 1.3.5, lua-resty-openssl 0.8.25, lua-resty-counter 0.2.1, lua-resty-ipmatcher 0.6.1,
lua-resty-acme 0.12.0, lua-resty-session 4.0.5, lua-resty-timer-ng 0.2.5, lpeg 1.0.2,
lua-resty-ljsonschema 1.1.6-2
""",
    "3.6": """
kong 3.6.1-0, inspect 3.1.3, luasec 1.3.2, luasocket 3.0-rc1, penlight 1.13.1, lua-resty-http 0.17.1,
lua-resty-jit-uuid 0.0.7, lua-ffi-zlib 0.6, multipart 0.5.9, version 1.0.1, kong-lapis 1.16.0.1,
kong-pgmoon 1.16.2, luatz 0.4, lua_system_constants 0.1.4, lyaml 6.2.8, luasyslog 2.0.1, lua_pack 2.0.0,
binaryheap 0.4, luaxxhash 1.0, lua-protobuf 0.5.0, lua-resty-healthcheck 3.0.1, lua-messagepack 0.5.4,
lua-resty-aws 1.3.6, lua-resty-openssl 1.2.1, lua-resty-counter 0.2.1, lua-resty-ipmatcher 0.6.1,
lua-resty-acme 0.12.0, lua-resty-session 4.0.5, lua-resty-timer-ng 0.2.6, lpeg 1.1.0,
lua-resty-ljsonschema 1.1.6-2
""",
    "3.7": """
kong 3.7.1-0, inspect 3.1.3, luasec 1.3.2, luasocket 3.0-rc1, penlight 1.14.0, lua-resty-http 0.17.2,
lua-resty-jit-uuid 0.0.7, lua-ffi-zlib 0.6, multipart 0.5.9, version 1.0.1, kong-lapis 1.16.0.1,
kong-pgmoon 1.16.2, luatz 0.4, lua_system_constants 0.1.4, lyaml 6.2.8, luasyslog 2.0.1, lua_pack 2.0.0,
binaryheap 0.4, luaxxhash 1.0, lua-protobuf 0.5.1, lua-resty-healthcheck 3.0.1, lua-messagepack 0.5.4,
lua-resty-aws 1.4.1, lua-resty-openssl 1.3.1, lua-resty-counter 0.2.1, lua-resty-ipmatcher 0.6.1,
lua-resty-acme 0.13.0, lua-resty-session 4.0.5, lua-resty-timer-ng 0.2.7, lpeg 1.1.0,
lua-resty-ljsonschema 1.1.6-2, lua-resty-snappy 1.0-1
""",
    "3.8": """
kong 3.8.0-0, inspect 3.1.3, luasec 1.3.2, luasocket 3.0-rc1, penlight 1.14.0, lua-resty-http 0.17.2,
lua-resty-jit-uuid 0.0.7, lua-ffi-zlib 0.6, multipart 0.5.9, version 1.0.1, kong-lapis 1.16.0.1,
kong-pgmoon 1.16.2, luatz 0.4, lua_system_constants 0.1.4, lyaml 6.2.8, luasyslog 2.0.1, lua_pack 2.0.0,
binaryheap 0.4, luaxxhash 1.0, lua-protobuf 0.5.2, lua-resty-healthcheck 3.1.0, lua-messagepack 0.5.4,
lua-resty-aws 1.5.3, lua-resty-openssl 1.5.1, lua-resty-gcp 0.0.13, lua-resty-counter 0.2.1,
lua-resty-ipmatcher 0.6.1, lua-resty-acme 0.15.0, lua-resty-session 4.0.5, lua-resty-timer-ng 0.2.7,
lpeg 1.1.0, lua-resty-ljsonschema 1.1.6-2, lua-resty-snappy 1.0-1
""",
    "3.9": """
kong 3.9.0-0, inspect 3.1.3, luasec 1.3.2, luasocket 3.0-rc1, penlight 1.14.0, lua-resty-http 0.17.2,
lua-resty-jit-uuid 0.0.7, lua-ffi-zlib 0.6, multipart 0.5.9, version 1.0.1, kong-lapis 1.16.0.1,
kong-pgmoon 1.16.2, luatz 0.4, lua_system_constants 0.1.4, lyaml 6.2.8, luasyslog 2.0.1, lua_pack 2.0.0,
binaryheap 0.4, luaxxhash 1.0, lua-protobuf 0.5.2, lua-resty-healthcheck 3.1.0, lua-messagepack 0.5.4,
lua-resty-aws 1.5.4, lua-resty-openssl 1.5.1, lua-resty-gcp 0.0.13, lua-resty-counter 0.2.1,
lua-resty-ipmatcher 0.6.1, lua-resty-acme 0.15.0, lua-resty-session 4.0.5, lua-resty-timer-ng 0.2.7,
lpeg 1.1.0, lua-resty-ljsonschema 1.2.0, lua-resty-snappy 1.0-1, lua-resty-ada 1.1.0
""",
}

KONG_VERSIONS = tuple(_ROCKS)
"""Every minor version that is known, oldest first."""


def provided_by_kong(version: str) -> dict[str, str]:
    """Rock → version for a Kong version such as `3.9` or `3.9.1`; `newest` is the last one known.

    Raises UsageError for a version that is not known.
    """
    minor = KONG_VERSIONS[-1] if version in ("", "newest") else ".".join(version.split(".")[:2])
    if minor not in _ROCKS:
        raise UsageError(
            f"what Kong {version} brings is not known",
            hint=f"Known are {', '.join(KONG_VERSIONS)}; or list rocks in rocks_provided.",
        )
    pairs = f"{_ROCKS[minor].strip()}, {_OPENRESTY}".replace("\n", " ").split(", ")
    return dict(pair.strip().split(" ", 1) for pair in pairs)
