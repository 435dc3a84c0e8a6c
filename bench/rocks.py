"""Rocks for servers: pure Lua ones, and source rocks of small C modules."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_FIXED_TIME = (2026, 1, 1, 0, 0, 0)


def _rockspec(name: str, dependencies: Sequence[str], module: str, source: str) -> str:
    listed = ", ".join(f'"{each}"' for each in ("lua >= 5.1", *dependencies))
    return (
        f'package = "{name}"\nversion = "1.0-1"\nsource = {{ {source} }}\n'
        f'description = {{ license = "MIT" }}\ndependencies = {{ {listed} }}\n'
        f'build = {{ type = "builtin", modules = {{ ["{name}"] = "{module}" }} }}\n'
    )


def _zipped(files: Mapping[str, str | bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(path, _FIXED_TIME), text, zipfile.ZIP_DEFLATED)
    return target.getvalue()


def _lua_rock(name: str, dependencies: Sequence[str]) -> tuple[str, bytes]:
    source = f'url = "http://localhost/{name}.zip"'
    rockspec = _rockspec(name, dependencies, f"{name}.lua", source)
    files = {f"{name}-1.0-1.rockspec": rockspec, f"lua/{name}.lua": "return {}\n" * 50}
    digests = {
        path: hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() for path, text in files.items()
    }
    files["rock_manifest"] = (
        f'rock_manifest = {{\n   ["{name}-1.0-1.rockspec"] = "{digests[f"{name}-1.0-1.rockspec"]}",\n'
        f'   lua = {{\n      ["{name}.lua"] = "{digests[f"lua/{name}.lua"]}"\n   }}\n}}\n'
    )
    return rockspec, _zipped(files)


def rock_bytes(name: str, dependencies: Sequence[str]) -> bytes:
    """The `.all.rock` of version 1.0-1."""
    return _lua_rock(name, dependencies)[1]


def write_rock(folder: Path, name: str, dependencies: Sequence[str]) -> None:
    """The `.all.rock` of version 1.0-1, and its rockspec."""
    rockspec, data = _lua_rock(name, dependencies)
    (folder / f"{name}-1.0-1.all.rock").write_bytes(data)
    (folder / f"{name}-1.0-1.rockspec").write_text(rockspec, encoding="utf-8")


def write_c_rock(folder: Path, name: str, dependencies: Sequence[str]) -> None:
    """The `.src.rock` of version 1.0-1, with a C module of thirty functions, and its rockspec."""
    rockspec = _rockspec(
        name, dependencies, f"{name}.c", f'url = "http://localhost/{name}.zip", dir = "{name}"'
    )
    functions = "".join(
        f"static int f{each}(lua_State *L) {{\n   lua_Integer i, n = luaL_checkinteger(L, 1);\n"
        f"   lua_newtable(L);\n   for (i = 1; i <= n; i++) {{ lua_pushinteger(L, i * {each + 1}); "
        "lua_rawseti(L, -2, (int)i); }\n   return 1;\n}\n\n"
        for each in range(30)
    )
    fields = "".join(
        f'   lua_pushcfunction(L, f{each}); lua_setfield(L, -2, "f{each}");\n' for each in range(30)
    )
    text = (
        f"#include <lua.h>\n#include <lauxlib.h>\n\n{functions}"
        f"int luaopen_{name}(lua_State *L) {{\n   lua_newtable(L);\n{fields}   return 1;\n}}\n"
    )
    spec = f"{name}-1.0-1.rockspec"
    source = _zipped({f"{name}/{name}.c": text})
    (folder / f"{name}-1.0-1.src.rock").write_bytes(_zipped({spec: rockspec, f"{name}.zip": source}))
    (folder / spec).write_text(rockspec, encoding="utf-8")
