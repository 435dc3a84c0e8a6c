"""Lua data files give plain values; what they leave is theirs alone."""

import os
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.errors import LuaDataError
from pumice.lua.data import MANIFEST, Evaluation, Limits, LuaFunction, evaluate, lua_type, sequence


def globals_of(source, **options):
    return evaluate(source, "file.lua", **options).globals


def refusal(source, **options):
    with pytest.raises(LuaDataError) as refused:
        evaluate(source, "/a/file.lua", **options)
    assert refused.value.hint
    return refused.value.message


def test_assignments_become_a_dict():
    found = globals_of(b'package = "a"\nsource = { url = "u", [2] = true }\nlist = { "x", 1, 1.5, false }')
    assert found == {
        "package": "a",
        "source": {"url": "u", 2: True},
        "list": {1: "x", 2: 1, 3: 1.5, 4: False},
    }


def test_keys_come_in_one_order():
    found = globals_of(b"t = { b = 1, a = 2, [false] = 3, [10] = 4, [-1] = 5, [0.5] = 6, 'x', 'y' }")
    assert list(found["t"]) == [1, 2, -1, 0.5, 10, False, "a", "b"]


@pytest.mark.parametrize(
    "number", [0, -1, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**63 - 1, -(2**63), 2**62 + 12345]
)
def test_whole_numbers_of_every_width(number):
    text = b"%d" % number if number > -(2**63) else b"-9223372036854775807 - 1"
    found = globals_of(b"x = " + text + b" y = { [" + text + b"] = 1 }")
    assert found["x"] == number
    assert type(found["x"]) is int
    assert found["y"] == {number: 1}


def test_floats_stay_floats():
    found = globals_of(b"a = 1.0 b = 1e300 c = 1/0 d = 0.1 e = {[2.0] = 1}")
    assert found == {"a": 1.0, "b": 1e300, "c": float("inf"), "d": 0.1, "e": {2: 1}}
    assert type(found["a"]) is float


@pytest.mark.adversary(39)
def test_text_that_is_not_utf8_keeps_its_bytes():
    found = globals_of(b'a = "\xff\xfe" b = "\\xed\\xb2\\x80" c = "h\xc3\xa9" d = "\xed\x95\x9c"')
    assert {key: value.encode("utf-8", "surrogateescape") for key, value in found.items()} == {
        "a": b"\xff\xfe",
        "b": b"\xed\xb2\x80",
        "c": "hé".encode(),
        "d": "한".encode(),
    }
    assert found["c"] == "hé"


def test_functions_are_opaque():
    found = globals_of(b'f = function() end t = { g = f, "\xff", 2.5, 1 << 40, { } } u = true v = false')
    assert isinstance(found["f"], LuaFunction)
    assert isinstance(found["t"].pop("g"), LuaFunction)
    assert found["t"] == {1: "\udcff", 2: 2.5, 3: 1 << 40, 4: {}}
    assert (found["u"], found["v"]) == (True, False)
    assert lua_type(found["f"]) == "function"


def test_a_file_may_compute():
    source = b"""local name, parts = "x", {}
    for i = 1, 3 do parts[i] = name .. i end
    local function join(t) local s = "" for i = 1, #t do s = s .. t[i] end return s end
    result = join(parts) .. ("%s-%02d"):format("v", 3) .. ("abc"):upper():sub(2)
    sum = "10" + 5
    goto done
    result = nil
    ::done::"""
    assert globals_of(source) == {"result": "x1x2x3v-03BC", "sum": 15}


def test_string_methods_work():
    source = b"""x = ("1.2-3"):match("^(.-)%-") y = ("a.b"):gsub("%.", "/") z = ("ab"):rep(2, "-")
    w = {} for word in ("k=v,l=w"):gmatch("%w+") do w[#w + 1] = word end n = ("x"):find("x") u = ("").nothing
    f = ("<"):pack("x")"""
    with pytest.raises(LuaDataError, match="invalid format option"):
        evaluate(source.replace(b'("<")', b'("?")'), "f")
    assert globals_of(source) == {
        "x": "1.2", "y": "a/b", "z": "ab-ab", "w": {1: "k", 2: "v", 3: "l", 4: "w"}, "n": 1, "f": "",
    }  # fmt: skip


def test_undefined_names_are_recorded_in_order():
    found = evaluate(b"x = foo y = bar x = foo baz = baz", "f")
    assert found == Evaluation({}, ("foo", "bar", "baz"), None)


def test_the_returned_value_is_there():
    assert evaluate(b'return { dependencies = { a = "1-1" } }', "f").returned == {
        "dependencies": {"a": "1-1"}
    }
    assert evaluate(b'return "5.4"', "f").returned == "5.4"


def test_a_first_line_for_the_shell_is_skipped():
    assert globals_of(b"#!/usr/bin/lua\nx = 1") == {"x": 1}
    assert refusal(b"#!/usr/bin/lua\nx = = 1").startswith("Error loading file: /a/file.lua:2: ")
    assert "unexpected symbol near '#'" in refusal(b"#!/usr/bin/lua")
    assert "unexpected symbol near '#'" in refusal(b"# comment\nx = 1")


