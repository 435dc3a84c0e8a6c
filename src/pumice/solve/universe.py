"""The solver's view of the table: packages with numbered versions, sets of versions as int bit masks.

Bit 0 of a mask means that the rock is not installed at all, bit n that it is in the state `entries[n - 1]`:
a version from the table, or `kept`, the versions that are in the tree, left as they are. States are sorted by
LuaRocks's order, so the highest bit of a set is what LuaRocks would take; what it does not order (`1.0-1`,
`1.0.0-1`) stands in the order of the texts. Versions are no points of a line
(docs/decisions/0003-versions.md), so each constraint is asked of each version, once.
"""

from __future__ import annotations

from pumice.errors import DataError
from pumice.rock.platform import unsupported_platforms
from pumice.rock.version import parse_version, sort_key
from pumice.solve.situation import NEWEST, PREFER_INSTALLED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pumice.rock.dependency import Dependency
    from pumice.rock.version import Version
    from pumice.solve.situation import InstalledRock, Request, Situation
    from pumice.solve.table import Candidate, Facts, Table

    Place = tuple[int, tuple[int | float, ...], str]
    Present = tuple[Version, str | None]

__all__ = ["ABSENT", "BUILD", "RUN", "TEST", "Edge", "Entry", "Package", "Universe"]

ABSENT = 1
RUN, BUILD, TEST = "dependency", "build dependency", "test dependency"


class Edge:
    """A dependency of an entry: the states of `target` that satisfy it; None where the host provides it."""

    __slots__ = ("dependency", "kind", "mask", "target")

    def __init__(self, dependency: Dependency, kind: str, target: Package | None, mask: int) -> None:
        self.dependency = dependency
        self.kind = kind
        self.target = target
        self.mask = mask
        """With `ABSENT` it is satisfied whatever happens; 0 without a target is what cannot be satisfied."""


class Entry:
    """A state of a package: one version, or the installed ones kept."""

    __slots__ = (
        "bit",
        "candidate",
        "edges",
        "flaw",
        "installed",
        "package",
        "present",
        "test_edges",
        "version",
    )

    def __init__(
        self,
        package: Package,
        present: tuple[Present, ...],
        candidate: Candidate | None,
        installed: tuple[InstalledRock, ...] = (),
    ) -> None:
        self.package = package
        self.bit = 0
        self.present = present
        self.version = present[-1][0]
        """The highest."""
        self.candidate = candidate
        """None for what is kept."""
        self.installed = installed
        self.edges: tuple[Edge, ...] | None = None
        """None until `Universe.load`."""
        self.test_edges: tuple[Edge, ...] = ()
        self.flaw: tuple[str, str] | None = None
        """(`platform` or `unreadable`, text) when it cannot be used."""


