"""Packages by name, filled from a table as the solver asks for them."""

from __future__ import annotations

from pumice.errors import DataError
from pumice.rock.platform import unsupported_platforms
from pumice.rock.version import parse_version
from pumice.solve.package import ABSENT, BUILD, RUN, TEST, Edge, Package, present_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pumice.rock.dependency import Dependency
    from pumice.rock.version import Version
    from pumice.solve.package import Entry
    from pumice.solve.situation import InstalledRock, Situation
    from pumice.solve.table import Candidate, Facts, Table

__all__ = ["Universe"]


class Universe:
    """Packages by name, filled from a table as they are asked for."""

    def __init__(self, table: Table, situation: Situation) -> None:
        self._table = table
        self.situation = situation
        self._packages: dict[str, Package] = {}
        self._namespaces: dict[str, set[str]] = {}
        self._candidates: dict[tuple[str, str | None], tuple[Candidate, ...]] = {}
        self._facts: dict[tuple[str, str, str | None], Facts | DataError] = {}
        self._provided = {name: parse_version(text) for name, text in situation.provided.items()}
        self._here = _by_name(situation.installed)
        self._elsewhere = _by_name(situation.elsewhere)
        self._announced: set[tuple[str, str | None] | tuple[str, str, str | None]] = set()
        self.unmet: list[tuple[InstalledRock, Dependency]] = []
        """Dependencies of installed rocks that nothing satisfies now; nobody is made to mend them."""
        self.stale = False
        """Set when a namespace came up for a package that was made without it: `renew` and begin again."""

    def renew(self) -> None:
        """Forgets the packages, not what the table said."""
        self._packages.clear()
        self.unmet.clear()
        self.stale = False

    def installed_names(self) -> list[str]:
        """The names in the tree, in its order."""
        return list(self._here)

    def provided(self, name: str) -> Version | None:
        """The version that the host brings."""
        return self._provided.get(name)

    def package(self, name: str, namespace: str | None = None) -> Package:
        """The package of that name, with the versions of `namespace` among the others."""
        if namespace is not None:
            known = self._namespaces.setdefault(name, set())
            if namespace not in known:
                known.add(namespace)
                self.stale = self.stale or name in self._packages
        package = self._packages.get(name)
        if package is None:
            situation = self.situation
            here = self._here.get(name, ())
            staying = self._elsewhere.get(name, ())
            package = self._packages[name] = Package(
                name,
                self._all_candidates(name),
                here,
                tuple(present_of(staying + here if situation.keep else staying)),
                situation.pinned.get(name),
                situation.preferred.get(name),
            )
        return package

    def _all_candidates(self, name: str) -> list[Candidate]:
        found: dict[tuple[str, str | None], Candidate] = {}
        for namespace in (None, *sorted(self._namespaces.get(name, ()))):
            key = name, namespace
            if key not in self._candidates:
                self._candidates[key] = tuple(self._table.candidates(name, namespace))
            for candidate in self._candidates[key]:
                found.setdefault((candidate.version, candidate.namespace), candidate)
        return list(found.values())

    def announce(self, dependencies: Iterable[Dependency], entries: Iterable[Entry] = ()) -> None:
        """Tells a table that is not complete what will be asked of it next."""
        if self._table.complete:
            return
        names: dict[tuple[str, str | None], None] = {}
        for each in dependencies:
            pair = each.name, each.namespace
            if (
                each.name not in self._provided
                and pair not in self._candidates
                and pair not in self._announced
            ):
                names[pair] = None
        candidates = {
            _key(entry.candidate): entry.candidate for entry in entries if entry.candidate is not None
        }
        new = {
            key: each
            for key, each in candidates.items()
            if key not in self._facts and key not in self._announced
        }
        if names or new:
            self._announced |= names.keys() | new.keys()
            self._table.announce(list(names), list(new.values()))

    def load(self, entry: Entry) -> tuple[Edge, ...]:
        """The dependencies of an entry, in LuaRocks's order: those of the build first."""
        if entry.edges is None:
            if entry.candidate is None:
                entry.edges = self._kept_edges(entry)
            else:
                entry.edges = self._edges(entry, entry.candidate)
        return entry.edges

    def edges(self, entry: Entry, *, tests: bool) -> tuple[Edge, ...]:
        """As `load`, with the test dependencies too if they are wanted."""
        edges = self.load(entry)
        if not tests or entry.candidate is None or entry.flaw is not None:
            return edges
        if entry.test_edges is None:
            facts = self._facts_of(entry.candidate)
            needed = () if isinstance(facts, DataError) else facts.test_dependencies
            self.announce(needed)
            wanted = needed if self.situation.dependencies else ()
            entry.test_edges = tuple([self.edge(each, TEST) for each in wanted])
        return edges + entry.test_edges

    def needs(self, entry: Entry, *, tests: bool = False) -> tuple[Dependency, ...]:
        """What a candidate depends on, as far as it can be read; asks the table for its facts alone."""
        candidate = entry.candidate
        if candidate is None or not self.situation.dependencies:
            return ()
        facts = self._facts_of(candidate)
        if isinstance(facts, DataError):
            return ()
        build = facts.build_dependencies if candidate.built and self.situation.build_dependencies else ()
        return build + facts.dependencies + (facts.test_dependencies if tests else ())

    def _edges(self, entry: Entry, candidate: Candidate) -> tuple[Edge, ...]:
        situation = self.situation
        if not situation.dependencies:
            return ()
        facts = self._facts_of(candidate)
        if isinstance(facts, DataError):
            entry.flaw = "unreadable", facts.message
            return ()
        unsupported = unsupported_platforms(facts.supported_platforms, situation.platforms)
        if unsupported is not None:
            entry.flaw = "platform", unsupported
            return ()
        self.announce(self.needs(entry))
        build = facts.build_dependencies if candidate.built and situation.build_dependencies else ()
        return tuple(
            [self.edge(each, BUILD) for each in build] + [self.edge(each, RUN) for each in facts.dependencies]
        )

    def _facts_of(self, candidate: Candidate) -> Facts | DataError:
        key = _key(candidate)
        known = self._facts.get(key)
        if known is None:
            try:
                known = self._table.facts(candidate)
            except DataError as error:
                known = error
            self._facts[key] = known
        return known

    def _kept_edges(self, entry: Entry) -> tuple[Edge, ...]:
        if not self.situation.dependencies:
            return ()
        edges: list[Edge] = []
        for rock in entry.installed:
            for dependency in rock.dependencies:
                edge = self.edge(dependency, RUN)
                target = edge.target
                kept = target.kept if target is not None else None
                if edge.mask & ABSENT or (kept is not None and kept.bit & edge.mask):
                    edges.append(edge)
                else:
                    self.unmet.append((rock, dependency))
        return tuple(edges)

    def edge(self, dependency: Dependency, kind: str) -> Edge:
        """A dependency with the states that satisfy it."""
        provided = self._provided.get(dependency.name)
        if provided is not None:
            return Edge(dependency, kind, None, ABSENT if dependency.accepts(provided) else 0)
        package = self.package(dependency.name, dependency.namespace)
        return Edge(dependency, kind, package, package.mask(dependency))


def _key(candidate: Candidate) -> tuple[str, str, str | None]:
    return candidate.name, candidate.version, candidate.namespace


def _by_name(rocks: Iterable[InstalledRock]) -> dict[str, tuple[InstalledRock, ...]]:
    names: dict[str, tuple[InstalledRock, ...]] = {}
    for rock in rocks:
        names[rock.name] = (*names.get(rock.name, ()), rock)
    return names
