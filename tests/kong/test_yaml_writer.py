"""Our YAML, read back by a real parser."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pumice.kong.yaml_writer import yaml_text

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=40) | st.text(
    st.sampled_from(" \t\n#-:|>'\"{}[]&*!%@`,?\\x\r\x85\u2028\ufeff\x00\x7f\U0001f600"), max_size=12
)
VALUES = st.recursive(
    TEXTS | st.integers() | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(TEXTS, VALUES, max_size=4), min_size=1, max_size=3))
def test_whatever_is_written_is_read_back(documents: list[dict[str, object]]) -> None:
    text = yaml_text(*documents, comment="one\ntwo")
    assert documents == list(yaml.safe_load_all(text))


@pytest.mark.parametrize(
    "word",
    ["yes", "NO", "on", "null", "~", "1", "1.5", "0x10", "1_000", "2026-01-01", "12:30", "=", "<<", ""],
)
def test_no_string_is_taken_for_something_else(word: str) -> None:
    assert [{word: word}] == list(yaml.safe_load_all(yaml_text({word: word})))


def test_lua_stands_in_a_literal_block_as_it_is() -> None:
    lua = "--- a: 'b'\n\n\tlocal x = \"#\"\n  return x -- é\n"
    assert yaml_text({"data": {"a.lua": lua}}) == (
        "data:\n  a.lua: |2\n    --- a: 'b'\n\n    \tlocal x = \"#\"\n      return x -- é\n"
    )


@pytest.mark.parametrize("value", [1.5, None, b"x", {"x": "\udc80"}])
def test_what_is_no_value_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="YAML"):
        yaml_text({"x": value})
