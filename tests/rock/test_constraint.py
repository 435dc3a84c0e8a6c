"""Constraints match as in LuaRocks: its worked examples, its own code as the oracle."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.errors import VersionError
from pumice.rock.constraint import format_constraints, matches, parse_constraints
from pumice.rock.version import parse_version

MATCHED = [
    ("1.0-1", "", True),
    ("1.0-2", "1.0", True),
    ("1.0.0-1", "== 1.0", False),
    ("1.0-1", "~= 1.0.0", True),
    ("1.0-1", ">= 1.0.0, <= 1.0.0", True),
    ("1.0-2", "== 1.0-1", False),
    ("1.0-2", "> 1.0-1", True),
    ("1.0-1", "> 1.0", False),
    ("1.0-1", ">= 1.0-2", False),
    ("1.0-1", ">=1.0 <2.0", True),
    ("1.0-1", "@>= 1.0", True),
    ("1.0-1", ">= a", True),
    ("3.9.1.1-0", ">= 3.0, < 4.0", True),
    ("2.0.1-1", "~> 2", True),
    ("2.1-1", "~> 2.0", False),
    ("2-1", "~> 2.0", True),
    ("2.0.5-3", "~> 2.0.5-1", False),
    ("2.0rc1-1", "~> 2", True),
    ("2.0-1", "~> 2.0rc1", False),
    ("2.0beta1-1", ">= 2.0", False),
    ("2.0beta1-1", "< 2.0", True),
    ("2.0beta1-1", "~> 2.0", True),
    ("2.1.0.10-1", "~> 2.1.0", True),
    ("4.0rc1-1", "< 4.0", True),
    ("scm-1", ">= 1.0", True),
    ("scm-1", "~> 1.0", False),
    ("scm-1", "scm", True),
    ("dev-1", "scm", False),
    ("5.10-1", "~> 5.1", False),
    ("5.1-1", ">= 5.1.4", False),
    ("5.1-1", "~> 5.1.0", True),
]


@pytest.mark.parametrize(("version", "constraints", "expected"), MATCHED)
def test_each_worked_example_matches(version: str, constraints: str, expected: bool) -> None:
    assert expected == matches(parse_version(version), parse_constraints(constraints))
    assert expected == matches(version, parse_constraints(constraints))


@pytest.mark.peer
@pytest.mark.parametrize(("version", "constraints", "expected"), MATCHED)
def test_the_worked_examples_are_luarocks_s(luarocks, version: str, constraints: str, expected: bool) -> None:
    assert expected == luarocks.ask("match", f"{version}\tname {constraints}")


@pytest.mark.parametrize(
    ("written", "op"),
    [("", "=="), ("=", "=="), ("==", "=="), ("~=", "~="), ("!=", "~="), ("~>", "~>"), ("<=", "<=")],
)
def test_every_spelling_of_an_operator_is_known(written: str, op: str) -> None:
    (constraint,) = parse_constraints(f"{written} 1.0")
    assert (op, "1.0", False) == (constraint.op, constraint.version.text, constraint.no_upgrade)


@pytest.mark.parametrize("op", ["=>", "^", "<>", "||", "===", "~", "!"])
def test_an_unknown_operator_is_refused_and_named(op: str) -> None:
    with pytest.raises(VersionError) as caught:
        parse_constraints(f"{op} 1.0")
    assert "Encountered bad constraint operator: '" in caught.value.message
    assert f"in '{op} 1.0'" in caught.value.message
    assert caught.value.hint


def test_a_trailing_comma_is_fine_and_a_leading_one_is_not() -> None:
    assert parse_constraints(">= 1.0,") == parse_constraints(">= 1.0")
    with pytest.raises(VersionError):
        parse_constraints(", >= 1.0")


def test_constraints_differ_where_their_texts_do() -> None:
    """Though `1.0` and `1.0-1` are equal versions, `== 1.0` and `== 1.0-1` accept other ones."""
    (one,), (other,) = parse_constraints("1.0"), parse_constraints("1.0-1")
    assert one.version == other.version
    assert one != other
    assert one == parse_constraints("== 1.0")[0]
    assert hash(one) == hash(parse_constraints("= 1.0")[0])


def test_constraints_print_as_luarocks_prints_them() -> None:
    assert format_constraints(parse_constraints("==1.0,>=2.0 ~>3")) == "1.0, >= 2.0, ~> 3"


VERSIONS = st.lists(st.sampled_from(("0", "1", "2", "beta", "rc1", "scm", ".", ".", ".0", "-1")), max_size=5)
PIECES = st.sampled_from(
    [">=", "<", "==", "~>", "~=", "!=", "<=", ">", "=", "@", "1.0", "2", "1.0.0-1", "scm"]
)
TEXTS = st.lists(st.one_of(PIECES, st.sampled_from([" ", ",", ", ", "^", "~", "é"])), max_size=7).map("".join)


@pytest.mark.peer
@settings(max_examples=1500, deadline=None)
@given(VERSIONS.map(lambda parts: "".join(parts) + "-1"), TEXTS)
def test_any_text_of_constraints_means_what_it_means_to_luarocks(luarocks, version: str, text: str) -> None:
    expected = luarocks.ask("dependency", f"name {text.lstrip(' ')}")
    try:
        constraints = parse_constraints(text.lstrip(" "))
    except VersionError as error:
        assert expected["error"] == error.message
        return
    assert expected["constraints"] == [[c.op, c.version.text, c.no_upgrade] for c in constraints]
    assert luarocks.ask("match", f"{version}\tname {text.lstrip(' ')}") == matches(version, constraints)
