"""As much of YAML as inventories are written in: mappings and lists in blocks, scalars, short flow values.

A reader of all of YAML is a dependency that one command does not earn. What is not read here (anchors,
tags but Ansible's `!vault`, flow values over several lines) is refused with its line, never misread; the way
out is `ansible-inventory --list`, whose JSON is read whole.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pumice.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["VAULTED", "read_yaml"]

VAULTED = "__ansible_vault"
"""The key of the mapping that stands for an encrypted value, as in `ansible-inventory --list`."""

_KEY = re.compile(
    r"""("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s\-?:,\[\]{}#&*!|>'"%@`][^#]*?|-[^\s#][^#]*?)\s*:(?:\s+|$)"""
)
_FLOW = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^,\[\]{}:]+|[,\[\]{}:])""")
_RESERVED = frozenset("&*!|>%@`]},")
_ODD_NUMBER = re.compile(
    r"[-+]?0[0-7_]+|[-+]?0[xob][0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(:[0-5]?[0-9])+|[-+]?[0-9]+_[0-9_]*"
)
"""Octal, hexadecimal, of base 60, and with underscores."""
_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")
_DEPTH = 30


class _Line:
    __slots__ = ("indent", "number", "text")

    def __init__(self, number: int, indent: int, text: str) -> None:
        self.number, self.indent, self.text = number, indent, text


def read_yaml(text: str, name: str) -> object:
    """The value of a document. Raises DataError naming file and line for what is not read here."""
    return _Reader(text, name).document()


