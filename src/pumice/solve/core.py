"""The smallest part of a proof: facts that contradict one another, none of which could be left out."""

from __future__ import annotations

from pumice.solve.cause import Asked, InTree, Needs
from pumice.solve.trail import Incompatibility, Trail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pumice.solve.package import Package

__all__ = ["contradiction", "facts_of", "shrunk"]

_EFFORT = 30_000
"""How many facts may be looked at, again and again, to find a smaller proof."""


def facts_of(proof: Incompatibility) -> list[Incompatibility]:
    """The facts from which an incompatibility is derived, each once."""
    found: list[Incompatibility] = []
    seen: set[Incompatibility] = set()
    stack = [proof]
    while stack:
        one = stack.pop()
        if one not in seen:
            seen.add(one)
            if one.parents is None:
                found.append(one)
            else:
                stack += one.parents
    return found


def shrunk(proof: Incompatibility) -> Incompatibility:
    """A proof from as few facts as deleting them one by one leaves; of a huge one, from fewer facts.

    Left out first is what is in the tree, then requests, so that the rest needs as few of them as possible.
    """
    facts = sorted(facts_of(proof), key=_rank)
    effort = _EFFORT
    size = max(1, len(facts) // 2)
    while True:
        place = 0
        while place < len(facts) and effort > 0:
            effort -= len(facts)
            smaller = contradiction(facts[:place] + facts[place + size :])
            if smaller is None:
                place += size
            else:
                proof = smaller
                kept = set(facts_of(smaller))
                facts = [fact for fact in facts if fact in kept]
        if size == 1 or effort <= 0:
            return proof
        size = max(1, size // 2)


def _rank(fact: Incompatibility) -> tuple[int, str]:
    cause = fact.cause
    if isinstance(cause, InTree):
        return 0, cause.package.name
    if isinstance(cause, Asked):
        return 1, ""
    if isinstance(cause, Needs):
        return 3, cause.package.name
    return 2, ""


def contradiction(facts: Sequence[Incompatibility]) -> Incompatibility | None:
    """The proof that these facts alone contradict one another, or None if they do not."""
    trail = Trail()
    packages: dict[Package, None] = {}
    for fact in facts:
        trail.add(fact)
        for package, _mask in fact.terms:
            packages[package] = None
    changed: Iterable[Package] = packages
    while True:
        conflict = trail.propagate(list(changed))
        while conflict is not None:
            learnt = trail.learn(conflict)
            if not learnt.terms:
                return learnt
            conflict = trail.propagate([package for package, _mask in learnt.terms])
        for package in packages:
            domain = trail.domain(package)
            if domain & (domain - 1):
                trail.decide(package, domain & -domain)
                changed = (package,)
                break
        else:
            return None
