"""A proof in plain words: who needs what, and what cannot be because of it."""

from __future__ import annotations

from pumice.solve.cause import Asked, InTree, Needs, Pinned, Unsupported
from pumice.solve.core import facts_of
from pumice.solve.derivation import derivation
from pumice.solve.package import RUN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeVar

    from pumice.rock.dependency import Dependency
    from pumice.solve.cause import Statement, Unreadable
    from pumice.solve.package import Package
    from pumice.solve.trail import Incompatibility
    from pumice.solve.universe import Universe

    T = TypeVar("T")

__all__ = ["explain", "reasons_of"]

_IN_A_SENTENCE = 3
_IN_A_LIST = 3
_SHOWN_ALIKE = 3
_SHOWN = 25


def explain(universe: Universe, proof: Incompatibility) -> str:
    """Why there is no answer: one sentence, or what cannot be and a line for each reason."""
    asked, standing, _causes_left = _causes(proof)
    reasons = reasons_of(universe, proof)
    outcome = _outcome(asked, standing)
    if not reasons:
        texts = _joined([str(dependency) for dependency in asked])
        return f"{texts} are asked for, and no version of {asked[0].name} is all of that"
    plain = len(reasons) <= _IN_A_SENTENCE and not any(
        "," in reason or " and " in reason for reason in reasons
    )
    if plain or len(reasons) == 1:
        return f"{_joined(reasons)}, so {outcome}"
    if len(reasons) > _IN_A_LIST:
        chain = _chain(universe, proof)
        if chain is not None:
            return "\n  ".join([f"{outcome}:", *chain])
    return "\n  ".join([f"{outcome}:", *reasons])


def _chain(universe: Universe, proof: Incompatibility) -> list[str] | None:
    """The proof as steps of reasoning, if these can be followed."""

    def phrases(facts: Sequence[Incompatibility]) -> list[str]:
        texts = [f"{cause.dependency} is asked for" for cause in _kinds(facts, Asked)]
        texts += [f"{cause.package.name} has to stay installed" for cause in _kinds(facts, InTree)]
        causes = [fact.cause for fact in facts if fact.cause is not None]
        return texts + _reasons(universe, [each for each in causes if not isinstance(each, Asked | InTree)])

    facts = facts_of(proof)
    names = [cause.package.name for cause in _in_order(*_sorted_causes(proof))]
    facts.sort(key=lambda fact: _rank(fact, names))
    return derivation(facts, phrases, lambda package, mask: _who(package, mask)[0], most=_SHOWN)


def _kinds(facts: Sequence[Incompatibility], kind: type[T]) -> list[T]:
    return [fact.cause for fact in facts if isinstance(fact.cause, kind)]


def _sorted_causes(proof: Incompatibility) -> tuple[list[Statement], list[Dependency], list[str]]:
    asked, standing, causes = _causes(proof)
    return causes, asked, standing


def _rank(fact: Incompatibility, names: list[str]) -> tuple[int, tuple[int, str]]:
    """Requests first, then what the reader meets on the way down from them."""
    cause = fact.cause
    if isinstance(cause, Asked):
        return -1, (0, cause.dependency.text)
    if cause is None or isinstance(cause, InTree):
        return -1, (1, "" if cause is None else cause.package.name)
    return names.index(cause.package.name), _place(cause)


def reasons_of(universe: Universe, proof: Incompatibility) -> list[str]:
    """The facts of a proof other than what is asked for and what is installed, as phrases, not too many."""
    asked, standing, causes = _causes(proof)
    reasons = _reasons(universe, _in_order(causes, asked, standing))
    if len(reasons) > _SHOWN:
        reasons[_SHOWN:] = [f"and {len(reasons) - _SHOWN} more reasons"]
    return reasons


def _causes(proof: Incompatibility) -> tuple[list[Dependency], list[str], list[Statement]]:
    """What is asked for, what must stay installed, and every other cause."""
    causes = [fact.cause for fact in facts_of(proof) if fact.cause is not None]
    asked = [cause.dependency for cause in causes if isinstance(cause, Asked)]
    asked.sort(key=lambda dependency: (dependency.full_name, dependency.text))
    standing = sorted({cause.package.name for cause in causes if isinstance(cause, InTree)})
    return asked, standing, [cause for cause in causes if not isinstance(cause, Asked | InTree)]


def _in_order(causes: list[Statement], asked: list[Dependency], standing: list[str]) -> list[Statement]:
    """Reasons as a reader follows them: from what is asked for to what that needs."""
    by_name: dict[str, list[Statement]] = {}
    for cause in causes:
        by_name.setdefault(cause.package.name, []).append(cause)
    ordered: list[Statement] = []
    names = [dependency.name for dependency in asked] + standing
    seen: set[str] = set()
    while names or by_name:
        name = names.pop(0) if names else next(iter(by_name))
        if name in seen:
            continue
        seen.add(name)
        mine = by_name.pop(name, [])
        mine.sort(key=_place)
        ordered += mine
        names += [cause.dependency.name for cause in mine if isinstance(cause, Needs)]
    return ordered


