"""What a gateway accepts in a schema although it is wrong or useless (Kong contract 2.8, 8.1)."""

from __future__ import annotations

from pumice.base.value import Value
from pumice.kong.loaded import Opaque
from pumice.kong.schema_entity_checks import CHECKERS, checked_fields, definition_at
from pumice.kong.schema_pattern import PatternError, lua_match
from pumice.kong.schema_table import NULL, Table, fields_by_name, is_unknown, items, truth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Doubt", "doubts"]

_TEXTS = frozenset(("string",))
_LENGTHS = frozenset(("string", "array", "set", "map"))
_NUMBERS = frozenset(("integer", "number"))
_SENSIBLE = {
    "len_min": _LENGTHS,
    "len_max": _LENGTHS,
    "gt": _NUMBERS,
    "encrypted": _TEXTS,
    "referenceable": _TEXTS,
    "starts_with": _TEXTS,
    "not_match": _TEXTS,
    "match_all": _TEXTS,
    "match_none": _TEXTS,
    "match_any": _TEXTS,
    "mutually_exclusive_subsets": frozenset(("set", "array")),
}
_PASS_WITHOUT = frozenset(("mutually_required", "mutually_exclusive", "mutually_exclusive_sets"))


class Doubt(Value):
    """One thing that loads and is not as it was meant."""

    code: str
    path: str
    message: str


def doubts(schema: Table) -> Iterator[Doubt]:
    """Everything doubtful in a schema that a gateway accepts, in order."""
    if truth(schema.get("check")):
        yield Doubt("schema-useless", "check", "'check' of a plugin's schema is never called")
    yield from _duplicates(schema, "")
    yield from _checks(schema, "")
    config = fields_by_name(schema).get("config")
    if config is not None:
        yield from _record(config, "config")


def _record(record: Table, path: str) -> Iterator[Doubt]:
    if not isinstance(record.get("fields"), dict):
        return
    yield from _duplicates(record, path)
    yield from _checks(record, path)
    for name, field in fields_by_name(record).items():
        yield from _field(field, f"{path}.{name}")


def _field(field: Table, path: str) -> Iterator[Doubt]:
    kind = field.get("type")
    for attribute, kinds in _SENSIBLE.items():
        if field.get(attribute) is not None and field[attribute] is not False and kind not in kinds:
            yield Doubt("schema-useless", path, f"'{attribute}' means nothing on a field of type '{kind}'")
    if kind == "function":
        yield Doubt("schema-useless", path, "a field of type 'function' can never be set from JSON")
    if kind == "foreign":
        yield Doubt("schema-never", path, "a foreign field inside config: no configuration can ever pass")
    if truth(field.get("abstract")):
        yield Doubt("schema-never", path, "an abstract field inside config: no value of it can ever pass")
    if field.get("eq") not in (None, NULL):
        yield Doubt(
            "schema-never", path, "'eq' is asked of a missing value too, so the field must always be sent"
        )
    if kind == "map" and isinstance(keys := field.get("keys"), dict) and keys.get("type") in _NUMBERS:
        yield Doubt("schema-never", path, "the keys of a map are texts in JSON: numbers can never be sent")
    for attribute in ("match", "not_match"):
        yield from _pattern(field.get(attribute), attribute, path)
    for attribute in ("match_all", "match_none"):
        for rule in items(field.get(attribute)):
            yield from _pattern(rule.get("pattern") if isinstance(rule, dict) else None, attribute, path)
    rules = field.get("match_any")
    for pattern in items(rules.get("patterns") if isinstance(rules, dict) else None):
        yield from _pattern(pattern, "match_any", path)
    if any(
        not isinstance(item, str | int | float) or isinstance(item, bool)
        for item in items(field.get("one_of"))
    ):
        yield Doubt(
            "schema-never",
            path,
            "'one_of' has something that is no text or number: a wrong value gives a 500",
        )
    for part in ("elements", "keys", "values"):
        inner = field.get(part)
        if isinstance(inner, dict):
            yield from _field(inner, f"{path}.{part}")
    if kind == "record":
        yield from _record(field, path)


def _pattern(pattern: object, attribute: str, path: str) -> Iterator[Doubt]:
    if not isinstance(pattern, str):
        return
    # what is malformed only shows where the match gets to it
    for text in ("", "a" * 8, pattern):
        try:
            lua_match(text, pattern)
        except PatternError as error:
            yield Doubt(
                "schema-never", path, f"'{attribute}' is a pattern that Lua refuses, a 500 at use: {error}"
            )
            return


def _duplicates(record: Table, path: str) -> Iterator[Doubt]:
    seen: set[object] = set()
    for entry in items(record.get("fields")):
        for name in entry if isinstance(entry, dict) else ():
            if name in seen:
                yield Doubt(
                    "schema-duplicate",
                    _joined(path, str(name)),
                    f"'{name}' is defined twice: the last one counts",
                )
            seen.add(name)


def _checks(record: Table, path: str) -> Iterator[Doubt]:
    known = fields_by_name(record)
    for check in items(record.get("entity_checks")):
        for name, argument in check.items() if isinstance(check, dict) else ():
            if not isinstance(name, str) or name not in CHECKERS or not isinstance(argument, dict):
                continue
            if name == "custom_entity_check" and not isinstance(argument.get("fn"), Opaque):
                yield Doubt(
                    "schema-check",
                    _joined(path, name),
                    "custom_entity_check without 'fn': every request is a 500",
                )
            for field in checked_fields(name, argument):
                if definition_at(known, field) is None and not _open(record, field):
                    dead = "never finds it" if name in _PASS_WITHOUT else "can never pass or never runs"
                    yield Doubt(
                        "schema-check", _joined(path, name), f"there is no field '{field}': the check {dead}"
                    )


def _open(record: Table, path: str) -> bool:
    """Whether nobody knows here what stands at `path`: below a map, or in what is not real."""
    head, _, tail = path.partition(".")
    fields = record.get("fields")
    if is_unknown(fields) or any(is_unknown(entry) for entry in items(fields)):
        return True
    for entry in items(fields):
        field = entry.get(head) if isinstance(entry, dict) else None
        if is_unknown(field):
            return True
        if isinstance(field, dict) and tail:
            return field.get("type") in ("map", "foreign", "json") or _open(field, tail)
    return False


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
