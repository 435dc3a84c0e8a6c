"""What a child says is read as coming from a stranger."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.kong.loaded import Job, Opaque, read_answer

JOBS = (Job("handler", "h"), Job("schema", "s"))
GOOD = {"ok": True, "type": "table", "value": None, "effects": [], "requires": []}


def lines(*reports: object) -> bytes:
    return b"".join(json.dumps(report).encode() + b"\n" for report in reports)


def test_reports_are_read_in_the_order_of_the_jobs() -> None:
    read = read_answer(lines(GOOD, {**GOOD, "value": {"t": [["name", "x"], [1.0, {"$": "function"}]]}}), JOBS)
    assert [loaded.job for loaded in read] == list(JOBS)
    assert read[1].value == {"name": "x", 1: Opaque("function")}


def test_text_of_any_bytes_comes_back() -> None:
    (read,) = read_answer(lines({**GOOD, "ok": False, "error": "\u00c3\u00bc\u00ff"}), JOBS[:1])
    assert read.error == "ü\udcff"


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"not json\n",
        b"5\n",
        b"[]\n",
        b"{}\n",
        lines({**GOOD, "type": 5}),
        lines({**GOOD, "effects": {}}),
        lines({**GOOD, "effects": ["x"]}),
        lines({**GOOD, "requires": [{"module": 1, "from": "package"}]}),
        lines({**GOOD, "value": {"functions": [1]}}),
        lines({**GOOD, "value": {"priority": {"type": 1}}}),
        b"[" * 100_000 + b"\n",
        b'{"ok": true',
    ],
)
def test_what_is_no_report_is_none_and_ends_the_list(bad: bytes) -> None:
    assert read_answer(bad, JOBS) == ()
    assert len(read_answer(lines(GOOD) + bad, JOBS)) == 1


@given(st.binary())
def test_any_bytes_are_read(answer: bytes) -> None:
    assert len(read_answer(answer, JOBS)) <= len(JOBS)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(["t", "$", "ok", "type", "functions", "priority"]), inner, max_size=4
        ),
    ),
    max_leaves=12,
)


@given(JSON, JSON, JSON)
def test_any_json_is_read(value: object, effects: object, requires: object) -> None:
    answer = lines(
        {**GOOD, "value": value}, {**GOOD, "value": value, "effects": effects, "requires": requires}
    )
    assert len(read_answer(answer, JOBS)) <= len(JOBS)
