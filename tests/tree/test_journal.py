"""The journal says on reading what was written, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.errors import TreeError
from pumice.tree.journal import Deleted, Journal, Made, Placed, Removed, decode, encode, inside

PART = st.text(
    st.characters(blacklist_characters="\0/", blacklist_categories=()), min_size=1, max_size=8
).filter(lambda part: part not in (".", "..", ".pumice") and _is_a_file_name(part))


def _is_a_file_name(part: str) -> bool:
    """What the system can give as a name: bytes decoded with surrogateescape."""
    try:
        return part.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape") == part
    except UnicodeError:
        return False


PATH = st.lists(PART, min_size=1, max_size=4).map(lambda parts: "/tree/" + "/".join(parts))
NUMBER = st.integers(0, 1 << 62)
OPERATION = st.one_of(
    st.builds(
        Placed, PATH, st.integers(0, 1), NUMBER, NUMBER, st.integers(-(1 << 62), 1 << 62), st.booleans()
    ),
    st.builds(Deleted, PATH, st.integers(0, 1), NUMBER),
    st.builds(Made, PATH),
    st.builds(Removed, PATH, st.integers(0, 0o7777)),
)


@given(st.lists(OPERATION, max_size=10), st.lists(PATH, max_size=3))
def test_it_reads_what_it_wrote_also_after_the_tree_was_moved(operations, pruned):
    journal = Journal(
        ("/tree/.pumice", "/tree/mount/.pumice"), tuple(operations), tuple((path, "/tree") for path in pruned)
    )
    data = encode(journal, "/tree")
    assert decode(data, "/tree", ()) == journal
    moved = decode(data, "/elsewhere", ())
    assert [each.path.replace("/elsewhere", "/tree", 1) for each in moved.operations] == [
        each.path for each in operations
    ]


@given(st.binary(max_size=200))
def test_any_other_bytes_are_refused(data):
    with pytest.raises(TreeError):
        decode(data, "/tree", ())


@given(st.data())
def test_one_changed_byte_is_noticed(data):
    whole = encode(Journal(("/tree/.pumice",), (Made("/tree/a"), Deleted("/tree/b", 0, 1))), "/tree")
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    with pytest.raises(TreeError):
        decode(changed, "/tree", ())


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/t/a", True),
        ("/t", False),
        ("/t/../x", False),
        ("/tx/a", False),
        ("t/a", False),
        ("/t//a", False),
        ("/o/a", True),
    ],
)
def test_inside(path, expected):
    assert expected == inside(path, ("/t", "/o/"))
