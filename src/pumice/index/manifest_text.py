"""A server's manifest read: which archs there are of which version of which rock (LuaRocks contract 6.2).

A manifest is a Lua file, yet it is never run where its size matters: the text that LuaRocks and the public
server write is divided at its own indentation, 30,000 versions in some 20 ms. Each piece between two
divisions is checked to be one key or one list of archs, so whatever is laid out in another way cannot be
misread: it falls through to the evaluator of Lua data, which has no limit of constants (contract 9, #1).
"""

from __future__ import annotations

from pumice.errors import LuaDataError, ManifestError
from pumice.rock.filename import LONGEST_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypeAlias

    Archs: TypeAlias = tuple[bytes, ...]
    Repository: TypeAlias = dict[bytes, dict[bytes, Archs]]

__all__ = ["compiled", "parse_record", "read_json_manifest", "read_manifest"]

_HEAD = b"commands = {}\nmodules = {}\nrepository = {\n   "
_TAIL = b"\n      }\n   }\n}\n"
_NEXT_ROCK = b"\n      }\n   },\n   "
_NEXT_VERSION = b"\n      },\n      "
_ITEMS_HEAD = b'{\n            arch = "'
_ITEMS_TAIL = b'"\n         }'
_NEXT_ITEM = b'"\n         }, {\n            arch = "'
_KEYWORDS = frozenset(
    b"and break do else elseif end false for function goto if in local nil not or repeat return then true"
    b" until while".split()
)
_BARE = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
_UNIT, _RECORD = b"\x1f", b"\x1e"
_CONTROLS = bytes(range(32)) + b"\x7f"
_FIELDS = ("commands", "dependencies", "modules", "repository")


def read_manifest(data: bytes, name: str) -> Repository:
    """What the manifest `data` lists; `name` is for messages.

    Raises ManifestError: `Failed loading manifest …` if it does not load, `Error checking manifest: …` if
    it is no manifest.
    """
    found = _read_canonical(data)
    if found is not None:
        return found
    from pumice.lua.data import MANIFEST, evaluate

    try:
        table = evaluate(data, name, limits=MANIFEST).globals
    except LuaDataError as error:
        raise ManifestError(
            f"Failed loading manifest for {name}: {error.message}", hint="tell whoever runs the server"
        ) from error
    return _checked(table)


def read_json_manifest(data: bytes, name: str) -> Repository:
    """What a manifest in JSON lists; an empty table may be `[]` there. Raises ManifestError."""
    import json

    try:
        table = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ManifestError(
            f"Failed loading manifest for {name}: {error}", hint="tell whoever runs the server"
        ) from error
    if not isinstance(table, dict):
        raise _wrong("type mismatch: expected an object")
    return _checked(table)


def compiled(repository: Repository) -> list[tuple[bytes, bytes]]:
    """Names and records for `format_lines`; what cannot be part of a file's name is left out."""
    records = []
    for name, versions in repository.items():
        if not _is_plain(name) or len(name) > LONGEST_NAME or b"/" in name or name in (b"", b".", b".."):
            continue
        texts = [
            version + _RECORD + _RECORD.join(archs)
            for version, archs in versions.items()
            if archs and _is_plain(version) and len(version) <= LONGEST_NAME and b"/" not in version
        ]
        if texts:
            records.append((name, _UNIT.join(texts)))
    return records


def parse_record(record: bytes) -> dict[str, tuple[str, ...]]:
    """Versions and their archs, in the manifest's order, from a record that `compiled` made."""
    found = {}
    for text in record.decode("utf-8", "surrogateescape").split("\x1f"):
        version, *archs = text.split("\x1e")
        found[version] = tuple(archs)
    return found


