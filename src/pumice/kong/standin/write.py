"""`write_gateway`: a directory whose command `kong` starts the stand-in; `write_conf`: its kong.conf."""

from __future__ import annotations

import os
import shutil

from pumice.base.disk import make_directories, translate, write_atomic
from pumice.base.value import Value
from pumice.errors import BuildError
from pumice.kong.kong_version import Gateway
from pumice.kong.metaschema_tables import metasubschema
from pumice.lua.write import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Programs", "StandIn", "find_programs", "write_conf", "write_gateway"]

_HERE = os.path.dirname(os.path.abspath(__file__))
_STANDINS = os.path.join(os.path.dirname(_HERE), "standins")
_MODULE_DIRECTORIES = ("/usr/share/nginx/modules", "/usr/lib/nginx/modules", "/usr/lib64/nginx/modules")
_MODULES = ("ndk_http_module.so", "ngx_http_lua_module.so")


class Programs(Value):
    """What the stand-in is made of, as paths."""

    nginx: str
    luajit: str
    modules: tuple[str, ...]
    """nginx modules to load, in order; none when Lua is built in."""


class StandIn(Value):
    """A stand-in that was written; `kong` is its command."""

    directory: str
    kong: str
    version: str
    prefix: str
    """Of a node whose configuration names none."""


def find_programs(path: str) -> Programs:
    """nginx with its Lua module and luajit, looked for in the directories of `path`.

    Raises BuildError with what to install.
    """
    nginx = shutil.which("nginx", path=f"{path}:/usr/sbin:/usr/local/sbin")
    luajit = shutil.which("luajit", path=path)
    modules = next(
        (
            tuple(os.path.join(directory, name) for name in _MODULES)
            for directory in _MODULE_DIRECTORIES
            if os.path.exists(os.path.join(directory, _MODULES[1]))
        ),
        None,
    )
    missing = [
        what
        for what, found in (
            ("nginx", nginx),
            ("nginx's Lua module", modules),
            ("luajit", luajit),
        )
        if found is None
    ]
    if nginx is None or luajit is None or modules is None:
        raise BuildError(
            f"no gateway can be started here: {', '.join(missing)} not found",
            hint="install Kong, or what stands in for it; on Debian and Ubuntu: "
            "apt-get install nginx-light libnginx-mod-http-lua luajit",
        )
    return Programs(nginx=nginx, luajit=luajit, modules=modules)


def write_gateway(
    directory: str,
    *,
    programs: Programs,
    version: str = "3.9.1",
    prefix: str | None = None,
    default_confs: Sequence[str] = (),
    database: str | None = None,
    hostname: str | None = None,
    system_tree: str = "/usr/local",
) -> StandIn:
    """Writes a stand-in below `directory`: `bin/kong`, a POSIX shell script, and the Lua that it needs.

    `default_confs` are the files that are read without `-c`; `database` is a directory that stands for
    PostgreSQL: nodes of gateways that name the same one, and the same `pg_database`, share their entities
    (None: there is no server). `system_tree` stands for `/usr/local`, which is on every node's search path.
    The result needs neither Python nor this package any more. Raises DiskError.
    """
    make_directories(os.path.join(directory, "bin"))
    lua = os.path.join(directory, "lua")
    make_directories(lua)
    for source in (os.path.join(_HERE, "lua"), _STANDINS):
        for name in sorted(os.listdir(source)):
            if name.endswith(".lua"):
                with open(os.path.join(source, name), "rb") as file:
                    _put(os.path.join(lua, name), file.read())
    gateway = Gateway(".".join(version.split(".")[:2]))
    prefix = prefix or os.path.join(directory, "prefix")
    settings = {
        "version": version,
        "nginx": programs.nginx,
        "nginx_modules": list(programs.modules),
        "prefix": prefix,
        "default_confs": list(default_confs),
        "database": database,
        "hostname": hostname,
        "system_tree": system_tree,
        "bundled": sorted(gateway.bundled),
    }
    _write(directory, "settings.lua", f"return {_lua(settings)}\n")
    _write(directory, "facts.lua", f"return {_lua(_facts(version, gateway))}\n")
    _write(directory, "metaschema.lua", _graph(metasubschema(gateway)))
    kong = os.path.join(directory, "bin", "kong")
    command = f"{_shell(programs.luajit)} {_shell(os.path.join(lua, 'command.lua'))}"
    script = f'#!/bin/sh\n# A stand-in for Kong, written by Pumice. This is not Kong.\nexec {command} "$@"\n'
    _put(kong, script.encode("utf-8", "surrogateescape"), 0o755)
    return StandIn(directory=directory, kong=kong, version=version, prefix=prefix)


def write_conf(path: str, properties: Mapping[str, str | int]) -> str:
    """Writes a `kong.conf` of `properties`, and gives its path. Raises DiskError."""
    lines = [f"{name} = {str(value).replace('#', chr(92) + '#')}" for name, value in properties.items()]
    write_atomic(path, ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))
    return path


def _write(directory: str, name: str, text: str) -> None:
    _put(os.path.join(directory, name), text.encode("utf-8", "surrogateescape"))


def _put(path: str, data: bytes, mode: int = 0o644) -> None:
    """Writes a file of something that is thrown away: it need not outlive a power cut."""
    try:
        with open(path, "wb") as file:
            file.write(data)
        os.chmod(path, mode)
    except OSError as error:
        raise translate(error, f"write {path}") from error


def _facts(version: str, gateway: Gateway) -> dict[str, object]:
    """What `standins` have to know of a version."""
    major, minor, patch = (int(part) for part in version.split(".")[:3])
    return {
        "version": version,
        "version_num": major * 1_000_000 + minor * 1_000 + patch,
        "modules": dict.fromkeys(sorted(gateway.modules), True),
        "gone": dict.fromkeys(gateway.gone_modules, True),
        "absent": dict.fromkeys(gateway.absent_libraries, True),
        "absent_typedefs": dict.fromkeys(gateway.absent_typedefs, True),
    }


def _shell(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _lua(value: object) -> str:
    """Settings as a Lua expression."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"[{quote(str(key))}] = {_lua(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "{ " + ", ".join(_lua(item) for item in value) + " }"
    if value is None:
        return "nil"
    return quote(value) if isinstance(value, str) else str(value).lower()


def _graph(root: Mapping[object, object]) -> str:
    """Tables that may hold themselves, as a Lua program that returns the first."""
    tables: list[Mapping[object, object]] = [root]
    numbers = {id(root): 1}
    lines = []
    for number, table in enumerate(tables, 1):
        for key, value in table.items():
            if isinstance(value, dict):
                if id(value) not in numbers:
                    tables.append(value)
                    numbers[id(value)] = len(tables)
                written = f"t[{numbers[id(value)]}]"
            elif isinstance(value, bool):
                written = "true" if value else "false"
            else:
                written = str(value) if isinstance(value, int) else quote(str(value))
            lines.append(f"t[{number}][{key if isinstance(key, int) else quote(str(key))}] = {written}")
    start = f"local t = {{}}\nfor i = 1, {len(tables)} do t[i] = {{}} end\n"
    return start + "\n".join(lines) + "\nreturn t[1]\n"
