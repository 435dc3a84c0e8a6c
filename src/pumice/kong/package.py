"""`Package`: a rock as its author or receiver holds it (source tree, rock, tar), ready to be judged."""

from __future__ import annotations

import os

from pumice.base.value import Value
from pumice.rock.content import Content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from pumice.lua.data import LuaTable, LuaValue
    from pumice.rock.rock import Rock
    from pumice.rock.rockspec import Rockspec

__all__ = [
    "OTHERS_LIMIT",
    "Listed",
    "Package",
    "PackageFile",
    "absent_modules",
    "module_of_path",
    "package_of_directory",
    "package_of_modules",
    "package_of_rock",
]

_NOT_SHIPPED = ("spec", "specs", "test", "tests", "t", "lua_modules", "node_modules")
"""Directories below a plugin's own that hold no modules of it."""
OTHERS_LIMIT = 1 << 20
"""Files that are no modules are looked into up to this size."""
_OTHERS_COUNT = 5000


class PackageFile(Value):
    """One file of a package."""

    path: str
    """Relative to the package, with `/`."""
    content: Content
    mode: int | None = None
    """The permissions on disk; None where only an archive knows."""


class Listed(Value):
    """A file that the rockspec names, and as what: `module a.b`, `install.bin`, `copy_directories`, …"""

    path: str
    role: str
    is_directory: bool = False


class Package(Value):
    """What is checked. Paths are relative to it, with `/`."""

    kind: str
    """`directory`, `rock` or `tar`."""
    rockspec: Rockspec | None
    listed: tuple[Listed, ...]
    modules: Mapping[str, str]
    """Lua modules that ship, by name, with the path that each has here; the file may be missing."""
    c_modules: frozenset[str]
    files: Mapping[str, PackageFile]
    """Listed files that exist, and every Lua file beside the modules of a plugin."""
    missing: tuple[Listed, ...] = ()
    outside: tuple[Listed, ...] = ()
    """Listed files that do not lie in the package."""
    others: Mapping[str, PackageFile] = {}
    """What ships besides, such as `copy_directories` hold; large files are left out."""

    @property
    def shipped(self) -> tuple[str, ...]:
        """The path of every file that is known, `others` included."""
        return (*self.files, *(path for path in self.others if path not in self.files))

    def source(self, path: str) -> bytes | None:
        """The bytes of a file here; None if it is not here or cannot be read."""
        file = self.files.get(path) or self.others.get(path)
        try:
            return file.content.read() if file is not None else None
        except OSError:
            return None


def package_of_directory(directory: str, rockspec: Rockspec, *, modules: LuaTable | None = None) -> Package:
    """The package in a source directory (absolute), as its rockspec describes it.

    `modules` stands for the rockspec's modules map where a build finds them out by itself.
    """
    table = rockspec.modules if modules is None else modules
    lua, c_modules, listed = _modules(table)
    for section, names, path in _install(rockspec.build):
        listed.append(Listed(path, f"install.{section}"))
        if section == "lua":
            lua[names] = path
    copied = rockspec.build.get("copy_directories")
    if isinstance(copied, dict):
        listed += [
            Listed(path, "copy_directories", True) for path in copied.values() if isinstance(path, str)
        ]

    files: dict[str, PackageFile] = {}
    others: dict[str, PackageFile] = {}
    missing, outside = [], []
    for item in listed:
        place = _normal(item.path)
        if place is None:
            outside.append(item)
        elif item.is_directory:
            if not os.path.isdir(os.path.join(directory, place)):
                missing.append(item)
            others |= _below(directory, place)
        else:
            file = _file_on_disk(directory, place)
            if file is None:
                missing.append(item)
            else:
                files[place] = file
    inside = {name: normal for name, path in lua.items() if (normal := _normal(path)) is not None}
    for path in _neighbours(directory, inside):
        file = _file_on_disk(directory, path) if path not in files else None
        if file is not None:
            files[path] = file
    return Package(
        "directory",
        rockspec,
        tuple(listed),
        inside,
        frozenset(c_modules),
        files,
        tuple(missing),
        tuple(outside),
        others,
    )


def package_of_modules(directory: str) -> Package:
    """The package in a directory (absolute) without a rockspec: `kong/plugins/…`, as it lies on a node."""
    known = _below(directory, "kong")
    files = {path: file for path, file in known.items() if path.endswith(".lua")}
    modules = {module: path for path in files if (module := module_of_path(path)) is not None}
    others = {path: file for path, file in known.items() if path not in files}
    return Package("directory", None, (), modules, frozenset(), files, others=others)


