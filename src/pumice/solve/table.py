"""The table of versions: what there is to choose from, asked for piece by piece while the solver works.

Whoever finds rocks fills it (servers, directories, files named on the command line); the solver only asks:
which versions a name has, and what one of them needs. It says beforehand what it will ask, in batches.
"""

from __future__ import annotations

from pumice.base.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Protocol

    from pumice.rock.dependency import Dependency

    class Table(Protocol):
        """Where the solver looks up rocks. Each question is asked once for each thing."""

        @property
        def complete(self) -> bool:
            """Whether every answer is at hand, so that nothing need be announced."""

        def candidates(self, name: str, namespace: str | None) -> Sequence[Candidate]:
            """The versions of a rock that could be installed here, in any order, each text once.

            With a namespace those of it alone; without one what servers list under the plain name.
            """

        def facts(self, candidate: Candidate) -> Facts:
            """What the candidate needs. DataError: unreadable, the solver does without this version."""

        def announce(self, names: Sequence[tuple[str, str | None]], candidates: Sequence[Candidate]) -> None:
            """What will likely be asked next, so that it can be fetched at once; may do nothing."""


__all__ = ["Candidate", "Facts", "MemoryTable", "Overlay"]


class Candidate(Value):
    """A version of a rock that could be installed."""

    name: str
    version: str
    """With revision: `1.0-1`."""
    namespace: str | None = None
    built: bool = False
    """Whether it would be built here, which needs its build dependencies."""
    origin: object = None
    """Where it comes from; the solver hands it through."""

    def __init__(
        self,
        name: str,
        version: str,
        namespace: str | None = None,
        built: bool = False,
        origin: object = None,
    ) -> None:
        put = object.__setattr__
        put(self, "name", name)
        put(self, "version", version)
        put(self, "namespace", namespace)
        put(self, "built", built)
        put(self, "origin", origin)


class Facts(Value):
    """What a version needs, as its rockspec says for this platform."""

    dependencies: tuple[Dependency, ...] = ()
    build_dependencies: tuple[Dependency, ...] = ()
    test_dependencies: tuple[Dependency, ...] = ()
    supported_platforms: tuple[str, ...] = ()
    """As written: `linux`, `!windows`; empty supports all."""


class MemoryTable:
    """A table that is all there already: (candidate, facts) pairs."""

    complete = True

    def __init__(self, rocks: Iterable[tuple[Candidate, Facts]] = ()) -> None:
        self._names: dict[tuple[str, str | None], list[Candidate]] = {}
        self._facts: dict[tuple[str, str, str | None], Facts] = {}
        for candidate, facts in rocks:
            self.add(candidate, facts)

    def add(self, candidate: Candidate, facts: Facts) -> None:
        """One more version; a second one of the same name, version and namespace replaces the first."""
        key = candidate.name, candidate.version, candidate.namespace
        listed = self._names.setdefault((candidate.name, candidate.namespace), [])
        if key in self._facts:
            listed[:] = [other for other in listed if other.version != candidate.version]
        listed.append(candidate)
        self._facts[key] = facts

    def candidates(self, name: str, namespace: str | None) -> Sequence[Candidate]:
        """As the protocol says."""
        return self._names.get((name, namespace), ())

    def facts(self, candidate: Candidate) -> Facts:
        """As the protocol says."""
        return self._facts[candidate.name, candidate.version, candidate.namespace]

    def announce(self, names: Sequence[tuple[str, str | None]], candidates: Sequence[Candidate]) -> None:
        """Nothing needs to be fetched."""


class Overlay:
    """A table before which others stand: rocks given as files, which are then the only ones of their name."""

    def __init__(self, table: Table, given: Mapping[Candidate, Facts]) -> None:
        self._table = table
        self._given = {(each.name, each.version): facts for each, facts in given.items()}
        self._names: dict[str, list[Candidate]] = {}
        for candidate in given:
            self._names.setdefault(candidate.name, []).append(candidate)

    @property
    def complete(self) -> bool:
        """As the table behind it."""
        return self._table.complete

    def candidates(self, name: str, namespace: str | None) -> Sequence[Candidate]:
        """As the protocol says."""
        given = self._names.get(name)
        if given is None:
            return self._table.candidates(name, namespace)
        return [candidate for candidate in given if namespace in (None, candidate.namespace)]

    def facts(self, candidate: Candidate) -> Facts:
        """As the protocol says."""
        given = self._given.get((candidate.name, candidate.version))
        return self._table.facts(candidate) if given is None else given

    def announce(self, names: Sequence[tuple[str, str | None]], candidates: Sequence[Candidate]) -> None:
        """Passed on, but for what was given."""
        self._table.announce(
            [pair for pair in names if pair[0] not in self._names],
            [each for each in candidates if each.name not in self._names],
        )