def _place(cause: Statement) -> tuple[int, str]:
    if isinstance(cause, Needs):
        return -cause.states, cause.dependency.text
    return (0 if isinstance(cause, Pinned) else -cause.states), ""


def _reasons(universe: Universe, causes: list[Statement]) -> list[str]:
    """A line for each; what one version needs stands in one, and of versions alike only the newest appear."""
    lines: dict[tuple[str, str, str], list[str]] = {}
    alike: dict[tuple[str, str], int] = {}
    for cause in causes:
        if not isinstance(cause, Needs):
            lines[_reason(cause), "", ""] = []
            continue
        key = cause.package.name, cause.dependency.name
        alike[key] = alike.get(key, 0) + 1
        if alike[key] <= _SHOWN_ALIKE:
            who, many = _who(cause.package, cause.states)
            verb = " need " if many else " needs "
            end = "" if cause.kind == RUN else f" as a {cause.kind}"
            end += _lack(universe, cause.dependency)
            lines.setdefault((who, verb, end), []).append(str(cause.dependency))
    texts = [f"{who}{verb}{_joined(needs)}{end}" for (who, verb, end), needs in lines.items()]
    for (name, needed), count in alike.items():
        if count > _SHOWN_ALIKE:
            versions = "versions" if count - _SHOWN_ALIKE > 1 else "version"
            texts.append(f"{count - _SHOWN_ALIKE} more {versions} of {name} and what they need of {needed}")
    return texts


def _reason(cause: Pinned | Unreadable | Unsupported) -> str:
    package = cause.package
    if isinstance(cause, Pinned):
        there = "" if package.pin & package.all else " (which is not to be had)"
        return f"{package.name} is pinned to {cause.version}{there}"
    who, many = _who(package, cause.states)
    if isinstance(cause, Unsupported):
        return f"{who} {'do' if many else 'does'} not support {cause.platforms}"
    return f"what {who} needs cannot be read ({cause.problem})"


def _lack(universe: Universe, dependency: Dependency) -> str:
    """What to say of a dependency that nothing at all satisfies."""
    provided = universe.provided(dependency.name)
    if provided is not None:
        if dependency.name == "lua":
            return f", but this is Lua {provided.text.rpartition('-')[0] or provided.text}"
        return f", but {dependency.name} {provided} is provided and cannot be replaced"
    package = universe.package(dependency.name, dependency.namespace)
    if package.mask(dependency):
        return ""
    if not package.entries:
        return ", but there is no rock of that name"
    if dependency.namespace and not any(
        namespace == dependency.namespace
        for entry in package.entries
        for _version, namespace in entry.present
    ):
        return f", but {dependency.namespace} has no such rock"
    if len(package.entries) == 1:
        return f", but there is only {package.entries[0].version}"
    return f", but no version is (the newest is {package.entries[-1].version})"


def _who(package: Package, states: int) -> tuple[str, bool]:
    """Some states of a package as the subject of a sentence, and whether it is a plural."""
    # A version of several that are installed may be there twice: as it is, and to be installed anew.
    entries = list({entry.version.text: entry for entry in package.states(states)}.values())
    name = package.name
    if len(entries) == 1:
        entry = entries[0]
        there = " (installed)" if entry.candidate is None else ""
        texts = " and ".join([version.text for version, _namespace in entry.present])
        return f"{name} {texts}{there}", len(entry.present) > 1
    if len(entries) == len(package.entries):
        return f"every version of {name}", False
    if len(entries) == 2:
        return f"{name} {entries[0].version} and {entries[1].version}", True
    first, last = entries[0], entries[-1]
    run = package.entries[package.entries.index(first) : package.entries.index(last) + 1]
    if len(run) > len(entries):
        return f"{len(entries)} versions of {name} between {first.version} and {last.version}", True
    if last is package.entries[-1]:
        return f"{name} {first.version} and newer", True
    if first is package.entries[0]:
        return f"{name} {last.version} and older", True
    return f"{name} {first.version} to {last.version}", True


def _outcome(asked: list[Dependency], standing: list[str]) -> str:
    names = list(dict.fromkeys(str(dependency) for dependency in asked))
    together = " together" if len(names) > 1 else ""
    beside = (
        f" while {_joined(standing)} {'stays' if len(standing) == 1 else 'stay'} installed"
        if standing
        else ""
    )
    return f"{_joined(names)} cannot be installed{together}{beside}"


def _joined(texts: list[str]) -> str:
    return " and ".join(texts) if len(texts) < 3 else f"{', '.join(texts[:-1])} and {texts[-1]}"
