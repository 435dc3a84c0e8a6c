"""Where everything of a rock lies in a tree: pure functions of paths (LuaRocks contract 5.1, 5.2, 5.4)."""

from __future__ import annotations

from pumice.errors import TreeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pumice.base.config import TreeSpec

__all__ = [
    "DEPLOYED_SECTIONS",
    "check_path",
    "check_rock_name",
    "deploy_dir",
    "deploy_path",
    "is_safe_path",
    "is_safe_rock_name",
    "kept_dir",
    "manifest_path",
    "module_file",
    "module_name",
    "namespace_path",
    "provided_item",
    "prune_stop",
    "rock_dir",
    "rock_items",
    "rock_manifest_path",
    "rockspec_path",
    "versioned_name",
    "versions_dir",
]

DEPLOYED_SECTIONS = ("bin", "lua", "lib")
"""The sections whose files leave the rock directory, in the order in which LuaRocks deploys them."""

# By these LuaRocks tells a Lua module from a C module when all it knows is the file's name.
_SOURCE_SUFFIXES = (".lua", ".tl", ".tld", ".moon")
_HINT = "The rock is damaged or made to do harm; nothing was changed."


def manifest_path(tree: TreeSpec) -> str:
    """The tree manifest."""
    return f"{tree.rocks_dir}/manifest"


def versions_dir(tree: TreeSpec, name: str) -> str:
    """The directory that holds a directory for every installed version of a rock."""
    return f"{tree.rocks_dir}/{name}"


def rock_dir(tree: TreeSpec, name: str, version: str) -> str:
    """The directory of one installed rock."""
    return f"{tree.rocks_dir}/{name}/{version}"


def rockspec_path(tree: TreeSpec, name: str, version: str) -> str:
    """The rockspec of an installed rock."""
    return f"{tree.rocks_dir}/{name}/{version}/{name}-{version}.rockspec"


def rock_manifest_path(tree: TreeSpec, name: str, version: str) -> str:
    """The rock_manifest of an installed rock."""
    return f"{tree.rocks_dir}/{name}/{version}/rock_manifest"


def namespace_path(tree: TreeSpec, name: str, version: str) -> str:
    """The file that names the namespace of an installed rock; most rocks have none."""
    return f"{tree.rocks_dir}/{name}/{version}/rock_namespace"


def kept_dir(tree: TreeSpec, name: str, version: str) -> str:
    """Where changed files of a removed rock directory are kept; LuaRocks must not find them under its own."""
    return f"{tree.root}/.pumice/kept/{name}-{version}"


def deploy_dir(tree: TreeSpec, section: str) -> str:
    """The directory to which the files of `bin`, `lua` or `lib` are deployed."""
    if section == "lua":
        return tree.lua_dir
    return tree.lib_dir if section == "lib" else tree.bin_dir


def deploy_path(tree: TreeSpec, section: str, path: str, rock: tuple[str, str] | None = None) -> str:
    """Where a file of a section is deployed: under its plain name, or the versioned one of `rock`."""
    relative = versioned_name(path, *rock) if rock else path
    return f"{deploy_dir(tree, section)}/{relative}"


def versioned_name(path: str, name: str, version: str) -> str:
    """The name, below its deploy directory, of a file whose plain name another rock or version holds."""
    prefix = f"{name}_{version}".replace("-", "_").replace(".", "_")
    return f"{prefix}-{path}"


def prune_stop(tree: TreeSpec, directory: str) -> str:
    """The directory that must stay when `directory` has become empty and goes: the tree's root.

    For a deploy directory that was configured outside the root it is that directory itself.
    """
    outside = (tree.bin_dir, tree.lua_dir, tree.lib_dir, tree.rocks_dir)
    for stop in (tree.root, *outside):
        if f"{directory}/".startswith(stop.rstrip("/") + "/"):
            return stop
    return directory


def module_name(path: str, lib_extension: str = "so") -> str:
    """The module id of a file below `lua` or `lib`: `a/b.lua` is `a.b`, `a/init.lua` is `a.init`.

    A file that is neither a Lua nor a C module keeps its path: `data/words.txt`.
    """
    for suffix in (".lua", "." + lib_extension):
        if path.endswith(suffix):
            path = path[: -len(suffix)].replace("/", ".")
            break
    return path.strip(".")


def provided_item(section: str, path: str, lib_extension: str = "so") -> tuple[str, str]:
    """What a deployed file provides: ("commands", name) or ("modules", id), as the tree manifest has it."""
    return ("commands", path) if section == "bin" else ("modules", module_name(path, lib_extension))


def rock_items(paths: Iterable[str], lib_extension: str = "so") -> dict[str, dict[str, str]]:
    """{"commands": …, "modules": …}: what the files of a rock provide, each item with its path.

    Of a module that comes as Lua and as C, the manifest has the Lua file.
    """
    items: dict[str, dict[str, str]] = {"commands": {}, "modules": {}}
    split = [path.partition("/") for path in paths]
    for wanted in ("bin", "lib", "lua"):
        for section, _, path in split:
            if section == wanted and path:
                kind, item = provided_item(section, path, lib_extension)
                items[kind][item] = path
    return items


def module_file(tree: TreeSpec, path: str, name: str, version: str, *, active: bool) -> str:
    """The deployed file of a module whose `path` the tree manifest gives; `active` is its first provider.

    The manifest does not say from which section a file comes. LuaRocks looks at the suffix, and so takes
    `data/words.txt` for a file of `lib`.
    """
    section = "lua" if path.endswith(_SOURCE_SUFFIXES) else "lib"
    return deploy_path(tree, section, path, None if active else (name, version))


def is_safe_path(path: str) -> bool:
    """Whether `path` is relative, stays where it is put, and holds nothing that no file name should."""
    if not path or path.startswith("/") or "\\" in path:
        return False
    if not path.isprintable() and any(character < " " or character == "\x7f" for character in path):
        return False
    return not any(part in ("", ".", "..") for part in path.split("/"))


def check_path(path: str, rock: str) -> None:
    """Raise TreeError if `path`, of a file in `rock`, could lead out of its directory."""
    if not is_safe_path(path):
        raise TreeError(f"{rock} has a file with the path {path!r}, which could lead elsewhere", hint=_HINT)


def is_safe_rock_name(text: str) -> bool:
    """Whether a rock's name or version can be the name of its directory, and of nothing else."""
    return "/" not in text and is_safe_path(text)


def check_rock_name(name: str, version: str) -> None:
    """Raise TreeError if a rock of this name and version could not have a directory of its own."""
    for text in (name, version):
        if not is_safe_rock_name(text):
            raise TreeError(f"{text!r} is no name or version of a rock", hint=_HINT)
