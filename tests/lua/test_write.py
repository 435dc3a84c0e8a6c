"""Tables become the very text that LuaRocks writes."""

import os
import random
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pumice.errors import LuaDataError
from pumice.lua.data import LuaFunction, evaluate
from pumice.lua.write import format_globals, format_module, format_value, quote

ORACLE = Path(__file__).with_name("persist_values.lua")
REAL = ["lua5.1", "lua5.2", "lua5.3", "lua5.4", "luajit"]


def test_strings_are_quoted():
    assert quote("plain") == '"plain"'
    assert quote('say "hi" \\ there') == '"say \\"hi\\" \\\\ there"'
    assert quote("tab\there\0and\x7f") == '"tab\there\\000and\x7f"'
    assert quote("tab\there\0and\x7f1", lua="5.4") == '"tab\\9here\\0and\\1271"'
    assert quote("\x011", lua="5.2") == '"\\0011"'


def test_lines_stand_in_long_brackets():
    assert quote("a\nb") == "[[\na\nb]]"
    assert quote("a]]\nb]=]") == "[==[\na]]\nb]=]]==]"
    assert quote("a\nb]") == "[=[\na\nb]]=]"


def test_a_table_is_indented_by_three():
    table = {
        "b": {1: "x", 2: "y", "k": {}},
        "a-b": 1,
        "end": True,
        3: "z",
        "n": {1: 5, 2: 1, "string": "5.1"},
    }
    assert format_value(table) == (
        '{\n   [3] = "z",\n   ["a-b"] = 1, b = {\n      "x",\n      "y",\n      k = {}\n   },\n'
        '   ["end"] = true,\n   n = {\n      5, 1, string = "5.1"\n   }\n}'
    )


def test_globals_follow_an_order():
    table = {"version": "1-1", "package": "p", "build": {"type": "b", "modules": {}, "a": 1}, "off": False}
    order = ["package", "off", ("build", ["type", "modules"]), "absent"]
    assert format_globals(table, order) == (
        'package = "p"\nbuild = {\n   type = "b",\n   modules = {},\n   a = 1\n}\n'
        'off = false\nversion = "1-1"\n'
    )


def test_a_module_returns_its_table():
    assert format_module({"dependencies": {"a.b": "1-1"}, 1: 2}) == (
        'return {\n   [1] = 2,\n   dependencies = {\n      ["a.b"] = "1-1"\n   },\n}\n'
    )


def test_only_plain_names_are_globals():
    for name in ("a-b", "end", "goto", "1a", "", "é", 1, True):
        with pytest.raises(LuaDataError, match="as a plain key"):
            format_globals({name: 1})


def test_a_function_is_refused():
    with pytest.raises(LuaDataError, match="cannot store a function"):
        format_value({"f": LuaFunction()})


def test_a_key_with_a_line_break_loads_back():
    """LuaRocks writes `[[[`, which no Lua reads."""
    table = {"a\nb": 1, "c\r1": {"\n": "\n"}}
    for lua in ("5.1", "5.4"):
        text = f"return {format_value(table, lua=lua)}"
        assert evaluate(text.encode(), "f").returned == table


@pytest.mark.parametrize(
    ("number", "text_51", "text_54", "text_55"),
    [
        (1, "1", "1", "1"),
        (1.0, "1", "1.0", "1.0"),
        (-0.0, "-0", "-0.0", "-0.0"),
        (0.1, "0.1", "0.1", "0.1"),
        (1 / 3, "0.33333333333333", "0.33333333333333", "0.33333333333333331"),
        (10**14, "1e+14", "100000000000000", "100000000000000"),
        (2**63 - 1, "9.2233720368548e+18", "9223372036854775807", "9223372036854775807"),
        (2**70, "1.1805916207174e+21", "1.1805916207174e+21", "1.1805916207174113e+21"),
        (1e100, "1e+100", "1e+100", "1e+100"),
        (float("inf"), "inf", "inf", "inf"),
        (float("-inf"), "-inf", "-inf", "-inf"),
    ],
)
def test_numbers_are_written_as_each_lua_does(number, text_51, text_54, text_55):
    assert [format_value(number, lua=lua) for lua in ("5.1", "5.4", "5.5")] == [text_51, text_54, text_55]


def test_numbers_are_written_as_lua_55_does():
    """No program of 5.5 is installed: the one in lupa answers."""
    import lupa.lua55

    tostring = lupa.lua55.LuaRuntime(register_eval=False).globals().tostring
    for number in (0.1, 1 / 3, 1.0, -2.5, 1e15, 1e16, 2.0**53, 123456789.125, 5e-324, 1e100, 7, -(2**63)):
        assert format_value(number, lua="5.5") == tostring(number)


