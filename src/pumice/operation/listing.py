"""Which rocks are installed: `list`, and the search behind `show` and `pack` (contract 1.4, 1.5)."""

from __future__ import annotations

import os

from pumice.base.value import Value
from pumice.errors import NotFoundError
from pumice.operation.trees import read_spec
from pumice.rock.version import newest_first, parse_version
from pumice.tree.layout import namespace_path
from pumice.tree.manifest import read_tree_manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.base.config import TreeSpec
    from pumice.base.progress import Progress

__all__ = ["InstalledRock", "find_installed", "pick_installed"]


class InstalledRock(Value):
    """A rock in a tree."""

    name: str
    version: str
    tree: TreeSpec
    namespace: str | None = None


def find_installed(
    trees: Sequence[TreeSpec],
    name: str,
    version: str | None,
    progress: Progress,
    *,
    substring: bool,
    namespace: str | None = None,
) -> list[InstalledRock]:
    """The installed rocks that match, by name, newest version first, trees in the order given.

    `version` matches as LuaRocks's `==` does: `1.0` finds `1.0-2`. A tree whose manifest cannot be read is
    left out with a warning.
    """
    wanted = parse_version(version) if version else None
    found: dict[str, dict[str, list[TreeSpec]]] = {}
    for tree in trees:
        tree = read_spec(tree, progress)
        manifest = read_tree_manifest(tree, progress)
        names = [each for each in manifest.names() if name in each] if substring else ([name] if name else [])
        for each in names:
            for each_version in manifest.versions(each):
                if wanted is None or parse_version(each_version) == wanted:
                    found.setdefault(each, {}).setdefault(each_version, []).append(tree)
    rocks = [
        InstalledRock(each, each_version, tree, read_namespace(tree, each, each_version))
        for each in sorted(found)
        for each_version in newest_first(found[each])
        for tree in found[each][each_version]
    ]
    return [rock for rock in rocks if namespace is None or rock.namespace == namespace]


def read_namespace(tree: TreeSpec, name: str, version: str) -> str | None:
    """The namespace that an installed rock came from, if any."""
    try:
        with open(namespace_path(tree, name, version), encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return None


def pick_installed(
    trees: Sequence[TreeSpec],
    name: str,
    version: str | None,
    progress: Progress,
    *,
    substring: bool,
    namespace: str | None = None,
) -> InstalledRock:
    """The newest installed rock of that name; else, with `substring`, of the only name that contains it.

    Of a version that stands in several trees the last tree is taken, as LuaRocks does. Raises NotFoundError.
    """
    rocks = find_installed(trees, name, version, progress, substring=substring, namespace=namespace)
    shown = (f"{namespace}/" if namespace else "") + name + (f" {version}" if version else "")
    if not rocks:
        raise NotFoundError(
            f"cannot find package {shown}\nUse 'list' to find installed rocks.",
            hint="It was looked for in " + ", ".join(tree.root for tree in trees) + ".",
        )
    names = sorted({rock.name for rock in rocks})
    if name in names:
        names = [name]
    if len(names) > 1:
        listed = "".join(f"   {each}\n" for each in names)
        raise NotFoundError(
            f"multiple installed packages match the name '{shown}':\n\n{listed}\n"
            "Please specify a single rock.\n",
        )
    newest = next(rock.version for rock in rocks if rock.name == names[0])
    return [rock for rock in rocks if rock.name == names[0] and rock.version == newest][-1]


def parent_of_rocks_dir(tree: TreeSpec) -> str:
    """What LuaRocks prints as the place of a rock in a `list` for people."""
    return os.path.normpath(tree.root)
