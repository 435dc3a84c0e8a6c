"""The `treesitter-parser` driver, after the README of luarocks-build-treesitter-parser.

That back-end is Lua and calls the tree-sitter CLI. All that it takes to compile a parser whose C sources are
there, as those of nearly all rocks are, is a compiler; the CLI is started only to generate them. Out come
`lib/parser/LANG.so`, the same as `parser/LANG.so` beside the rockspec, and the queries as `queries/LANG/*`.
"""

from __future__ import annotations

import os

from pumice.build.commands import run_in_sources
from pumice.build.compiler import compile_modules
from pumice.build.context import is_set
from pumice.build.modules import CModule
from pumice.errors import BuildError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.build.context import BuildContext
    from pumice.lua.data import LuaTable

__all__ = ["run_treesitter"]

_CLI = "tree-sitter"
_SCANNERS = ("scanner.c", "scanner.cc", "scanner.cpp")
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+.")


def run_treesitter(context: BuildContext) -> tuple[BuildContext, bool]:
    """Add the parser and its queries to the files; gives the context for the rest of the installation.

    The second value: whether queries have come, for which documents are not looked for.

    Raises BuildError.
    """
    build = context.build
    lang = _plain(build.get("lang"), "build.lang")
    location = build.get("location")
    if location is not None and not isinstance(location, str):
        raise BuildError("build.location must be a string")
    grammar = os.path.normpath(f"{location or '.'}/src")
    if is_set(build, "generate", False):
        _generate(context, location, grammar)
    if is_set(build, "parser", True):
        _compile(context, lang, grammar)
    queries = build.get("queries")
    if queries is None:
        return context, False
    _add_queries(context, queries, lang)
    # They stand in for a directory of that name, which is not copied as well.
    kept = {
        key: value for key, value in build.items() if key != "copy_directories" or not isinstance(value, dict)
    }
    copied = build.get("copy_directories")
    if isinstance(copied, dict):
        names = [value for _, value in sorted(copied.items(), key=lambda item: str(item[0]))]
        rest = [name for name in names if name != "queries"]
        kept["copy_directories"] = dict(enumerate(rest, 1))
    return context.replace(build=kept), True


def _generate(context: BuildContext, location: str | None, grammar: str) -> None:
    """The C sources are made from the grammar, by the CLI."""
    from pumice.base.process import find_program

    path = context.config.environment.get("PATH", os.defpath)
    if find_program(_CLI, path) is None:
        raise BuildError(
            "'tree-sitter CLI' is not installed.\n"
            f"{context.rockspec.name} requires the tree-sitter CLI to build.",
            hint="Install it (`npm install -g tree-sitter-cli` or `cargo install tree-sitter-cli`); "
            "its parser has to be generated.",
        )
    words = [_CLI, "generate", "--no-bindings"]
    abi = context.config.environment.get("TREE_SITTER_LANGUAGE_VERSION")
    if abi:
        words += ["--abi", abi]
    runtime = context.config.environment.get("TREE_SITTER_JS_RUNTIME") or "node"
    if is_set(context.build, "generate_from_json", False) or find_program(runtime, path) is None:
        words.append(f"{grammar}/grammar.json")
    elif location is not None:
        words.append(os.path.normpath(f"{location}/grammar.js"))
    run_in_sources(context, words, "Failed to generate tree-sitter grammar.")


def _compile(context: BuildContext, lang: str, grammar: str) -> None:
    parser = f"{grammar}/parser.c"
    if context.tree.file(parser, "build.location") is None:
        raise BuildError(
            f"Build error: {parser} not found",
            hint="The rock has no generated parser: set build.generate, or mend build.location.",
        )
    scanners = [
        f"{grammar}/{name}"
        for name in _SCANNERS
        if context.tree.file(f"{grammar}/{name}", "build.location") is not None
    ]
    native = any(not name.endswith(".c") for name in scanners)
    module = CModule(
        f"parser.{lang}",
        f"parser/{lang}.{context.config.lib_extension}",
        (parser, *scanners),
        libraries=("stdc++",) if native else (),
        incdirs=(grammar,),
    )
    for target, product in compile_modules(context, [module]):
        context.files.add_private(f"lib/{target}", product, True, "build.lang")
        context.files.add_private(target, product, True, "build.lang")


def _add_queries(context: BuildContext, queries: object, lang: str) -> None:
    if not isinstance(queries, dict):
        raise BuildError("build.queries must be a table of file names and texts")
    table: LuaTable = queries
    folder = os.path.join(context.work_dir, "queries")
    os.makedirs(folder, exist_ok=True)
    for name, text in table.items():
        if not isinstance(text, str):
            raise BuildError("build.queries must be a table of file names and texts")
        plain = _plain(name, "A name in build.queries")
        path = os.path.join(folder, plain)
        with open(path, "wb") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
        context.files.add_private(f"queries/{lang}/{plain}", path, False, "build.queries")


def _plain(name: object, what: str) -> str:
    if not isinstance(name, str) or not name or name.startswith((".", "-")) or not _NAME.issuperset(name):
        raise BuildError(
            f"{what} is {name!r}, which is no plain name", hint="Letters, digits and _-+. are allowed."
        )
    return name
