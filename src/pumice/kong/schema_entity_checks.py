"""Checks over several fields of a record (Kong contract 2.4), with a gateway's words."""

from __future__ import annotations

from pumice.kong.loaded import Opaque
from pumice.kong.schema_table import NULL, LuaFault, Table, cast_problem, is_unknown, items, lua_type, truth
from pumice.kong.schema_validators import quoted_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pumice.kong.metaschema_words import Problem
    from pumice.kong.schema_engine import Engine

__all__ = [
    "CHECKERS",
    "at",
    "checked_fields",
    "definition_at",
    "run_entity_checks",
    "run_transformation_checks",
]

CHECKERS = (
    "at_least_one_of",
    "conditional_at_least_one_of",
    "only_one_of",
    "distinct",
    "conditional",
    "custom_entity_check",
    "mutually_required",
    "mutually_exclusive",
    "mutually_exclusive_sets",
)
_SOURCES = {
    "conditional_at_least_one_of": ("if_field", "then_at_least_one_of", "else_then_at_least_one_of"),
    "conditional": ("if_field", "then_field"),
    "custom_entity_check": ("field_sources",),
    "mutually_exclusive_sets": ("set1", "set2"),
}
_NEEDED = {"conditional": ("if_field",), "custom_entity_check": ("field_sources",)}
_WITH_MISSING = frozenset(
    (
        "at_least_one_of",
        "conditional_at_least_one_of",
        "mutually_required",
        "mutually_exclusive",
        "mutually_exclusive_sets",
    )
)
_WITH_INVALID = frozenset(
    ("at_least_one_of", "conditional_at_least_one_of", "only_one_of", "distinct", "conditional")
)


def run_entity_checks(
    engine: Engine,
    schema: Table,
    known: Mapping[str, Table],
    entity: Table,
    problems: dict[object, Problem],
    path: str,
) -> None:
    """Adds what the checks of `schema` find in `entity` to `problems`. Raises LuaFault as Kong would."""
    for check in items(schema.get("entity_checks")):
        for name, argument in check.items() if isinstance(check, dict) else ():
            if isinstance(argument, dict) and name in CHECKERS:
                _run(engine, known, str(name), argument, entity, problems, path)


def checked_fields(name: str, argument: Table) -> tuple[str, ...]:
    """The fields that a check speaks of, in order, as paths."""
    return tuple(field for field, _ in _fields(name, argument))


def at(entity: object, path: str) -> object:
    """What stands at a dotted path; None where there is nothing."""
    for part in path.split("."):
        if not isinstance(entity, dict):
            return None
        entity = entity.get(part)
    return entity


def definition_at(known: Mapping[str, Table], path: str) -> Table | None:
    """The definition of the field at a dotted path."""
    head, _, tail = path.partition(".")
    field = known.get(head)
    if field is None or not tail:
        return field
    inner: dict[str, Table] = {}
    for entry in items(field.get("fields")):
        if isinstance(entry, dict):
            inner |= {
                str(name): item
                for name, item in entry.items()
                if isinstance(name, str) and isinstance(item, dict)
            }
    return definition_at(inner, tail)


def _fields(name: str, argument: Table) -> list[tuple[str, bool]]:
    """The fields of a check, and whether it cannot do without them."""
    if name not in _SOURCES:
        return [(field, True) for field in items(argument) if isinstance(field, str)]
    found = []
    for source in _SOURCES[name]:
        value = argument.get(source)
        needed = source in _NEEDED.get(name, ())
        names = [value] if isinstance(value, str) else list(items(value))
        found += [(field, needed) for field in names if isinstance(field, str)]
    return found


