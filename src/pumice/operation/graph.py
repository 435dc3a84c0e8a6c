"""Who needs whom: in a tree, and among what an installation would bring (`tree` and `why`, SOLVE)."""

from __future__ import annotations

from pumice.base.value import Value
from pumice.errors import NotFoundError
from pumice.operation.change import installed_rocks
from pumice.operation.trees import read_spec
from pumice.tree.manifest import read_tree_manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.rock.dependency import Dependency

__all__ = ["Graph", "Link", "planned_graph", "read_graph"]

RUN = "dependency"


class Link(Value):
    """One dependency of a rock, and what fulfils it."""

    dependency: Dependency
    version: str | None
    """None: nothing does."""
    provided: bool = False
    """The Lua or the configuration brings it."""
    kind: str = RUN
    """`dependency`, or `build dependency` of a rock that would be built."""


class Graph:
    """Rocks, and what each of them uses."""

    def __init__(
        self,
        links: dict[tuple[str, str], tuple[Link, ...]],
        planned: frozenset[tuple[str, str]] = frozenset(),
    ) -> None:
        self.links = links
        """(name, version) → its dependencies in their order."""
        self.planned = planned
        """Those that are not installed, and would be."""

    def reached(self, roots: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """The roots and all that they use, each once, in the order in which they are met."""
        found: dict[tuple[str, str], None] = {}
        waiting = list(roots)[::-1]
        while waiting:
            rock = waiting.pop()
            if rock in self.links and rock not in found:
                found[rock] = None
                waiting += [
                    (link.dependency.name, link.version)
                    for link in reversed(self.links[rock])
                    if link.version is not None
                ]
        return list(found)

    def versions(self, name: str) -> list[str]:
        """The installed versions of a rock. Raises NotFoundError when there is none."""
        found = [version for each, version in self.links if each == name]
        if not found:
            raise NotFoundError(f"'{name}' is not installed", hint="`pumice list` shows what is.")
        return found

    def roots(self) -> list[tuple[str, str]]:
        """The rocks that no other needs."""
        needed = {link.dependency.name for links in self.links.values() for link in links}
        return [rock for rock in self.links if rock[0] not in needed]

    def users(self, name: str) -> Iterator[tuple[tuple[str, str], Link]]:
        """The rocks that have `name` among their own dependencies."""
        for rock, links in self.links.items():
            for link in links:
                if link.dependency.name == name:
                    yield rock, link


def read_graph(config: Config, progress: Progress) -> Graph:
    """The graph of the command's tree. Raises TreeError."""
    manifest = read_tree_manifest(read_spec(config.tree, progress), progress)
    installed = installed_rocks(config, progress)
    links = {}
    for name in manifest.names():
        for version in manifest.versions(name):
            links[name, version] = tuple(
                Link(each, installed.match(each), installed.is_provided(each))
                for each in manifest.dependencies(name, version) or ()
            )
    return Graph(links)


def planned_graph(
    names: Sequence[Dependency], config: Config, progress: Progress, *, offline: bool = False
) -> Graph:
    """What the tree would use if these were installed now: `planned`, and what is there already.

    Raises DependencyError with an explanation, NotFoundError, FetchError.
    """
    from pumice.operation.deploy import InstallOptions
    from pumice.operation.gather import Gathering
    from pumice.operation.resolve import Wanted
    from pumice.operation.servers import Servers
    from pumice.operation.work_dir import WorkDir

    spec = read_spec(config.tree, progress)
    options = InstallOptions("tree", offline=offline)
    with WorkDir(config, "tree") as work, Servers(config, progress, offline=offline) as servers:
        gathering = Gathering(servers, Wanted(tuple(names)), config, options, progress, work)
        gathering.resolve(spec, read_tree_manifest(spec, progress))
    chosen = (*gathering.chosen, *gathering.kept)
    versions = {(each.name, each.version): each for each in chosen}
    links: dict[tuple[str, str], list[Link]] = {rock: [] for rock in versions}
    for each in chosen:
        for reason in each.reasons:
            asker = links.get((reason.name, reason.version))
            if asker is not None:
                asker.append(Link(reason.dependency, each.version, kind=reason.kind))
    for rock, own in links.items():
        order = [name for name, _version in versions[rock].needs]
        own.sort(key=lambda link: order.index(link.dependency.name) if link.dependency.name in order else -1)
    return Graph(
        {rock: tuple(own) for rock, own in links.items()},
        frozenset((each.name, each.version) for each in gathering.chosen),
    )
