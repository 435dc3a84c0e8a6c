"""What differs in a node's own LuaRocks tree from what its rocks say of themselves, by their md5 sums."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pumice.cluster.connection import quote
from pumice.errors import PumiceError
from pumice.rock.rock_manifest import md5_hex, read_rock_manifest
from pumice.tree import layout

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pumice.base.config import TreeSpec
    from pumice.cluster.connection import Connection
    from pumice.cluster.luarocks_tree import PlainTreeView
    from pumice.tree.manifest import TreeManifest

__all__ = ["damaged_files"]

_NO_PROGRAM = 90


def damaged_files(
    connection: Connection,
    tree: TreeSpec,
    manifest: TreeManifest,
    view: PlainTreeView,
    rocks: Iterable[tuple[str, str]],
) -> tuple[list[str], list[str]]:
    """(changed, missing) files of these rocks, relative to the tree; read on the node, in one run.

    Commands are compared by the scripts that their wrappers start. Raises what `Connection.run` raises.
    """
    sums: dict[str, str] = {}
    missing: list[str] = []
    for name, version in rocks:
        for path, md5 in _expected(tree, manifest, view, name, version):
            relative = path[len(tree.root) + 1 :]
            if relative in view.files:
                sums[relative] = md5
            elif not relative.startswith(f"{tree.rocks_dir[len(tree.root) + 1 :]}/{name}/{version}/doc"):
                missing.append(relative)
    if not sums:
        return [], sorted(missing)
    listed = "".join(f"{md5}  ./{path}\n" for path, md5 in sorted(sums.items()))
    answer = connection.run(
        f"cd {quote(tree.root)} && command -v md5sum >/dev/null || exit {_NO_PROGRAM}; "
        "LC_ALL=C md5sum -c - 2>/dev/null",
        stdin=listed.encode("utf-8", "surrogateescape"),
    )
    if answer.code == _NO_PROGRAM:
        return sorted(path for path in sums if _md5(view, f"{tree.root}/{path}") != sums[path]), sorted(
            missing
        )
    lines = answer.output.decode("utf-8", "surrogateescape").split("\n")
    sound = {line[2 : -len(": OK")] for line in lines if line.startswith("./") and line.endswith(": OK")}
    return sorted(set(sums) - sound), sorted(missing)


def _md5(view: PlainTreeView, path: str) -> str:
    try:
        return md5_hex(view.read(path))
    except OSError:
        return ""


def _expected(
    tree: TreeSpec, manifest: TreeManifest, view: PlainTreeView, name: str, version: str
) -> Iterator[tuple[str, str]]:
    """(path, md5) of everything that a rock has in the tree, as its rock_manifest tells."""
    at = layout.rock_manifest_path(tree, name, version)
    try:
        files = read_rock_manifest(view.read(at), at)
    except (OSError, PumiceError):
        yield at, ""
        return
    for rock_path, md5 in files.items():
        section, _, path = rock_path.partition("/")
        if section not in ("lua", "lib") or not path:
            yield f"{layout.rock_dir(tree, name, version)}/{rock_path}", md5
            continue
        providers = manifest.providers(*layout.provided_item(section, path))
        active = not providers or providers[0] == (name, version)
        yield layout.deploy_path(tree, section, path, None if active else (name, version)), md5
