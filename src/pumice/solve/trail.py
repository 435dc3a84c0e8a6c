"""The logic of the solver: what follows from a set of incompatibilities, and what is learnt from a conflict.

Every package is a variable whose domain is a bit mask. An *incompatibility* is a set of terms (package,
mask) that must not hold all at once: a term holds when the package's domain lies inside its mask. When all
terms but one hold, the last one's states are struck from its package (`propagate`). When all hold, the
conflict is resolved with the reasons of its latest strikes until it says which earlier decision was wrong
(`learn`), as in PubGrub and in the solvers for SAT that it comes from. An incompatibility without terms is
the proof that there is no answer; its parents lead down to facts.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pumice.solve.cause import Cause
    from pumice.solve.package import Package

__all__ = ["Incompatibility", "Trail"]


class Incompatibility:
    """Terms that must not hold all at once: a fact with its cause, or derived from two over a pivot."""

    __slots__ = ("cause", "parents", "pivot", "terms")

    def __init__(
        self,
        terms: Iterable[tuple[Package, int]],
        cause: Cause | None = None,
        parents: tuple[Incompatibility, Incompatibility] | None = None,
        pivot: Package | None = None,
    ) -> None:
        self.terms = tuple(terms)
        self.cause = cause
        self.parents = parents
        self.pivot = pivot


class _Strike:
    """One narrowing of a domain."""

    __slots__ = ("after", "before", "level", "package", "place", "reason")

    def __init__(
        self,
        place: int,
        package: Package,
        before: int,
        after: int,
        level: int,
        reason: Incompatibility | None,
    ) -> None:
        self.place = place
        self.package = package
        self.before = before
        self.after = after
        self.level = level
        self.reason = reason
        """None for a decision."""


class Trail:
    """Domains, every narrowing in order, and the incompatibilities by package."""

    def __init__(self) -> None:
        self.level = 0
        self._domains: dict[Package, int] = {}
        self._strikes: list[_Strike] = []
        self._history: dict[Package, list[_Strike]] = {}
        self._watching: dict[Package, list[tuple[int, Incompatibility]]] = {}

    def domain(self, package: Package) -> int:
        """The states that are still possible."""
        return self._domains.get(package, package.full)

    def add(self, incompatibility: Incompatibility) -> None:
        """From now on it is heeded; `propagate` one of its packages next."""
        for package, mask in _watched(incompatibility):
            self._watching.setdefault(package, []).append((mask, incompatibility))

    def replace(self, old: Incompatibility, new: Incompatibility) -> None:
        """`new`, which has the packages of `old` and says more, is heeded in its place."""
        before = dict(_watched(old))
        for package, mask in _watched(new):
            watching = self._watching[package]
            watching[watching.index((before[package], old))] = mask, new

    def decide(self, package: Package, state: int) -> None:
        """A new level, on which the package has that state."""
        self.level += 1
        self._narrow(package, state, None)

    def _narrow(self, package: Package, after: int, reason: Incompatibility | None) -> None:
        strike = _Strike(len(self._strikes), package, self.domain(package), after, self.level, reason)
        self._domains[package] = after
        self._strikes.append(strike)
        self._history.setdefault(package, []).append(strike)

    def propagate(self, changed: list[Package]) -> Incompatibility | None:
        """Draws every consequence, beginning at these packages; gives what all holds of: a conflict."""
        domains = self._domains
        while changed:
            origin = changed.pop()
            domain = self.domain(origin)
            for watched, incompatibility in reversed(self._watching.get(origin, ())):
                if domain & ~watched:
                    continue  # nothing can follow before this term holds
                open_term: tuple[Package, int] | None = None
                for term in incompatibility.terms:
                    package, mask = term
                    here = domains.get(package, package.full)
                    rest = here & ~mask
                    if not rest:
                        continue
                    if rest == here or open_term is not None:
                        break
                    open_term = term
                else:
                    if open_term is None:
                        return incompatibility
                    package, mask = open_term
                    self._narrow(package, self.domain(package) & ~mask, incompatibility)
                    changed.append(package)
        return None

    def learn(self, conflict: Incompatibility) -> Incompatibility:
        """Goes back to where the conflict could have been avoided, and adds what avoids it.

        Gives what was learnt, whose packages want propagating; without terms it is the proof that there is no
        answer.
        """
        known = conflict
        while conflict.terms:
            latest, level_before = self._latest(conflict)
            if latest.level > level_before:
                # One step back its other terms hold, and this one does not yet: it strikes there.
                self.back(level_before)
                if conflict is not known:
                    self.add(conflict)
                return conflict
            assert (
                latest.reason is not None
            )  # a decision comes first on its level, so it is never the later one
            conflict = _resolved(conflict, latest.reason, latest.package)
        return conflict

    def _latest(self, conflict: Incompatibility) -> tuple[_Strike, int]:
        """The strike that made the last term hold, and the highest level of those that made the others."""
        latest: _Strike | None = None
        level_before = 0
        for package, mask in conflict.terms:
            for strike in self._history[package]:
                if not strike.after & ~mask:
                    break
            else:  # pragma: no cover - a conflict holds
                raise AssertionError("the term does not hold")
            if latest is None:
                latest = strike
            elif strike.place > latest.place:
                level_before = max(level_before, latest.level)
                latest = strike
            else:
                level_before = max(level_before, strike.level)
        assert latest is not None
        return latest, level_before

    def back(self, level: int) -> None:
        """Takes back every narrowing above that level."""
        strikes = self._strikes
        while strikes and strikes[-1].level > level:
            strike = strikes.pop()
            self._history[strike.package].pop()
            self._domains[strike.package] = strike.before
        self.level = level


def _watched(incompatibility: Incompatibility) -> tuple[tuple[Package, int], ...]:
    """Packages with the states within which something can follow: a term alone strikes whatever there is."""
    terms = incompatibility.terms
    return tuple([(package, package.full) for package, _mask in terms]) if len(terms) == 1 else terms


def _resolved(one: Incompatibility, other: Incompatibility, pivot: Package) -> Incompatibility:
    """What follows from both: the pivot in either's states, every other package in both's."""
    terms = dict(one.terms)
    for package, mask in other.terms:
        mine = terms.get(package)
        if mine is None:
            terms[package] = mask
        elif package is pivot:
            terms[package] = mine | mask
        else:
            terms[package] = mine & mask
    if terms[pivot] == pivot.full:
        del terms[pivot]
    return Incompatibility(terms.items(), parents=(one, other), pivot=pivot)
