"""What is quoted means exactly itself."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.cluster.connection import Answer, NodeError, quote
from pumice.errors import PumiceError


@settings(max_examples=60)
@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12), min_size=1, max_size=8
    )
)
def test_a_shell_reads_every_quoted_word_back(words):
    line = 'printf "%s\\0" ' + " ".join(quote(word) for word in words)
    done = subprocess.run(["sh", "-c", line], capture_output=True, check=True)
    assert done.stdout.split(b"\0")[:-1] == [word.encode() for word in words]


@pytest.mark.parametrize(
    ("word", "quoted"),
    [("", "''"), ("a/b-1.2", "a/b-1.2"), ("~", "'~'"), ("ü", "'ü'"), ("it's", "'it'\\''s'")],
)
def test_only_what_needs_quotes_gets_them(word, quoted):
    assert quote(word) == quoted


def test_a_nul_is_refused():
    with pytest.raises(ValueError, match="NUL"):
        quote("a\0")


def test_an_answer_is_good_when_its_code_is_0():
    assert Answer(0, b"", b"").ok
    assert not Answer(255, b"", b"").ok


def test_every_error_of_a_node_says_what_to_do_next():
    def all_of(kind):
        yield kind
        for below in kind.__subclasses__():
            yield from all_of(below)

    for kind in all_of(NodeError):
        assert issubclass(kind, PumiceError)
        assert kind("x").hint
