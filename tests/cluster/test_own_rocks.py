"""Which rocks of a node's own tree are Pumice's, as the records on the node say."""

import json

from hypothesis import given
from hypothesis import strategies as st

from pumice.cluster.own_rocks import own_rocks


def record(*changes: tuple[str, str, str], result: str = "ok", action: str = "install") -> bytes:
    return json.dumps({"version": 1, "action": action, "result": result, "changes": changes}).encode()


def test_the_last_record_that_names_a_rock_says_which_version_is_ours() -> None:
    records = {
        "20260102T000000Z-bb": record(("a", "1.0-1", "2.0-1"), ("c", "1.0-1", "")),
        "20260101T000000Z-aa": record(("a", "", "1.0-1"), ("b", "", "1.0-1"), ("c", "", "1.0-1")),
    }
    assert own_rocks(records) == {("a", "2.0-1"), ("b", "1.0-1")}


def test_the_second_rollout_of_a_sync_comes_after_its_first() -> None:
    records = {
        "20260101T000000Z-aa-2": record(("a", "1.0-1", "")),
        "20260101T000000Z-aa": record(("a", "", "1.0-1")),
    }
    assert own_rocks(records) == frozenset()


def test_what_a_rollback_brings_back_is_ours_only_if_we_had_put_it_there() -> None:
    records = {
        "r1": record(("a", "", "1.0-1")),
        "r2": record(("a", "1.0-1", "2.0-1"), ("theirs", "1.0-1", "2.0-1")),
        "r3": record(("a", "2.0-1", "1.0-1"), ("theirs", "2.0-1", "1.0-1"), action="rollback"),
    }
    assert own_rocks(records) == {("a", "1.0-1")}


def test_what_failed_made_nothing_ours() -> None:
    assert own_rocks({"r1": record(("a", "", "1.0-1"), result="failed")}) == frozenset()


@given(
    st.one_of(
        st.binary(), st.recursive(st.none() | st.text(), st.lists).map(lambda each: json.dumps(each).encode())
    )
)
def test_what_is_no_record_makes_nothing_ours(data: bytes) -> None:
    assert own_rocks({"r1": data}) == frozenset()
