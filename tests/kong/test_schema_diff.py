"""What a new schema asks of a fleet (Kong contract 4.9, 5.4)."""

import pytest

from pumice.kong.schema_diff import schema_diff
from pumice.kong.schema_table import Table


def schema(**fields: Table) -> Table:
    entries: Table = dict(enumerate(({name: field} for name, field in fields.items()), 1))
    return {"name": "d", "fields": {1: {"config": {"type": "record", "fields": entries}}}}


A: Table = {"type": "string"}


@pytest.mark.parametrize(
    ("old", "new", "order", "path"),
    [
        (schema(a=A), schema(a={**A, "description": "says more"}), "any-order", None),
        (schema(a=A), schema(a=A, b={"type": "integer"}), "control-planes-first", "config.b"),
        (schema(a=A), schema(a=A, b={"type": "integer", "default": 1}), "one-window", "config.b"),
        (schema(a=A), schema(a=A, b={"type": "integer", "required": True}), "new-plugin-name", "config.b"),
        (schema(a=A, b=A), schema(a=A), "one-window", "config.b"),
        (schema(a=A), schema(a={"type": "integer"}), "new-plugin-name", "config.a"),
        (schema(a=A), schema(a={**A, "required": True}), "new-plugin-name", "config.a"),
        (schema(a=A), schema(a={**A, "required": True, "default": "x"}), "one-window", "config.a"),
        (schema(a={**A, "required": True}), schema(a=A), "control-planes-first", "config.a"),
        (
            schema(a={**A, "default": "x"}),
            schema(a={**A, "default": "y"}),
            "control-planes-first",
            "config.a",
        ),
        (schema(a=A), schema(a={**A, "match": "^x"}), "one-window", "config.a"),
        (
            schema(a={**A, "one_of": {1: "x"}}),
            schema(a={**A, "one_of": {1: "x", 2: "y"}}),
            "control-planes-first",
            "config.a",
        ),
        (
            schema(a={**A, "one_of": {1: "x", 2: "y"}}),
            schema(a={**A, "one_of": {1: "x"}}),
            "one-window",
            "config.a",
        ),
        (
            schema(a={"type": "array", "elements": {"type": "string"}}),
            schema(a={"type": "array", "elements": {"type": "integer"}}),
            "new-plugin-name",
            "config.a.elements",
        ),
        (schema(a=A), {**schema(a=A), "name": "other"}, "new-plugin-name", "name"),
        (
            schema(a=A),
            {**schema(a=A), "entity_checks": {1: {"at_least_one_of": {1: "config.a"}}}},
            "one-window",
            "entity_checks",
        ),
    ],
)
def test_a_change_asks_for_an_order(old: Table, new: Table, order: str, path: str | None) -> None:
    difference = schema_diff(old, new)
    assert difference.order == order
    if path is not None:
        assert path in [change.path for change in difference.changes if change.order == order]
    else:
        assert difference.changes == ()
    assert schema_diff(new, new).order == "any-order"
