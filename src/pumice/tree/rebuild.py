"""A tree manifest made from what lies in the rock directories, for a tree whose own is missing or damaged."""

from __future__ import annotations

from pumice.errors import DataError
from pumice.rock.rock_manifest import read_rock_manifest
from pumice.tree import layout
from pumice.tree.manifest import TreeManifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.base.config import TreeSpec
    from pumice.base.progress import Progress

__all__ = ["scan_tree"]


def scan_tree(tree: TreeSpec, platforms: Sequence[str], progress: Progress) -> TreeManifest:
    """The manifest of the rocks that have a directory with a rock_manifest, without their closures.

    A directory that LuaRocks would stumble over is left out with a warning. Raises TreeError.
    """
    manifest = TreeManifest.empty(layout.manifest_path(tree), rebuilt=True)
    for name in _directories(tree.rocks_dir):
        for version in _directories(f"{tree.rocks_dir}/{name}"):
            revision = version.rpartition("-")[2]
            if not (revision.isdigit() and revision.isascii() and "-" in version):
                continue
            try:
                _add(manifest, tree, name, version, platforms)
            except (DataError, OSError) as error:
                progress.message("warning", f"{name} {version} is left out: {error}")
    return manifest


def _add(manifest: TreeManifest, tree: TreeSpec, name: str, version: str, platforms: Sequence[str]) -> None:
    from pumice.rock.rockspec import load_rockspec

    path = layout.rock_manifest_path(tree, name, version)
    with open(path, "rb") as file:
        files = read_rock_manifest(file.read(), path)
    items: dict[str, dict[str, str]] = {"commands": {}, "modules": {}}
    for wanted in ("bin", "lib", "lua"):
        for rock_path in files:
            section, _, inside = rock_path.partition("/")
            if section == wanted and inside:
                kind, item = layout.provided_item(section, inside)
                items[kind][item] = inside
    path = layout.rockspec_path(tree, name, version)
    try:
        with open(path, "rb") as file:
            dependencies = load_rockspec(
                file.read(), path, platforms, accept_unknown_fields=True
            ).dependencies
    except (DataError, OSError):
        dependencies = None
    manifest.add(name, version, items["modules"], items["commands"], dependencies)


def _directories(path: str) -> list[str]:
    import os

    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []
