"""What the servers have, as the solver asks for it: the `index` behind `solve`'s table (house.md)."""

from __future__ import annotations

from pumice.index.index import Index
from pumice.net.downloader import Downloader
from pumice.solve.table import Candidate, Facts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.index.release import Candidate as Release
    from pumice.rock.rock import Rock

__all__ = ["Origin", "ServerTable", "Servers", "release_of"]


class Origin:
    """What stands behind a candidate of the solver: a release of a server, or a rock at hand.

    It is equal to itself alone, so that the solver compares candidates without looking into it.
    """

    __slots__ = ("release", "rock")

    def __init__(self, *, release: Release | None = None, rock: Rock | None = None) -> None:
        self.release = release
        self.rock = rock


class ServerTable:
    """The table of all servers; a candidate's `origin` is the release in the index."""

    complete = False

    def __init__(self, index: Index) -> None:
        self._index = index

    def candidates(self, name: str, namespace: str | None) -> Sequence[Candidate]:
        """As the protocol says."""
        return [
            Candidate(each.name, each.version, each.namespace, each.built, Origin(release=each))
            for each in self._index.candidates(name, namespace)
        ]

    def facts(self, candidate: Candidate) -> Facts:
        """As the protocol says."""
        found = self._index.facts(release_of(candidate))
        return Facts(
            found.dependencies, found.build_dependencies, found.test_dependencies, found.supported_platforms
        )

    def announce(self, names: Sequence[tuple[str, str | None]], candidates: Sequence[Candidate]) -> None:
        """As the protocol says."""
        self._index.announce(names, [release_of(each) for each in candidates])


def release_of(candidate: Candidate) -> Release:
    """The release that a candidate of the servers stands for."""
    assert isinstance(candidate.origin, Origin)
    assert candidate.origin.release is not None
    return candidate.origin.release


class Servers:
    """The connections of one command: a context manager with the index, the table and the downloader."""

    def __init__(self, config: Config, progress: Progress, *, offline: bool = False) -> None:
        self.downloader = Downloader.of(config, progress, offline=offline)
        self.index = Index(config, self.downloader, progress)
        self.table = ServerTable(self.index)

    def __enter__(self) -> Servers:
        self.downloader.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.downloader.__exit__(kind, error, trace)
