"""A proof as a chain of reasoning, as PubGrub words it: because of this and that, so and so has to be.

It is not the search's own path, which is long, but drawn anew from the few facts of the shrunk proof: what
follows from them step by step, until nothing is left; where nothing follows, one rock's versions are gone
through. Only steps that the end makes use of are told.
"""

from __future__ import annotations

from pumice.solve.cause import Asked, InTree, Needs
from pumice.solve.package import ABSENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pumice.solve.package import Package
    from pumice.solve.trail import Incompatibility

    Phrases = Callable[[Sequence[Incompatibility]], list[str]]
    Who = Callable[[Package, int], str]

__all__ = ["derivation"]

_DEEPEST = 3


class _TooLong(Exception):
    """The reasoning has too many cases to be read."""


class _Step:
    """One narrowing of what a package can be, and why."""

    __slots__ = ("after", "before", "facts", "lines", "package", "uses")

    def __init__(
        self,
        package: Package,
        before: int,
        after: int,
        facts: list[Incompatibility],
        uses: list[_Step],
        lines: list[str] | None = None,
    ) -> None:
        self.package = package
        self.before = before
        self.after = after
        self.facts = facts
        self.uses = uses
        """The steps that make the other terms hold."""
        self.lines = lines
        """How a case was refuted, for a step that no single fact makes."""


def derivation(
    facts: Sequence[Incompatibility], phrases: Phrases, who: Who, *, most: int
) -> list[str] | None:
    """The lines of the reasoning, or None if there would be more than `most`.

    `phrases` words facts, `who` some states of a package. The facts contradict one another.
    """
    try:
        lines = _Reasoning(list(facts), phrases, who).refuted({}, 0)
    except _TooLong:
        return None
    return lines if lines is not None and len(lines) <= most else None


