"""What `sync` put into which tree: `.pumice/synced.json` at the project's root.

A tree does not tell from which bytes a rock was made, and a rock of the same version (`scm-1`) can be locked
anew with others. What is not recorded, or was installed by somebody else since, has no known digest.
"""

from __future__ import annotations

import os

from pumice.rock.rock_manifest import md5_hex
from pumice.tree.layout import rock_manifest_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pumice.base.config import TreeSpec

__all__ = ["read_synced", "write_synced"]

_NAME = "synced.json"


def read_synced(
    root: str, tree: str, spec: TreeSpec, installed: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], str | None]:
    """(name, version) → the digest by which `sync` of the project at `root` installed it; None: not known.

    `tree`: the root by which the tree is called; `spec`: where its rocks are now.
    """
    recorded = _read(root).get(tree, {})
    found: dict[tuple[str, str], str | None] = {}
    for name, version in installed:
        digest, _, manifest = recorded.get(_key(spec, name, version), "").partition(" ")
        found[name, version] = digest if digest and manifest == _manifest(spec, name, version) else None
    return found


def write_synced(root: str, tree: str, spec: TreeSpec, digests: Mapping[tuple[str, str], str]) -> None:
    """These rocks of the tree come from these digests. Raises DiskError, PermissionDenied."""
    import json

    from pumice.base.disk import make_directories, write_atomic

    folder = os.path.join(root, ".pumice")
    make_directories(folder)
    if not os.path.exists(f"{folder}/.gitignore"):
        write_atomic(f"{folder}/.gitignore", b"*\n")
    trees = {each: rocks for each, rocks in _read(root).items() if os.path.isdir(each)}
    others = {
        key: value
        for key, value in trees.get(tree, {}).items()
        if not key.startswith(_key(spec, "", "").rstrip() + " ")
    }
    mine = {
        _key(spec, *rock): f"{digest} {_manifest(spec, *rock)}" for rock, digest in sorted(digests.items())
    }
    trees[tree] = {**others, **mine}
    text = json.dumps(trees, indent=1, sort_keys=True) + "\n"
    write_atomic(f"{folder}/{_NAME}", text.encode("utf-8", "surrogateescape"))


def _key(spec: TreeSpec, name: str, version: str) -> str:
    return f"{os.path.basename(spec.rocks_dir)} {name} {version}"


def _manifest(spec: TreeSpec, name: str, version: str) -> str:
    try:
        with open(rock_manifest_path(spec, name, version), "rb") as file:
            return md5_hex(file.read())
    except OSError:
        return "missing"


def _read(root: str) -> dict[str, dict[str, str]]:
    """What is recorded by tree; a file that was damaged records nothing."""
    import json

    try:
        with open(os.path.join(root, ".pumice", _NAME), "rb") as file:
            table = json.loads(file.read())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(table, dict):
        return {}
    return {
        tree: {key: value for key, value in rocks.items() if isinstance(value, str)}
        for tree, rocks in table.items()
        if isinstance(rocks, dict)
    }
