"""The tree manifest: which rocks a tree has, what they provide, and which provider is active (contract 5.2).

Reading and changing cost by the rock: `manifest_text` touches the entries that are asked for. What remains
proportional to the tree is reading, checking and writing the one file, some milliseconds a megabyte.
"""

from __future__ import annotations

from pumice.base.value import Value
from pumice.errors import ManifestError
from pumice.rock.version import newest_first, parse_version
from pumice.tree.layout import manifest_path
from pumice.tree.manifest_table import NotCanonical, parse_table, table_keys, table_text
from pumice.tree.manifest_text import CanonicalText

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pumice.base.config import TreeSpec
    from pumice.base.progress import Progress
    from pumice.lua.data import LuaTable, LuaValue
    from pumice.rock.dependency import Dependency

__all__ = ["RockEntry", "TreeManifest", "read_tree_manifest"]

_EMPTY = b"commands = {}\ndependencies = {}\nmodules = {}\nrepository = {}\n"
_INDEX_AFTER = 3


class RockEntry(Value):
    """What the manifest says of one installed rock."""

    modules: Mapping[str, str]
    """Module id → file below the deploy directory."""
    commands: Mapping[str, str]
    dependencies: Mapping[str, str]
    """The closure: every installed rock that it needs, directly or not → version; without Lua itself."""


