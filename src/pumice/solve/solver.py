"""Solving: requests and a table become the exact rocks to install, or an explanation why there are none.

Where LuaRocks's greedy walk finds a consistent answer, that is the answer (`walk`); elsewhere a complete
search finds one or proves that there is none (`search`, docs/decisions/0005-solver.md).
"""

from __future__ import annotations

from pumice.errors import DependencyError
from pumice.solve.core import shrunk
from pumice.solve.explain import explain
from pumice.solve.notes import notes_on
from pumice.solve.package import ABSENT
from pumice.solve.resolution import resolution_of
from pumice.solve.search import Search
from pumice.solve.situation import Situation
from pumice.solve.universe import Universe
from pumice.solve.walk import walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.rock.dependency import Dependency
    from pumice.solve.package import Entry
    from pumice.solve.resolution import Resolution
    from pumice.solve.situation import Request
    from pumice.solve.table import Table
    from pumice.solve.trail import Incompatibility

__all__ = ["Solver", "Unsolvable", "solve"]


class Unsolvable(DependencyError):
    """There is no answer; the message says why, with no more than what is needed for it."""

    missing: Dependency | None = None
    """A request that no version of any rock matches, if that is the reason."""
    proof: Incompatibility | None = None
    """The derivation of the contradiction, otherwise."""


def solve(requests: Sequence[Request], table: Table, situation: Situation | None = None) -> Resolution:
    """The rocks that satisfy all requests, with everything that they and the tree need.

    Raises Unsolvable with an explanation; DependencyError for a request of a provided rock.
    """
    return Solver(table, situation or Situation()).solve(requests)


class Solver:
    """A table in a situation, of which several things may be asked."""

    def __init__(self, table: Table, situation: Situation) -> None:
        self._complete = table.complete
        self._universe = Universe(table, situation)

    def solve(self, requests: Sequence[Request]) -> Resolution:
        """As the function `solve`."""
        universe = self._universe
        touched = {request.dependency.name for request in requests}
        while True:
            if universe.stale:
                universe.renew()
            if not self._complete:
                self._fetch_ahead(requests)
            self._check(requests)
            answer = walk(universe, requests)
            if universe.stale:
                continue
            if answer is None:
                answer = self._searched(requests, touched)
            if answer is not None:
                notes = notes_on(universe, requests, answer, touched)
                return resolution_of(universe, requests, answer, notes)

    def _searched(self, requests: Sequence[Request], touched: set[str]) -> dict[str, Entry] | None:
        """The answer of a complete search; None when it must begin anew with a namespace it did not know."""
        while not self._universe.stale:
            search = Search(self._universe, requests, touched)
            if search.run():
                if search.proof is not None:
                    raise self._unsolvable(search.proof)
                return search.answer
        return None

    def _unsolvable(self, proof: Incompatibility) -> Unsolvable:
        proof = shrunk(proof)
        error = Unsolvable(
            explain(self._universe, proof), hint="ask for other versions, or leave one of them out"
        )
        error.proof = proof
        return error

    def _check(self, requests: Sequence[Request]) -> None:
        """Raises for a request that nothing at all can satisfy."""
        for request in requests:
            wanted = request.dependency
            provided = self._universe.provided(wanted.name)
            if provided is not None:
                raise DependencyError(
                    f"Rock {wanted.name} {provided} is already provided by VM or via 'rocks_provided' "
                    "in the config file.",
                )
            package = self._universe.package(wanted.name, wanted.namespace)
            if not package.strict_mask(wanted):
                known = package.entries[-1].version if package.entries else None
                error = Unsolvable(
                    f"no rock matches {wanted}" + (f" (the newest is {known})" if known else ""),
                    hint="look what there is with 'pumice search'",
                )
                error.missing = wanted
                raise error

    def _fetch_ahead(self, requests: Sequence[Request]) -> None:
        """Announces what the walk will ask, level by level, so that each level is one batch for the table."""
        universe = self._universe
        wanted: list[tuple[Dependency, Request | None]] = [(each.dependency, each) for each in requests]
        tested = {request.dependency.name for request in requests if request.tests}
        seen: set[tuple[str, str]] = set()
        universe.announce([request.dependency for request in requests])
        while wanted:
            entries: list[Entry] = []
            for dependency, request in wanted:
                key = dependency.name, dependency.text
                if key in seen or universe.provided(dependency.name) is not None:
                    continue
                seen.add(key)
                package = universe.package(dependency.name, dependency.namespace)
                mask = package.strict_mask(dependency) if request else package.mask(dependency)
                if mask & package.pin and not mask & ABSENT:
                    entries.append(package.best(mask & package.pin, request))
            universe.announce((), entries)
            levels = [universe.needs(entry, tests=entry.package.name in tested) for entry in entries]
            universe.announce([dependency for level in levels for dependency in level])
            wanted = [(dependency, None) for level in levels for dependency in level]