def _run(
    engine: Engine,
    known: Mapping[str, Table],
    name: str,
    argument: Table,
    entity: Table,
    problems: dict[object, Problem],
    path: str,
) -> None:
    missing: list[str] = []
    nothing_there = all_well = True
    projection: Table = {}
    for field, needed in _fields(name, argument):
        value = at(entity, field)
        if is_unknown(value):
            return
        definition = definition_at(known, field)
        if value is None:
            if name not in _WITH_MISSING and argument.get("run_with_missing_fields") is not True and needed:
                if definition is None:
                    raise LuaFault("attempt to index a nil value")
                if definition.get("nilable") is not True:
                    missing.append(field)
        else:
            nothing_there = False
            if definition is None:
                raise LuaFault("attempt to index local 'field' (a nil value)")
            if definition.get("referenceable") is True and str(value).startswith("{vault://"):
                return
        all_well = all_well and field not in problems
        _put(projection, field, value)
    if not all_well and name not in _WITH_INVALID and argument.get("run_with_invalid_fields") is not True:
        return
    if nothing_there and name not in _WITH_MISSING:
        return
    if missing:
        for field in missing:
            _put_problem(problems, field, "field required for entity check")
        return
    said: Problem | None
    if name == "conditional":
        said = _conditional(engine, known, argument, projection, problems, path)
    elif name == "conditional_at_least_one_of":
        said = _conditional_at_least_one_of(engine, known, argument, projection, path)
    elif name == "custom_entity_check":
        said = _custom(engine, argument, projection, path)
    else:
        said = _SIMPLE[name](argument, projection)
    if said is not None:
        told = problems.setdefault("@entity", {})
        assert isinstance(told, dict)
        told[len(told) + 1] = said


def _nonempty(entity: Table, fields: object) -> list[str]:
    return [
        field
        for field in items(fields)
        if isinstance(field, str) and at(entity, field) not in (None, NULL, {}, "")
    ]


def _at_least_one_of(argument: Table, entity: Table) -> str | None:
    if _nonempty(entity, argument):
        return None
    return f"at least one of these fields must be non-empty: {quoted_list(argument)}"


def _only_one_of(argument: Table, entity: Table) -> str | None:
    if len(_nonempty(entity, argument)) == 1:
        return None
    return f"exactly one of these fields must be non-empty: {quoted_list(argument)}"


def _distinct(argument: Table, entity: Table) -> str | None:
    values = [at(entity, field) for field in _nonempty(entity, argument)]
    plain = [(type(value), value) for value in values if not isinstance(value, dict)]
    if len(set(plain)) == len(plain):
        return None
    return f"values of these fields must be distinct: {quoted_list(argument)}"


def _mutually_required(argument: Table, entity: Table) -> str | None:
    if len(_nonempty(entity, argument)) in (0, sum(1 for _ in items(argument))):
        return None
    return f"all or none of these fields must be set: {quoted_list(argument)}"


def _mutually_exclusive(argument: Table, entity: Table) -> str | None:
    if len(_nonempty(entity, argument)) <= 1:
        return None
    return f"only one or none of these fields must be set: {quoted_list(argument)}"


def _mutually_exclusive_sets(argument: Table, entity: Table) -> str | None:
    both = [_nonempty(entity, argument.get(name)) for name in ("set1", "set2")]
    if not all(both):
        return None
    told = ", ".join(f"({quoted_list(dict(enumerate(names, 1)))})" for names in both)
    return f"these sets are mutually exclusive: {told}"


def _conditional(
    engine: Engine,
    known: Mapping[str, Table],
    argument: Table,
    entity: Table,
    problems: dict[object, Problem],
    path: str,
) -> str | None:
    if_field, then_field = argument.get("if_field"), argument.get("then_field")
    if not isinstance(if_field, str) or not isinstance(then_field, str):
        raise LuaFault("bad argument #1 to 'find' (string expected, got nil)")
    if (
        engine.field(_merged(known, if_field, argument.get("if_match")), at(entity, if_field), path)
        is not None
    ):
        return None
    value = at(entity, then_field)
    then_match = argument.get("then_match")
    problem: Problem | None
    if isinstance(then_match, dict) and then_match.get("required") is True and value in (None, NULL):
        _put_problem(problems, then_field, "required field missing")
        return f"failed conditional validation given value of field '{if_field}'"
    problem = engine.field(_merged(known, then_field, then_match), value, path)
    if problem is None:
        return None
    _put_problem(problems, then_field, problem)
    said = argument.get("then_err")
    if isinstance(said, str):
        return said.replace("%s", if_field)
    return f"failed conditional validation given value of field '{if_field}'"


