"""`Package`: a rock's name with its numbered states, and sets of them as int bit masks.

Bit 0 of a mask means that the rock is not installed at all, bit n that it is in the state `entries[n - 1]`:
a version from the table, or `kept`, the versions that are in the tree, left as they are. States are sorted by
LuaRocks's order, so the highest bit of a set is what LuaRocks would take; what it does not order (`1.0-1`,
`1.0.0-1`) stands in the order of the texts. Versions are no points of a line
(docs/decisions/0003-versions.md), so each constraint is asked of each version, once.
"""

from __future__ import annotations

from pumice.rock.version import parse_version, sort_key
from pumice.solve.situation import NEWEST, PREFER_INSTALLED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pumice.rock.dependency import Dependency
    from pumice.rock.version import Version
    from pumice.solve.situation import InstalledRock, Request
    from pumice.solve.table import Candidate

    Place = tuple[int, tuple[int | float, ...], str]
    Present = tuple[Version, str | None]

__all__ = ["ABSENT", "BUILD", "RUN", "TEST", "Edge", "Entry", "Package", "present_of"]

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
        self.test_edges: tuple[Edge, ...] | None = None
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
        here = {rock.version for rock in installed}
        kept_place: Place = (0, (), "")
        ranked: list[tuple[Place, Entry]] = []
        for candidate in candidates:
            version = parse_version(candidate.version)
            namespace = candidate.namespace
            place = (1 if namespace else 2, sort_key(version), version.text)
            is_here = candidate.version in here and (
                namespace is None or any(rock.namespace == namespace for rock in installed)
            )
            if is_here:
                kept_place = max(kept_place, place)
            # Of several installed versions one may have to stay alone: it is installed anew, the others go.
            if not is_here or len(here) > 1:
                ranked.append((place, Entry(self, ((version, namespace),), candidate)))
        if installed:
            present = sorted(present_of(installed), key=lambda pair: sort_key(pair[0]))
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
                return kept if fitting and _place(other.version) <= _place(fitting[-1]) else other
        if self.preferred & mask:
            return self.entries[(self.preferred & mask).bit_length() - 2]
        return highest

    def states(self, mask: int) -> list[Entry]:
        """The entries of a set, ascending."""
        return [entry for entry in self.entries if entry.bit & mask]


def _place(version: Version) -> tuple[tuple[int | float, ...], str]:
    return sort_key(version), version.text


def present_of(rocks: Iterable[InstalledRock]) -> list[Present]:
    return [(parse_version(rock.version), rock.namespace) for rock in rocks]


def _accepts(dependency: Dependency, pair: Present) -> bool:
    version, namespace = pair
    if dependency.namespace is not None and dependency.namespace != namespace:
        return False
    return dependency.accepts(version)
