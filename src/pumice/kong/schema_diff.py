"""`schema_diff`: in which order a fleet can take a new schema (Kong contract 4.9, 5.4)."""

from __future__ import annotations

from pumice.base.value import Value
from pumice.kong.loaded import Opaque
from pumice.kong.schema_table import Table, fields_by_name, items

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ORDERS", "Change", "Difference", "schema_diff"]

ORDERS = ("any-order", "control-planes-first", "one-window", "new-plugin-name")
"""What a change asks for, from harmless to breaking."""
_ANY, _CONTROL_FIRST, _WINDOW, _NEW_NAME = ORDERS
_SILENT = frozenset(("description", "examples", "err", "deprecation", "fields", "elements", "keys", "values"))
_HANDLED = frozenset(("type", "required", "default"))


class Change(Value):
    """One difference: the field, what it asks for, and why."""

    path: str
    order: str
    reason: str


class Difference(Value):
    """All changes, and what the worst of them asks for."""

    order: str
    changes: tuple[Change, ...]


def schema_diff(old: Table, new: Table) -> Difference:
    """Compares two schemas that a gateway accepts; a function is the same as any other."""
    changes = tuple(_changes(old, new))
    return Difference(max((change.order for change in changes), key=ORDERS.index, default=_ANY), changes)


def _changes(old: Table, new: Table) -> Iterator[Change]:
    if old.get("name") != new.get("name"):
        yield Change("name", _NEW_NAME, f"the plugin is called {new.get('name')}, not {old.get('name')}, now")
    before, after = dict(_flat(old, "", 0)), dict(_flat(new, "", 0))
    for path, field in before.items():
        if path in after:
            yield from _changed(path, field, after[path])
        elif _parent(path) in after or _parent(path) == "":
            yield Change(path, _WINDOW, "is gone: take it out of every instance first")
    for path, field in after.items():
        if path not in before and (_parent(path) in before or _parent(path) == ""):
            yield _added(path, field)
    yield from _checks_changed("", old, new)


def _added(path: str, field: Table) -> Change:
    if field.get("default") is not None or _fills_itself(field):
        return Change(path, _WINDOW, "is new and has a default: old data planes refuse what they do not know")
    if field.get("required") is True and field.get("type") != "record":
        return Change(path, _NEW_NAME, "is new and required without a default: no instance of today has it")
    return Change(path, _CONTROL_FIRST, "is new and optional: old data planes take it while nobody sets it")


def _fills_itself(field: Table) -> bool:
    """Whether a record is made where none was sent: in a plugin it is unless it says otherwise."""
    return field.get("type") == "record" and field.get("required") is not False


def _changed(path: str, old: Table, new: Table) -> Iterator[Change]:
    if old.get("type") != new.get("type"):
        yield Change(path, _NEW_NAME, f"changes its type from {old.get('type')} to {new.get('type')}")
        return
    if new.get("required") is True and old.get("required") is not True and new.get("type") != "record":
        if new.get("default") is None:
            yield Change(path, _NEW_NAME, "is required now, without a default")
        else:
            yield Change(path, _WINDOW, "is required now: a null of today is refused")
    elif old.get("required") is True and new.get("required") is not True and new.get("type") != "record":
        yield Change(path, _CONTROL_FIRST, "is not required any more: old data planes refuse a null")
    if _plain(old.get("default")) != _plain(new.get("default")):
        if new.get("default") is None and new.get("required") is True:
            yield Change(path, _WINDOW, "has lost its default and is required")
        else:
            yield Change(path, _CONTROL_FIRST, "has another default; stored instances keep their value")
    for attribute in sorted({str(name) for name in (*old, *new)} - _SILENT - _HANDLED):
        before, after = _plain(old.get(attribute)), _plain(new.get(attribute))
        if attribute == "entity_checks":
            yield from _checks_changed(path, old, new)
        elif before != after:
            looser = _looser(attribute, old.get(attribute), new.get(attribute))
            order = _CONTROL_FIRST if looser else _WINDOW
            how = "takes more than before" if looser else "may refuse what passes today"
            yield Change(path, order, f"{attribute} has changed: it {how}")


def _looser(attribute: str, old: object, new: object) -> bool:
    """Whether everything that passed still passes."""
    if new is None or new is False:
        return attribute not in ("referenceable", "auto")
    if old is None:
        return attribute in ("referenceable", "encrypted", "len_min") and new in (True, 0, 1)
    if attribute == "one_of":
        return all(item in list(items(new)) for item in items(old))
    if attribute == "not_one_of":
        return all(item in list(items(old)) for item in items(new))
    before, after = _limits(old), _limits(new)
    if attribute == "between" and len(before) == len(after) == 2:
        return after[0] <= before[0] and before[1] <= after[1]
    if attribute in ("len_min", "gt") and before and after:
        return after[0] <= before[0]
    if attribute == "len_max" and before and after:
        return after[0] >= before[0]
    return False


def _limits(value: object) -> list[float]:
    given = list(items(value)) if isinstance(value, dict) else [value]
    return [item for item in given if isinstance(item, int | float) and not isinstance(item, bool)]


def _checks_changed(path: str, old: Table, new: Table) -> Iterator[Change]:
    before = [_plain(item) for item in items(old.get("entity_checks"))]
    after = [_plain(item) for item in items(new.get("entity_checks"))]
    here = f"{path}.entity_checks" if path else "entity_checks"
    if any(item not in before for item in after):
        yield Change(here, _WINDOW, "has a check that is new: it may refuse what passes today")
    elif any(item not in after for item in before):
        yield Change(here, _CONTROL_FIRST, "has one check less: it takes more than before")


def _flat(record: Table, path: str, depth: int) -> Iterator[tuple[str, Table]]:
    if depth > 24 or not isinstance(record.get("fields"), dict):
        return
    for name, field in fields_by_name(record).items():
        here = f"{path}.{name}" if path else name
        yield from _parts(here, field, depth)


def _parts(path: str, field: Table, depth: int) -> Iterator[tuple[str, Table]]:
    yield path, field
    yield from _flat(field, path, depth + 1)
    for part in ("elements", "keys", "values"):
        inner = field.get(part)
        if isinstance(inner, dict) and depth <= 24:
            yield from _parts(f"{path}.{part}", inner, depth + 1)


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _plain(value: object) -> object:
    """A value for comparison: functions are alike, and true is not 1."""
    if isinstance(value, Opaque):
        return value.kind
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return ("boolean", value) if isinstance(value, bool) else value