def _read_canonical(data: bytes) -> Repository | None:
    """The rocks of a text that is laid out as LuaRocks does it, else None."""
    if not (data.startswith(_HEAD) and data.endswith(_TAIL)):
        return None
    repository: Repository = {}
    known_items: dict[bytes, Archs] = {}
    for chunk in data[len(_HEAD) : -len(_TAIL)].split(_NEXT_ROCK):
        raw_name, mark, rest = chunk.partition(b" = {\n      ")
        name = _key(raw_name)
        if name is None or not mark:
            return None
        versions: dict[bytes, Archs] = {}
        for part in rest.split(_NEXT_VERSION):
            raw_version, mark, items = part.partition(b" = {\n         ")
            archs = known_items.get(items)
            if archs is None:
                archs = _archs(items)
                if archs is None:
                    return None
                known_items[items] = archs
            version = _key(raw_version)
            if version is None or not mark:
                return None
            versions[version] = archs
        repository[name] = versions
    return repository


def _key(raw: bytes) -> bytes | None:
    """The string that a table's key writes, where it is a plain name or a quoted one without escapes."""
    if raw[:2] in (b"['", b'["'):
        quote = raw[1:2]
        inside = raw[2:-2]
        if raw[-2:] != quote + b"]" or quote in inside or b"\\" in inside or b"\n" in inside:
            return None
        return inside
    if not raw or raw.strip(_BARE) or raw[:1].isdigit() or raw in _KEYWORDS:
        return None
    return raw


def _archs(items: bytes) -> Archs | None:
    if not (items.startswith(_ITEMS_HEAD) and items.endswith(_ITEMS_TAIL)):
        return None
    archs = tuple(items[len(_ITEMS_HEAD) : -len(_ITEMS_TAIL)].split(_NEXT_ITEM))
    if any(b'"' in arch or b"\\" in arch or not _is_plain(arch) for arch in archs):
        return None
    return archs


def _checked(table: Mapping[Any, Any]) -> Repository:
    """What an evaluated manifest lists, its types checked as LuaRocks does. Raises ManifestError."""
    from pumice.lua.data import sequence

    for field, value in table.items():
        if field not in _FIELDS:
            raise _wrong(f"Unknown field {field}")
        if not isinstance(value, dict) and value != []:
            raise _wrong(f"Type mismatch on field {field}: expected a table, got {_type_of(value)}")
    if "repository" not in table:
        raise _wrong("Missing mandatory field repository")
    repository: Repository = {}
    for name, versions in _table(table["repository"], "repository").items():
        if not isinstance(name, str):
            raise _wrong("Type mismatch on field repository: the names of rocks are strings")
        found: dict[bytes, Archs] = {}
        for version, items in _table(versions, f"repository.{name}").items():
            if not isinstance(version, str):
                raise _wrong(f"Type mismatch on field repository.{name}: versions are strings")
            archs = []
            listed = items if isinstance(items, list) else sequence(_table(items, f"{name} {version}"))
            for item in listed:
                arch = item.get("arch") if isinstance(item, dict) else None
                if not isinstance(arch, str):
                    raise _wrong(f"Missing mandatory field repository.{name}.{version}.arch")
                archs.append(_encoded(arch))
            found[_encoded(version)] = tuple(arch for arch in archs if _is_plain(arch))
        repository[_encoded(name)] = found
    return repository


def _table(value: Any, field: str) -> dict[Any, Any]:
    if value == []:
        return {}
    if not isinstance(value, dict):
        raise _wrong(f"Type mismatch on field {field}: expected a table, got {_type_of(value)}")
    return value


def _type_of(value: Any) -> str:
    from pumice.lua.data import lua_type

    return "array" if isinstance(value, list) else lua_type(value)


def _encoded(text: str) -> bytes:
    # JSON can write lone surrogates; they stand for no bytes.
    return text.encode("utf-8", "surrogateescape" if text.isascii() or _is_escaped(text) else "replace")


def _is_escaped(text: str) -> bool:
    return not any(0xD800 <= ord(sign) < 0xDC80 or 0xDCFF < ord(sign) < 0xE000 for sign in text)


def _is_plain(text: bytes) -> bool:
    return not text.translate(None, _PRINTABLE)


def _wrong(problem: str) -> ManifestError:
    return ManifestError(f"Error checking manifest: {problem}", hint="tell whoever runs the server")


_PRINTABLE = bytes(code for code in range(256) if code not in _CONTROLS)
