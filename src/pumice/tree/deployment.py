"""One rock goes into a tree or out of it, and who gets the plain name of a file (contract 5.4).

A command, or a module id, can be provided by several rocks and versions. The first in the manifest's list is
active: its file has the plain name. All others' files have versioned names, by which LuaRocks's loader
finds them.
"""

from __future__ import annotations

from pumice.errors import DataError
from pumice.rock.content import Content
from pumice.rock.rock_manifest import md5_hex, read_rock_manifest, rock_manifest_of
from pumice.rock.version import parse_version
from pumice.tree import layout
from pumice.tree.wrapper import is_relocatable, is_wrapper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pumice.base.config import TreeSpec
    from pumice.rock.rock import Rock, RockFile
    from pumice.tree.manifest import TreeManifest
    from pumice.tree.overlay import Overlay
    from pumice.tree.view import TreeView
    from pumice.tree.wrapper import Wrapping

__all__ = ["Deployment"]

_DOCUMENTATION = ("doc", "docs")
_EDITED_IN_ROCK_DIR = ("bin/", "conf/")
_WRAPPER_LINES = 3


class Deployment:
    """Puts rocks into a tree's overlay and manifest, and takes them out."""

    def __init__(
        self,
        tree: TreeSpec,
        manifest: TreeManifest,
        view: TreeView,
        overlay: Overlay,
        wrapping: Wrapping,
        say: Callable[[str, str], None],
        *,
        lib_extension: str,
    ) -> None:
        self._tree = tree
        self._manifest = manifest
        self._view = view
        self._overlay = overlay
        self._wrapping = wrapping
        self._say = say
        self._lib_extension = lib_extension
        self._files: dict[tuple[str, str], Mapping[str, str] | None] = {}

    def install(self, rock: Rock, *, no_doc: bool) -> None:
        """Deploy a rock; the same version, if it is there, goes first. Raises TreeError."""
        name, version = rock.name, rock.version
        for file in rock.files:
            layout.check_path(file.rock_path, f"{name} {version}")
        for path in rock.directories:
            layout.check_path(path, f"{name} {version}")
        if self._manifest.has(name, version) or self._view.kind(layout.rock_dir(self._tree, name, version)):
            self._take_away(name, version, replaced_by={file.rock_path: file.md5 for file in rock.files})
        self._fill_rock_dir(rock, no_doc=no_doc)
        collisions: dict[tuple[str, str], None] = {}
        for section in layout.DEPLOYED_SECTIONS:
            for file in rock.section(section):
                self._deploy(rock, file, collisions)
        files = {file.rock_path: file.md5 for file in rock.files}
        items = layout.rock_items(files, self._lib_extension)
        self._manifest.add(name, version, items["modules"], items["commands"], rock.rockspec.dependencies)
        self._files[name, version] = files

    def remove(self, name: str, version: str) -> None:
        """Take a rock away and let the next provider of each of its items have the plain name."""
        self._take_away(name, version, replaced_by={})

    def _fill_rock_dir(self, rock: Rock, *, no_doc: bool) -> None:
        name, version = rock.name, rock.version
        directory = layout.rock_dir(self._tree, name, version)
        put = self._overlay.put
        for file in rock.files:
            if file.section in ("lua", "lib") or (no_doc and file.section in _DOCUMENTATION):
                continue
            put(f"{directory}/{file.rock_path}", file.content, 0o755 if file.executable else 0o644)
        for path in rock.directories:
            if not (no_doc and path.partition("/")[0] in _DOCUMENTATION):
                self._overlay.make(f"{directory}/{path}")
        put(layout.rockspec_path(self._tree, name, version), Content.of_bytes(rock.rockspec.text), 0o644)
        put(
            layout.rock_manifest_path(self._tree, name, version),
            Content.of_bytes(rock_manifest_of(rock)),
            0o644,
        )
        if rock.namespace is not None:
            namespace = rock.namespace.encode("utf-8", "surrogateescape")
            put(layout.namespace_path(self._tree, name, version), Content.of_bytes(namespace), 0o644)

    def _deploy(self, rock: Rock, file: RockFile, collisions: dict[tuple[str, str], None]) -> None:
        kind, item = self._item(file.section, file.path)
        current = self._current(kind, item)
        plain = self._wins(rock.name, rock.version, current)
        if current is not None:
            if current[0] != rock.name and (kind, item) not in collisions:
                collisions[kind, item] = None
                self._warn_collision(kind, item, (rock.name, rock.version), current, wins=plain)
            if plain:
                self._demote(current, kind, item)
        target = self._path(file.section, file.path, None if plain else (rock.name, rock.version))
        if self._overlay.exists(target):
            backup = self._overlay.free_backup(target)
            self._say(
                "warning", f"{target} is not tracked by this installation of LuaRocks. Moving it to {backup}"
            )
            self._overlay.move(target, backup)
        content = file.content
        if file.section == "bin":
            wrapper = (
                self._wrapping.deployed(self._tree, rock.name, rock.version, file.path, file.content.read())
                if rock.rockspec.wrap_bin_scripts is not False
                else None
            )
            if wrapper is not None:
                content = Content.of_bytes(wrapper)
        self._overlay.put(target, content, 0o644 if file.section == "lua" else 0o755)

    def _take_away(self, name: str, version: str, replaced_by: Mapping[str, str]) -> None:
        """Undo a deployment; changed files are kept unless their replacement says the same."""
        files = self._files_of(name, version)
        if files is None and replaced_by:
            files = replaced_by
        if files is None:
            self._say(
                "notice",
                f"rock_manifest file not found for {name} {version} - removed entry from the manifest",
            )
            files = {}
        for rock_path, md5 in files.items():
            section, _, path = rock_path.partition("/")
            if section in layout.DEPLOYED_SECTIONS and path:
                self._withdraw((name, version), rock_path, md5, replaced_by.get(rock_path))
        for item in self._manifest.drop(name, version):
            self._say("warning", f"Cannot find entry for {item} in manifest -- corrupted manifest?")
        self._clear_rock_dir(name, version, files, replaced_by)
        self._files.pop((name, version), None)

    def _withdraw(self, rock: tuple[str, str], rock_path: str, md5: str, new_md5: str | None) -> None:
        section, _, path = rock_path.partition("/")
        kind, item = self._item(section, path)
        providers = self._manifest.providers(kind, item)
        active = self._wins(*rock, self._current(kind, item))
        plain, versioned = self._path(section, path), self._path(section, path, rock)
        expected, other = (plain, versioned) if active else (versioned, plain)
        if self._overlay.exists(expected):
            if self._edited(expected, rock, rock_path, md5, new_md5):
                self._keep(expected, self._overlay.free_backup(plain), plain)
            self._overlay.delete(expected)
        elif self._overlay.exists(other) and not self._edited(other, rock, rock_path, md5, None):
            self._overlay.delete(other)
        if active and len(providers) > 1 and rock == providers[0]:
            self._promote(providers[1], kind, item)

    def _edited(
        self, path: str, rock: tuple[str, str], rock_path: str, md5: str, new_md5: str | None
    ) -> bool:
        """Whether somebody changed an installed file; not if it says what its replacement will say.

        A wrapper is not compared, since another configuration writes another one, but it must be of this
        command and no longer than LuaRocks makes them.
        """
        if self._overlay.is_new(path):
            return False
        try:
            data = self._overlay.read(path)
        except OSError:
            return False
        if rock_path.startswith("bin/") and is_wrapper(data):
            script = f"/{rock[0]}/{rock[1]}/{rock_path}'".encode("utf-8", "surrogateescape")
            if script in data and (data.count(b"\n") <= _WRAPPER_LINES or is_relocatable(data)):
                return False
        return md5_hex(data) not in (md5, new_md5)

    def _keep(self, path: str, kept: str, shown: str) -> None:
        self._say(
            "warning", f"{shown} was changed after it was installed. The changed file is kept as {kept}"
        )
        self._overlay.move(path, kept)

    def _clear_rock_dir(
        self, name: str, version: str, files: Mapping[str, str], replaced_by: Mapping[str, str]
    ) -> None:
        directory = layout.rock_dir(self._tree, name, version)
        for rock_path, md5 in files.items():
            full = f"{directory}/{rock_path}"
            if (
                rock_path.startswith(_EDITED_IN_ROCK_DIR)
                and self._overlay.exists(full)
                and self._edited(full, (name, version), "", md5, replaced_by.get(rock_path))
            ):
                kept = f"{layout.kept_dir(self._tree, name, version)}/{rock_path}"
                if self._overlay.exists(kept):
                    kept = self._overlay.free_backup(kept)
                self._keep(full, kept, full)
        self._overlay.delete_directory(directory)

    def _demote(self, rock: tuple[str, str], kind: str, item: str) -> None:
        """Give the files of the provider that was active so far their versioned names."""
        for section, path in self._item_files(rock, kind, item):
            plain, versioned = self._path(section, path), self._path(section, path, rock)
            if self._overlay.exists(plain) and not self._overlay.exists(versioned):
                self._overlay.move(plain, versioned)

    def _promote(self, rock: tuple[str, str], kind: str, item: str) -> None:
        """Give the files of the provider that is active from now on their plain names."""
        for section, path in self._item_files(rock, kind, item):
            plain, versioned = self._path(section, path), self._path(section, path, rock)
            if self._overlay.exists(versioned) and not self._overlay.exists(plain):
                self._overlay.move(versioned, plain)

    def _item_files(self, rock: tuple[str, str], kind: str, item: str) -> list[tuple[str, str]]:
        """(section, path) of the files that provide an item; a module may come as Lua and as C."""
        files = self._files_of(*rock)
        if files is None:
            entry = self._manifest.entry(*rock)
            path = (
                None if entry is None else (entry.commands if kind == "commands" else entry.modules).get(item)
            )
            if path is None or not layout.is_safe_path(path):
                return []
            return [(section, path) for section in (("bin",) if kind == "commands" else ("lua", "lib"))]
        found: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for rock_path in files:
            section, _, path = rock_path.partition("/")
            if section in layout.DEPLOYED_SECTIONS and path:
                found.setdefault(self._item(section, path), []).append((section, path))
        return found.get((kind, item)) or found.get((kind, item + ".init"), [])

    def _files_of(self, name: str, version: str) -> Mapping[str, str] | None:
        """The rock_manifest of a rock as planned so far; None if it is missing or not to be trusted."""
        if (name, version) not in self._files:
            path = layout.rock_manifest_path(self._tree, name, version)
            files: Mapping[str, str] | None = None
            try:
                layout.check_rock_name(name, version)
                files = read_rock_manifest(self._view.read(path), path)
            except DataError as error:
                self._say("warning", error.message)
            except OSError:
                pass
            self._files[name, version] = files
        return self._files[name, version]

    def _current(self, kind: str, item: str) -> tuple[str, str] | None:
        """The active provider of an item.

        LuaRocks before 3.0 entered `m/init.lua` as `m`, so that is asked too. Unlike LuaRocks, which then
        refuses to install `m/init.lua` beside the `m.lua` of another rock, only if it is such an entry.
        """
        providers = self._manifest.providers(kind, item)
        if not providers and kind == "modules" and item.endswith(".init"):
            older = item[: -len(".init")]
            providers = self._manifest.providers(kind, older)
            entry = self._manifest.entry(*providers[0]) if providers else None
            if entry is None or not entry.modules.get(older, "").endswith("/init.lua"):
                return None
        return providers[0] if providers else None

    @staticmethod
    def _wins(name: str, version: str, current: tuple[str, str] | None) -> bool:
        """Whether a rock gets the plain name: by the lesser rock name, then by the higher version."""
        if current is None or name < current[0]:
            return True
        return name == current[0] and (
            version == current[1] or parse_version(version) > parse_version(current[1])
        )

    def _warn_collision(
        self, kind: str, item: str, rock: tuple[str, str], current: tuple[str, str], *, wins: bool
    ) -> None:
        what = f"module '{item}'" if kind == "modules" else f"'{item}'"
        thing = "module" if kind == "modules" else "command"
        verdict = "will take" if wins else "will not take"
        self._say(
            "warning",
            f"Collision: {what} from {rock[0]} {rock[1]} {verdict} priority over the same {thing} "
            f"provided by {current[0]} {current[1]}",
        )

    def _item(self, section: str, path: str) -> tuple[str, str]:
        return layout.provided_item(section, path, self._lib_extension)

    def _path(self, section: str, path: str, rock: tuple[str, str] | None = None) -> str:
        return layout.deploy_path(self._tree, section, path, rock)
