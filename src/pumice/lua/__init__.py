"""Lua: untrusted data files under limits, tables written, sources compile-checked, interpreters found."""

from __future__ import annotations

__all__ = ["KEYWORDS"]

# fmt: off
KEYWORDS = frozenset((
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in",
    "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
))
# fmt: on
"""The words of Lua 5.1 to 5.4 that are no names: a table is written with them in quotes."""
