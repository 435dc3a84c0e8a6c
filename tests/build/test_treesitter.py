"""Rocks with tree-sitter parsers; not seen with the real CLI and the back-end in Lua, after its README."""

import ctypes
from pathlib import Path
from typing import Any

import pytest

from pumice.errors import BuildError

PARSER = '#include "tree_sitter/parser.h"\nint number(void);\nvoid *tree_sitter_demo(void) { static int x; x = number(); return &x; }\n'
FILES = {
    "src/parser.c": PARSER,
    "src/tree_sitter/parser.h": "#define DEMO 1\n",
    "src/scanner.c": '#include "tree_sitter/parser.h"\nint number(void) { return 41 + DEMO; }\n',
    "queries/old.scm": "; not ours\n",
    "README.md": "# Demo\n",
}
ROCKSPEC = """build = { type = "treesitter-parser", lang = "demo", parser = true, generate = false,
   location = nil, copy_directories = { "queries" },
   queries = { ["highlights.scm"] = [==[
(identifier) @variable
]==] } }"""


def files_of(rock: Any) -> dict[str, bytes]:
    return {file.rock_path: file.content.read() for file in rock.files}


def number_of(rock: Any, folder: Path) -> int:
    """What the parser's own function gives, called from this process."""
    path = folder / "demo.so"
    path.write_bytes(files_of(rock)["lib/parser/demo.so"])
    function = ctypes.CDLL(str(path)).tree_sitter_demo
    function.restype = ctypes.POINTER(ctypes.c_int)
    return int(function()[0])


def test_parser_and_queries_come_to_lie_where_editors_look(builder: Any, tmp_path: Path) -> None:
    rock = builder.write(FILES).build(ROCKSPEC)
    found = files_of(rock)
    assert found.keys() == {"lib/parser/demo.so", "parser/demo.so", "queries/demo/highlights.scm"}
    assert found["lib/parser/demo.so"] == found["parser/demo.so"]
    assert found["queries/demo/highlights.scm"] == b"(identifier) @variable\n"
    assert number_of(rock, tmp_path) == 42
    assert rock.arch == builder.config().arch
    assert (builder.source / "queries/old.scm").exists()


def test_without_queries_the_sources_own_are_copied(builder: Any) -> None:
    text = 'build = { type = "tree-sitter", lang = "demo", copy_directories = { "queries" } }'
    assert "queries/old.scm" in files_of(builder.write(FILES).build(text))


def test_a_scanner_may_be_cpp_and_the_grammar_deeper(builder: Any, tmp_path: Path) -> None:
    files = {f"grammars/demo/{name}": text for name, text in FILES.items() if name.startswith("src/")}
    del files["grammars/demo/src/scanner.c"]
    files["grammars/demo/src/scanner.cc"] = (
        '#include <string>\nextern "C" int number(void) { return std::to_string(12345678).size(); }\n'
    )
    text = 'build = { type = "treesitter-parser", lang = "demo", location = "grammars/demo" }'
    assert number_of(builder.write(files).build(text), tmp_path) == 8


def test_a_rock_of_queries_alone_is_for_every_machine(builder: Any) -> None:
    rock = builder.write({"README.md": "x"}).build(ROCKSPEC.replace("parser = true", "parser = false"))
    assert (rock.arch, list(files_of(rock))) == ("all", ["queries/demo/highlights.scm"])


def test_only_what_has_to_be_generated_needs_the_cli(builder: Any, tmp_path: Path) -> None:
    files = {name: text for name, text in FILES.items() if name != "src/parser.c"}
    generated = ROCKSPEC.replace("generate = false", "generate = true")
    builder.write(files)
    with pytest.raises(BuildError, match="requires the tree-sitter CLI") as caught:
        builder.build(generated, environment={"PATH": "/usr/bin:/bin"})
    assert "tree-sitter-cli" in caught.value.hint
    with pytest.raises(BuildError, match=r"src/parser\.c not found"):
        builder.build(ROCKSPEC)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "source.c").write_text(PARSER)
    cli = programs / "tree-sitter"
    cli.write_text(f'#!/bin/sh\necho "$@" > asked\ncp {programs}/source.c src/parser.c\n')
    cli.chmod(0o755)
    environment = {"PATH": f"{programs}:/usr/bin:/bin", "TREE_SITTER_LANGUAGE_VERSION": "14"}
    environment["TREE_SITTER_JS_RUNTIME"] = "no-such-runtime"
    assert number_of(builder.build(generated, environment=environment), tmp_path) == 42
    asked = (builder.source / "asked").read_text()
    assert asked == "generate --no-bindings --abi 14 src/grammar.json\n"


@pytest.mark.parametrize(
    "change",
    [
        ('lang = "demo"', 'lang = "../demo"'),
        ('lang = "demo",', ""),
        ('"highlights.scm"', '"../../x"'),
        ('"highlights.scm"', "1"),
        ("location = nil", 'location = "../.."'),
        ("location = nil", "location = 1"),
        ("queries = {", 'queries = "x", other = {'),
    ],
)
def test_what_leads_elsewhere_is_refused(builder: Any, change: tuple[str, str]) -> None:
    with pytest.raises(BuildError):
        builder.write(FILES).build(ROCKSPEC.replace(*change))
