"""A tree manifest made from what lies in the rock directories, for a tree whose own is missing or damaged."""

from __future__ import annotations

import os

from pumice.errors import DataError
from pumice.rock.rock_manifest import read_rock_manifest
from pumice.tree import layout
from pumice.tree.manifest import TreeManifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.base.config import TreeSpec
    from pumice.base.progress import Progress

__all__ = ["rock_directories", "scan_tree"]


def scan_tree(tree: TreeSpec, platforms: Sequence[str], progress: Progress) -> TreeManifest:
    """The manifest of the rocks that have a directory with a rock_manifest, without their closures.

    A directory that LuaRocks would stumble over is left out with a warning.
    """
    manifest = TreeManifest.empty(layout.manifest_path(tree), rebuilt=True)
    for name, versions in rock_directories(tree).items():
        for version in versions:
            try:
                _add(manifest, tree, name, version, platforms)
            except DataError as error:
                progress.message("warning", f"{name} {version} is left out: {error.message}")
            except OSError as error:
                progress.message(
                    "warning", f"{name} {version} is left out: no rock_manifest ({error.strerror})"
                )
    return manifest


def rock_directories(tree: TreeSpec) -> dict[str, list[str]]:
    """The rocks that have a directory: name → versions, sorted; of a version the revision is a number."""
    found = {}
    for name in _directories(tree.rocks_dir):
        versions = [each for each in _directories(f"{tree.rocks_dir}/{name}") if _is_version(each)]
        if versions:
            found[name] = versions
    return found


def _add(manifest: TreeManifest, tree: TreeSpec, name: str, version: str, platforms: Sequence[str]) -> None:
    from pumice.rock.rockspec import load_rockspec

    path = layout.rock_manifest_path(tree, name, version)
    with open(path, "rb") as file:
        items = layout.rock_items(read_rock_manifest(file.read(), path))
    path = layout.rockspec_path(tree, name, version)
    try:
        with open(path, "rb") as file:
            dependencies = load_rockspec(
                file.read(), path, platforms, accept_unknown_fields=True
            ).dependencies
    except (DataError, OSError):
        dependencies = None
    manifest.add(name, version, items["modules"], items["commands"], dependencies)


def _is_version(text: str) -> bool:
    version, dash, revision = text.rpartition("-")
    return bool(version and dash and revision.isdigit() and revision.isascii())


def _directories(path: str) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []
