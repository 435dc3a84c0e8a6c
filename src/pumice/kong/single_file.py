"""`fold`: a plugin of several modules becomes one handler.lua and one schema.lua (Kong contract 4.11).

Each module stays a function of its own, with its name as `...` and with the limits of a chunk; a `require`
that only these functions see gives them each other, loaded once and in the order in which they are asked for,
and asks the gateway for everything else. The modules of the handler and those of the schema are two sets.
"""

from __future__ import annotations

import re

from pumice.base.value import Value
from pumice.errors import CheckError
from pumice.kong.plugin_files import PluginFiles
from pumice.kong.requires import required_modules
from pumice.lua.compile import compile_check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Folded", "LuaSource", "Span", "code_alone", "fold", "place_in"]

_UNSURE = (
    (re.compile(rb"(?<![.:\w])(?<!function )module\s*[(\"]"), "calls module(), which makes globals"),
    (
        re.compile(rb"(?<![.:\w])package\s*(\[|\.\s*(loaded|preload|loaders|searchers|searchpath|seeall)\b)"),
        "looks for modules in the table `package`, where folded ones are not",
    ),
    (re.compile(rb"\b_G\s*\.\s*require\b"), "uses _G.require, which does not see folded modules"),
    (re.compile(rb"\bdebug\s*\.\s*(sethook|getlocal|setlocal)\b"), "looks at the stack of its callers"),
)
"""What a module may do, outside of strings and comments, that would not be the same when it is folded."""
_NO_CODE = re.compile(
    rb"--\[(?P<comment>=*)\[.*?\](?P=comment)\]|--[^\n]*"
    rb"|(?P<string>\[(?P<level>=*)\[.*?\](?P=level)\]|\"(?:\\.|[^\\\n\"])*\"|'(?:\\.|[^\\\n'])*')",
    re.DOTALL,
)
_QUIETLY_REQUIRED = re.compile(rb"\brequire\s*,\s*([\"'])([\w./-]+)\1")
"""`pcall(require, "x")`."""
_HARMLESS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_ANY_REQUIRE = re.compile(rb"\brequire\b")

_HEAD = """\
local require, {define} = (function(outside)
  local chunks, loaded, running = {{}}, {{}}, {{}}
  local function define(name, chunk)
    chunks[name] = chunk
  end
  local function require(name)
    local chunk = chunks[name]
    if not chunk then
      return outside(name)
    end
    local value = loaded[name]
    if value == running then
      error("loop or previous error loading module '" .. name .. "'", 2)
    end
    if value then
      return value
    end
    loaded[name] = running
    value = chunk(name)
    if value == nil then
      value = true
    end
    loaded[name] = value
    return value
  end
  return require, define
end)(require)
"""


class LuaSource(Value):
    """A module's text, and what people call its file."""

    path: str
    text: bytes


class Span(Value):
    """Lines of a folded file that are the lines of a module, one for one."""

    file: str
    """`handler.lua` or `schema.lua`."""
    first: int
    last: int
    module: str
    path: str


class Folded(Value):
    """The plugin as two files, and which lines came from where."""

    plugin: PluginFiles
    spans: tuple[Span, ...]


def fold(
    plugin: PluginFiles, modules: Mapping[str, LuaSource], c_modules: frozenset[str] = frozenset()
) -> Folded:
    """The plugin with all that it requires of `modules` in its two files.

    `modules` and `c_modules` are those of its rock and of its dependencies, by name. A part that requires
    none of them stays as it is. Raises CheckError for a plugin with files that Kong loads by name, or
    with code that would not do the same when folded.
    """
    if plugin.loaded_by_kong:
        raise CheckError(
            f"{plugin.name} cannot be folded: Kong loads {plugin.loaded_by_kong[0]} by its name",
            hint="A plugin with entities or endpoints of its own ships as a rock, a tar or an image.",
        )
    files: dict[str, bytes] = {}
    spans: list[Span] = []
    for part in ("handler", "schema"):
        main = f"kong.plugins.{plugin.name}.{part}"
        text, found = _fold_part(f"{part}.lua", main, modules, c_modules)
        files[f"{part}.lua"] = text
        spans += found
    return Folded(PluginFiles(plugin.name, plugin.version, files), tuple(spans))


def place_in(spans: tuple[Span, ...], file: str, line: int) -> tuple[str, int] | None:
    """The path and line that a line of a folded file came from; None for the lines between modules."""
    for span in spans:
        if span.file == file and span.first <= line <= span.last:
            return span.path, line - span.first + 1
    return None