class _Reader:
    def __init__(self, text: str, name: str) -> None:
        self._name = name
        self._raw = text.splitlines()
        self._lines = list(self._significant())
        self._at = 0

    def document(self) -> object:
        if not self._lines:
            return None
        value = self._block(self._lines[0].indent, 0)
        if self._at < len(self._lines):
            raise self._wrong(self._lines[self._at], "the indentation does not fit")
        return value

    def _significant(self) -> Iterator[_Line]:
        """Lines with something in them, without comments."""
        skip_over: int | None = None
        for number, raw in enumerate(self._raw, 1):
            text = raw.lstrip(" ")
            indent = len(raw) - len(text)
            if skip_over is not None:
                if not text or indent > skip_over:
                    continue
                skip_over = None
            # Other blanks than spaces are letters in YAML and blanks in Python.
            odd = any(each.isspace() and each != " " for each in text)
            if not odd and (
                not text.strip() or text.startswith("#") or (indent == 0 and text.rstrip() in {"---", "..."})
            ):
                continue
            if odd or text.startswith("%") or (indent == 0 and text.startswith("--- ")):
                raise self._wrong(_Line(number, indent, text), "this is not read here")
            if re.search(r":\s+(![\w-]+\s+)?[|>][+-]?\d*\s*(#.*)?$", text):
                # A block of text: its lines are read where its key is.
                skip_over = indent
            yield _Line(number, indent, text.rstrip())

    def _block(self, indent: int, depth: int) -> object:
        if depth > _DEPTH:
            raise self._wrong(self._lines[self._at], "too deep")
        first = self._lines[self._at]
        if first.text.startswith("- ") or first.text == "-":
            return self._list(indent, depth)
        if not _KEY.match(first.text):
            self._at += 1
            return self._scalar(first, first.text)
        return self._mapping(indent, depth)

    def _list(self, indent: int, depth: int) -> list[object]:
        items: list[object] = []
        while (line := self._here(indent)) is not None and (line.text.startswith("- ") or line.text == "-"):
            rest = line.text[1:].lstrip(" ")
            if rest and not rest.startswith("#"):
                inner = indent + len(line.text) - len(rest)
                self._lines[self._at] = _Line(line.number, inner, rest)
                items.append(self._block(inner, depth + 1))
            else:
                self._at += 1
                items.append(self._child(indent, depth))
        return items

    def _mapping(self, indent: int, depth: int) -> dict[str, object]:
        made: dict[str, object] = {}
        while (line := self._here(indent)) is not None:
            found = _KEY.match(line.text)
            if not found:
                raise self._wrong(line, "a key and a colon are expected")
            key = str(self._scalar(line, found[1], plain=True))
            if key in made:
                raise self._wrong(line, f"the key {key} is there twice")
            rest = line.text[found.end() :].strip()
            self._at += 1
            if not rest or rest.startswith("#"):
                made[key] = self._child(indent, depth, lists_too=True)
            elif re.fullmatch(r"(![\w-]+\s+)?[|>][+-]?\d*\s*(#.*)?", rest):
                made[key] = {VAULTED: ""} if rest.startswith("!vault") else self._text(line, rest)
            else:
                made[key] = self._scalar(line, rest)
        return made

    def _child(self, indent: int, depth: int, *, lists_too: bool = False) -> object:
        """What stands below a key or a dash; a list may be as far left as its key."""
        if self._at < len(self._lines):
            line = self._lines[self._at]
            if line.indent > indent or (lists_too and line.indent == indent and line.text.startswith("- ")):
                return self._block(line.indent, depth + 1)
        return None

    def _here(self, indent: int) -> _Line | None:
        if self._at == len(self._lines):
            return None
        line = self._lines[self._at]
        if line.indent > indent:
            raise self._wrong(line, "the indentation does not fit")
        return line if line.indent == indent else None

    def _text(self, line: _Line, mark: str) -> str:
        if mark.startswith("!"):
            raise self._wrong(line, "tags are not read here")
        kept: list[str] = []
        for raw in self._raw[line.number :]:
            if raw.strip() and len(raw) - len(raw.lstrip(" ")) <= line.indent:
                break
            kept.append(raw.strip())
        return (" " if mark[0] == ">" else "\n").join(kept).strip()

    def _scalar(self, line: _Line, text: str, *, plain: bool = False) -> object:
        text = text if text[:1] in {'"', "'", "[", "{"} else re.split(r"\s+#", text, maxsplit=1)[0].rstrip()
        if text[:1] in {"[", "{"}:
            return self._flow(line, text)
        if text[:1] in {'"', "'"}:
            found = re.fullmatch(r"""("(?:[^"\\]|\\.)*"|'(?:[^']|'')*')\s*(?:#.*)?""", text)
            if not found:
                raise self._wrong(line, "a quote is not closed on its line")
            return self._unquoted(line, found[1])
        if text[:1] in _RESERVED or text == "?" or text.startswith("? "):
            raise self._wrong(line, f"`{text[:1]}` is not read here")
        if plain:
            if text == "<<":
                raise self._wrong(line, "merged keys are not read here")
            return text
        if _ODD_NUMBER.fullmatch(text):
            raise self._wrong(line, "YAML reads this number in its own way: put it into quotes")
        if text.lower() in {"null", "~", ""}:
            return None
        if text.lower() in _TRUE or text.lower() in _FALSE:
            return text.lower() in _TRUE
        if ": " in text or text.endswith(":"):
            raise self._wrong(line, "a second colon: put the value into quotes")
        return int(text) if re.fullmatch(r"0|-?[1-9][0-9]{0,17}", text) else text

    def _unquoted(self, line: _Line, text: str) -> str:
        if text[0] == "'":
            return text[1:-1].replace("''", "'")
        simple = {"n": "\n", "t": "\t", '"': '"', "\\": "\\", "/": "/", "0": "\0", "e": "\x1b"}

        def one(found: re.Match[str]) -> str:
            if found[1] not in simple:
                raise self._wrong(line, f"`\\{found[1]}` is not read here")
            return simple[found[1]]

        return re.sub(r"\\(.)", one, text[1:-1])

    def _flow(self, line: _Line, text: str) -> object:
        """`{}`, `[]`, and short values of scalars on one line."""
        tokens: list[str] = []
        at = 0
        while found := _FLOW.match(text, at):
            tokens.append(found[1].strip())
            at = found.end()
            if (tokens[0] == "{" and tokens[-1] == "}") or (tokens[0] == "[" and tokens[-1] == "]"):
                break
        after = text[at:].strip()
        inside = tokens[1:-1]
        if (
            tokens[-1] != {"{": "}", "[": "]"}[tokens[0]]
            or (after and not after.startswith("#"))
            or {"{", "["} & set(inside)
        ):
            raise self._wrong(line, "only short flow values on one line are read here")
        parts: list[list[str]] = [[]]
        for token in inside:
            if token == ",":
                parts.append([])
            elif token:
                parts[-1].append(token)
        full = [part for part in parts if part]
        if tokens[0] == "[":
            return [self._scalar(line, "".join(part)) for part in full]
        if any(len(part) not in {2, 3} or part[1] != ":" for part in full):
            raise self._wrong(line, "only short flow values on one line are read here")
        return {
            str(self._scalar(line, part[0], plain=True)): self._scalar(line, part[2])
            if len(part) == 3
            else None
            for part in full
        }

    def _wrong(self, line: _Line, what: str) -> DataError:
        return DataError(
            f"{self._name}:{line.number}: {what}: {line.text[:60]}",
            hint="Where Ansible is: `ansible-inventory -i FILE --list > inventory.json`, and give that file.",
        )