class TreeManifest:
    """The manifest of one tree, in memory. Names and versions are those of the rock directories."""

    def __init__(self, text: CanonicalText, name: str, *, rebuilt: bool = False) -> None:
        self.name = name
        """For messages: the path of the file."""
        self.rebuilt = rebuilt
        """Whether there was no usable file; the closures are then missing."""
        self._commands = text.sections["commands"]
        self._modules = text.sections["modules"]
        self._repository = text.sections["repository"]
        self._dependencies = text.sections["dependencies"]
        self._text = text
        self._rocks: dict[str, LuaTable] = {}
        self._needs: dict[str, LuaTable] = {}
        self._items: dict[tuple[str, str], list[str]] = {}
        self._dirty: set[tuple[str, str]] = set()
        self._needed_by: dict[str, set[str]] | None = None
        self._searches = 0
        self._mentioned: set[str] = set()

    @classmethod
    def parse(cls, data: bytes, name: str) -> TreeManifest:
        """The manifest that `data` writes. Raises ManifestError if it cannot be used."""
        try:
            return cls(CanonicalText(data), name)
        except NotCanonical:
            from pumice.tree.manifest_rewrite import rewritten

            return cls(rewritten(data, name), name)

    @classmethod
    def empty(cls, name: str = "manifest", *, rebuilt: bool = False) -> TreeManifest:
        """The manifest of a tree without rocks."""
        return cls(CanonicalText(_EMPTY, checked=True), name, rebuilt=rebuilt)

    def names(self) -> list[str]:
        """The names of all installed rocks, sorted."""
        names = set(self._repository.keys())
        for name, versions in self._rocks.items():
            if versions:
                names.add(name)
            else:
                names.discard(name)
        return sorted(names)

    def versions(self, name: str) -> tuple[str, ...]:
        """The installed versions of a rock, as their texts sort; none if it is not installed."""
        if name not in self._rocks:
            text = self._repository.get(name)
            try:
                return tuple(table_keys(text)) if text not in (None, b"{}") else ()
            except NotCanonical:
                pass
        return tuple(sorted(key for key in self._versions(name) if isinstance(key, str)))

    def has(self, name: str, version: str) -> bool:
        """Whether this version of the rock is installed."""
        return version in self.versions(name)

    def entry(self, name: str, version: str) -> RockEntry | None:
        """What the manifest says of an installed rock, or None."""
        found = self._versions(name).get(version)
        first = found.get(1) if isinstance(found, dict) else None
        if not isinstance(first, dict):
            return None
        return RockEntry(
            _strings(first.get("modules")),
            _strings(first.get("commands")),
            _strings(first.get("dependencies")),
        )

    def providers(self, kind: str, item: str) -> tuple[tuple[str, str], ...]:
        """(name, version) of the rocks that provide a module or command; the first is the active one.

        `kind` is "modules" or "commands".
        """
        return tuple(_split(identifier) for identifier in self._provided_by(kind, item))

    def provided_items(self, kind: str) -> list[str]:
        """All module ids or command names, sorted."""
        section = self._modules if kind == "modules" else self._commands
        found = set(section.keys())
        for (each, item), identifiers in self._items.items():
            if each == kind:
                if identifiers:
                    found.add(item)
                else:
                    found.discard(item)
        return sorted(found)

    def dependencies(self, name: str, version: str) -> tuple[Dependency, ...] | None:
        """What the rockspec of an installed rock asks for, Lua included; None if the manifest is silent."""
        from pumice.tree.manifest_dependencies import read_dependencies

        return read_dependencies(self._needs_of(name).get(version))

    def all_dependencies(self) -> Iterator[tuple[str, str, tuple[Dependency, ...]]]:
        """(name, version, dependencies) of every rock whose dependencies are known, sorted by name.

        Entries of the same text are parsed once; most rocks of a tree ask for the same few things.
        """
        from pumice.tree.manifest_dependencies import read_dependencies

        parsed: dict[bytes, LuaTable] = {}
        for name in sorted({*self._dependencies.keys(), *self._needs}):
            if name not in self._needs:
                text = self._dependencies.get(name) or b"{}"
                if text not in parsed:
                    parsed[text] = self._table(text)
                versions = parsed[text]
            else:
                versions = self._needs[name]
            for version in newest_first(key for key in versions if isinstance(key, str)):
                found = read_dependencies(versions[version])
                if found is not None and self.has(name, version):
                    yield name, version, found

    def needing(self, name: str) -> set[str]:
        """The names of the rocks that have `name` among their own dependencies, whatever the version."""
        if self._needed_by is None:
            self._searches += 1
            if self._searches > _INDEX_AFTER:
                self._needed_by = self._index()
            else:
                found = set(
                    self._dependencies.keys_with(
                        b' name = "' + name.encode("utf-8", "surrogateescape") + b'"'
                    )
                )
                for needing, versions in self._needs.items():
                    if name in _names_in(versions):
                        found.add(needing)
                    else:
                        found.discard(needing)
                return found
        return set(self._needed_by.get(name, ()))

    def add(
        self,
        name: str,
        version: str,
        modules: Mapping[str, str],
        commands: Mapping[str, str],
        dependencies: Iterable[Dependency] | None,
    ) -> None:
        """Enter a rock, after its files have been deployed; its closure stays empty until `set_closure`.

        `dependencies` is None when the rockspec cannot be read.
        """
        versions = self._versions(name)
        versions[version] = {
            1: {"arch": "installed", "modules": dict(modules), "commands": dict(commands), "dependencies": {}}
        }
        self._dirty.add(("repository", name))
        self._dirty.add(("dependencies", name))
        self._needs_of(name)
        if dependencies is not None:
            self.set_dependencies(name, version, dependencies)
        for kind, items in (("modules", modules), ("commands", commands)):
            for item in items:
                self._provide(kind, item, name, version)

    def drop(self, name: str, version: str) -> list[str]:
        """Forget a rock; gives the items of which it was the only trace that should have been there."""
        versions = self._versions(name)
        found = self.entry(name, version)
        lost = []
        if found is not None:
            for kind, items in (("modules", found.modules), ("commands", found.commands)):
                lost += [item for item in items if not self._withdraw(kind, item, name, version)]
        versions.pop(version, None)
        self._dirty.add(("repository", name))
        needs = self._needs_of(name)
        needs.pop(version, None)
        if not versions:
            needs.clear()
        self._dirty.add(("dependencies", name))
        self._index_again(name)
        return lost

    def set_dependencies(self, name: str, version: str, dependencies: Iterable[Dependency]) -> None:
        """Enter what the rockspec of an installed rock asks for, Lua included."""
        from pumice.tree.manifest_dependencies import dependency_table

        self._needs_of(name)[version] = {
            number: dependency_table(dependency) for number, dependency in enumerate(dependencies, 1)
        }
        self._dirty.add(("dependencies", name))
        self._index_again(name)

    def set_closure(self, name: str, version: str, closure: Mapping[str, str]) -> None:
        """Enter the versions of all rocks that an installed rock needs."""
        found = self._versions(name).get(version)
        first = found.get(1) if isinstance(found, dict) else None
        if isinstance(first, dict) and _strings(first.get("dependencies")) != closure:
            first["dependencies"] = dict(closure)
            self._dirty.add(("repository", name))

    def mention(self, name: str) -> None:
        """Give `name` an empty place among the dependencies, as LuaRocks does for a rock of another tree."""
        if not self._needs_of(name):
            self._mentioned.add(name)
            self._dirty.add(("dependencies", name))

    def to_bytes(self) -> bytes:
        """The file as LuaRocks would write it; entries that did not change are copied from the old one."""
        for kind, key in sorted(self._dirty):
            if kind == "repository":
                rock = self._rocks[key]
                self._repository.set(key, table_text(rock) if rock else None)
            elif kind == "dependencies":
                stays = key in self._mentioned or self._versions(key)
                self._dependencies.set(key, table_text(self._needs[key]) if stays else None)
            else:
                identifiers = self._items[kind, key]
                value: LuaTable = dict(enumerate(identifiers, 1))
                section = self._modules if kind == "modules" else self._commands
                section.set(key, table_text(value) if identifiers else None)
        self._dirty.clear()
        return self._text.render()

    def _versions(self, name: str) -> LuaTable:
        found = self._rocks.get(name)
        if found is None:
            found = self._rocks[name] = self._table(self._repository.get(name))
        return found

    def _needs_of(self, name: str) -> LuaTable:
        found = self._needs.get(name)
        if found is None:
            found = self._needs[name] = self._table(self._dependencies.get(name))
        return found

    def _provided_by(self, kind: str, item: str) -> list[str]:
        found = self._items.get((kind, item))
        if found is None:
            section = self._modules if kind == "modules" else self._commands
            table = self._table(section.get(item))
            found = [value for value in table.values() if isinstance(value, str) and "/" in value]
            self._items[kind, item] = found
        return found

    def _provide(self, kind: str, item: str, name: str, version: str) -> None:
        identifiers = self._provided_by(kind, item)
        identifier = f"{name}/{version}"
        if identifier in identifiers:
            return
        place = 0
        while place < len(identifiers) and not _sorts_before((name, version), _split(identifiers[place])):
            place += 1
        identifiers.insert(place, identifier)
        self._dirty.add((kind, item))

    def _withdraw(self, kind: str, item: str, name: str, version: str) -> bool:
        identifier = f"{name}/{version}"
        for key in (item, item + ".init"):
            identifiers = self._provided_by(kind, key)
            if identifiers:
                if identifier in identifiers:
                    identifiers.remove(identifier)
                    self._dirty.add((kind, key))
                return True
        return False

    def _table(self, text: bytes | None) -> LuaTable:
        if text is None:
            return {}
        try:
            return parse_table(text)
        except NotCanonical:
            from pumice.lua.data import evaluate

            value = evaluate(b"value = " + text, self.name).globals.get("value")
            return value if isinstance(value, dict) else {}

    def _index(self) -> dict[str, set[str]]:
        """Every name that stands among dependencies → the rocks that need it."""
        index: dict[str, set[str]] = {}
        for needing, text in self._dependencies.items():
            if needing in self._needs:
                continue
            for part in text.split(b' name = "')[1:]:
                name = part[: part.index(b'"')].decode("utf-8", "surrogateescape")
                index.setdefault(name, set()).add(needing)
        for needing, versions in self._needs.items():
            for name in _names_in(versions):
                index.setdefault(name, set()).add(needing)
        return index

    def _index_again(self, needing: str) -> None:
        """Add to the index what a rock needs now; what it needed before costs a look too many, no harm."""
        if self._needed_by is None:
            return
        for name in _names_in(self._needs[needing]):
            self._needed_by.setdefault(name, set()).add(needing)


