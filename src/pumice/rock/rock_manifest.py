"""`rock_manifest`: the MD5 of every file of a rock (LuaRocks contract 4).

It comes with the rock and so is not to be trusted: every path that it names is checked, because files are
read, deployed and deleted by these names.
"""

from __future__ import annotations

from pumice.errors import LuaDataError, ManifestError
from pumice.lua import KEYWORDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pumice.lua.data import LuaTable
    from pumice.rock.rock import Rock

__all__ = ["empty_directories", "md5_hex", "read_rock_manifest", "rock_manifest_bytes", "rock_manifest_of"]

_HEX = frozenset("0123456789abcdefABCDEF")
_DEEPEST = 100
_LONGEST_NAME = 255
_HINT = "the rock is damaged, or made to do harm; do not install it"


def md5_hex(data: bytes) -> str:
    """The MD5 of `data` in lower-case hex, as rock_manifest has it; LuaRocks's format, no safeguard."""
    if TYPE_CHECKING:
        from hashlib import md5
    else:
        try:
            from _md5 import md5
        except ImportError:
            from hashlib import md5
    return md5(data, usedforsecurity=False).hexdigest()


def read_rock_manifest(data: bytes, name: str) -> dict[str, str]:
    """The MD5 of every file by its path in the rock (`lua/a/b.lua`), in the order of the text.

    `name` is for messages. Raises ManifestError if the text does not load, has no such table, or names a
    file in a way that could lead out of the rock.
    """
    text = data.decode("utf-8", "surrogateescape")
    entries = _read_canonical(text)
    if entries is not None:
        return entries
    return dict(_entries(_table(data, name), "", name, 1))


def empty_directories(data: bytes, name: str) -> tuple[str, ...]:
    """The directories that a rock_manifest lists with nothing in them, sorted. Raises ManifestError."""
    if b"{}" not in data.translate(None, b" \t\r\n"):
        return ()
    table = _table(data, name)
    for _ in _entries(table, "", name, 1):
        pass  # every name is looked at
    return tuple(sorted(_empty(table, "")))


def _empty(table: LuaTable, prefix: str) -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, dict):
            if value:
                yield from _empty(value, f"{prefix}{key}/")
            else:
                yield f"{prefix}{key}"


def _table(data: bytes, name: str) -> LuaTable:
    from pumice.lua.data import Limits, evaluate

    # As many entries as an archive may have members, and their directories.
    limits = Limits(instructions=10_000_000, memory=256 << 20, fields=200_000, source=32 << 20)
    try:
        table = evaluate(data, name, limits=limits).globals.get("rock_manifest")
    except LuaDataError as error:
        raise ManifestError(f"{name} does not load: {error.message}", hint=_HINT) from error
    if not isinstance(table, dict):
        raise ManifestError(f"{name} has no table 'rock_manifest'", hint=_HINT)
    return table


def _entries(table: LuaTable, prefix: str, name: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > _DEEPEST:
        raise ManifestError(f"{name} nests directories deeper than {_DEEPEST}", hint=_HINT)
    for key, value in table.items():
        problem = _name_problem(key) if isinstance(key, str) else "is no file name"
        if problem:
            raise ManifestError(f"{name}: the entry {key!r} of '{prefix}' {problem}", hint=_HINT)
        path = f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _entries(value, path + "/", name, depth + 1)
        elif isinstance(value, str) and _is_md5(value):
            yield path, value.lower()
        else:
            raise ManifestError(f"{name}: the entry '{path}' is neither a directory nor an MD5", hint=_HINT)


def _name_problem(key: str) -> str | None:
    """Why `key` cannot be the name of one file or directory inside a rock, or None."""
    if key in ("", ".", ".."):
        return "leads out of its directory"
    if "/" in key or "\\" in key:
        return "holds a separator"
    if not key.isprintable() and any(character < " " or character == "\x7f" for character in key):
        return "holds a control character"
    if len(key) > _LONGEST_NAME or len(key.encode("utf-8", "surrogateescape")) > _LONGEST_NAME:
        return "is longer than a file name may be"
    return None


def _is_md5(value: str) -> bool:
    return len(value) == 32 and _HEX.issuperset(value)


def _read_canonical(text: str) -> dict[str, str] | None:
    """The entries of a text exactly as LuaRocks writes it, read without Lua; None for any other text.

    Whatever this accepts means the same in Lua: one entry a line, commas between, no name given twice.
    """
    lines = text.split("\n")
    if lines[0] != "rock_manifest = {" or lines[-1] != "":
        return None
    entries: dict[str, str] = {}
    directories: set[str] = {""}
    prefixes = [""]
    # An entry or a closing brace without a comma must be the last of its table.
    open_for_more = True
    for number in range(1, len(lines) - 1):
        line = lines[number].lstrip(" ")
        if line in ("}", "},"):
            prefixes.pop()
            if not prefixes:
                return entries if line == "}" and number == len(lines) - 2 else None
            open_for_more = line == "},"
            continue
        key, equals, value = line.partition(" = ")
        if not (open_for_more and equals):
            return None
        if key[:2] == '["' and key[-2:] == '"]':
            key = key[2:-2]
            if '"' in key:
                return None
        elif not (key.isascii() and key.isidentifier()) or key in KEYWORDS:
            return None
        if _name_problem(key):
            return None
        path = prefixes[-1] + key
        if value == "{":
            if path in entries or path in directories or len(prefixes) >= _DEEPEST:
                return None
            directories.add(path)
            prefixes.append(path + "/")
            continue
        open_for_more = value[-1:] == ","
        if open_for_more:
            value = value[:-1]
        if value[:1] != '"' or value[-1:] != '"' or not _is_md5(value[1:-1]):
            return None
        if path in entries or path in directories:
            return None
        entries[path] = value[1:-1].lower()
    return None


def rock_manifest_bytes(entries: Mapping[str, str], directories: Iterable[str] = ()) -> bytes:
    """The text that LuaRocks writes for these MD5s by path and empty directories, byte for byte.

    Raises ManifestError when one path is both a file and a directory.
    """
    from pumice.lua.write import format_globals

    root: LuaTable = {}
    for path, md5 in entries.items():
        *above, file = path.split("/")
        here = root
        for directory in above:
            inner = here.setdefault(directory, {})
            if not isinstance(inner, dict):
                raise ManifestError(f"'{path}' lies below a file of the same rock")
            here = inner
        if file in here:
            raise ManifestError(f"'{path}' is both a file and a directory of the same rock")
        here[file] = md5
    for path in directories:
        here = root
        for directory in path.split("/"):
            inner = here.setdefault(directory, {})
            if not isinstance(inner, dict):
                raise ManifestError(f"the directory '{path}' lies at or below a file of the same rock")
            here = inner
    return format_globals({"rock_manifest": root}).encode("utf-8", "surrogateescape")


def rock_manifest_of(rock: Rock) -> bytes:
    """The rock_manifest of a rock: its files and its rockspec, not itself."""
    entries = {file.rock_path: file.md5 for file in rock.files}
    entries[f"{rock.name}-{rock.version}.rockspec"] = md5_hex(rock.rockspec.text)
    return rock_manifest_bytes(entries, rock.directories)
