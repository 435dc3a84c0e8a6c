"""What the user should know of an answer: what was passed over, and why a request did not get the newest."""

from __future__ import annotations

from pumice.rock.dependency import parse_dependency
from pumice.solve.core import shrunk
from pumice.solve.explain import reasons_of
from pumice.solve.search import Search
from pumice.solve.situation import PREFER_INSTALLED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.solve.package import Entry
    from pumice.solve.situation import Request
    from pumice.solve.universe import Universe

__all__ = ["notes_on"]


def notes_on(
    universe: Universe, requests: Sequence[Request], answer: dict[str, Entry], touched: set[str]
) -> list[str]:
    """A sentence for each thing; `touched` are the names that the requests have to do with."""
    return [
        *_held_back(universe, requests, answer, touched),
        *_passed_over(answer),
        *_lacking(universe, answer),
    ]


def _held_back(
    universe: Universe, requests: Sequence[Request], answer: dict[str, Entry], touched: set[str]
) -> list[str]:
    """Why a request got an older version than it would have by itself."""
    notes: list[str] = []
    for place, request in enumerate(requests):
        wanted = request.dependency
        entry = answer[wanted.name]
        package = entry.package
        newest = package.best(package.strict_mask(wanted) & package.pin, request)
        if newest is entry or newest.flaw is not None or request.prefer == PREFER_INSTALLED:
            continue
        exact = parse_dependency(f"{wanted.full_name} == {newest.version}")
        others = [*requests[:place], request.replace(dependency=exact), *requests[place + 1 :]]
        concerned = set(touched)
        search = Search(universe, others, concerned, fixed=True)
        while not universe.stale and not search.run():
            search = Search(universe, others, concerned, fixed=True)
        if search.proof is not None:
            reasons = reasons_of(universe, shrunk(search.proof))
            notes.append(f"{package.name} {entry.version} is not the newest: {'; '.join(reasons)}")
    return notes


def _passed_over(answer: dict[str, Entry]) -> list[str]:
    """Newer versions than the chosen ones that cannot be used at all."""
    notes: list[str] = []
    for entry in answer.values():
        package = entry.package
        for other in package.states(-(entry.bit << 1)):
            if other.flaw is not None:
                kind, text = other.flaw
                why = f"does not support {text}" if kind == "platform" else f"cannot be read: {text}"
                notes.append(f"{package.name} {other.version} is passed over, as it {why}")
    return notes


def _lacking(universe: Universe, answer: dict[str, Entry]) -> list[str]:
    """What installed rocks that stay have been lacking."""
    notes: list[str] = []
    for rock, dependency in universe.unmet:
        used = answer.get(rock.name)
        if used is not None and rock in used.installed:
            notes.append(f"{rock.name} {rock.version} is installed without {dependency}, which it needs")
    return list(dict.fromkeys(notes))