def as_lua(value):
    """Lua source for a value that every Lua reads alike: each byte of a string escaped."""
    if isinstance(value, dict):
        return "{" + ",".join(f"[{as_lua(k)}]={as_lua(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "{" + ",".join(as_lua(item) for item in value) + "}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + "".join(f"\\{byte:03d}" for byte in value.encode("utf-8", "surrogateescape")) + '"'
    return f"({value!r})"


def by_luarocks(lua, cases, folder):
    """What LuaRocks writes for many (kind, value, order), one process."""
    source, answers = folder / "cases.lua", folder / "texts"
    source.write_text("return {" + ",\n".join(as_lua(case) for case in cases) + "}", encoding="ascii")
    environment = {"LUA_PATH": "/usr/share/lua/5.1/?.lua;;", "PATH": os.environ["PATH"]}
    subprocess.run([lua, str(ORACLE), str(source), str(answers)], check=True, env=environment, timeout=60)
    text, at, found = answers.read_bytes(), 0, []
    while at < len(text):
        end = text.index(b"\n", at)
        size = int(text[at:end])
        at = end + 1 + max(size, 0)
        found.append(text[end + 1 : at].decode("utf-8", "surrogateescape") if size >= 0 else None)
    return found


def by_us(lua, case):
    kind, value, order = case
    version = lua.removeprefix("lua") if lua != "luajit" else lua
    if kind == "value":
        return format_value(value, lua=version)
    if kind == "module":
        return format_module(value, lua=version)
    try:
        return format_globals(value, order, lua=version)
    except LuaDataError:
        return None


AWKWARD = [
    "", "a", "end", "a.b", "é", "]]", "a]\n", "x]=]\r\n]]", '"\\', "\t\x001", "\x7f", "\udcff\udc80", "_",
]  # fmt: skip
LETTERS = "ab_01 .-]=[\\\"'\t\x01\x7fé한\n\r"


class Cases:
    """Random values; hypothesis draws the seed, since it would take minutes to draw this many values."""

    def __init__(self, seed):
        self.chance = random.Random(seed)

    def text(self):
        if self.chance.random() < 0.3:
            return self.chance.choice(AWKWARD)
        return "".join(self.chance.choices(LETTERS, k=self.chance.randrange(7)))

    def key(self):
        """Without line breaks, where LuaRocks writes what does not load."""
        return self.text().replace("\n", "").replace("\r", "")

    def number(self):
        kind = self.chance.randrange(4)
        if kind == 0:
            return self.chance.randrange(-(10**14) + 1, 10**14)
        if kind == 1:
            return self.chance.randrange(-5, 100)
        # Never a negative zero: Lua 5.1 takes it for the constant 0.
        return self.chance.uniform(-1, 1) * 10.0 ** self.chance.randrange(-300, 300) + 0.0

    def scalar(self):
        return self.chance.choice([self.text, self.text, self.number, lambda: self.chance.random() < 0.5])()

    def table(self, depth=0):
        def item():
            return self.table(depth + 1) if depth < 4 and self.chance.random() < 0.3 else self.scalar()

        found = {index: item() for index in range(1, self.chance.randrange(5))}
        for _ in range(self.chance.randrange(5)):
            found[self.chance.randrange(-3, 9) if self.chance.random() < 0.2 else self.key()] = item()
        return found

    def order(self):
        names = [
            self.chance.choice(["a", "b", "_", "a.b", self.key()]) for _ in range(self.chance.randrange(4))
        ]
        return [(name, [self.key(), "a"]) if self.chance.random() < 0.3 else name for name in names]

    def case(self):
        kind = self.chance.choice(["value", "module", "globals"])
        if kind == "value":
            return kind, self.chance.choice([self.scalar, self.table])(), []
        if kind == "module":
            return kind, self.table(), []
        names = [f"{self.chance.choice('abc_')}{self.chance.choice(['', 'x', '1'])}" for _ in range(4)]
        if self.chance.random() < 0.1:
            names.append(self.key())
        return kind, {name: self.chance.choice([self.scalar, self.table])() for name in names}, self.order()


@pytest.mark.peer
@pytest.mark.parametrize("lua", REAL)
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_any_value_is_written_as_luarocks_writes_it(lua, real_lua, tmp_path_factory, seed):
    made = Cases(seed)
    cases = [made.case() for _ in range(400)]
    expected = by_luarocks(real_lua(lua), cases, tmp_path_factory.mktemp("persist"))
    wrong = [
        (case, theirs, ours)
        for case, theirs in zip(cases, expected, strict=True)
        if theirs != (ours := by_us(lua, case))
    ]
    assert wrong[:1] == []


@pytest.mark.peer
@pytest.mark.corpus
@pytest.mark.parametrize("lua", ["lua5.1", "lua5.4"])
def test_real_rockspecs_are_written_as_luarocks_writes_them(lua, real_lua, corpus, tmp_path):
    cases = []
    for name, source in list(corpus.items())[::20]:
        found = evaluate(source, name).globals
        cases.append(
            ("globals", found, ["package", "version", ("source", ["url"]), ("build", ["type", "modules"])])
        )
    assert by_luarocks(real_lua(lua), cases, tmp_path) == [by_us(lua, case) for case in cases]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_what_is_written_loads_back(seed):
    made = Cases(seed)
    for _ in range(50):
        table = made.table()
        for lua in ("5.1", "5.4"):
            text = f"return {format_value(table, lua=lua)}".encode("utf-8", "surrogateescape")
            assert rounded(evaluate(text, "f").returned) == rounded(table)


def rounded(value):
    """What a text keeps: 14 digits of a float, and line feeds for carriage returns in long brackets."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, str):
        return re.sub(r"\r\n|\n\r|\r|\n", "\n", f"\n{value}")[1:]
    if isinstance(value, float):
        return float(f"{value:.14g}")
    return value
