"""What may be demanded of a single value, in the order in which a gateway looks (Kong contract 2.3)."""

from __future__ import annotations

import re
import warnings

from pumice.kong.loaded import Opaque
from pumice.kong.schema_pattern import PatternError, lua_match
from pumice.kong.schema_table import NULL, LuaFault, is_unknown, items, lua_type, same, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ORDER", "quoted_list", "validate"]

ORDER = (
    "eq",
    "ne",
    "not_one_of",
    "one_of",
    "gt",
    "timestamp",
    "uuid",
    "is_regex",
    "between",
    "len_eq",
    "len_min",
    "len_max",
    "starts_with",
    "not_match",
    "match_none",
    "match",
    "match_all",
    "match_any",
    "contains",
    "custom_validator",
    "mutually_exclusive_subsets",
)
"""`custom_validator` is a function: `Engine` deals with it."""


def validate(name: str, value: object, wanted: object, kind: str) -> str | None:
    """Kong's words when `value` fails the validator `name` with the argument `wanted`; None when it passes.

    `kind` is the field's type. Raises LuaFault where Kong's code fails: a comparison of a text with a number,
    a malformed pattern.
    """
    if is_unknown(wanted) or is_unknown(value):
        return None
    if isinstance(value, Opaque) and value.kind == "number" and name in ("gt", "timestamp", "between"):
        # infinite or no number at all
        return None
    if name in _LENGTHS:
        return _LENGTHS[name](_length(value, kind), wanted)
    return _VALIDATORS[name](value, wanted)


def quoted_list(words: object) -> str:
    """`'a', 'b'`; a list within is put in brackets."""
    return ", ".join(
        f"({quoted_list(word)})" if isinstance(word, dict) else f"'{shown(word)}'" for word in items(words)
    )


def _eq(value: object, wanted: object) -> str | None:
    return None if same(value, wanted) else f"value must be {shown(wanted)}"


def _ne(value: object, wanted: object) -> str | None:
    return f"value must not be {shown(value)}" if same(value, wanted) else None


def _not_one_of(value: object, wanted: object) -> str | None:
    if any(same(value, item) for item in items(wanted)):
        return f"must not be one of: {_joined(wanted)}"
    return None


def _one_of(value: object, wanted: object) -> str | None:
    if any(same(value, item) for item in items(wanted)):
        return None
    return f"expected one of: {_joined(wanted)}"


def _gt(value: object, wanted: object) -> str | None:
    return None if _number(value) > _number(wanted) else f"value must be greater than {shown(wanted)}"


def _timestamp(value: object, _wanted: object) -> str | None:
    return None if _number(value) > 0 else "expected a valid timestamp"


def _uuid(value: object, _wanted: object) -> str | None:
    found = re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", _text(value), re.IGNORECASE)
    return None if found else "expected a valid UUID"


def _is_regex(value: object, _wanted: object) -> str | None:
    text = _text(value)
    if len(text) > 2000 or re.search(r"\(\?[&RP|0-9>#']|\\[KRGhHvVXQEpPzZ]|[*+?}]\+|\[\[:|\(\*", text):
        # what only PCRE knows
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(text)
    except (re.error, OverflowError, RecursionError):
        return f"not a valid regex: {text}"
    return None


def _between(value: object, wanted: object) -> str | None:
    limits = [_number(item) for item in items(wanted)]
    if len(limits) < 2:
        raise LuaFault("attempt to compare number with nil")
    if limits[0] <= _number(value) <= limits[1]:
        return None
    return f"value should be between {int(limits[0])} and {int(limits[1])}"


def _len_eq(length: int, wanted: object) -> str | None:
    return None if length == _number(wanted) else f"length must be {int(_number(wanted))}"


def _len_min(length: int, wanted: object) -> str | None:
    least = _number(wanted)
    return None if length >= least else f"length must be at least {int(least)}"


def _len_max(length: int, wanted: object) -> str | None:
    most = _number(wanted)
    return None if length <= most else f"length must be at most {int(most)}"


def _starts_with(value: object, wanted: object) -> str | None:
    return None if _text(value).startswith(_text(wanted)) else f"should start with: {_text(wanted)}"


def _not_match(value: object, wanted: object) -> str | None:
    return f"invalid value: {shown(value)}" if _matches(value, wanted) else None


def _match(value: object, wanted: object) -> str | None:
    return None if _matches(value, wanted) else f"invalid value: {shown(value)}"


def _match_none(value: object, wanted: object) -> str | None:
    for rule in items(wanted):
        if isinstance(rule, dict) and _matches(value, rule.get("pattern")):
            return _own(rule, value)
    return None


def _match_all(value: object, wanted: object) -> str | None:
    for rule in items(wanted):
        if isinstance(rule, dict) and not _matches(value, rule.get("pattern")):
            return _own(rule, value)
    return None


def _match_any(value: object, wanted: object) -> str | None:
    rules = wanted if isinstance(wanted, dict) else {}
    if any(_matches(value, pattern) for pattern in items(rules.get("patterns"))):
        return None
    return _own(rules, value)


def _contains(value: object, wanted: object) -> str | None:
    if any(same(item, wanted) for item in items(value)):
        return None
    return f"expected to contain: {shown(wanted)}"


def _exclusive_subsets(value: object, wanted: object) -> str | None:
    subsets = list(items(wanted))
    owner = {item: number for number, subset in enumerate(subsets) for item in items(subset)}
    met = dict.fromkeys(owner[item] for item in items(value) if not isinstance(item, dict) and item in owner)
    if len(met) <= 1:
        return None
    told = quoted_list(dict(enumerate((subsets[number] for number in met), 1)))
    return f"these sets are mutually exclusive: {told}"


_VALIDATORS: dict[str, Callable[[object, object], str | None]] = {
    "eq": _eq,
    "ne": _ne,
    "not_one_of": _not_one_of,
    "one_of": _one_of,
    "gt": _gt,
    "timestamp": _timestamp,
    "uuid": _uuid,
    "is_regex": _is_regex,
    "between": _between,
    "starts_with": _starts_with,
    "not_match": _not_match,
    "match_none": _match_none,
    "match": _match,
    "match_all": _match_all,
    "match_any": _match_any,
    "contains": _contains,
    "mutually_exclusive_subsets": _exclusive_subsets,
}

_LENGTHS: dict[str, Callable[[int, object], str | None]] = {
    "len_eq": _len_eq,
    "len_min": _len_min,
    "len_max": _len_max,
}


def _own(rule: dict[object, object], value: object) -> str:
    said = rule.get("err")
    return said if isinstance(said, str) else f"invalid value: {shown(value)}"


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise LuaFault(f"attempt to compare number with {lua_type(value)}")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise LuaFault(f"attempt to index local 'value' (a {lua_type(value)} value)")
    return value


def _length(value: object, kind: str) -> int:
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogateescape"))
    if not isinstance(value, dict):
        raise LuaFault(f"attempt to get length of local 'value' (a {lua_type(value)} value)")
    return sum(1 for _ in items(value)) + (len(value) if kind == "map" else 0)


def _matches(value: object, pattern: object) -> bool:
    try:
        return lua_match(_text(value), _text(pattern))
    except PatternError as error:
        raise LuaFault(str(error)) from error


def _joined(words: object) -> str:
    for number, word in enumerate(items(words), 1):
        if not isinstance(word, str | int | float) or isinstance(word, bool):
            kind = "userdata" if word == NULL else lua_type(word)
            raise LuaFault(f"invalid value ({kind}) at index {number} in table for 'concat'")
    return ", ".join(shown(word) for word in items(words))
