"""The tables of a tree manifest, read from the text that LuaRocks and Pumice write, without Lua."""

from __future__ import annotations

from pumice.errors import ManifestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pumice.lua.data import LuaTable, LuaValue

__all__ = ["NotCanonical", "is_plain", "parse_table", "read_string", "table_keys", "table_text"]

_KEYWORDS = (
    " and break do else elseif end false for function goto if in local nil not or repeat return then true"
    " until while "
)
_PROBLEM = "the manifest is not laid out as LuaRocks writes it"
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "'": "'"}


class NotCanonical(ManifestError):
    """A text that is not laid out as LuaRocks lays out a manifest."""

    def __init__(self, message: str = _PROBLEM) -> None:
        super().__init__(message, hint="`pumice repair` writes it anew from what is installed.")


def is_plain(key: bytes) -> bool:
    """Whether a key may stand without brackets."""
    text = key.decode("utf-8", "surrogateescape")
    return text.isascii() and text.isidentifier() and f" {text} " not in _KEYWORDS


def table_text(value: LuaTable) -> bytes:
    """The text of a table as it stands as an entry of a section."""
    from pumice.lua.write import format_value

    return format_value(value, 1).encode("utf-8", "surrogateescape")


def table_keys(text: bytes) -> list[str]:
    """The keys of the table that a value writes, all of whose fields are tables. Raises NotCanonical."""
    keys: list[str] = []
    place = 2
    while text[place : place + 6] == b"      ":
        if text[place + 6 : place + 8] == b'["':
            head = text.find(b'"] = {', place + 8) + 2
            key = text[place + 8 : head - 2]
            if head < 2 or b"\n" in key or b"\\" in key:
                raise NotCanonical
        else:
            head = text.find(b" = {", place)
            key = text[place + 6 : head]
            if head < 0 or not is_plain(key):
                raise NotCanonical
        keys.append(key.decode("utf-8", "surrogateescape"))
        end = head + 5 if text[head + 4 : head + 5] == b"}" else text.find(b"\n      }", head) + 8
        if text[end : end + 2] != b",\n":
            if end < 8 or text[end:] != b"\n   }":
                raise NotCanonical
            return keys
        place = end + 2
    raise NotCanonical


def parse_table(text: bytes) -> LuaTable:
    """The table that a value's text writes, in the layout of LuaRocks. Raises NotCanonical."""
    root: LuaTable = {}
    if text == b"{}":
        return root
    lines = text.decode("utf-8", "surrogateescape").split("\n")
    if len(lines) < 2 or lines[0] != "{":
        raise NotCanonical
    stack = [root]
    for number in range(1, len(lines)):
        line = lines[number].lstrip(" ")
        if line in ("}", "},"):
            stack.pop()
            if not stack:
                if number != len(lines) - 1:
                    raise NotCanonical
                return root
            continue
        place, end = 0, len(line)
        while place < end:
            here = stack[-1]
            key, place = _read_assigned(line, place, here)
            if key in here:
                raise NotCanonical
            rest = line[place:]
            if rest == "{":
                inner: LuaTable = {}
                here[key] = inner
                stack.append(inner)
                break
            value, place = _read_value(line, place)
            here[key] = value
            if line.startswith(", ", place):
                place += 2
            elif line[place:] in (",", ""):
                break
            else:
                raise NotCanonical
    raise NotCanonical


def _read_assigned(
    line: str, place: int, table: Mapping[int | float | bool | str, LuaValue]
) -> tuple[int | str, int]:
    """The key of the item at `place`, its number if none is written, and where its value begins."""
    first = line[place]
    if first == "[":
        key, place = read_string(line, place + 1)
        if not line.startswith("] = ", place):
            raise NotCanonical
        return key, place + 4
    if first == "_" or first.isalpha():
        end = line.find(" = ", place)
        word = line[place:end] if end >= 0 else ""
        if word.isidentifier() and word.isascii():
            return word, end + 3
        if line[place:] not in ("true", "false", "true,", "false,"):
            raise NotCanonical
    count = 1
    while count in table:
        count += 1
    return count, place


def _read_value(line: str, place: int) -> tuple[LuaValue, int]:
    if line[place : place + 1] == '"':
        return read_string(line, place)
    if line.startswith("{}", place):
        return {}, place + 2
    end = place
    while end < len(line) and line[end] not in ", ":
        end += 1
    word = line[place:end]
    if word in ("true", "false"):
        return word == "true", end
    try:
        return int(word), end
    except ValueError:
        pass
    try:
        return float(word), end
    except ValueError:
        raise NotCanonical from None


def read_string(line: str, place: int) -> tuple[str, int]:
    """The string whose opening quote stands at `place`, and where the text goes on behind it."""
    if line[place : place + 1] != '"':
        raise NotCanonical
    start = place + 1
    end = line.find('"', start)
    if end < 0:
        raise NotCanonical
    if "\\" not in line[start:end]:
        return line[start:end], end + 1
    parts = []
    place = start
    while place < len(line) and line[place] != '"':
        character = line[place]
        place += 1
        if character == "\\":
            digits = line[place : place + 3]
            if len(digits) == 3 and digits.isdigit() and digits.isascii() and int(digits) < 128:
                character = chr(int(digits))
                place += 3
            else:
                known = _ESCAPES.get(line[place : place + 1])
                if known is None:
                    raise NotCanonical
                character = known
                place += 1
        parts.append(character)
    if place >= len(line):
        raise NotCanonical
    return "".join(parts), place + 1
