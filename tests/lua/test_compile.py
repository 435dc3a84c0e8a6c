"""Sources compile in the Lua that will run them, and never run."""

import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pumice.errors import UsageError
from pumice.lua.compile import LUAS, SyntaxProblem, compile_check

REAL = {"5.1": "lua5.1", "5.2": "lua5.2", "5.3": "lua5.3", "5.4": "lua5.4", "luajit": "luajit"}


def accepted_by(source):
    return {lua for lua in LUAS if compile_check(source, lua, "f.lua") is None}


def test_a_good_source_has_no_problem():
    assert accepted_by(b"local a = 1\nreturn function(...) return a, ... end\n") == set(LUAS)
    assert accepted_by(b"") == set(LUAS)


def test_a_problem_names_file_line_and_words():
    for lua in LUAS:
        problem = compile_check(b"local a = 1\n\nlocal b = = 2\n", lua, "/a/f.lua")
        assert problem == SyntaxProblem("/a/f.lua", 3, "unexpected symbol near '='")
        assert str(problem) == "/a/f.lua:3: unexpected symbol near '='"


def test_each_lua_has_its_own_syntax():
    assert accepted_by(b"goto a\n::a::") == {"5.2", "5.3", "5.4", "5.5", "luajit"}
    assert accepted_by(b"return 7 // 2 | 1 << 3") == {"5.3", "5.4", "5.5"}
    assert accepted_by(b"local x <const> = 1") == {"5.4", "5.5"}
    assert accepted_by(b"global x = 1") == {"5.5"}
    assert accepted_by(b"local goto = 1") == {"5.1", "luajit"}
    assert accepted_by(b"return 10ULL") == {"luajit"}
    assert accepted_by(b'return "\\q"') == {"5.1"}


def test_the_first_line_is_skipped_as_the_program_does():
    assert accepted_by(b"#!/usr/bin/lua\nreturn 1") == set(LUAS)
    assert accepted_by(b"# anything") == set(LUAS)
    assert accepted_by(b"\xef\xbb\xbfreturn 1") == set(LUAS) - {"5.1"}
    assert accepted_by(b"\xef\xbb\xbf#!/usr/bin/lua\nreturn 1") == set(LUAS) - {"5.1"}
    for lua in LUAS:
        problem = compile_check(b"#!/usr/bin/lua\nx = ", lua, "f")
        assert problem is not None
        assert problem.line == 2


@pytest.mark.adversary(36)
@pytest.mark.parametrize("code", [b"\x1bLua", b"\x1bLJ\x02", b"#!/usr/bin/lua\n\x1bLua", b"#\n\x1bLJ"])
def test_precompiled_code_is_a_problem(code):
    for lua in LUAS:
        assert compile_check(code, lua, "f") == SyntaxProblem("f", 0, "is precompiled Lua, not Lua source")


def test_nothing_runs():
    for lua in LUAS:
        assert compile_check(b"while true do end error('ran') os.exit(1)", lua, "f") is None


def test_an_unknown_lua_is_refused():
    with pytest.raises(UsageError, match=r"unknown Lua version 5\.6"):
        compile_check(b"", "5.6", "f")


def test_text_that_is_not_utf8_can_be_shown():
    problem = compile_check(b"x = \xff", "5.1", "f")
    assert problem is not None
    problem.message.encode("utf-8")


def test_a_large_source_keeps_its_lines():
    for lua in LUAS:
        problem = compile_check(b"x = 1 -- a line\n" * 50_000 + b"y = = 1", lua, "f")
        assert problem is not None
        assert problem.line == 50_001


@pytest.mark.sweep
def test_a_source_that_cannot_fit_is_a_problem():
    for lua in LUAS:
        assert compile_check(b" " * (64 << 20), lua, "f") is None
        assert compile_check(b" " * ((64 << 20) + 1), lua, "f") == SyntaxProblem(
            "f", 0, "has more than 64 MiB"
        )
        assert compile_check(b"x = '" + b"a" * (60 << 20) + b"'", lua, "f") in (
            None,
            SyntaxProblem("f", 0, "not enough memory"),
        )


@pytest.mark.adversary(34)
@pytest.mark.parametrize("lua", LUAS)
def test_deep_syntax_is_a_problem(lua):
    for opening in (b"(", b"{", b"function() return ", b"-", b"a."):
        assert compile_check(b"x = " + opening * 100_000, lua, "f") is not None


@pytest.mark.sweep
def test_a_parser_that_takes_quadratic_time_is_stopped():
    """Limit: 5 s of CPU."""
    before = time.process_time()
    problem = compile_check(b"x = " + b"a or " * 300_000 + b"a", "5.1", "f")
    assert time.process_time() - before < 50
    assert problem is None or problem.message == "takes too long to compile"


def test_only_the_flavour_asked_for_is_loaded():
    code = (
        "import sys; from pumice.lua.compile import compile_check; compile_check(b'', 'luajit', 'f');"
        "print([name for name in sys.modules if name.startswith('lupa.lua')])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "['lupa.luajit21']\n"


# fmt: off
PIECES = [
    "x", "y", "=", "==", "(", ")", "{", "}", "[", "]", ",", ";", ":", "::", ".", "..", "...", "+", "-",
    "*", "/", "//", "%", "^", "#", "&", "|", "~", "<<", ">>", "<", ">", "'a'", "\"b\"", "[[c]]", "1",
    "0x1p1", "1e9", "nil", "true", "and", "or", "not", "if", "then", "else", "elseif", "end", "while",
    "do", "for", "in", "repeat", "until", "function", "local", "return", "break", "goto", "<const>",
    "'\\x41'", "'\\q'", "1LL", "x=1", "do end", "'\\z '", "\n", " --c\n", "\t",
]
# fmt: on


@pytest.mark.peer
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    sources=st.lists(st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join), min_size=50, max_size=150)
)
def test_the_real_parsers_agree(sources, real_lua, tmp_path_factory):
    """Accepted by both or by neither, with the same words at the same line."""
    folder = tmp_path_factory.mktemp("parsers")
    listed = folder / "sources.lua"
    coded = ",\n".join('"' + "".join(f"\\{byte:03d}" for byte in text.encode()) + '"' for text in sources)
    listed.write_text(f"return {{{coded}}}")
    script = (
        "for _, text in ipairs(dofile(arg[0])) do\n"
        "local _, message = (loadstring or load)(text, '=f')\n"
        "io.write((message or 'good'):gsub('\\n', ' '), '\\n') end"
    )
    program = folder / "parse.lua"
    program.write_text(script.replace("arg[0]", f"{str(listed)!r}"))
    for lua, name in REAL.items():
        shown = subprocess.run([real_lua(name), str(program)], capture_output=True, check=True, timeout=60)
        expected = shown.stdout.decode().splitlines()
        problems = [compile_check(text.encode(), lua, "f") for text in sources]
        actual = [str(problem).replace("\n", " ") if problem else "good" for problem in problems]
        odd = [
            (text, want, got)
            for text, want, got in zip(sources, expected, actual, strict=True)
            if want != got and not text.startswith("#")
        ]
        assert odd == []
