"""Rocks and trees to measure with: small, ordinary, and the same for both programs."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path

LUA = "5.1"
_FIXED_TIME = (2026, 1, 1, 0, 0, 0)


def rock_name(number: int) -> str:
    """The name of the rock with this number."""
    return f"bench-rock-{number:04}"


def rock_files(name: str) -> dict[str, str]:
    """A rock by the names that its files have in a .rock file: two modules of a few kilobytes, and docs."""
    module = name.replace("-", "_")
    body = "".join(
        f"function M.f{i}(a, b)\n   if a == nil then return b end\n   return {{ a, b, {i} }}\nend\n\n"
        for i in range(30)
    )
    files = {
        f"lua/{module}/init.lua": f'local M = {{ _NAME = "{name}" }}\n\n{body}return M\n',
        f"lua/{module}/util.lua": f"local M = {{}}\n\n{body}return M\n",
        "doc/README.md": f"# {name}\n\nA rock to measure with.\n",
    }
    rockspec = (
        f'rockspec_format = "3.0"\npackage = "{name}"\nversion = "1.0-1"\n'
        f'source = {{ url = "git+https://example.com/{name}.git", tag = "v1.0" }}\n'
        f'description = {{ summary = "A rock to measure with.", license = "MIT" }}\n'
        'dependencies = { "lua >= 5.1, < 5.5" }\n'
        f'build = {{ type = "builtin", modules = {{ ["{module}"] = "{module}/init.lua", '
        f'["{module}.util"] = "{module}/util.lua" }} }}\n'
    )
    files[f"{name}-1.0-1.rockspec"] = rockspec
    files["rock_manifest"] = "rock_manifest = " + _lua(_nested(files), 0) + "\n"
    return files


def write_rock(number: int, folder: Path) -> Path:
    """A .rock file as `luarocks pack` writes it."""
    name = rock_name(number)
    target = folder / f"{name}-1.0-1.all.rock"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in sorted(rock_files(name).items()):
            archive.writestr(zipfile.ZipInfo(path, _FIXED_TIME), text, zipfile.ZIP_DEFLATED)
    return target


def write_tree(root: Path, count: int, luarocks: list[str], environment: Mapping[str, str]) -> Path:
    """A tree with `count` rocks installed; the real LuaRocks writes its manifest."""
    for number in range(count):
        name = rock_name(number)
        home = root / "lib/luarocks" / f"rocks-{LUA}" / name / "1.0-1"
        for path, text in rock_files(name).items():
            top, _, rest = path.partition("/")
            file = root / "share/lua" / LUA / rest if top == "lua" else home / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    admin = [*luarocks[:-1], luarocks[-1] + "-admin"]
    command = [*admin, "make_manifest", "--local-tree", "--tree", str(root)]
    subprocess.run(
        [*command, str(root / "lib/luarocks" / f"rocks-{LUA}")],
        env=dict(environment),
        check=True,
        capture_output=True,
    )
    return root


def write_plugin(folder: Path, example: Path) -> Path:
    """A Kong plugin's source directory: the project's own example, without what is built in it."""
    shutil.copytree(example, folder, ignore=shutil.ignore_patterns(".pumice", "lua_modules", "*.rock"))
    return folder


def _nested(files: Mapping[str, str]) -> dict[str, object]:
    tree: dict[str, object] = {}
    for path, text in files.items():
        *folders, leaf = path.split("/")
        here = tree
        for folder in folders:
            inner = here.setdefault(folder, {})
            assert isinstance(inner, dict)
            here = inner
        here[leaf] = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    return tree


def _lua(value: object, depth: int) -> str:
    if not isinstance(value, dict):
        return f'"{value}"'
    pad = "   " * (depth + 1)
    fields = ",\n".join(f'{pad}["{key}"] = {_lua(inner, depth + 1)}' for key, inner in sorted(value.items()))
    return "{\n" + fields + "\n" + "   " * depth + "}"
