"""A TOML file with its problems: each names the line, the table, the key and what is allowed there."""

from __future__ import annotations

import difflib
import re
import tomllib
from typing import TYPE_CHECKING

from pumice.errors import ConfigError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Place", "TomlSource"]

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_SHOWN = 12
"""More problems than these are counted, not listed."""


class TomlSource:
    """A file that was read, and what is wrong in it so far."""

    def __init__(self, path: str, text: str, tables: Mapping[str, object]) -> None:
        self.path = path
        self.tables = tables
        self._lines = text.splitlines()
        self._problems: list[tuple[int, str]] = []

    @classmethod
    def read(cls, path: str, *, missing: str) -> TomlSource:
        """Read a file. Raises NotFoundError with the hint `missing`, and ConfigError for what is no TOML."""
        try:
            with open(path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            raise NotFoundError(f"There is no file {path}.", hint=missing) from None
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
        return cls.parse(path, data)

    @classmethod
    def parse(cls, path: str, data: bytes) -> TomlSource:
        """What the file holds, or would hold. Raises ConfigError for what is no TOML."""
        try:
            text = data.decode()
            return cls(path, text, tomllib.loads(text))
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise ConfigError(f"{path}:{line}: this is no UTF-8.", hint="TOML files are UTF-8.") from error
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            found = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", str(error))
            line = int(found[1]) if found and found[1] else data.count(b"\n") + 1
            said = str(error)[: found.start()] if found else str(error)
            raise ConfigError(
                f"{path}:{line}: this is no TOML: {said[:1].lower()}{said[1:]}.",
                hint='Texts stand in quotes: name = "cp-1"; a node begins with [[node]].',
            ) from error

    def place(self, table: str, index: int | None = None, *, called: str = "") -> Place:
        """A table of the file, or the one of number `index` of an array of tables."""
        return Place(self, table, index, called or (f"[[{table}]]" if index is not None else f"[{table}]"))

    def problem(self, line: int, text: str) -> None:
        """Note that something is wrong."""
        if (line, text) not in self._problems:
            self._problems.append((line, text))

    def check(self, hint: str) -> None:
        """Raise ConfigError with all problems, if there are any."""
        if self._problems:
            ordered = sorted(self._problems)
            lines = [
                f"{self.path}:{line}: {text}" if line else f"{self.path}: {text}" for line, text in ordered
            ]
            if len(lines) > _SHOWN:
                lines[_SHOWN:] = [f"… and {len(lines) - _SHOWN} more."]
            raise ConfigError("\n".join(lines), hint=hint)

    def line_of(self, table: str, index: int | None, key: str | None) -> int:
        """The line of a key, or of the table's header; 0 where that cannot be told (inline tables)."""
        count, header, inside = -1, 0, table == ""
        for number, line in enumerate(self._lines, 1):
            found = _HEADER.match(line)
            if found:
                if found[2].replace(" ", "").replace('"', "") == table:
                    count += 1
                    inside = index is None or count == index
                    header = number if inside else header
                else:
                    inside = inside and found[2].startswith(f"{table}.") and index is not None
            elif inside and key is not None and re.match(rf"""\s*["']?{re.escape(key)}["']?\s*[=.]""", line):
                return number
        return header


class Place:
    """A table, with readers that note a problem and go on with the default."""

    def __init__(self, source: TomlSource, table: str, index: int | None, called: str) -> None:
        self._source = source
        self._table = table
        self._index = index
        self.called = called

    def problem(self, key: str | None, text: str) -> None:
        """Note that something is wrong with a key, or with the table."""
        self._source.problem(self._source.line_of(self._table, self._index, key), f"{self.called}: {text}")

    def known(self, values: Mapping[str, object], keys: Iterable[str]) -> None:
        """Note every key that is not one of `keys`, with the nearest that is."""
        allowed = list(keys)
        for key in values:
            if key not in allowed:
                near = difflib.get_close_matches(key.lower(), allowed, 1, 0.6)
                guess = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(sorted(allowed))}."
                self.problem(key, f"`{key}` is not known; {guess}")

    def text(self, values: Mapping[str, object], key: str) -> str | None:
        """A text that is not empty and has no control characters."""
        value = values.get(key)
        if value is None:
            return None
        if not isinstance(value, str):
            self.problem(key, f"`{key}` is a text in quotes, not {kind(value)}.")
        elif not value.strip() or any(ord(letter) < 32 or ord(letter) == 127 for letter in value):
            what = "is empty" if not value.strip() else "holds control characters"
            self.problem(key, f"`{key}` {what}.")
        else:
            return value
        return None

    def choice(self, values: Mapping[str, object], key: str, allowed: Iterable[str]) -> str | None:
        """One of a few texts."""
        value = self.text(values, key)
        known = list(allowed)
        if value is None or value in known:
            return value
        near = difflib.get_close_matches(value.lower().replace("-", "_"), known, 1, 0.5)
        guess = f" (did you mean {near[0]}?)" if near else ""
        self.problem(key, f"`{key}` is {', '.join(known[:-1])} or {known[-1]}, not {value!r}{guess}.")
        return None

    def flag(self, values: Mapping[str, object], key: str, default: bool) -> bool:
        """true or false."""
        value = values.get(key, default)
        if isinstance(value, bool):
            return value
        self.problem(key, f"`{key}` is true or false, not {kind(value)}.")
        return default

    def number(self, values: Mapping[str, object], key: str, default: float, *, least: float) -> float:
        """A number of seconds or the like."""
        value = values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.problem(key, f"`{key}` is a number, not {kind(value)}.")
        elif not least <= value < 1e9:
            self.problem(key, f"`{key}` is at least {least:g}, not {value}.")
        else:
            return value
        return default

    def count(self, values: Mapping[str, object], key: str, default: int, *, least: int) -> int:
        """A whole number."""
        value = values.get(key, default)
        if isinstance(value, float):
            self.problem(key, f"`{key}` is a whole number, not {value}.")
            return default
        return int(self.number(values, key, default, least=least))


def kind(value: object) -> str:
    """What a value of TOML is, in words."""
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "a text",
        list: "a list",
        dict: "a table",
    }
    return names.get(type(value), "a date or time")