def _fold_part(
    file: str, main: str, modules: Mapping[str, LuaSource], c_modules: frozenset[str]
) -> tuple[bytes, list[Span]]:
    names = _closure(main, modules)
    for name in names:
        for requirement in required_modules(modules[name].text):
            if requirement.module in c_modules:
                raise CheckError(
                    f"{modules[name].path}:{requirement.line} requires {requirement.module}, a C module, "
                    "which no Lua file can hold",
                    hint="Ship it with its modules: as a rock, a tar or an image.",
                )
    if len(names) == 1:
        source = modules[main]
        return source.text, [Span(file, 1, _line_count(source.text), main, source.path)]
    for name in names:
        _refuse_unsure(modules[name])
    define = _unused_name(modules[name].text for name in names)
    bodies = {name: _body(modules[name].text) for name in names}
    helper = _HEAD.format(define=define).encode()
    intro = f"-- {main} with its modules, folded by Pumice. Their lines in this file:\n".encode()
    # a line for each module, then the helper; before each body stands the line that opens its function
    at = 1 + len(names) + helper.count(b"\n") + 1
    spans = []
    for name in names:
        lines = _line_count(bodies[name])
        spans.append(Span(file, at + 1, at + lines, name, modules[name].path))
        at += lines + 2
    table = b"".join(f"--   {span.first}-{span.last}  {_printable(span.path)}\n".encode() for span in spans)
    parts = [intro, table, helper]
    for name in names:
        parts.append(f"{define}({_lua_string(name)}, function(...)\n".encode() + bodies[name] + b"end)\n")
    parts.append(f"return require({_lua_string(main)})\n".encode())
    text = b"".join(parts)
    problem = compile_check(text, "luajit", file)
    if problem is not None:
        raise CheckError(
            f"{main} cannot be folded: {problem}",
            hint="Ship it with its modules: as a rock, a tar or an image.",
        )
    return text, spans


def _closure(main: str, modules: Mapping[str, LuaSource]) -> list[str]:
    """`main` and what it leads to among `modules`, in the order of their first mention; `main` first.

    A name that is put together at run time may be any module of the plugin: then all of them come along, but
    for the other part, which only a literal name brings.
    """
    own = main.rpartition(".")[0] + "."
    found: list[str] = []
    waiting = [main]
    while waiting:
        name = waiting.pop(0)
        if name in found or name not in modules:
            continue
        found.append(name)
        text = modules[name].text
        literal = [each.module for each in required_modules(text)]
        quiet = [match[2].decode() for match in _QUIETLY_REQUIRED.finditer(text)]
        waiting += [*literal, *quiet]
        if len(_ANY_REQUIRE.findall(code_alone(text))) > len(literal) + len(quiet):
            waiting += [
                each
                for each in sorted(modules)
                if each.startswith(own) and each not in (own + "handler", own + "schema")
            ]
    return found


def _refuse_unsure(source: LuaSource) -> None:
    code = code_alone(source.text)
    for pattern, what in _UNSURE:
        match = pattern.search(code)
        if match is not None:
            line = code.count(b"\n", 0, match.start()) + 1
            raise CheckError(
                f"{source.path}:{line} cannot be folded: it {what}",
                hint="Ship it with its modules: as a rock, a tar or an image.",
            )
    problem = compile_check(source.text, "luajit", source.path)
    if problem is not None:
        raise CheckError(f"{problem}", hint="Mend the syntax; LuaJIT runs it in the gateway.")


def code_alone(text: bytes) -> bytes:
    """The source without what stands in its strings and comments; lines keep their numbers."""

    def blank(match: re.Match[bytes]) -> bytes:
        lines = b"\n" * match[0].count(b"\n")
        return b'"' + lines + b'"' if match["string"] is not None else b" " + lines

    return _NO_CODE.sub(blank, text)


def _body(text: bytes) -> bytes:
    """The chunk as it may stand in a function: no byte order mark, no first line with `#`, a line end."""
    body = text.removeprefix(b"\xef\xbb\xbf")
    if body.startswith(b"#"):
        body = body[body.find(b"\n") :] if b"\n" in body else b""
    return body if body.endswith(b"\n") else body + b"\n"


def _line_count(text: bytes) -> int:
    return text.count(b"\n") + (not text.endswith(b"\n"))


def _unused_name(texts: Iterable[bytes]) -> str:
    """A name for the helper that no module mentions."""
    everything = b"\n".join(texts)
    name = "folded"
    while name.encode() in everything:
        name += "_"
    return name


def _lua_string(text: str) -> str:
    data = text.encode("utf-8", "surrogateescape")
    return '"' + "".join(chr(b) if chr(b) in _HARMLESS else f"\\{b:03d}" for b in data) + '"'


def _printable(path: str) -> str:
    return path if path.isprintable() and path.isascii() else ascii(path)[1:-1]
