"""Tables as Lua text, byte for byte as LuaRocks writes them (`luarocks.persist`).

Keys sorted (numbers first, then by their bytes), three spaces a level, plain names bare, strings as `%q`
writes them or in long brackets when they hold a line break. What `%q` and `tostring` give differs between
Luas, so the Lua that LuaRocks would run on may be named; all of these texts load in every Lua.

Two places where LuaRocks writes text that does not load back are not copied: a key with a line break is
written with escapes, and a function is refused. One is: a carriage return inside a string is read back as
a line feed, as in LuaRocks.
"""

from __future__ import annotations

from pumice.errors import LuaDataError
from pumice.lua import KEYWORDS
from pumice.lua.data import lua_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from pumice.lua.data import LuaKey, LuaTable, LuaValue

    # A name, or a name with the order of the table under it.
    Order: TypeAlias = Sequence["str | tuple[str, Order]"]

__all__ = ["format_globals", "format_module", "format_value", "quote"]

_INDENT = "   "
_ESCAPES = {0: "\\000", 34: '\\"', 92: "\\\\"}
_WITH_INTEGERS = ("5.3", "5.4", "5.5")
_SMALLEST, _LARGEST = -(1 << 63), (1 << 63) - 1


def quote(text: str, *, lua: str = "5.1") -> str:
    """`text` as a Lua string: in long brackets when it holds a line break, else as `%q` of that Lua."""
    if "\n" in text or "\r" in text:
        equals = ""
        while f"]{equals}]" in text + "]":
            equals += "="
        return f"[{equals}[\n{text}]{equals}]"
    return _escaped(text, lua)


def format_value(value: LuaValue, indent: int = 0, *, order: Order = (), lua: str = "5.1") -> str:
    """A value as Lua text; a table's fields stand `indent` + 1 levels deep, those of `order` first.

    Raises LuaDataError for what cannot be written (functions).
    """
    out: list[str] = []
    _Writer(out, lua).value(value, indent, order)
    return "".join(out)


def format_globals(table: LuaTable, order: Order = (), *, lua: str = "5.1") -> str:
    """A table as global assignments, one after the other: what LuaRocks writes for manifests and rockspecs.

    Raises LuaDataError when a key is not a plain name.
    """
    out: list[str] = []
    writer = _Writer(out, lua)
    for key, below in _ordered(table, order):
        if not _is_plain(key):
            raise LuaDataError(
                f"cannot store '{_tostring(key, lua)}' as a plain key.",
                hint="only names of letters, digits and underscores can be global assignments",
            )
        out.append(f"{key} = ")
        writer.value(table[key], 0, below)
        out.append("\n")
    return "".join(out)


def format_module(table: LuaTable, *, lua: str = "5.1") -> str:
    """A table as a chunk that returns it: what LuaRocks writes for `luarocks.lock`."""
    out = ["return {\n"]
    writer = _Writer(out, lua)
    for key, _ in _ordered(table, ()):
        out.append(_INDENT)
        writer.key(key)
        writer.value(table[key], 1, ())
        out.append(",\n")
    out.append("}\n")
    return "".join(out)


class _Writer:
    """Appends Lua text to a list."""

    __slots__ = ("_lua", "_out")

    def __init__(self, out: list[str], lua: str) -> None:
        self._out = out
        self._lua = lua

    def value(self, value: LuaValue, level: int, order: Order) -> None:
        if isinstance(value, str):
            self._out.append(quote(value, lua=self._lua))
        elif isinstance(value, dict):
            self._table(value, level + 1, order)
        else:
            self._out.append(_tostring(value, self._lua))

    def key(self, key: LuaKey) -> None:
        if _is_plain(key):
            self._out.append(f"{key} = ")
        elif isinstance(key, str):
            self._out.append(f"[{_escaped(key, self._lua)}] = ")
        else:
            self._out.append(f"[{_tostring(key, self._lua)}] = ")

    def _table(self, table: LuaTable, level: int, order: Order) -> None:
        out = self._out
        if not table:
            out.append("{}")
            return
        out.append("{")
        margin = _INDENT * level
        between = "\n" + margin
        index = 1
        for key, below in _ordered(table, order):
            out.append(between)
            value = table[key]
            if key == index and key is not True:
                index += 1
            else:
                self.key(key)
            self.value(value, level, below)
            # Numbers stay on one line; so does whatever follows them.
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                between = ", "
            else:
                between = ",\n" + margin
        out.append("\n" + margin[len(_INDENT) :] + "}")


def _ordered(table: LuaTable, order: Order) -> list[tuple[LuaKey, Order]]:
    """The keys as LuaRocks sorts them, each with the order of what is under it."""
    first: list[LuaKey] = []
    belows: dict[LuaKey, Order] = {}
    for entry in order:
        name, below = (entry, ()) if isinstance(entry, str) else entry
        value = table.get(name)
        if value is not None and value is not False:
            first.append(name)
            belows[name] = below
    rest = [key for key in table if key not in belows] if first else list(table)
    try:
        bytewise = "".join(rest).isascii()  # type: ignore[arg-type]
    except TypeError:
        bytewise = False
    rest.sort(key=None if bytewise else _sort_key)
    return [(key, belows[key]) for key in first] + [(key, ()) for key in rest]


def _sort_key(key: LuaKey) -> tuple[int, float, bytes]:
    if isinstance(key, str):
        return 1, 0, key.encode("utf-8", "surrogateescape")
    if isinstance(key, bool):
        return 1, 0, b"true" if key else b"false"
    return 0, key, b""


def _is_plain(key: LuaKey) -> bool:
    return isinstance(key, str) and key.isascii() and key.isidentifier() and key not in KEYWORDS


def _escaped(text: str, lua: str) -> str:
    if text.isprintable():
        if '"' in text or "\\" in text:
            text = text.translate(_ESCAPES)
        return f'"{text}"'
    if lua == "5.1" and "\n" not in text and "\r" not in text:
        return f'"{text.translate(_ESCAPES)}"'
    out = []
    for here, after in zip(text, text[1:] + " ", strict=True):
        if here in '"\\':
            out.append("\\" + here)
        elif here < " " or here == "\x7f":
            out.append(f"\\{ord(here):03d}" if after in "0123456789" else f"\\{ord(here)}")
        else:
            out.append(here)
    return f'"{"".join(out)}"'


def _tostring(value: LuaValue, lua: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        # Before 5.3 every number is a float; beyond 64 bits it is one everywhere.
        if abs(value) < 10**14 or (lua in _WITH_INTEGERS and _SMALLEST <= value <= _LARGEST):
            return str(value)
        value = float(value)
    if isinstance(value, float):
        return _float(value, lua)
    raise LuaDataError(
        f"cannot store a {lua_type(value)} as Lua data",
        hint="only strings, numbers, booleans and tables of them can be written",
    )


def _float(value: float, lua: str) -> str:
    from math import copysign, isnan

    if isnan(value):
        return "-nan" if lua != "luajit" and copysign(1, value) < 0 else "nan"
    if lua == "5.5":
        text = f"{value:.15g}"
        if float(text) != value:
            text = f"{value:.17g}"
    else:
        text = f"{value:.14g}"
    if lua in _WITH_INTEGERS and text.lstrip("-").isdigit():
        text += ".0"
    return text