class _Reasoning:
    def __init__(self, facts: list[Incompatibility], phrases: Phrases, who: Who) -> None:
        self._facts = facts
        self._phrases = phrases
        self._who = who

    def refuted(self, given: dict[Package, list[_Step]], depth: int) -> list[str] | None:
        """The lines by which these states are seen to be impossible; None: they are not."""
        if depth > _DEEPEST:
            raise _TooLong
        history = {package: list(steps) for package, steps in given.items()}
        while True:
            conflict = self._propagated(history)
            if conflict is not None:
                return self._told(conflict, history, given)
            package, cases = self._choice(history)
            if package is None:
                return None
            self._go_through(package, cases, history, depth)

    def _domain(self, package: Package, history: dict[Package, list[_Step]]) -> int:
        steps = history.get(package)
        return steps[-1].after if steps else package.full

    def _propagated(self, history: dict[Package, list[_Step]]) -> Incompatibility | None:
        """Draws what follows from single facts; gives one that contradicts everything."""
        changed = True
        while changed:
            changed = False
            for fact in self._facts:
                open_term: tuple[Package, int] | None = None
                for package, mask in fact.terms:
                    domain = self._domain(package, history)
                    if not domain & ~mask:
                        continue
                    if open_term is not None or (not domain & mask and len(fact.terms) > 1):
                        break
                    open_term = (package, mask)
                else:
                    if open_term is None:
                        return fact
                    package, mask = open_term
                    before = self._domain(package, history)
                    if before & mask:
                        uses = self._holding(fact, history, besides=package)
                        step = _Step(package, before, before & ~mask, [fact], uses)
                        history.setdefault(package, []).append(step)
                        changed = True
        return None

    def _holding(
        self, fact: Incompatibility, history: dict[Package, list[_Step]], *, besides: Package | None = None
    ) -> list[_Step]:
        """The steps that make the terms of a fact hold; narrowings of the open term itself count, too."""
        found: list[_Step] = []
        for package, mask in fact.terms:
            if package is besides:
                continue
            found += self._until(package, mask, history)
        return found

    def _until(self, package: Package, mask: int, history: dict[Package, list[_Step]]) -> list[_Step]:
        """The narrowings of a package that together leave nothing outside of a mask."""
        found: list[_Step] = []
        outside = package.full & ~mask
        for step in history.get(package, ()):
            if step.before & ~step.after & outside:
                found.append(step)
                outside &= step.after
            if not outside:
                break
        return found

    def _choice(self, history: dict[Package, list[_Step]]) -> tuple[Package | None, list[int]]:
        """The package with the fewest cases that the facts tell apart, and its cases."""
        best: Package | None = None
        cases: list[int] = []
        for package in dict.fromkeys(package for fact in self._facts for package, _ in fact.terms):
            domain = self._domain(package, history)
            if domain & ABSENT or not domain & (domain - 1):
                continue
            masks = [mask for fact in self._facts for each, mask in fact.terms if each is package]
            groups: dict[tuple[bool, ...], int] = {}
            for entry in package.states(domain):
                key = tuple([bool(mask & entry.bit) for mask in masks])
                groups[key] = groups.get(key, 0) | entry.bit
            if len(groups) > 1 and (best is None or len(groups) < len(cases)):
                best, cases = package, list(groups.values())
        return best, cases

    def _go_through(
        self, package: Package, cases: list[int], history: dict[Package, list[_Step]], depth: int
    ) -> None:
        """Strikes the cases that are impossible, all but the last one; that is looked at without a word."""
        before = self._domain(package, history)
        for case in sorted(cases, reverse=True)[: len(cases) - 1]:
            supposed = _Step(package, before, case, [], [], [])
            lines = self.refuted({**history, package: [*history.get(package, []), supposed]}, depth + 1)
            if lines is None:
                raise _TooLong
            told = [f"Suppose {self._who(package, case)}:", *["  " + line for line in lines]]
            # Everything known so far may have been used.
            uses = [step for steps in history.values() for step in steps]
            step = _Step(package, before, before & ~case, [], uses, told)
            history.setdefault(package, []).append(step)
            before = step.after

    def _told(
        self,
        conflict: Incompatibility,
        history: dict[Package, list[_Step]],
        given: dict[Package, list[_Step]],
    ) -> list[str]:
        known = {id(step) for steps in given.values() for step in steps}
        wanted: dict[int, _Step] = {}
        last = self._holding(conflict, history)
        waiting = list(last)
        while waiting:
            step = waiting.pop()
            if id(step) in wanted or id(step) in known:
                continue
            wanted[id(step)] = step
            waiting += step.uses
            # What a step narrows had been narrowed before.
            waiting += [
                each
                for each in history.get(step.package, ())
                if each.after == step.before and each is not step
            ]
        order = [step for step in self._in_order(history) if id(step) in wanted]
        lines: list[str] = []
        for step in _merged(order):
            if step.lines is not None:
                lines += [*step.lines, f"So {self._outcome(step)}."]
            elif not (len(step.facts) == 1 and isinstance(step.facts[0].cause, Asked)):
                lines.append(f"Because {self._premises(step.facts, step.uses)}, {self._outcome(step)}.")
        lines.append(f"But {self._premises([conflict], last)}: nothing is left.")
        return lines

    def _in_order(self, history: dict[Package, list[_Step]]) -> list[_Step]:
        """All steps so that each comes after those that it uses."""
        ordered: dict[int, _Step] = {}
        stack = [(step, False) for steps in reversed(list(history.values())) for step in reversed(steps)]
        while stack:
            step, done = stack.pop()
            if id(step) in ordered:
                continue
            if done:
                ordered[id(step)] = step
                continue
            earlier = [each for each in history.get(step.package, ()) if each.after == step.before]
            stack.append((step, True))
            stack += [(each, False) for each in (*earlier, *step.uses) if id(each) not in ordered]
        return list(ordered.values())

    def _premises(self, facts: Sequence[Incompatibility], uses: Sequence[_Step]) -> str:
        """`a is asked for, b has to be 2.0-1 and b 2.0-1 needs c < 1`."""
        told: dict[str, None] = {}
        for package in dict.fromkeys(step.package for step in uses):
            mine = [step for step in uses if step.package is package]
            causes = [fact.cause for step in mine for fact in step.facts]
            asked = [cause for cause in causes if isinstance(cause, Asked)]
            if asked and len(asked) == len(causes):
                told[f"{asked[-1].dependency} is asked for"] = None
            elif mine[-1].lines != []:
                told[self._outcome(mine[-1])] = None
        for text in self._phrases(facts):
            told[text] = None
        texts = list(told)
        return " and ".join(texts) if len(texts) < 3 else f"{', '.join(texts[:-1])} and {texts[-1]}"

    def _outcome(self, step: _Step) -> str:
        """What a package has to be, or cannot be, after a step."""
        package, after = step.package, step.after
        struck = step.before & ~after
        if after & ABSENT or not after:
            if struck & package.all == package.all:
                return f"no version of {package.name} can be used"
            return f"{self._who(package, struck & ~ABSENT)} cannot be used"
        if after == package.all:
            return f"{package.name} is needed"
        text = self._who(package, after).removeprefix(f"{package.name} ").replace(" and ", " or ")
        return f"{package.name} has to be {text}"


def _merged(steps: Sequence[_Step]) -> list[_Step]:
    """Narrowings of one package one after the other, for reasons of the same kind, become one."""
    merged: list[_Step] = []
    for step in steps:
        last = merged[-1] if merged else None
        if last is not None and last.package is step.package and _alike(last, step):
            uses = list(dict.fromkeys([*last.uses, *step.uses]))
            merged[-1] = _Step(step.package, last.before, step.after, [*last.facts, *step.facts], uses)
        else:
            merged.append(step)
    return merged


def _alike(one: _Step, other: _Step) -> bool:
    if one.lines is not None or other.lines is not None:
        return False
    causes = [fact.cause for fact in (*one.facts, *other.facts)]
    if any(isinstance(cause, Asked | InTree) for cause in causes):
        return False
    who = {cause.package for cause in causes if isinstance(cause, Needs)}
    return len(who) == 1 and all(isinstance(cause, Needs) for cause in causes)
