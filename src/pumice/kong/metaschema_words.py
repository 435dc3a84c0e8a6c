"""A gateway's words for what is wrong in a table: `schema violation (…)`, nested errors as Lua tables."""

from __future__ import annotations

from pumice.lua import KEYWORDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    Problem = str | dict[object, "Problem"]
    """What is wrong with one value: a sentence, or what is wrong inside it, by key."""

__all__ = ["in_order", "nested", "violation"]


def violation(problems: Mapping[object, Problem]) -> str:
    """One line for all problems of a schema or entity, in Kong's order: the whole first, then by name."""
    found: list[str] = []
    whole = problems.get("@entity")
    if isinstance(whole, dict):
        found += [str(item) for item in whole.values()]
    for name in sorted((key for key in problems if key != "@entity"), key=in_order):
        problem = problems[name]
        if isinstance(problem, dict):
            for inner in sorted(problem, key=in_order):
                item = problem[inner]
                found.append(f"{name}.{inner}: {nested(item) if isinstance(item, dict) else item}")
        else:
            found.append(f"{name}: {problem}")
    if len(found) == 1:
        return f"schema violation ({found[0]})"
    return f"{len(found)} schema violations ({'; '.join(found)})"


def nested(problem: Problem) -> str:
    """A problem as a Lua table in one line; what stands at 1, 2, … comes without its number."""
    if not isinstance(problem, dict):
        return _quoted(problem)
    parts = []
    count = 1
    while count in problem:
        parts.append(nested(problem[count]))
        count += 1
    rest = [key for key in problem if not (isinstance(key, int) and 1 <= key < count)]
    parts += [f"{_key(key)} = {nested(problem[key])}" for key in sorted(rest, key=_late)]
    return "{ " + ", ".join(parts) + " }" if parts else "{ }"


def _key(key: object) -> str:
    if not isinstance(key, str):
        return f"[{key}]"
    plain = key.isascii() and key.isidentifier() and key not in KEYWORDS
    return key if plain else f"[{_quoted(key)}]"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def in_order(key: object) -> tuple[int, float, str]:
    """Numbers, then texts: Lua's order within each."""
    return (0, key, "") if isinstance(key, int | float) else (1, 0.0, str(key))


def _late(key: object) -> tuple[int, float, str]:
    """Texts, then numbers: the order of the dump."""
    return (1, key, "") if isinstance(key, int | float) else (0, 0.0, str(key))
