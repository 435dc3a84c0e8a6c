"""Records by name: found or not, whatever the names; a damaged file is none."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.index.lines import format_lines, open_lines, parse_lines

text = st.text(st.characters(exclude_characters="\n\x1f", codec="utf-8"), max_size=8)


@given(st.dictionaries(text, text), st.lists(text))
def test_a_record_is_found_by_its_name_alone(records: dict[str, str], others: list[str]) -> None:
    lines = parse_lines(format_lines("k", [(n.encode(), r.encode()) for n, r in records.items()]), "k")
    assert lines is not None
    for name in [*records, *others]:
        record = lines.find(name)
        assert records.get(name) == (None if record is None else record.decode())
    assert [(name, record.decode()) for name, record in lines] == sorted(
        records.items(), key=lambda pair: pair[0].encode()
    )


@pytest.mark.parametrize("size", [10, 200_000])
def test_damage_and_other_kinds_are_found(tmp_path: Path, size: int) -> None:
    """In a file that is read and in one that is mapped."""
    data = format_lines("k", [(b"%07d" % number, b"x" * 30) for number in range(size)])
    path = tmp_path / "lines"
    path.write_bytes(data)
    lines = open_lines(str(path), "k")
    assert lines is not None
    assert lines.find("0000007") == b"x" * 30
    assert open_lines(str(path), "other") is None
    for damaged in (data[:-1], data[:-1] + b"!", b"", data[:20], data.replace(b"x", b"y", 1)):
        path.write_bytes(damaged)
        assert open_lines(str(path), "k") is None
    assert open_lines(str(tmp_path / "none"), "k") is None


def test_a_question_costs_the_same_among_many(tmp_path: Path) -> None:
    """Halving: a million records are asked in less than a millisecond each (measured: 0.02)."""
    path = tmp_path / "lines"
    path.write_bytes(format_lines("k", [(b"%07d" % number, b"record") for number in range(1_000_000)]))
    lines = open_lines(str(path), "k")
    assert lines is not None
    start = time.process_time()
    for number in range(0, 1_000_000, 10_007):
        assert lines.find(f"{number:07}") == b"record"
    assert (time.process_time() - start) / 100 < 0.001