@pytest.mark.adversary(39)
def test_a_byte_order_mark_is_refused_as_luarocks_does():
    assert (
        refusal(b"\xef\xbb\xbfx = 1") == "Error loading file: /a/file.lua:1: unexpected symbol near '<\\239>'"
    )


def test_carriage_returns_end_lines():
    assert globals_of(b'x = 1\r\ny = "a\\\r\nb"\r\n') == {"x": 1, "y": "a\nb"}


def test_messages_name_file_and_line():
    assert refusal(b"x = 1\ny = = 2") == "Error loading file: /a/file.lua:2: unexpected symbol near '='"
    assert refusal(b"\n\nx = print()") == (
        "Error running file: /a/file.lua:3: attempt to call a nil value (global 'print')"
    )


def test_a_configuration_finds_what_it_is_given():
    found = globals_of(
        b'tree = home .. "/t" variables.CC = "gcc" if platforms.unix then cpu = target_cpu end\n'
        b'user = os_getenv("USER") nobody = os_getenv("NONE") dump_env()',
        given={"home": "/h\udcff", "variables": {"LD": "ld"}, "platforms": {"unix": True}, "target_cpu": "x"},
        environment={"USER": "me"},
    )
    assert found == {
        "home": "/h\udcff", "tree": "/h\udcff/t", "variables": {"LD": "ld", "CC": "gcc"},
        "platforms": {"unix": True}, "target_cpu": "x", "cpu": "x", "user": "me",
    }  # fmt: skip
    assert "'os_getenv'" in refusal(b"x = os_getenv('HOME')")


def test_a_configuration_with_string_methods_finds_them_too():
    found = globals_of(
        b'x = home:match("[^/]+$") y = os_getenv("A")', given={"home": "/a/b"}, environment={"A": "1"}
    )
    assert found == {"home": "/a/b", "x": "b", "y": "1"}


def test_only_plain_values_can_be_given():
    with pytest.raises(TypeError, match="object"):
        evaluate(b"", "f", given={"x": object()})


def test_types_have_their_lua_names():
    names = [lua_type(value) for value in (None, True, 1, 1.5, "x", {})]
    assert names == ["nil", "boolean", "number", "number", "string", "table"]


def test_a_sequence_ends_at_the_first_hole():
    assert sequence({1: "a", 2: "b", 4: "d", "n": 1}) == ["a", "b"]
    assert sequence({}) == []


@pytest.mark.adversary(37)
def test_a_manifest_of_eighty_thousand_entries_loads():
    entries = b",\n".join(b'["m%d"] = { "rock/%d-1" }' % (i, i) for i in range(80_000))
    modules = globals_of(b"modules = {\n" + entries + b"\n}\n", limits=MANIFEST)["modules"]
    assert len(modules) == 80_000
    assert modules["m79999"] == {1: "rock/79999-1"}


def as_lua(value):
    """Lua source for a value, by other means than the module under test: every byte escaped."""
    if isinstance(value, dict):
        return "{" + ",".join(f"[{as_lua(k)}]={as_lua(v)}" for k, v in value.items()) + "}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + "".join(f"\\{byte:03d}" for byte in value.encode("utf-8", "surrogateescape")) + '"'
    if isinstance(value, float):
        return value.hex()
    return f"({value})"


TEXT = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.binary(max_size=8).map(lambda some: some.decode("utf-8", "surrogateescape")),
)
NUMBER = st.one_of(st.integers(-(2**63) + 1, 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False))
VALUE = st.recursive(
    st.one_of(st.booleans(), NUMBER, TEXT),
    lambda inner: st.dictionaries(st.one_of(TEXT, st.integers(1, 9), st.just(False)), inner, max_size=5),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.dictionaries(TEXT.filter(bool), VALUE, max_size=5))
def test_every_value_arrives_as_it_is(table):
    assert evaluate(f"return {as_lua(table)}".encode(), "f").returned == table


def test_threads_may_evaluate_together():
    wrong = []

    def work(number):
        for i in range(200):
            method = b':gsub("x", "y")' if i % 50 == 0 else b""
            found = globals_of(b'a = ("%d")' % number + method)
            if found["a"] != str(number):
                wrong.append(found)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_forked_process_evaluates_on_its_own():
    """With a child of its own: the pipes of the parent's child are not its to use."""
    assert globals_of(b'x = ("a"):rep(2)') == {"x": "aa"}
    process = os.fork()
    if process == 0:
        good = globals_of(b'x = ("b"):rep(2)') == {"x": "bb"} and globals_of(b"y = 1") == {"y": 1}
        os._exit(0 if good else 1)
    assert os.waitpid(process, 0)[1] == 0
    assert globals_of(b'x = ("c"):rep(2)') == {"x": "cc"}


def test_lua_is_not_loaded_before_it_is_needed():
    code = "import sys, pumice.lua.data, pumice.lua.write, pumice.lua.compile; print('lupa' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "False\n"


def test_limits_can_be_set():
    assert refusal(b"x = 1", limits=Limits(source=4)) == (
        "/a/file.lua is 5 bytes long: more than the 4 that are read as Lua data"
    )
    assert "more than 2 fields" in refusal(b"x = { 1, 2, 3 }", limits=Limits(fields=2))
    before = time.monotonic()
    refusal(b"while true do end", limits=Limits(instructions=10**12, seconds=0.05))
    assert time.monotonic() - before < 5
