"""Who needs whom in a tree: `tree` and `why` (SOLVE)."""

from __future__ import annotations

from pumice.base.value import Value
from pumice.errors import NotFoundError
from pumice.operation.change import installed_rocks
from pumice.operation.trees import read_spec
from pumice.tree.manifest import read_tree_manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.rock.dependency import Dependency

__all__ = ["Graph", "Link", "read_graph"]


class Link(Value):
    """One dependency of an installed rock, and what fulfils it."""

    dependency: Dependency
    version: str | None
    """None: nothing does."""
    provided: bool = False
    """The Lua or the configuration brings it."""


class Graph:
    """The rocks of a tree, and what each of them uses."""

    def __init__(self, links: dict[tuple[str, str], tuple[Link, ...]]) -> None:
        self.links = links
        """(name, version) → its dependencies in their order."""

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
