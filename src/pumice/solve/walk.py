"""LuaRocks's own way to an answer: depth first, each dependency in turn takes the highest that it may have.

Its result is taken where it is consistent, so that Pumice installs what LuaRocks does (contract 5.7). What it
cannot do is to change its mind about anything but a version of the rock at hand.
"""

from __future__ import annotations

from pumice.solve.package import ABSENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pumice.solve.package import Edge, Entry, Package
    from pumice.solve.situation import Request
    from pumice.solve.universe import Universe

__all__ = ["walk"]


def walk(universe: Universe, requests: Sequence[Request]) -> dict[str, Entry] | None:
    """What LuaRocks would have installed for the requests in turn, or None if that does not fit together.

    A later dependency may replace a version that an earlier one chose; what only the replaced one needed is
    not part of the answer.
    """
    chosen: dict[Package, Entry] = {}
    for request in requests:
        package = universe.package(request.dependency.name, request.dependency.namespace)
        allowed = package.strict_mask(request.dependency) & package.pin
        if not allowed:
            return None
        entry = package.best(allowed, request)
        if not _install(universe, entry, chosen, request.tests):
            return None
    return _settled(universe, requests, chosen)


def _install(universe: Universe, wanted: Entry, chosen: dict[Package, Entry], tests: bool) -> bool:
    """Chooses an entry, after what it needs and does not find; False where LuaRocks fails or never ends."""
    started: dict[Package, Entry] = {}
    stack: list[tuple[Entry, Iterator[Edge]]] = []
    missing: Entry | None = wanted
    while missing is not None or stack:
        if missing is not None:
            edges = universe.edges(missing, tests=tests and missing is wanted)
            if missing.flaw is not None or missing.package in started:
                return False
            started[missing.package] = missing
            stack.append((missing, iter(edges)))
            missing = None
        entry, waiting = stack[-1]
        for edge in waiting:
            if edge.mask & ABSENT:
                continue
            package = edge.target
            if package is None:
                return False
            there = chosen.get(package, package.kept)
            if there is not None and there.bit & edge.mask & package.pin:
                continue
            if package in started and started[package].bit & edge.mask:
                continue
            allowed = edge.mask & package.pin
            if not allowed:
                return False
            missing = package.best(allowed)
            break
        else:
            stack.pop()
            del started[entry.package]
            chosen[entry.package] = entry
    return True


def _settled(
    universe: Universe, requests: Sequence[Request], chosen: dict[Package, Entry]
) -> dict[str, Entry] | None:
    """The part of the choice that the requests reach, if it and everything installed has all it needs."""
    answer: dict[Package, Entry] = {}
    queue: list[Entry] = []

    def needed(package: Package, mask: int) -> bool:
        entry = answer.get(package) or chosen.get(package, package.kept)
        if entry is None or not entry.bit & mask:
            return False
        if package not in answer:
            answer[package] = entry
            queue.append(entry)
        return True

    def satisfied(edges: Sequence[Edge], *, pinned: bool) -> bool:
        for edge in edges:
            target = edge.target
            if edge.mask & ABSENT:
                continue
            if target is None or not needed(target, edge.mask & target.pin if pinned else edge.mask):
                return False
        return True

    for request in requests:
        package = universe.package(request.dependency.name)
        if not needed(package, package.strict_mask(request.dependency) & package.pin):
            return None
        edges = universe.edges(answer[package], tests=request.tests)
        if request.tests and not satisfied(edges, pinned=True):
            return None
    for entry in queue:
        if not satisfied(universe.load(entry), pinned=entry.candidate is not None):
            return None
    chosen.clear()  # from here on only what is reached counts as changed
    if not universe.situation.keep:
        for name in universe.installed_names():
            if universe.provided(name) is None and not needed(universe.package(name), -1):
                return None
        for entry in queue:
            if not satisfied(universe.load(entry), pinned=entry.candidate is not None):
                return None
    return {package.name: entry for package, entry in answer.items()}
