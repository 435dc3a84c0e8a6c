"""`build.install`, `copy_directories`, and the documentation that comes without asking (contract 2.7)."""

from __future__ import annotations

import posixpath

from pumice.build.modules import module_directory
from pumice.errors import BuildError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pumice.build.fileset import FileSet
    from pumice.build.sources import SourceTree
    from pumice.lua.data import LuaTable

__all__ = ["Installation", "plan_installation"]

_SECTIONS = ("lua", "lib", "bin", "conf")
_DOCUMENTS = ("readme", "license", "copying")


class Installation:
    """What a rockspec installs beside its modules: checked when it is made, carried out by `apply`."""

    __slots__ = ("_directories", "_explicit", "_files")

    def __init__(
        self, files: tuple[tuple[str, str, str], ...], directories: tuple[str, ...], explicit: bool
    ) -> None:
        """`files`: (section, source, path in the rock). `explicit`: the rockspec names the directories."""
        self._files = files
        self._directories = directories
        self._explicit = explicit

    def apply(self, tree: SourceTree, files: FileSet, *, documented: bool = False) -> None:
        """Add the files. Raises BuildError for what is named but not there."""
        for section, source, path in self._files:
            what = f"build.install.{section}"
            found = tree.file(source, what)
            if found is None:
                raise BuildError(
                    f"Failed copying {source}",
                    hint=f"{what} names a file that is not in {tree.root}.",
                )
            files.add_file(path, found, section in ("lib", "bin"), what)
        self._copy_directories(tree, files, documented)

    def _copy_directories(self, tree: SourceTree, files: FileSet, documented: bool) -> None:
        for directory in self._directories:
            if not self._explicit and tree.is_link_outside(directory):
                continue
            top = tree.directory(directory, "build.copy_directories")
            if top is None:
                if self._explicit:
                    raise BuildError(
                        f"Directory '{directory}' not found",
                        hint="build.copy_directories names directories of the source directory.",
                    )
                continue
            documented = True
            tidy = tree.relative(directory, "build.copy_directories")
            for path in tree.walk(directory, "build.copy_directories", empty=True):
                if path.endswith("/") or not path:
                    files.add_directory(posixpath.join(tidy, path), "build.copy_directories")
                else:
                    _add_copied(files, posixpath.join(tidy, path), f"{top}/{path}")
        if not documented:
            for name in tree.names():
                lower = name.lower()
                if (lower.startswith(_DOCUMENTS) or ".md" in lower) and not tree.is_link_outside(name):
                    found = tree.file(name, "The source directory")
                    if found is not None:
                        files.add_file(f"doc/{name}", found, False, "The source directory")


def _add_copied(files: FileSet, path: str, source: str) -> None:
    section = path.partition("/")[0]
    executable = None if section not in _SECTIONS else section in ("lib", "bin")
    files.add_file(path, source, executable, "build.copy_directories")


def plan_installation(
    build: LuaTable,
    tree: SourceTree,
    commands: tuple[str, ...] = (),
    directories: tuple[str, ...] = (),
) -> Installation:
    """Read `build.install` and `build.copy_directories`; the detected ones stand in for absent ones.

    Raises BuildError for a source that leaves the source directory or a target that leaves its section,
    before anything is built.
    """
    files: list[tuple[str, str, str]] = []
    table = build.get("install")
    if table is None:
        files += [("bin", command, f"bin/{posixpath.basename(command)}") for command in commands]
    elif not isinstance(table, dict):
        raise BuildError("build.install must be a table")
    else:
        for section in _SECTIONS:
            files += _section(section, table.get(section), tree)
    named = build.get("copy_directories")
    # LuaRocks walks this table with pairs: any key counts.
    wanted = tuple([name for _, name in _items(named)]) if isinstance(named, dict) else (named,)
    if named is None:
        return Installation(tuple(files), directories or ("doc",), bool(directories))
    for directory in wanted:
        if not isinstance(directory, str):
            raise BuildError("build.copy_directories must be a list of directories")
        tree.directory(directory, "build.copy_directories")
    return Installation(tuple(files), wanted, True)


def _items(table: LuaTable) -> list[tuple[object, Any]]:
    """The entries in one fixed order: array part first, then names."""
    return sorted(table.items(), key=lambda item: (isinstance(item[0], str), str(item[0]).rjust(20)))


def _section(section: str, table: object, tree: SourceTree) -> list[tuple[str, str, str]]:
    what = f"build.install.{section}"
    if table is None:
        return []
    if not isinstance(table, dict):
        raise BuildError(f"{what} must be a table of files")
    files = []
    for key, source in _items(table):
        if not isinstance(source, str):
            raise BuildError(f"{what} must be a table of files")
        tree.file(source, what)
        name = posixpath.basename(source.rstrip("/"))
        if not isinstance(key, str):
            target = name
        elif section in ("bin", "conf"):
            target = key.rstrip("/")
        else:
            last = key.rpartition(".")[2]
            if name.endswith(".lua") and last:
                name = f"{last}.lua"
            target = module_directory(key) + name
        files.append((section, source, _rock_path(section, target)))
    return files


def _rock_path(section: str, target: str) -> str:
    """The target's path in the rock. Raises BuildError if it leaves its section (adversary case 42).

    Files of `conf` may go to another directory of the rock that is not deployed: published rocks place
    `../tex/…` so.
    """
    absolute = section in ("bin", "conf") and target.startswith("/")
    path = posixpath.normpath(f"{section}/{target}")
    top = path.partition("/")[0]
    elsewhere = section == "conf" and top not in ("", "..", ".", *_SECTIONS)
    if absolute or "\0" in target or not (path.startswith(f"{section}/") or elsewhere):
        raise BuildError(
            f"build.install.{section} would install {target!r} outside of its directory",
            hint="Target paths in a rockspec are relative and stay inside the rock.",
        )
    return path