def _conditional_at_least_one_of(
    engine: Engine, known: Mapping[str, Table], argument: Table, entity: Table, path: str
) -> str | None:
    if_field = argument.get("if_field")
    if not isinstance(if_field, str):
        raise LuaFault("bad argument #1 to 'find' (string expected, got nil)")
    value = at(entity, if_field)
    if value is None:
        return None
    names, said = argument.get("then_at_least_one_of"), argument.get("then_err")
    if engine.field(_merged(known, if_field, argument.get("if_match")), value, path) is not None:
        if not isinstance(argument.get("else_match"), dict):
            return None
        if engine.field(_merged(known, if_field, argument["else_match"]), value, path) is not None:
            return None
        names, said = argument.get("else_then_at_least_one_of"), argument.get("else_then_err")
    if _nonempty(entity, names):
        return None
    if isinstance(said, str):
        return said.replace("%s", quoted_list(names))
    return f"at least one of these fields must be non-empty: {quoted_list(names)}"


def _custom(engine: Engine, argument: Table, projection: Table, path: str) -> Problem | None:
    function = argument.get("fn")
    if not isinstance(function, Opaque) or function.kind not in ("function", "inert"):
        raise LuaFault(f"attempt to call field 'fn' (a {lua_type(function)} value)")
    called = engine.call(function, (projection,), f"{path or 'the plugin'} (custom_entity_check)")
    if called is None:
        return None
    if called.error is not None:
        raise LuaFault(called.error)
    ok, said, own = (*called.values, None, None, None)[:3]
    if truth(ok):
        return None
    for words in (own, said):
        if isinstance(words, str | dict):
            return cast_problem(words)
    # Kong prints the argument there, with the address of the function
    return "failed entity check: custom_entity_check({ … })"


def run_transformation_checks(
    schema: Table, entity: Table, sent: Table, problems: dict[object, Problem]
) -> None:
    """Adds what is wrong with the fields that transformations take: all of them are sent, or none.

    The functions of transformations run when an entity is stored: a validation does not call them.
    """
    for transformation in items(schema.get("transformations")):
        if not isinstance(transformation, dict):
            continue
        taken: Table = dict(enumerate(items(transformation.get("input")), 1))
        if not _nonempty(sent, taken):
            continue
        both: Table = dict(enumerate([*taken.values(), *items(transformation.get("needs"))], 1))
        said = _mutually_required(both, entity) or _mutually_required(taken, sent)
        if said is not None:
            told = problems.setdefault("@entity", {})
            assert isinstance(told, dict)
            told[len(told) + 1] = said


_SIMPLE: dict[str, Callable[[Table, Table], str | None]] = {
    "at_least_one_of": _at_least_one_of,
    "only_one_of": _only_one_of,
    "distinct": _distinct,
    "mutually_required": _mutually_required,
    "mutually_exclusive": _mutually_exclusive,
    "mutually_exclusive_sets": _mutually_exclusive_sets,
}


def _merged(known: Mapping[str, Table], field: str, match: object) -> Table:
    """A condition's demands on top of the field's own."""
    if not isinstance(match, dict):
        raise LuaFault(f"bad argument #1 to 'setmetatable' (table expected, got {lua_type(match)})")
    return {**(definition_at(known, field) or {}), **match}


def _put(table: Table, path: str, value: object) -> None:
    head, _, tail = path.partition(".")
    if not tail:
        table[head] = value
        return
    inner = table.setdefault(head, {})
    if isinstance(inner, dict):
        _put(inner, tail, value)


def _put_problem(problems: dict[object, Problem], path: str, problem: Problem) -> None:
    head, _, tail = path.partition(".")
    if not tail:
        problems[head] = problem
        return
    inner = problems.get(head)
    if not isinstance(inner, dict):
        inner = problems[head] = {}
    _put_problem(inner, tail, problem)