def read_tree_manifest(
    tree: TreeSpec, progress: Progress, *, platforms: Sequence[str] = ("linux", "unix")
) -> TreeManifest:
    """The manifest of a tree; without a usable file, what a look at the rock directories finds.

    A file that is there but cannot be used is reported as a warning. Raises TreeError when the disk fails.
    """
    path = manifest_path(tree)
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        data = None
    except OSError as error:
        from pumice.errors import PermissionDenied, TreeError

        kind = PermissionDenied if isinstance(error, PermissionError) else TreeError
        raise kind(f"{path} cannot be read: {error.strerror}", hint="Look at its owner and mode.") from None
    if data is not None:
        try:
            return TreeManifest.parse(data, path)
        except ManifestError as error:
            progress.message("warning", f"{error.message}. {error.hint}")
    from pumice.tree.rebuild import scan_tree

    return scan_tree(tree, platforms, progress)


def _split(identifier: str) -> tuple[str, str]:
    name, _, version = identifier.rpartition("/")
    return name, version


def _sorts_before(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether one provider comes before another: by name, then the higher version first."""
    if one[0] != other[0]:
        return one[0] < other[0]
    return parse_version(one[1]) > parse_version(other[1])


def _strings(value: LuaValue) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {key: text for key, text in value.items() if isinstance(key, str) and isinstance(text, str)}


def _names_in(versions: LuaTable) -> set[str]:
    """The names in the dependencies of all versions of a rock."""
    names = set()
    for dependencies in versions.values():
        if isinstance(dependencies, dict):
            for dependency in dependencies.values():
                name = dependency.get("name") if isinstance(dependency, dict) else None
                if isinstance(name, str):
                    names.add(name)
    return names
