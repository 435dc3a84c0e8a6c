"""Versions parse and compare as in LuaRocks: its worked examples, its own code as the oracle, properties."""

from __future__ import annotations

import pickle
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.rock.version import newest_first, parse_version, sort_key

PARSED = [
    ("1.0-1", (1, 0), 1, ""),
    ("2.0beta3-1", (2, 0, -100000 + 3 / 100000), 1, ""),
    ("1.0rc1-1", (1, 0, -999.99999), 1, ""),
    ("scm-1", (110000000,), 1, ""),
    ("dev-1", (120000000,), 1, ""),
    ("cvs-1", (100000000,), 1, ""),
    ("20120430.51-1", (20120430, 51), 1, ""),
    ("1.0work1-1", (1, 0, 0.119 + 0.00001), 1, ""),
    ("v1.0-1", (0.118 + 0.00001, 0), 1, ""),
    ("2.1.0-beta3-1", (2, 1, 0, -100000 + 3 / 100000), 1, ""),
    ("1_0-1", (1, 0), 1, ""),
    ("main-1", (0.109,), 1, ""),
    ("2.1.0~beta3-1", (2, 1, 0, 0), 1, "~beta3"),
    ("1.0+build-1", (1, 0, 0), 1, "+build"),
    ("1.0-1-2", (1, 0, 1), 2, ""),
    ("1.0alpha.beta-1", (1, 0, -100000), 1, ""),
    ("1.0RC1-1", (1, 0, 0.082 + 0.00001), 1, ""),
    ("3.4.0.0.rc.1-1", (3, 4, 0, 0, -999.99999), 1, ""),
    ("1.0.dev-1", (1, 0, 120000000), 1, ""),
    ("", (), None, ""),
    ("-1", (), 1, ""),
    ("1.0-rc1", (1, 0, -999.99999), None, ""),
    ("1.10-1", (1, 10), 1, ""),
    ("01.0-1", (1, 0), 1, ""),
    ("1.0alphabeta-1", (1, 0, 0.097), 1, ""),
    ("1.0beta~-1", (1, 0, 0), 1, "~"),
    ("  1.0 -1", (1, 0, 0), 1, " "),
    ("\u0661.0-1", (0,), 1, "\u0661.0"),
    ("1.0-\u00b2", (1, 0, 0), None, "\u00b2"),
]

COMPARED = [
    ("1.0-1", "<", "1.0-2"),
    ("1.0", "==", "1.0-2"),
    ("1.0", "~", "1.0.0"),
    ("1.0-1", "~", "1.0.0-1"),
    ("1.0alpha", "<", "1.0beta"),
    ("1.0beta1", "<", "1.0beta2"),
    ("1.0beta10", ">", "1.0beta9"),
    ("1.0beta", "<", "1.0rc1"),
    ("1.0pre1", "<", "1.0rc1"),
    ("1.0rc1", "<", "1.0"),
    ("scm-1", ">", "999.0-1"),
    ("scm-1", "<", "dev-1"),
    ("cvs-1", "<", "scm-1"),
    ("1.0a", ">", "1.0"),
    ("1.0RC1", ">", "1.0"),
    ("1.0work1", ">", "1.0"),
    ("1.0a", "<", "1.0.1"),
    ("1.0.scm", ">", "1.0"),
    ("1.0.scm", "<", "1.1"),
    ("v1.0", "<", "1.0"),
    ("1.9", "<", "1.10"),
    ("1.0beta1", "==", "1.0.beta1"),
    ("main-1", ">", "0.0.1-1"),
]


@pytest.mark.parametrize(("text", "components", "revision", "unparsed"), PARSED)
def test_each_worked_example_parses(
    text: str, components: tuple[float, ...], revision: int | None, unparsed: str
) -> None:
    version = parse_version(text)
    assert pytest.approx(components, rel=1e-15) == version.components
    assert revision == version.revision
    assert unparsed == version.unparsed


@pytest.mark.parametrize(("left", "relation", "right"), COMPARED)
def test_each_worked_example_compares(left: str, relation: str, right: str) -> None:
    a, b = parse_version(left), parse_version(right)
    assert (relation == "<", relation == ">", relation == "==") == (a < b, a > b, a == b)
    assert (relation != ">", relation != "<") == (a <= b, a >= b)


def test_what_could_not_be_parsed_is_told_and_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    assert parse_version("2.1.0~beta3-1").warning == "version number '~beta3' could not be parsed."
    assert parse_version("2.1.0-1").warning is None
    assert capfd.readouterr() == ("", "")


def test_leading_blanks_go_and_the_text_stays() -> None:
    assert parse_version(" \t1.0-1").text == "1.0-1"
    assert parse_version("1.0-1 ").text == "1.0-1 "


def test_a_version_cannot_be_changed_and_survives_pickling() -> None:
    version = parse_version("1.0rc1-2")
    with pytest.raises(AttributeError):
        version.revision = 3  # type: ignore[misc]
    again = pickle.loads(pickle.dumps(version))
    assert (version.text, version.components, version.revision) == (
        again.text,
        again.components,
        again.revision,
    )


