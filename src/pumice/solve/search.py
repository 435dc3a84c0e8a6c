"""The search for an answer: decisions in a fixed order, led by the trail's logic.

Decided first are rocks of the tree that no request has to do with (they stay), then the requests in their
order, then what they need, breadth first. What is decided later gives way to what was decided before. So the
answer is the one that a search through all possibilities in that order would find first: requests newest, the
tree upgraded only as far as it must be.
"""

from __future__ import annotations

from pumice.solve.cause import Asked, InTree, Needs, Pinned, Unreadable, Unsupported
from pumice.solve.package import ABSENT
from pumice.solve.trail import Incompatibility, Trail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.solve.cause import Cause
    from pumice.solve.package import Edge, Entry, Package
    from pumice.solve.situation import Request
    from pumice.solve.universe import Universe

__all__ = ["Search"]

_LOOK_AHEAD = 64


class Search:
    """One search; `run` says how it ended."""

    def __init__(
        self, universe: Universe, requests: Sequence[Request], touched: set[str], *, fixed: bool = False
    ) -> None:
        self.answer: dict[str, Entry] = {}
        """Every package that has a state other than absent."""
        self.proof: Incompatibility | None = None
        """Without terms: there is no answer."""
        self._universe = universe
        self._requests = requests
        self._touched = touched
        """Names that a request, or what it may need, has to do with; grows."""
        self._fixed = fixed
        """Whether rocks of the tree that no request has to do with must stay, not only if possible."""
        self._asked = {request.dependency.name: request for request in requests}
        self._tested = {request.dependency.name for request in requests if request.tests}
        self._trail = Trail()
        self._agenda: list[Package] = []
        self._queued: set[Package] = set()
        self._next = 0
        self._marks: list[tuple[int, int]] = []
        self._loaded: set[Entry] = set()
        self._needs: dict[tuple[Package, str, int], Incompatibility] = {}
        self._pinned: set[Package] = set()
        self._expected: set[Entry] = set()
        self._refused: dict[Package, int] = {}
        self._widened = False

    def run(self) -> bool:
        """True with `answer` or `proof`; False when something came up with which to begin anew."""
        if not self._begin():
            return True
        while self._next < len(self._agenda):
            package = self._agenda[self._next]
            entry = package.best(self._trail.domain(package) & ~ABSENT, self._asked.get(package.name))
            touched = self._load(entry)
            if self._universe.stale or self._widened:
                return False
            level = self._trail.level
            if not self._propagate([package, *touched]):
                return True
            if self._trail.level < level:
                continue
            if not self._trail.domain(package) & entry.bit:
                self._look_ahead(package)
                continue
            self._marks.append((self._next, len(self._agenda)))
            self._next += 1
            self._trail.decide(package, entry.bit)
            for edge in self._edges(entry):
                if edge.target is not None and not edge.mask & ABSENT:
                    self._queue(edge.target)
            if not self._propagate([package]):
                return True
        for package in self._agenda:
            self.answer[package.name] = package.best(self._trail.domain(package))
        return True

    def _begin(self) -> bool:
        """The requests and the tree as facts, and the agenda; False when these contradict one another."""
        universe = self._universe
        situation = universe.situation
        asked = [universe.package(each.dependency.name, each.dependency.namespace) for each in self._requests]
        names = [] if situation.keep else universe.installed_names()
        tree = [universe.package(name) for name in names if universe.provided(name) is None]
        for package in [package for package in tree if package.name not in self._touched] + asked + tree:
            self._queue(package)
        for package, request in zip(asked, self._requests, strict=True):
            self._pin(package)
            wanted = package.strict_mask(request.dependency)
            self._fact([(package, package.full ^ wanted)], Asked(request.dependency))
        for package in tree:
            gone = ABSENT
            if self._fixed and package.kept is not None and package.name not in self._touched:
                gone = package.full ^ package.kept.bit
            self._fact([(package, gone)], InTree(package))
        return self._propagate(list(self._agenda))

    def _queue(self, package: Package) -> None:
        if package not in self._queued:
            self._queued.add(package)
            self._agenda.append(package)

    def _pin(self, package: Package) -> None:
        if package.pin != package.full and package not in self._pinned:
            self._pinned.add(package)
            pinned = self._universe.situation.pinned[package.name]
            self._fact([(package, package.full ^ package.pin)], Pinned(package, pinned))

    def _fact(self, terms: list[tuple[Package, int]], cause: Cause) -> None:
        self._trail.add(Incompatibility([term for term in terms if term[1] != term[0].full], cause))

    def _edges(self, entry: Entry) -> Sequence[Edge]:
        return self._universe.edges(entry, tests=entry.package.name in self._tested)

    def _load(self, entry: Entry) -> list[Package]:
        """Adds what is known of an entry; gives the packages that it newly says something of."""
        if entry in self._loaded:
            return []
        self._loaded.add(entry)
        edges = self._edges(entry)
        package = entry.package
        if entry.flaw is not None:
            kind, text = entry.flaw
            cause = Unsupported if kind == "platform" else Unreadable
            self._fact([(package, entry.bit)], cause(package, entry.bit, text))
            return []
        said: list[Package] = []
        for edge in edges:
            if edge.mask & ABSENT:
                continue
            target = edge.target
            if entry.candidate is not None and target is not None and target.kept is not None:
                self._touch(target)
            self._need(entry, edge)
            if target is not None:
                if entry.candidate is not None:
                    self._pin(target)
                said.append(target)
        return said

    def _touch(self, package: Package) -> None:
        if package.name not in self._touched:
            self._touched.add(package.name)
            self._widened = not self._universe.situation.keep

    def _need(self, entry: Entry, edge: Edge) -> None:
        """The dependency as an incompatibility, together with those of other versions that say the same."""
        package, target = entry.package, edge.target
        key = package, edge.dependency.text, edge.mask
        old = self._needs.get(key)
        states = entry.bit
        if old is not None and isinstance(old.cause, Needs):
            states |= old.cause.states
        terms = {package: states}
        if target is not None:
            lacking = target.full ^ edge.mask
            if target is package:
                terms[package] = states & lacking
                if not terms[package]:
                    return
            elif lacking != target.full:
                terms[target] = lacking
        new = Incompatibility(terms.items(), Needs(package, states, edge.dependency, edge.kind))
        self._needs[key] = new
        if old is None:
            self._trail.add(new)
        else:
            self._trail.replace(old, new)

    def _propagate(self, changed: list[Package]) -> bool:
        """Draws all consequences, learning from conflicts; False when there is no answer."""
        conflict = self._trail.propagate(changed)
        while conflict is not None:
            learnt = self._trail.learn(conflict)
            if not learnt.terms:
                self.proof = learnt
                return False
            level = self._trail.level
            if level < len(self._marks):
                self._next, length = self._marks[level]
                del self._marks[level:]
                for package in self._agenda[length:]:
                    self._queued.discard(package)
                del self._agenda[length:]
            conflict = self._trail.propagate([package for package, _mask in learnt.terms])
        return True

    def _look_ahead(self, package: Package) -> None:
        """Announces the versions that come next, twice as many each time that all announced are refused."""
        rest = self._trail.domain(package) & ~ABSENT
        if not rest or package.best(rest) in self._expected:
            return
        count = self._refused[package] = min(2 * self._refused.get(package, 1), _LOOK_AHEAD)
        entries: list[Entry] = []
        while rest and len(entries) < count:
            entries.append(package.best(rest))
            rest &= ~entries[-1].bit
        self._expected.update(entries)
        self._universe.announce((), entries)
