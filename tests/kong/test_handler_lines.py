"""Where in a handler a word is set."""

from pumice.kong.handler_rules import line_of


def test_a_name_that_is_not_utf8_is_looked_for_as_the_bytes_that_it_is() -> None:
    """A global `\\x80` once ended the check with an encoding error."""
    word = b"\x80".decode("utf-8", "surrogateescape")
    assert line_of(b"local a = 1\n", word) is None
    assert line_of(b"local a = 1\nx\x80 = 2\n", "x" + word) == 2
