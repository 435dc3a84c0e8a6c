"""What a solve gives: exact rocks in the order in which to install them, and who asked for each."""

from __future__ import annotations

from pumice.base.value import Value
from pumice.solve.package import ABSENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pumice.rock.dependency import Dependency
    from pumice.solve.package import Edge, Entry, Package
    from pumice.solve.situation import InstalledRock, Request
    from pumice.solve.table import Candidate
    from pumice.solve.universe import Universe

__all__ = ["REQUEST", "Chosen", "Reason", "Resolution", "resolution_of"]

REQUEST = "request"


class Reason(Value):
    """Why a rock is part of an answer."""

    dependency: Dependency
    kind: str
    """`request`, `dependency`, `build dependency` or `test dependency`."""
    name: str = ""
    """The rock that asks; empty for a request."""
    version: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.version} needs {self.dependency}" if self.name else "asked for"


class Chosen(Value):
    """A rock of an answer."""

    name: str
    version: str
    namespace: str | None
    candidate: Candidate | None
    """As the table gave it; None for a rock that is there already."""
    reasons: tuple[Reason, ...]
    needs: tuple[tuple[str, str], ...] = ()
    """(name, version) of the rocks in this tree that satisfy its dependencies, in their order."""


class Resolution(Value):
    """An answer: the tree is consistent when `replaced` is gone and `install` is there."""

    install: tuple[Chosen, ...]
    """Dependencies first; where rocks need one another, the one that was asked for last."""
    kept: tuple[Chosen, ...]
    """Rocks of the tree that the requests make use of and that stay."""
    replaced: tuple[InstalledRock, ...]
    """Versions in the tree that give way to one of `install`."""
    notes: tuple[str, ...] = ()
    """What the user should know."""

    def chosen(self, name: str) -> Chosen | None:
        """The rock of that name in the answer."""
        for each in self.install + self.kept:
            if each.name == name:
                return each
        return None


def resolution_of(
    universe: Universe, requests: Sequence[Request], answer: Mapping[str, Entry], notes: Sequence[str]
) -> Resolution:
    """The answer in words: ordered, with reasons."""
    tested = {request.dependency.name for request in requests if request.tests}
    reasons: dict[Package, list[Reason]] = {}
    for request in requests:
        package = answer[request.dependency.name].package
        reasons.setdefault(package, []).append(Reason(request.dependency, REQUEST))
    roots = [answer[request.dependency.name] for request in requests]
    roots += [entry for entry in answer.values() if entry.candidate is not None]
    order = _ordered(universe, roots, answer, tested)
    needs: dict[Package, list[tuple[str, str]]] = {}
    for entry in dict.fromkeys([*order, *answer.values()]):
        for edge in universe.edges(entry, tests=entry.package.name in tested):
            target = answer.get(edge.dependency.name)
            if edge.target is None or target is None or not edge.mask & target.bit:
                continue
            used = _used(target, edge.dependency)
            mine = needs.setdefault(entry.package, [])
            if used is not None and used not in mine:
                mine.append(used)
            reasons.setdefault(target.package, []).append(
                Reason(edge.dependency, edge.kind, entry.package.name, entry.version.text)
            )
    chosen = [
        Chosen(
            entry.package.name,
            entry.version.text,
            entry.present[-1][1],
            entry.candidate,
            tuple(reasons.get(entry.package, ())),
            tuple(needs.get(entry.package, ())),
        )
        for entry in order
    ]
    replaced: list[InstalledRock] = []
    for entry in order:
        kept = entry.package.kept
        if entry.candidate is not None and kept is not None:
            same = [rock for rock in kept.installed if rock.version == entry.version.text]
            replaced += same if universe.situation.keep else kept.installed
    return Resolution(
        tuple([each for each in chosen if each.candidate is not None]),
        tuple([each for each in chosen if each.candidate is None]),
        tuple(replaced),
        tuple(notes),
    )


def _used(target: Entry, dependency: Dependency) -> tuple[str, str] | None:
    """The highest of a kept rock's versions that the dependency accepts."""
    for version, namespace in reversed(target.present):
        if dependency.accepts(version) and dependency.namespace in (None, namespace):
            return target.package.name, version.text
    return None


def _ordered(
    universe: Universe, roots: Sequence[Entry], answer: Mapping[str, Entry], tested: set[str]
) -> list[Entry]:
    """What the roots reach, dependencies first; a dependency that leads back to its asker comes after it."""
    order: dict[Entry, None] = {}
    started: set[Entry] = set()
    for root in roots:
        if root in started:
            continue
        started.add(root)
        edges = universe.edges(root, tests=root.package.name in tested)
        stack: list[tuple[Entry, Iterator[Edge]]] = [(root, iter(edges))]
        while stack:
            entry, waiting = stack[-1]
            for edge in waiting:
                target = answer.get(edge.dependency.name)
                if edge.target is None or edge.mask & ABSENT or target is None or target in started:
                    continue
                started.add(target)
                stack.append((target, iter(universe.edges(target, tests=target.package.name in tested))))
                break
            else:
                stack.pop()
                order[entry] = None
    return list(order)