def package_of_rock(rock: Rock) -> Package:
    """The package in a built rock: what its rockspec lists must be among its files."""
    files = {file.rock_path: PackageFile(file.rock_path, file.content) for file in rock.files}
    modules = {
        module: file.rock_path
        for file in rock.section("lua")
        if (module := module_of_path(file.path)) is not None
    }
    c_modules = frozenset(os.path.splitext(file.path)[0].replace("/", ".") for file in rock.section("lib"))
    missing = absent_modules(rock.rockspec, modules, c_modules, "lua/", "lib/")
    return Package("rock", rock.rockspec, (), modules, c_modules, files, missing)


def absent_modules(
    rockspec: Rockspec, modules: Collection[str], c_modules: Collection[str], lua_root: str, lib_root: str
) -> tuple[Listed, ...]:
    """The modules of a builtin build that a finished package does not hold, where they would lie."""
    lua, wanted_c, _ = _modules(rockspec.modules)
    return tuple(
        [
            Listed(f"{lua_root}{name.replace('.', '/')}.lua", f"module {name}")
            for name in lua
            if name not in modules
        ]
        + [
            Listed(f"{lib_root}{name.replace('.', '/')}.so", f"module {name}")
            for name in wanted_c
            if name not in c_modules
        ]
    )


def module_of_path(path: str) -> str | None:
    """The module that a deployed Lua file is, as `require` finds it; None for a file that is no Lua."""
    if not path.endswith(".lua"):
        return None
    name = path[: -len(".lua")].replace("/", ".")
    return name.removesuffix(".init") if name != "init" else name


def _modules(table: LuaTable) -> tuple[dict[str, str], list[str], list[Listed]]:
    """Lua modules with their files, C modules, and every file that the map names (LuaRocks contract 4)."""
    lua: dict[str, str] = {}
    c_modules: list[str] = []
    listed: list[Listed] = []
    for key, value in table.items():
        if isinstance(value, str):
            name = key if isinstance(key, str) else module_of_path(value) or os.path.splitext(value)[0]
            listed.append(Listed(value, f"module {name}"))
            if value.endswith(".lua"):
                lua[name] = value
            else:
                c_modules.append(name)
        elif isinstance(value, dict):
            c_modules.append(str(key))
            sources = value.get("sources", value)
            texts = [sources] if isinstance(sources, str) else _strings(sources)
            listed += [Listed(path, f"module {key}") for path in texts]
    return lua, c_modules, listed


def _install(build: LuaTable) -> Iterator[tuple[str, str, str]]:
    """Section, installed name and file of everything under `build.install`."""
    install = build.get("install")
    if not isinstance(install, dict):
        return
    for section, entries in install.items():
        if not isinstance(entries, dict) or not isinstance(section, str):
            continue
        for key, path in entries.items():
            if isinstance(path, str):
                name = key if isinstance(key, str) else os.path.splitext(os.path.basename(path))[0]
                yield section, name, path


def _strings(value: LuaValue) -> list[str]:
    if not isinstance(value, dict):
        return []
    return [item for key, item in value.items() if isinstance(item, str) and not isinstance(key, str)]


def _normal(path: str) -> str | None:
    """The path without `.` and doubled slashes; None when it leads out of the package."""
    normal = os.path.normpath(path) if path else ""
    return None if not normal or normal.startswith(("/", "../")) or normal == ".." else normal


def _file_on_disk(directory: str, path: str) -> PackageFile | None:
    full = os.path.join(directory, path)
    try:
        status = os.stat(full)
    except OSError:
        return None
    if status.st_mode & 0o170000 != 0o100000:
        return None
    return PackageFile(path, Content.of_path(full), status.st_mode & 0o7777)


def _below(directory: str, place: str) -> dict[str, PackageFile]:
    """The files below a directory, up to a number and size that a plugin never has."""
    found: dict[str, PackageFile] = {}
    for folder, folders, names in os.walk(os.path.join(directory, place)):
        folders.sort()
        for name in sorted(names):
            path = os.path.relpath(os.path.join(folder, name), directory)
            file = _file_on_disk(directory, path)
            size = os.path.getsize(os.path.join(folder, name)) if file is not None else 0
            if file is not None and len(found) < _OTHERS_COUNT and size <= OTHERS_LIMIT:
                found[path] = file
    return found


def _neighbours(directory: str, modules: Mapping[str, str]) -> Iterable[str]:
    """Lua files below the directories in which the handlers and schemas of plugins lie."""
    roots = {
        os.path.dirname(path)
        for name, path in modules.items()
        if name.startswith("kong.plugins.") and name.endswith((".handler", ".schema"))
    }
    for root in sorted(roots):
        for folder, folders, names in os.walk(os.path.join(directory, root)):
            folders[:] = sorted(name for name in folders if name not in _NOT_SHIPPED and name[0] != ".")
            if not root:
                folders.clear()
            for name in sorted(names):
                if name.endswith(".lua") and not name.endswith("_spec.lua") and name[0] != ".":
                    yield os.path.relpath(os.path.join(folder, name), directory)