def test_equal_versions_have_equal_hashes() -> None:
    assert hash(parse_version("1.0-1")) == hash(parse_version("1.0"))
    assert parse_version("1.0-1") == parse_version("1.0")


def test_a_number_of_a_hundred_thousand_digits_is_only_a_large_one() -> None:
    huge = parse_version("9" * 100_000 + "-1")
    assert (float("inf"),) == huge.components
    assert huge > parse_version("scm-1")


def test_newest_first_sorts_down_and_keeps_what_is_not_ordered() -> None:
    assert newest_first(["1.0rc1-1", "1.0-1", "scm-1", "1.0-2", "2.0-1"]) == [
        "scm-1",
        "2.0-1",
        "1.0-2",
        "1.0-1",
        "1.0rc1-1",
    ]
    assert newest_first(["1.0-1", "1.0.0-1", "1-1"]) == ["1.0-1", "1.0.0-1", "1-1"]


NUMBERS = ("0", "1", "2", "9", "10", "00", "100000", "20240101", "9223372036854775807", "9223372036854775808")
WORDS = ("alpha", "beta", "rc", "pre", "scm", "dev", "cvs", "a", "b", "v", "RC")
TOKENS = st.sampled_from((*NUMBERS, "12345678901234567890123", *WORDS, *".-_.-~+ é"))
TEXTS = st.lists(TOKENS, max_size=7).map("".join)
SMALL = st.sampled_from(["0", "1", "2", "a", "beta", "rc", ".", ".", "-", ".0", ".0"])
NEAR = st.lists(SMALL, max_size=5).map("".join)
ROCK_VERSIONS = st.builds(lambda text, revision: f"{text}-{revision}", NEAR, st.integers(0, 2))


ANY_TEXT = st.text(st.characters(exclude_characters="\t\n\0\\", exclude_categories=["Cs"]), max_size=9)


@pytest.mark.peer
@settings(max_examples=1500, deadline=None)
@given(st.one_of(TEXTS, ANY_TEXT))
def test_texts_parse_as_luarocks_parses_them(luarocks, text: str) -> None:
    answer = luarocks.ask("parse", text)
    version = parse_version(text)
    assert answer["components"] == list(version.components)
    assert answer["revision"] == version.revision
    assert answer["text"] == version.text
    assert answer["warnings"] == ([version.warning] if version.warning else [])


@pytest.mark.peer
@settings(max_examples=2500, deadline=None)
@given(st.one_of(st.tuples(TEXTS, TEXTS), st.tuples(NEAR, NEAR)))
def test_pairs_compare_as_luarocks_compares_them(luarocks, pair: tuple[str, str]) -> None:
    left, right = parse_version(pair[0]), parse_version(pair[1])
    expected = luarocks.ask("compare", f"{pair[0]}\t{pair[1]}")
    assert expected == [left < right, left <= right, left == right, left.starts_with(right)]


@pytest.mark.peer
@pytest.mark.parametrize(("left", "relation", "right"), COMPARED)
def test_the_worked_examples_are_luarocks_s(luarocks, left: str, relation: str, right: str) -> None:
    less, less_or_equal, equal, _ = luarocks.ask("compare", f"{left}\t{right}")
    assert (relation == "<", relation in "<~==", relation == "==") == (less, less_or_equal, equal)


LISTS = st.lists(ROCK_VERSIONS, min_size=1, max_size=12, unique=True)


@pytest.mark.peer
@settings(max_examples=500, deadline=None)
@given(LISTS)
def test_lists_sort_as_luarocks_sorts_them(luarocks, luarocks_51, versions: list[str]) -> None:
    ours = [sort_key(parse_version(text)) for text in newest_first(versions)]
    for oracle in (luarocks, luarocks_51):
        assert [sort_key(parse_version(text)) for text in oracle.ask("sort", "\t".join(versions))] == ours


@given(NEAR, NEAR)
def test_the_sort_key_orders_as_less_than_does(left: str, right: str) -> None:
    a, b = parse_version(f"{left}-1"), parse_version(f"{right}-1")
    assert (a < b, b < a) == (sort_key(a) < sort_key(b), sort_key(b) < sort_key(a))


@given(TEXTS, TEXTS, TEXTS)
def test_among_rock_versions_less_than_is_transitive(one: str, two: str, three: str) -> None:
    a, b, c = sorted((parse_version(f"{text}-1") for text in (one, two, three)), key=sort_key)
    assert a <= b <= c
    assert a <= c


def test_a_hundred_thousand_versions_sort_in_a_moment() -> None:
    texts = [
        f"{major}.{minor}.{patch}-1" for major in range(10) for minor in range(100) for patch in range(100)
    ]
    started = time.process_time()
    newest_first(texts)
    assert time.process_time() - started < 10
