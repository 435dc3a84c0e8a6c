"""Variables and their substitution, beside LuaRocks's own."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pumice.build.variables import Variables, rock_variables
from pumice.lua.interpreter import Interpreter
from pumice.lua.write import quote

KNOWN = {"FOO": "foo", "A1": "$(FOO)", "_X": "no", "NESTED": "a $(UNKNOWN) b", "EMPTY": ""}


def variables(builder: Any, **own: str) -> Variables:
    return Variables(builder.config(), builder.messages, own)


@pytest.mark.parametrize(
    ("text", "result", "unmatched"),
    [
        ("plain", "plain", []),
        ("$(FOO)-$(FOO)", "foo-foo", []),
        ("$(EMPTY)x", "x", []),
        ("$(NOPE)x$(NO2)", "x", ["NOPE", "NO2"]),
        ("$(A1)", "", ["FOO"]),
        ("$(NESTED)", "a  b", ["UNKNOWN"]),
        ("$(F) $() $FOO $(1A) $(_X)", "$(F) $() $FOO $(1A) $(_X)", []),
    ],
)
def test_substitution(builder: Any, text: str, result: str, unmatched: list[str]) -> None:
    assert variables(builder, **KNOWN).substitute(text) == result
    assert builder.messages.of("warning") == [f"unmatched variable {name}" for name in unmatched]


def test_the_interpreter_is_looked_for_only_when_asked(builder: Any) -> None:
    given_one = Interpreter("/opt/lua/bin/lua5.1", "5.1", None, "/opt/lua")
    known = Variables(builder.config(), builder.messages, {}, given_one)
    assert known.substitute("$(LUA) $(LUA_DIR) $(LUA_BINDIR)") == "/opt/lua/bin/lua5.1 /opt/lua /opt/lua/bin"


def test_the_configuration_wins_over_the_defaults_and_the_rock_over_both(builder: Any) -> None:
    config = builder.config(variables={"CC": "clang", "PREFIX": "/usr"}, environment={"CC": "tcc"})
    known = Variables(config, builder.messages, {"PREFIX": "/rock"})
    assert known.substitute("$(CC) $(LD) $(PREFIX)") == "clang tcc /rock"


def test_the_variables_of_a_rock(builder: Any) -> None:
    text = 'build = { type = "none" }'
    own = rock_variables(builder.rockspec(text), builder.config(), "/r", {"lua-cjson": "/c"})
    assert own == {
        "PREFIX": "/r",
        "LUADIR": "/r/lua",
        "LIBDIR": "/r/lib",
        "BINDIR": "/r/bin",
        "CONFDIR": "/r/conf",
        "DOCDIR": "/r/doc",
        "ROCKS_TREE": f"{builder.tree}/lib/luarocks/rocks-5.1",
        "SCRIPTS_DIR": f"{builder.tree}/bin",
    }
    late = rock_variables(
        builder.rockspec('rockspec_format = "3.1" ' + text), builder.config(), "/r", {"lua-cjson": "/c"}
    )
    assert (late["LUA-CJSON_ROCKDIR"], late["LUA_VERSION"]) == ("/c", "5.1")


@pytest.mark.peer
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(st.sampled_from("$()FOOA1N_ X"), max_size=12), min_size=20, max_size=40))
def test_luarocks_substitutes_the_same(builder: Any, tmp_path: Path, texts: list[str]) -> None:
    table = ", ".join(quote(text) for text in texts)
    values = ", ".join(f"{name} = {quote(value)}" for name, value in KNOWN.items())
    script = (
        f"local t = {{ {table} }}\n"
        f"require('luarocks.util').variable_substitutions(t, {{ {values} }})\n"
        "for _, v in ipairs(t) do print(v) end"
    )
    real = subprocess.run(["lua5.1", "-"], input=script, capture_output=True, text=True, check=True).stdout
    known = Variables(builder.config(), builder.messages, KNOWN)
    assert [known.substitute(text) for text in texts] == real.split("\n")[:-1]
