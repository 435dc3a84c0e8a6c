"""What a node's own LuaRocks tree shall hold next: the files that change, and the plugins that do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pumice.base.config import TreeSpec
from pumice.cluster.drift import read_records
from pumice.cluster.luarocks_drift import damaged_files
from pumice.cluster.luarocks_tree import ROCKS, plain_change, plain_state, read_plain_tree
from pumice.cluster.node_content import NodeContent
from pumice.cluster.own_rocks import own_rocks
from pumice.cluster.plugin_content import plugins_of
from pumice.cluster.target import LUA
from pumice.cluster.tree_plan import owners_of, plan_wish, read_manifest
from pumice.errors import PumiceError
from pumice.rock.rock_manifest import md5_hex, read_rock_manifest
from pumice.tree.layout import rock_manifest_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.cluster.blobs import BlobCache
    from pumice.cluster.connection import Connection
    from pumice.cluster.facts import NodeFacts
    from pumice.cluster.luarocks_tree import PlainTreeView
    from pumice.cluster.rock_source import RockSource, Wish
    from pumice.cluster.target import Target
    from pumice.rock.rock import Rock
    from pumice.tree.manifest import TreeManifest
    from pumice.tree.view import TreeView

__all__ = ["plain_content"]

_LUAJIT = "/usr/local/openresty/luajit/bin/luajit"
"""Where the packages of the gateway have it (Kong contract 1.6)."""


def plain_content(
    connection: Connection,
    facts: NodeFacts,
    target: Target,
    wish: Wish,
    config: Config,
    source: RockSource,
    blobs: BlobCache,
    progress: Progress,
    *,
    elsewhere: TreeSpec,
) -> NodeContent:
    """The content, for this node alone. Raises PumiceError."""
    root = connection.node.tree
    tree = TreeSpec.at(root, LUA, facts.node)
    view = read_plain_tree(connection)

    def is_there(rock: Rock, manifest: TreeManifest) -> bool:
        if not _is_listed(rock, manifest, tree, view):
            return False
        return not any(damaged_files(connection, tree, manifest, view, [(rock.name, rock.version)]))

    planned = plan_wish(
        tree,
        view,
        facts,
        target,
        wish,
        config,
        source,
        progress,
        lua=_LUAJIT,
        relocatable=False,
        elsewhere=elsewhere,
        is_there=is_there,
        owned=own_rocks(read_records(connection)) if wish.exact else None,
    )
    manifest = read_manifest(view, tree, facts)
    owners = owners_of(manifest)
    touched = {rock.name for rock in planned.rocks} | {name for name, _ in planned.removed}
    touched |= {owners[name] for name in planned.asked if name in owners}
    if not (wish.install or wish.remove):  # what is there is asked
        touched |= set(owners.values())
    files = {
        path: blobs.add(view.read(f"{root}/{path}"), executable=False)
        for path in _modules_of(touched, manifest, view)
    }
    before = plugins_of(files, manifest, blobs)
    metadata = {
        path: view.read(f"{root}/{path}")
        for path in view.files
        if path.startswith(f"{ROCKS}/") and _tells(path)
    }
    base = _state(metadata)
    if not planned.steps:
        rocks = planned.all_rocks
        return NodeContent(files, blobs, (), (), rocks, before, before, base, base, asked=planned.asked)
    change = plain_change(root, view, planned.steps, blobs)
    for path in change.deletes:
        files.pop(path, None)
        metadata.pop(path, None)
    for path, (blob, _) in change.puts.items():
        files[path] = blob
        if path.startswith(f"{ROCKS}/"):
            metadata[path] = blobs.read(blob.key)
    return NodeContent(
        files,
        blobs,
        planned.added,
        planned.removed,
        planned.all_rocks,
        plugins_of(files, planned.manifest, blobs),
        before,
        base,
        _state(metadata),
        planned.said,
        change,
        planned.asked,
    )


def _state(metadata: Mapping[str, bytes]) -> str:
    return plain_state({path[len(ROCKS) + 1 :]: data for path, data in metadata.items()})


def _tells(path: str) -> bool:
    return path.rpartition("/")[2] in ("manifest", "rock_manifest")


def _is_listed(rock: Rock, manifest: TreeManifest, tree: TreeSpec, view: TreeView) -> bool:
    """Whether this very rock is installed: LuaRocks itself would have listed the same files."""
    if not manifest.has(rock.name, rock.version):
        return False
    path = rock_manifest_path(tree, rock.name, rock.version)
    try:
        return read_rock_manifest(view.read(path), path) == {
            file.rock_path: file.md5 for file in rock.files
        } | {f"{rock.name}-{rock.version}.rockspec": md5_hex(rock.rockspec.text)}
    except (OSError, PumiceError):
        return False


def _modules_of(rocks: Iterable[str], manifest: TreeManifest, view: PlainTreeView) -> list[str]:
    """The deployed Lua files of rocks that are installed."""
    found = []
    for name in rocks:
        for version in manifest.versions(name):
            entry = manifest.entry(name, version)
            found += [f"share/lua/{LUA}/{path}" for path in (entry.modules.values() if entry else ())]
    return [path for path in found if path in view.files]
