"""The modules map of `builtin`: what it says, and what it is when it is left out (LuaRocks contract 2.7)."""

from __future__ import annotations

import posixpath

from pumice.base.value import Value
from pumice.errors import BuildError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pumice.build.sources import SourceTree

__all__ = [
    "CModule",
    "Detected",
    "LuaModule",
    "detect_modules",
    "library_variable",
    "module_directory",
    "parse_modules",
    "string_list",
]

_SKIPPED = frozenset({"spec", ".luarocks", "lua_modules", "test.lua", "tests.lua"})
"""First parts of a path that are not a rock's modules."""


class LuaModule(Value):
    """A module that is a Lua file."""

    name: str
    source: str
    target: str
    """Below `lua/`."""


class CModule(Value):
    """A module that is compiled."""

    name: str
    target: str
    """Below `lib/`."""
    sources: tuple[str, ...]
    defines: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    incdirs: tuple[str, ...] = ()
    libdirs: tuple[str, ...] = ()


class Detected(Value):
    """What a source directory says about itself when the rockspec lists no modules (format 3.0 on)."""

    modules: tuple[LuaModule | CModule, ...]
    commands: tuple[str, ...]
    """For `build.install.bin`."""
    directories: tuple[str, ...]
    """For `build.copy_directories`."""


def module_directory(name: str) -> str:
    """The directory of a module: `a.b.c` is in `a/b/`, `a` in the empty text."""
    return name[: name.rfind(".") + 1].replace(".", "/")


def library_variable(library: str) -> str:
    """The name that a library gets as an external dependency: `c++-x` is `CPP_X`."""
    upper = "".join(letter.upper() if letter.isascii() else letter for letter in library).replace("+", "P")
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in upper)


def parse_modules(
    table: object, lib_extension: str, *, libraries_are_dependencies: bool = False
) -> tuple[LuaModule | CModule, ...]:
    """The modules of a `build.modules` table, sorted by name.

    Two modules of one source file are two modules (LuaRocks drops one of them). With
    `libraries_are_dependencies` (the rockspec has no external_dependencies) a module's directories default
    to those of its libraries. Raises BuildError for an entry that no driver could build.
    """
    if not isinstance(table, dict):
        raise BuildError("build.modules must be a table of module names and files")
    modules: list[LuaModule | CModule] = []
    for name, entry in table.items():
        if not isinstance(name, str):
            raise BuildError(
                f"build.modules: entry {name} has no module name",
                hint='Write it as ["module.name"] = "path/to/file.lua".',
            )
        if isinstance(entry, str) and posixpath.basename(entry).endswith(".lua"):
            modules.append(_lua_module(name, entry))
        elif isinstance(entry, str):
            modules.append(CModule(name, _c_target(name, lib_extension), (entry,)))
        elif isinstance(entry, dict):
            modules.append(_c_module(name, entry, lib_extension, libraries_are_dependencies))
        else:
            raise BuildError(f"build.modules: module '{name}' must be a file name or a table")
    return tuple(sorted(modules, key=lambda module: module.name))


def _lua_module(name: str, source: str) -> LuaModule:
    if posixpath.basename(source) == "init.lua" and not name.endswith(".init"):
        return LuaModule(name, source, f"{module_directory(name + '.init')}init.lua")
    return LuaModule(name, source, f"{module_directory(name)}{_last_part(name)}.lua")


def _last_part(name: str) -> str:
    """The last part that is not empty: LuaRocks looks for a run of characters other than dots at the end."""
    last = name.rpartition(".")[2]
    if not last:
        raise BuildError(f"build.modules: '{name}' is not a module name")
    return last


def _c_target(name: str, lib_extension: str) -> str:
    return f"{module_directory(name)}{_last_part(name)}.{lib_extension}"


def _c_module(name: str, entry: Mapping[object, object], lib_extension: str, complete: bool) -> CModule:
    sources = entry if 1 in entry else entry.get("sources")
    if sources is None:
        raise BuildError(
            f"error in rockspec: module '{name}' entry has no 'sources' list",
            hint='Give the module a list of C files: sources = { "file.c" }.',
        )
    where = f"build.modules['{name}']"
    libraries = string_list(entry.get("libraries"), f"{where}.libraries")

    def directories(key: str, kind: str) -> tuple[str, ...]:
        if complete and key not in entry:
            return tuple(f"$({library_variable(library)}_{kind})" for library in libraries)
        return string_list(entry.get(key), f"{where}.{key}")

    return CModule(
        name,
        _c_target(name, lib_extension),
        string_list(sources, f"{where}.sources"),
        string_list(entry.get("defines"), f"{where}.defines"),
        libraries,
        directories("incdirs", "INCDIR"),
        directories("libdirs", "LIBDIR"),
    )


def string_list(value: object, where: str) -> tuple[str, ...]:
    """A string, a number or an array of them as a tuple; absent is empty. Raises BuildError for others."""
    if value is None:
        return ()
    items: list[object] = []
    if isinstance(value, dict):
        while len(items) + 1 in value:
            items.append(value[len(items) + 1])
    else:
        items = [value]
    for item in items:
        if isinstance(item, bool) or not isinstance(item, str | int | float):
            raise BuildError(f"{where} must be a string or a list of strings")
    return tuple(str(item) for item in items)


def detect_modules(
    tree: SourceTree,
    lib_extension: str,
    libraries: tuple[str, ...] = (),
    incdirs: tuple[str, ...] = (),
    libdirs: tuple[str, ...] = (),
) -> Detected:
    """The modules, commands and documentation that LuaRocks finds in a directory without a modules map.

    The libraries and directories are those of the external dependencies; every C module gets them.
    """
    what = "The source directory"
    root = next((name for name in ("src", "lua", "lib") if tree.directory(name, what)), "")
    prefix = f"{root}/" if root else ""
    modules: dict[str, LuaModule | CModule] = {}
    for path in tree.walk(root or ".", what, _SKIPPED):
        if path.endswith(".lua"):
            name = _module_of(path.removesuffix(".lua"))
            modules[name] = _lua_module(name, prefix + path)
        elif path.endswith(".c"):
            name = _opened_module(tree, prefix + path) or _module_of(path.removesuffix(".c"))
            target = _c_target(name, lib_extension)
            modules[name] = CModule(name, target, (prefix + path,), (), libraries, incdirs, libdirs)
    commands = next((name for name in ("src/bin", "bin") if tree.directory(name, what)), None)
    return Detected(
        tuple(modules[name] for name in sorted(modules)),
        ()
        if commands is None
        else tuple(
            f"{commands}/{name}" for name in tree.names(commands) if tree.file(f"{commands}/{name}", what)
        ),
        tuple(name for name in ("doc", "docs", "samples", "tests") if tree.directory(name, what)),
    )


def _module_of(stem: str) -> str:
    """The module of a file: slashes are dots, and dots at both ends go."""
    return stem.replace("/", ".").strip(".")


def _opened_module(tree: SourceTree, path: str) -> str | None:
    """The name in the first `int luaopen_NAME` of a C file."""
    import re

    absolute = tree.file(path, "The source directory")
    if absolute is None:
        return None
    with open(absolute, "rb") as file:
        found = re.search(rb"int[ \t\n\v\f\r]+luaopen_([A-Za-z0-9_]+)", file.read())
    return found[1].decode("ascii") if found else None
