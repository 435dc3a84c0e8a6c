"""What an index tells of rocks: `Candidate` (a version and where it can be had), `Facts` (what it needs)."""

from __future__ import annotations

from pumice.base.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from typing import Protocol

    from pumice.index.servers import Mirror
    from pumice.rock.dependency import Dependency

    class Listing(Protocol):
        """What one mirror lists for one Lua version."""

        mirror: Mirror
        exclusive: bool
        """No server after this one is asked for the names that it lists."""

        def entries(self, name: str) -> Sequence[Entry]:
            """Every version of that rock, in no particular order. Raises FetchError, DataError."""

        def names(self) -> Iterator[str]:
            """The names of all rocks. Raises FetchError, DataError."""

        def announce(self, names: Collection[str], *, digests: bool = False) -> None:
            """These names will be asked for, with or without digests."""

        def with_digests(self, name: str) -> Sequence[Entry]:
            """As `entries`, with the digests of the files if the server tells them at all."""


__all__ = ["Candidate", "Entry", "Facts", "File", "Offer", "is_source"]

_SOURCES = ("src", "rockspec")


class Facts(Value):
    """What a version needs, as its rockspec says for this platform."""

    dependencies: tuple[Dependency, ...] = ()
    build_dependencies: tuple[Dependency, ...] = ()
    test_dependencies: tuple[Dependency, ...] = ()
    supported_platforms: tuple[str, ...] = ()
    """As written: `linux`, `!windows`; empty supports all."""


class File(Value):
    """One file of a version on a server."""

    arch: str
    """`rockspec`, `src`, `all`, or a machine's arch."""
    sha256: str | None = None
    size: int | None = None


class Entry(Value):
    """One version in the listing of a server."""

    version: str
    files: tuple[File, ...]
    """In the server's order."""
    facts: Facts | None = None
    """None: the server does not tell, its rockspec must be asked."""
    problem: str = ""
    """Why the server could not read its rockspec."""
    yanked: str | None = None
    """Why the version was withdrawn: it is only for those who have it in a lock."""


class Offer(Value):
    """One file of a version, and where it can be had."""

    arch: str
    urls: tuple[str, ...]
    """On the mirror that listed it, then on those after it; URLs, credentials included, or paths."""
    server: str
    """As LuaRocks prints it."""
    sha256: str | None = None
    size: int | None = None

    @property
    def file_name(self) -> str:
        """The last part of its URLs."""
        return self.urls[0].rpartition("/")[2]


class Candidate(Value):
    """A version of a rock, with every file of it that may be used here."""

    name: str
    version: str
    """With revision: `1.0-1`."""
    namespace: str | None
    offers: tuple[Offer, ...]
    """Server by server, in the order in which each lists them."""
    facts: Facts | None = None
    """None: they must be asked for (`Index.facts`)."""
    problem: str = ""

    @property
    def best(self) -> Offer:
        """The file that LuaRocks takes: built before source rock before rockspec (contract 6.4).

        Among several built ones the one listed last, among several source rocks the one listed first.
        """
        pick = self.offers[0]
        for offer in self.offers:
            if offer.arch not in _SOURCES or (offer.arch == "src" and pick.arch == "rockspec"):
                pick = offer
        return pick

    @property
    def built(self) -> bool:
        """Whether it would be built here, from sources."""
        return self.best.arch in _SOURCES

    @property
    def has_digests(self) -> bool:
        """Whether the digests of all files are known."""
        return all(offer.sha256 is not None for offer in self.offers)

    def only(self, archs: Collection[str]) -> Candidate | None:
        """The candidate with the files of these archs alone, or None if there are none."""
        offers = tuple([offer for offer in self.offers if offer.arch in archs])
        return self.replace(offers=offers) if offers else None


def is_source(arch: str) -> bool:
    """Whether a file of this arch has to be built."""
    return arch in _SOURCES
