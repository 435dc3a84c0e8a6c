"""Which installed rocks fulfil a dependency, which are missing, what a rock needs in all (contract 5.6)."""

from __future__ import annotations

from pumice.rock.version import parse_version
from pumice.tree.layout import namespace_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from pumice.base.config import TreeSpec
    from pumice.rock.dependency import Dependency
    from pumice.rock.version import Version
    from pumice.tree.manifest import TreeManifest

__all__ = ["Installed", "closure", "lua_provides", "missing_in_tree", "missing_report", "searched_trees"]


def lua_provides(
    lua_version: str, luajit_version: str | None = None, configured: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The rocks that need not be installed: name → version. The Lua's own come before the configured ones."""
    provided = {**(configured or {}), "lua": f"{lua_version}-1"}
    if lua_version == "5.2":
        provided["bit32"] = "5.2-1"
    if lua_version in ("5.3", "5.4", "5.5"):
        provided["utf8"] = f"{lua_version}-1"
    if luajit_version:
        provided["luabitop"] = provided["luajit"] = f"{luajit_version}-1"
    return provided


def searched_trees(deps_mode: str, tree: TreeSpec, trees: Sequence[TreeSpec]) -> tuple[TreeSpec, ...]:
    """The trees in which a dependency may be: it alone ("one", "none"), it and what follows ("order")."""
    if deps_mode in ("one", "none"):
        return (tree,)
    if deps_mode == "all":
        return tuple(trees)
    roots = [each.root for each in trees]
    return tuple(trees[roots.index(tree.root) :]) if tree.root in roots else ()


class Installed:
    """What may fulfil a dependency: provided rocks first, then the rocks of the trees that are searched."""

    def __init__(
        self,
        trees: Iterable[tuple[TreeSpec, TreeManifest]],
        provided: Mapping[str, str],
        *,
        namespace_of: Callable[[TreeSpec, str, str], str | None] | None = None,
    ) -> None:
        self._trees = tuple(trees)
        self._provided = provided
        self._namespace_of = namespace_of or _read_namespace

    def is_provided(self, dependency: Dependency) -> bool:
        """Whether the Lua or the configuration answers for this name, so that no installed rock counts."""
        return dependency.name in self._provided

    def versions(self, dependency: Dependency) -> list[str]:
        """The versions there are of the rock, whether they match or not."""
        provided = self._provided.get(dependency.name)
        if provided is not None:
            return [provided]
        found: dict[str, None] = {}
        for tree, manifest in self._trees:
            for version in manifest.versions(dependency.name):
                namespace = dependency.namespace
                if namespace and self._namespace_of(tree, dependency.name, version) != namespace:
                    continue
                found[version] = None
        return list(found)

    def match(self, dependency: Dependency, without: Collection[str] = ()) -> str | None:
        """The highest version that fulfils the dependency, those of `without` left out, or None."""
        best: tuple[Version, str] | None = None
        for text in self.versions(dependency):
            if text in without:
                continue
            version = parse_version(text)
            if dependency.accepts(version) and (best is None or version > best[0]):
                best = version, text
        return None if best is None else best[1]


def closure(
    manifest: TreeManifest,
    name: str,
    version: str,
    installed: Installed,
    known: dict[tuple[str, str], tuple[tuple[str, str], ...] | None],
    load: Callable[[str, str], tuple[Dependency, ...] | None] | None = None,
) -> dict[str, str]:
    """Every rock that an installed rock needs, directly or not → version; of two versions the first counts.

    `known` remembers what each rock matches directly, for a run over many rocks; `load` gives the
    dependencies of an installed rock for which the manifest has none, and they are entered there. A match
    in another tree is not followed: LuaRocks writes it as a name without versions, and so is done here.
    """
    found: dict[str, str] = {}
    pending = [(name, version)]
    while pending:
        rock = pending.pop()
        if rock[0] in found:
            continue
        if rock not in known:
            if load and manifest.dependencies(*rock) is None and manifest.has(*rock):
                loaded = load(*rock)
                if loaded is not None:
                    manifest.set_dependencies(*rock, loaded)
            known[rock] = _matched(manifest, rock, installed)
        direct = known[rock]
        if direct is None:
            manifest.mention(rock[0])
            continue
        found[rock[0]] = rock[1]
        pending += reversed(direct)
    found.pop(name, None)
    return found


def _matched(
    manifest: TreeManifest, rock: tuple[str, str], installed: Installed
) -> tuple[tuple[str, str], ...] | None:
    dependencies = manifest.dependencies(*rock)
    if dependencies is None:
        return None
    matches = []
    for dependency in dependencies:
        if not installed.is_provided(dependency):
            version = installed.match(dependency)
            if version is not None:
                matches.append((dependency.name, version))
    return tuple(matches)


def missing_report(
    name: str, version: str, dependencies: Iterable[Dependency], installed: Installed
) -> list[str]:
    """LuaRocks's lines about the dependencies of a rock that nothing fulfils; none if all is there."""
    missing = [dependency for dependency in dependencies if installed.match(dependency) is None]
    if not missing:
        return []
    return [
        f"Missing dependencies for {name} {version}:",
        *(f"   {dependency} (not installed)" for dependency in missing),
    ]


def missing_in_tree(manifest: TreeManifest, installed: Installed) -> list[str]:
    """The lines of `missing_report` for every rock of a tree, with which LuaRocks ends a change."""
    lines: list[str] = []
    met: dict[tuple[Dependency, ...], bool] = {}
    for name, version, dependencies in manifest.all_dependencies():
        if dependencies not in met:
            met[dependencies] = all(installed.match(each) is not None for each in dependencies)
        if not met[dependencies]:
            lines += missing_report(name, version, dependencies, installed)
    return lines


def _read_namespace(tree: TreeSpec, name: str, version: str) -> str | None:
    try:
        with open(namespace_path(tree, name, version), encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return None