class Package:
    """A rock's name with every state it can have."""

    __slots__ = (
        "_by_components",
        "_masks",
        "_strict",
        "all",
        "entries",
        "full",
        "kept",
        "name",
        "pin",
        "preferred",
        "staying",
        "texts",
    )

    def __init__(
        self,
        name: str,
        candidates: Iterable[Candidate],
        installed: tuple[InstalledRock, ...],
        staying: tuple[Present, ...],
        pinned: str | None,
        preferred: str | None,
    ) -> None:
        self.name = name
        self.staying = staying
        self.kept: Entry | None = None
        self._masks: dict[str, int] = {}
        self._strict: dict[str, int] = {}
        self._by_components: dict[tuple[int | float, ...], list[Entry]] = {}
        self.texts: dict[int, str] = {}
        """The words of the first dependency that asked for a set."""
        here = {rock.version for rock in installed}
        kept_place: Place = (0, (), "")
        ranked: list[tuple[Place, Entry]] = []
        for candidate in candidates:
            version = parse_version(candidate.version)
            namespace = candidate.namespace
            place = (1 if namespace else 2, sort_key(version), version.text)
            if candidate.version in here and (
                namespace is None or any(rock.namespace == namespace for rock in installed)
            ):
                kept_place = max(kept_place, place)
            else:
                ranked.append((place, Entry(self, ((version, namespace),), candidate)))
        if installed:
            present = sorted(_present(installed), key=lambda pair: sort_key(pair[0]))
            self.kept = Entry(self, tuple(present), None, installed)
            ranked.append((kept_place, self.kept))
        ranked.sort(key=lambda pair: pair[0])
        self.entries = [entry for _place, entry in ranked]
        for number, entry in enumerate(self.entries):
            entry.bit = 2 << number
        self.full = (2 << len(self.entries)) - 1
        self.all = self.full - ABSENT
        self.pin = self.full
        if pinned is not None:
            wanted = parse_version(pinned)
            self.pin = ABSENT | sum(
                entry.bit for entry in self.entries if any(version == wanted for version, _ in entry.present)
            )
        self.preferred = sum(
            entry.bit for entry in self.entries if preferred in [version.text for version, _ in entry.present]
        )

    def mask(self, dependency: Dependency) -> int:
        """The states that satisfy a dependency; with `ABSENT` when something that stays does already."""
        known = self._masks.get(dependency.text)
        if known is None:
            satisfied = any(_accepts(dependency, pair) for pair in self.staying)
            known = self.full if satisfied else self.strict_mask(dependency)
            self._masks[dependency.text] = known
        return known

    def strict_mask(self, dependency: Dependency) -> int:
        """The states that put such a version into this tree, whatever else stays."""
        known = self._strict.get(dependency.text)
        if known is None:
            known = 0
            constraints = dependency.constraints
            entries = self.entries
            if constraints and constraints[0].op == "==":
                # Only versions of the very same components are equal, however many others there are.
                entries = self._alike().get(constraints[0].version.components, [])
            for entry in entries:
                for pair in entry.present:
                    if _accepts(dependency, pair):
                        known |= entry.bit
                        break
            self._strict[dependency.text] = known
            self.texts.setdefault(known, str(dependency)[len(dependency.full_name) :].strip())
        return known

    def _alike(self) -> dict[tuple[int | float, ...], list[Entry]]:
        """The entries by the components of their versions."""
        if not self._by_components:
            for entry in self.entries:
                for components in {version.components for version, _namespace in entry.present}:
                    self._by_components.setdefault(components, []).append(entry)
        return self._by_components

    def best(self, mask: int, request: Request | None = None) -> Entry:
        """What to take of a set that has a state other than `ABSENT`; without a request, for a dependency."""
        highest = self.entries[mask.bit_length() - 2]
        kept = self.kept
        if kept is not None and kept.bit & mask:
            if request is None or request.prefer == PREFER_INSTALLED:
                return kept
            if request.prefer == NEWEST and not highest.version > kept.version:
                return kept
            if highest is kept and len(kept.present) > 1 and mask & self.all & ~kept.bit:
                # Of several installed versions, the one that was asked for may not be the highest.
                other = self.best(mask & ~kept.bit, request)
                fitting = [pair[0] for pair in kept.present if _accepts(request.dependency, pair)]
                return kept if fitting and _place(other.version) < _place(fitting[-1]) else other
        if self.preferred & mask:
            return self.entries[(self.preferred & mask).bit_length() - 2]
        return highest

    def states(self, mask: int) -> list[Entry]:
        """The entries of a set, ascending."""
        return [entry for entry in self.entries if entry.bit & mask]


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
                tuple(_present(staying + here if situation.keep else staying)),
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

    def needs(self, entry: Entry) -> tuple[Dependency, ...]:
        """What a candidate may depend on, as far as it can be read; asks the table for its facts alone."""
        facts = None if entry.candidate is None else self._facts_of(entry.candidate)
        if facts is None or isinstance(facts, DataError):
            return ()
        return facts.build_dependencies + facts.dependencies + facts.test_dependencies

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
        entry.test_edges = tuple([self.edge(each, TEST) for each in facts.test_dependencies])
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


def _place(version: Version) -> tuple[tuple[int | float, ...], str]:
    return sort_key(version), version.text


def _key(candidate: Candidate) -> tuple[str, str, str | None]:
    return candidate.name, candidate.version, candidate.namespace


def _by_name(rocks: Iterable[InstalledRock]) -> dict[str, tuple[InstalledRock, ...]]:
    names: dict[str, tuple[InstalledRock, ...]] = {}
    for rock in rocks:
        names[rock.name] = (*names.get(rock.name, ()), rock)
    return names


def _present(rocks: Iterable[InstalledRock]) -> list[Present]:
    return [(parse_version(rock.version), rock.namespace) for rock in rocks]


def _accepts(dependency: Dependency, pair: Present) -> bool:
    version, namespace = pair
    if dependency.namespace is not None and dependency.namespace != namespace:
        return False
    return dependency.accepts(version)
