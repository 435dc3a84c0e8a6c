"""Lua sources compiled, never run: does this file load in the Lua that will run it?

Each Lua has its own parser: the one that lupa carries for that version answers. Only the flavour asked for
is loaded. What precedes the code is skipped as the `lua` program of that version does: a first line that
starts with `#`, and a byte order mark from 5.2 on and in LuaJIT.
"""

from __future__ import annotations

from pumice.base.value import Value
from pumice.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["LUAS", "SyntaxProblem", "compile_check"]

# LuaJIT 2.1 is what every gateway runs; lupa names it by its number.
_FLAVOURS = {
    "5.1": "lua51",
    "5.2": "lua52",
    "5.3": "lua53",
    "5.4": "lua54",
    "5.5": "lua55",
    "luajit": "luajit21",
}
LUAS = tuple(_FLAVOURS)

_CHUNK_NAME = "(chunk)"
_MEMORY = 512 << 20
_LARGEST = 64 << 20  # well below the memory, since Lua aborts the process when a text itself does not fit
_SECONDS = 5

# A long text is handed over in pieces, so that a parser that takes quadratic time can be stopped between.
_COMPILE = rb"""
local load, clock, sub, tostring, pcall = load, os.clock, string.sub, tostring, pcall
local globals = _G
for name in pairs(globals) do globals[name] = nil end
return function(source, seconds)
  local at, deadline = 1, clock() + seconds
  local called, chunk, message = pcall(load, function()
    if clock() > deadline then return nil end
    local piece = sub(source, at, at + 16383)
    at = at + 16384
    return piece
  end, "=(chunk)", "t")
  if not called then message = chunk end
  if at <= #source + 1 and clock() > deadline then return "(chunk): takes too long to compile" end
  return not (called and chunk) and tostring(message) or nil
end
"""

_compilers: dict[str, Any] = {}


class SyntaxProblem(Value):
    """Why a Lua source does not compile: the file, the line (0 when the parser names none), its words."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"


def compile_check(source: bytes, lua: str, name: str) -> SyntaxProblem | None:
    """Compile `source` with the parser of `lua` (one of LUAS) and give what is wrong with it, or None.

    Precompiled code is a problem too: it cannot be checked, and loading it can crash a Lua.

    Raises UsageError for a Lua that is not known.
    """
    if lua not in _FLAVOURS:
        raise UsageError(f"unknown Lua version {lua}", hint=f"it is one of {', '.join(LUAS)}")
    code = _code_of(source, lua)
    if code.startswith(b"\x1b"):
        return SyntaxProblem(name, 0, "is precompiled Lua, not Lua source")
    if len(code) > _LARGEST:
        return SyntaxProblem(name, 0, f"has more than {_LARGEST >> 20} MiB")
    message: bytes | None = _compiler(lua)(code, _SECONDS)
    if message is None:
        return None
    text = message.decode("utf-8", "backslashreplace")
    start, _, rest = text.partition(":")
    line, _, words = rest.partition(":")
    if start == _CHUNK_NAME and line.isdigit():
        return SyntaxProblem(name, int(line), words.strip())
    return SyntaxProblem(name, 0, rest.strip() if start == _CHUNK_NAME else text)


def _code_of(source: bytes, lua: str) -> bytes:
    """What the parser gets; a skipped line leaves its end, so that lines keep their numbers."""
    code = source
    if lua != "5.1":
        code = code.removeprefix(b"\xef\xbb\xbf")
    if code.startswith(b"#"):
        end = code.find(b"\n")
        code = code[end:] if end >= 0 else b""
        if code[1:2] == b"\x1b":  # after a skipped line, too, the next byte says what the file is
            code = code[1:]
    return code


def _compiler(lua: str) -> Any:
    compiler = _compilers.get(lua)
    if compiler is None:
        from importlib import import_module

        flavour = import_module("lupa." + _FLAVOURS[lua])
        runtime = flavour.LuaRuntime(
            encoding=None,
            attribute_filter=_refuse,
            register_eval=False,
            register_builtins=False,
            unpack_returned_tuples=False,
            max_memory=_MEMORY,
        )
        compiler = _compilers[lua] = runtime.execute(_COMPILE)
    return compiler


def _refuse(_owner: object, name: object, _setting: bool) -> object:
    raise AttributeError(name)
