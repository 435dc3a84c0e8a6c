"""`yaml_text`: data as YAML, in a small subset that every reader of YAML 1.1 and 1.2 takes the same way.

Block mappings and sequences, `[]` and `{}` when they are empty, integers, `true` and `false`; strings are
double-quoted, so that none is taken for a number, a date or a truth value. Text of several lines is a literal
block where each of its characters may stand in one. No anchors, no tags, no comments but those at the head.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


__all__ = ["yaml_text"]

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*\Z")
_NO_PLAIN_KEY = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))
_BLOCK = re.compile(
    r"[\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]+\Z"
)
"""What may stand in a literal block: no line break but `\\n`, no byte order mark, nothing unprintable."""
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def yaml_text(*documents: Mapping[str, object], comment: str = "") -> str:
    """The documents, one after the other, below `comment`, whose lines get a `#`.

    They are made of mappings with string keys, sequences, strings, integers and booleans; a string with a
    lone surrogate is no text, and a ValueError, as is any other value.
    """
    head = "".join(f"# {line}".rstrip() + "\n" for line in comment.splitlines())
    return head + "---\n".join("\n".join(_mapping(document, "")) + "\n" for document in documents)


def _mapping(mapping: Mapping[str, object], indent: str) -> list[str]:
    lines: list[str] = []
    for key, value in mapping.items():
        lines += _entry(f"{indent}{_key(key)}:", value, indent)
    return lines or [f"{indent}{{}}"]


def _entry(head: str, value: object, indent: str) -> list[str]:
    """The lines of a value that stands after `head`: on its line, or below it and deeper than `indent`."""
    if isinstance(value, dict) and value:
        return [head, *_mapping(value, indent + "  ")]
    if isinstance(value, list | tuple) and value:
        return [head, *_sequence(value, indent + "  ")]
    if isinstance(value, str) and _fits_block(value):
        return [head + " " + _block_head(value), *_block_lines(value, indent + "  ")]
    return [f"{head} {_inline(value)}"]


def _sequence(items: Sequence[object], indent: str) -> list[str]:
    lines: list[str] = []
    for item in items:
        if isinstance(item, dict) and item:
            inner = _mapping(item, indent + "  ")
            lines += [f"{indent}- {inner[0].lstrip(' ')}", *inner[1:]]
        else:
            lines += _entry(f"{indent}-", item, indent)
    return lines


def _key(key: str) -> str:
    if _PLAIN_KEY.match(key) and key.lower() not in _NO_PLAIN_KEY:
        return key
    return _quoted(key)


def _inline(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, list | tuple):
        return "[]"
    raise ValueError(f"no value for YAML: {value!r}")


def _quoted(text: str) -> str:
    return '"' + "".join(map(_character, text)) + '"'


def _character(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    code = ord(character)
    if 0xD800 <= code <= 0xDFFF:
        raise ValueError("a lone surrogate is no text for YAML")
    if 0x20 <= code <= 0x7E or (code >= 0xA0 and _BLOCK.match(character)):
        return character
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _fits_block(text: str) -> bool:
    """Whether the text has several lines, of which the last is no bare white space, and fits a block."""
    lines = text.rstrip("\n").split("\n")
    return "\n" in text and bool(_BLOCK.match(text)) and bool(lines[-1].strip(" \t"))


def _block_head(text: str) -> str:
    """The indicators: how deep it is, always said, since a text may begin with spaces; and how it ends."""
    if not text.endswith("\n"):
        return "|2-"
    return "|2+" if text.endswith("\n\n") else "|2"


def _block_lines(text: str, indent: str) -> list[str]:
    return [indent + line if line else "" for line in text.removesuffix("\n").split("\n")]
