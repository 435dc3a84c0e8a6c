"""Long descriptions are joined and broken as LuaRocks's `show` does it (contract 1.5)."""

from pumice.cli.show_command import format_text


def test_lines_of_a_paragraph_are_joined_and_paragraphs_kept() -> None:
    text = "  Hello there.\n  This is long text.\n\n  Second paragraph.\n"
    assert format_text(text, 80) == "Hello there. This is long text.\n\nSecond paragraph."


def test_long_lines_are_broken_at_the_last_blank_that_fits() -> None:
    assert format_text("aaa bbb ccc ddd", 7) == "aaa\nbbb\nccc ddd"


def test_a_word_that_is_too_long_stays_whole() -> None:
    assert format_text("a" * 20, 7) == "a" * 20
