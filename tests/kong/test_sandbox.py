"""Plugin code is loaded where it can do no harm: whatever it does, a report comes in bounded time."""

import os
import time
from pathlib import Path

import pytest

from pumice.errors import CheckError, PumiceError
from pumice.kong.loaded import Job, Loaded, Member, Opaque, Outcome
from pumice.kong.sandbox import ModuleSource, Sandbox, load_modules


def load(handler: str, *, schema: str = "return { name = 'x' }", **options: object) -> Outcome:
    """The outcome of a handler `h` and a schema `s` of these texts."""
    modules = {"h": ModuleSource("h.lua", handler.encode()), "s": ModuleSource("s.lua", schema.encode())}
    sandbox = Sandbox(modules=modules, seconds=10.0).replace(**options)
    return load_modules([Job("handler", "h"), Job("schema", "s")], sandbox)


def first(handler: str, **options: object) -> Loaded:
    outcome = load(handler, **options)
    assert outcome.failure is None
    return outcome.loaded[0]


def test_a_handler_tells_priority_version_and_functions() -> None:
    loaded = first("local H = { PRIORITY = 5, VERSION = '1.0' } function H:log() end H.x = 1 return H")
    assert loaded.error is None
    assert loaded.type == "table"
    assert loaded.priority == Member("number", "5", True)
    assert loaded.version == Member("string", "1.0", False)
    assert loaded.functions == ("log",)


def test_what_a_handler_inherits_counts() -> None:
    loaded = first(
        "local Base = { VERSION = '1.0.0' } function Base:log() end "
        "return setmetatable({ PRIORITY = 1 }, { __index = Base })"
    )
    assert loaded.version == Member("string", "1.0.0", False)
    assert loaded.functions == ("log",)


@pytest.mark.parametrize(
    ("value", "text", "integral"),
    [
        ("1.5", "1.5", False),
        ("0/0", "nan", False),
        ("1/0", "inf", False),
        ("-3", "-3", True),
        ("nil", "nil", False),
    ],
)
def test_odd_numbers_are_told_apart(value: str, text: str, integral: bool) -> None:
    priority = first(f"return {{ PRIORITY = {value} }}").priority
    assert priority is not None
    assert (priority.text.lstrip("-") if "nan" in text else priority.text, priority.integral) == (
        text,
        integral,
    )


def test_a_schema_comes_back_as_data() -> None:
    schema = """
    local t = { name = "ü\\0\\255", [2] = false, list = { 1, 2.5, "x" }, fn = print, null = ngx.null }
    t.self = t
    t[true] = "not one" t[1] = "one" t[{}] = 1
    return t
    """
    value = load("return {}", schema=schema).loaded[1].value
    assert value == {
        "name": "ü\0\udcff",
        2: False,
        1: "one",
        "list": {1: 1, 2: 2.5, 3: "x"},
        "fn": Opaque("function"),
        "null": Opaque("userdata"),
        "self": Opaque("cycle"),
        Opaque("boolean"): "not one",
        Opaque("table"): 1,
    }


def test_modules_see_what_the_gateway_provides() -> None:
    text = """
    assert(type(ngx.null) == "userdata" and ngx.config.subsystem == "http" and ngx.HTTP_OK == 200)
    assert(require "cjson".null == ngx.null and require "cjson.safe".null == ngx.null)
    assert(kong.version_num >= 3000000 and kong.log.err "x" == nil)
    assert(ngx.encode_base64 "pumice!" == "cHVtaWNlIQ==" and ngx.encode_base64("a", true) == "YQ")
    assert(ngx.escape_uri "a b/ü" == "a%20b%2F%C3%BC" and ngx.unescape_uri "a%20b" == "a b")
    local http = require("resty.http").new()
    assert(http:request_uri("http://x", {}).body)
    require "kong.tools.utils".split("a,b", ",")
    assert(ngx.shared.kong and ngx.shared.of_mine == nil)
    return { ... }
    """
    loaded = first(text)
    assert loaded.error is None
    assert {item.module: item.origin for item in loaded.requires} == {
        "h": "package",
        "cjson": "gateway",
        "cjson.safe": "gateway",
        "resty.http": "gateway",
        "kong.tools.utils": "gateway",
    }


def test_a_module_gets_its_name_as_require_gives_it() -> None:
    assert first("assert(... == 'h') return {}").error is None


@pytest.mark.parametrize(
    "module",
    [
        "nope",
        "resty.jwt",
        "kong.plugins.base_plugin",
        "kong.dao.errors",
        "kong.singletons",
        "kong.plugins.mine.x",
    ],
)
def test_what_nobody_provides_is_missing_with_its_line(module: str) -> None:
    loaded = first(f"\nlocal x = require '{module}'\nreturn x")
    assert loaded.error is not None
    assert f"module '{module}' not found" in loaded.error
    assert [(r.module, r.file, r.line) for r in loaded.requires if r.origin == "missing"] == [
        (module, "h.lua", 2)
    ]


def test_what_a_dependency_has_is_assumed_but_never_a_module_of_kong() -> None:
    loaded = first("local j = require 'resty.jwt' j.sign('x') return {}", assume_missing=True)
    assert loaded.error is None
    assert loaded.requires[-1].origin == "assumed"
    assert first("require 'kong.singletons'", assume_missing=True).error is not None


@pytest.mark.parametrize(
    "text",
    [
        "ngx.timer.at(0, print)",
        "ngx.timer.every(1, print)",
        "local s = ngx.socket.tcp()",
        "return ngx.var.uri",
        "return ngx.req.get_headers()",
        "ngx.ctx.x = 1",
        "ngx.exit(200)",
    ],
)
def test_what_needs_a_request_or_a_timer_is_refused_while_a_node_starts(text: str) -> None:
    error = first(text).error
    assert error is not None
    assert error.startswith("h.lua:1: API disabled in the context of init_by_lua*")


def test_it_is_allowed_to_modules_that_a_worker_loads() -> None:
    source = ModuleSource("m.lua", b"ngx.timer.at(0, print) return ngx.var.uri")
    outcome = load_modules([Job("module", "m")], Sandbox(modules={"m": source}))
    assert outcome.loaded[0].error is None


HANGS = {
    "an endless loop": "while true do end",
    "a loop that the compiler takes": "local x = 0 while true do x = x + 1 end",
    "a pattern in C": "local s = ('a'):rep(1e6) return s:find(('.-'):rep(20) .. 'b')",
    "a coroutine": "coroutine.wrap(function() while true do end end)()",
    "an error object": "error(setmetatable({}, { __tostring = function() while true do end end }))",
    "a member": "return setmetatable({}, { __index = function() while true do end end })",
    "a protected loop": "while true do pcall(error) end",
    "a pipe that nobody writes to": "return io.open('/proc/self/fd/0') and io.lines('/dev/zero')()",
    "a catcher of its own death": "while true do pcall(function() while true do end end) end",
}


@pytest.mark.adversary(31, 33)
@pytest.mark.parametrize("text", HANGS.values(), ids=HANGS.keys())
def test_what_hangs_is_stopped_in_time(text: str) -> None:
    began = time.monotonic()
    outcome = load(text, seconds=0.5)
    assert time.monotonic() - began < 15
    assert outcome.failure in ("time", "memory") or outcome.loaded[0].error is not None


@pytest.mark.parametrize(
    "text",
    [
        "local t = {} while true do t[#t + 1] = ('x'):rep(1e6) .. #t end",
        "local t = {} while true do pcall(function() t[#t + 1] = ('x'):rep(1e6) .. #t end) end",
        "local s = ('x'):rep(2e9)",
        "local t = {} for i = 1, 1e9 do t[i] = {} end",
    ],
)
@pytest.mark.adversary(32, 34)
def test_what_grows_is_stopped_by_its_memory(text: str) -> None:
    outcome = load(text, memory=64 << 20)
    error = outcome.loaded[0].error if outcome.loaded else None
    assert outcome.failure in ("memory", "time") or error == "not enough memory"


def test_the_schema_is_judged_after_a_handler_that_ran_out_of_memory() -> None:
    outcome = load(
        "local t = {} while true do t[#t + 1] = ('x'):rep(1e6) .. #t end", memory=64 << 20, seconds=10.0
    )
    assert [loaded.error for loaded in outcome.loaded] == ["not enough memory", None]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("error({})", "an error object that is no text"),
        ("error(nil)", "an error object of type nil"),
        ("error(setmetatable({}, { __tostring = error }))", "an error object of type table"),
        ("local function f() return f() + 1 end f()", "stack overflow"),
        ("coroutine.yield()", "yield"),
        ("this is no Lua", "h.lua:1:"),
        ("\x1bLJ\x02", "bytecode is refused"),
    ],
)
def test_any_error_is_told(text: str, error: str) -> None:
    said = first(text).error
    assert said is not None
    assert error in said


@pytest.mark.parametrize(
    "text",
    [
        "string.format, string.byte, string.gsub, table.concat, tostring, type, pcall, next = nil return {}",
        "local g = _G for k in pairs(g) do g[k] = nil end return {}",
        "setmetatable(_G, { __index = function() error 'x' end, __newindex = error }) return {}",
        "getmetatable('').__index = function() error 'x' end return {}",
        "package.loaded = nil package.loaders = nil return {}",
        "local function h() error 'x' end getmetatable('').__concat = h getmetatable('').__lt = h return {}",
    ],
)
def test_the_report_does_not_use_what_the_code_can_replace(text: str) -> None:
    outcome = load(text, schema="return { name = 'x' }")
    assert outcome.failure is None
    assert outcome.loaded[0].type == "table"


@pytest.mark.adversary(35)
@pytest.mark.parametrize(
    "name",
    [
        "python",
        "debug.sethook",
        "debug.getregistry",
        "debug.getupvalue",
        "debug.setmetatable",
        "package.loadlib",
    ],
)
def test_what_leads_out_is_not_there(name: str) -> None:
    assert first(f"assert({name} == nil) return {{}}").error is None


def test_python_is_not_among_the_loaded_modules() -> None:
    assert (
        first("assert(package.loaded.python == nil and not pcall(require, 'python')) return {}").error is None
    )


@pytest.mark.adversary(36)
@pytest.mark.parametrize(
    "text",
    [
        "return assert(load(string.dump(function() end)))",
        "return assert(loadstring(string.dump(function() end)))",
        "local d = string.dump(function() end) return assert(load(function() return d end, 'x', 'b'))",
    ],
)
def test_bytecode_is_not_loaded(text: str) -> None:
    error = first(text).error
    assert error is not None
    assert "attempt to load" in error


def test_the_foreign_function_interface_is_a_stand_in() -> None:
    loaded = first("local ffi = require 'ffi' ffi.cdef 'int getpid(void);' return { ffi.C.getpid() }")
    assert loaded.error is None
    assert loaded.requires[-1].origin == "gateway"


def test_nothing_is_written_started_or_deleted_and_all_is_told(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("here")
    new = tmp_path / "new"
    text = f"""
    os.execute("echo > {new}")
    io.popen("echo > {new}"):read("*a")
    os.remove("{victim}")
    os.rename("{victim}", "{new}")
    io.open("{new}", "w")
    io.open("{victim}", "a+")
    io.output("{new}"):write("x")
    io.tmpfile():write("x")
    os.tmpname()
    print("to nobody") io.write("to nobody") io.stdout:write("to nobody") io.stderr:write("to nobody")
    return {{ PRIORITY = 1 }}
    """
    loaded = first(text)
    assert loaded.error is None
    assert loaded.priority == Member("number", "1", True)
    assert [effect.call for effect in loaded.effects] == [
        "os.execute", "io.popen", "os.remove", "os.rename", "io.open", "io.open", "io.output", "io.tmpfile",
        "os.tmpname",
    ]  # fmt: skip
    assert (loaded.effects[0].detail, loaded.effects[0].file, loaded.effects[0].line) == (
        f"echo > {new}",
        "h.lua",
        2,
    )
    assert sorted(os.listdir(tmp_path)) == ["victim"]
    assert victim.read_text() == "here"


def test_an_exit_is_no_exit() -> None:
    outcome = load("os.exit(0)")
    assert outcome.failure is None
    assert outcome.loaded[0].error == "h.lua:1: os.exit was called while the module loads"
    assert outcome.loaded[1].error is None
    assert load("pcall(os.exit, 0) return {}").loaded[0].effects[0].call == "os.exit"


def test_the_environment_is_empty() -> None:
    assert first("assert(os.getenv 'PATH' == nil and os.getenv 'HOME' == nil) return {}").error is None


def test_no_process_is_left_behind() -> None:
    load("while true do end", seconds=0.5)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parts = (entry / "cmdline").read_bytes().split(b"\0")
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError, ValueError):
                continue
            assert not (parent == os.getpid() and any(part.endswith(b"kong/_child.py") for part in parts))


def test_a_long_answer_is_cut() -> None:
    schema = "local t = {} for i = 1, 200000 do t[i] = ('x'):rep(100) .. i end return { name = 'x', t = t }"
    outcome = load("return {}", schema=schema)
    assert outcome.failure is None
    assert outcome.loaded[1].type == "table"


def test_a_deep_schema_is_cut() -> None:
    schema = "local t = {} local at = t for _ = 1, 100000 do at.x = {} at = at.x end return t"
    outcome = load("return {}", schema=schema)
    assert outcome.failure is None
    assert isinstance(outcome.loaded[1].value, dict)


def test_without_luajit_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "lupa").mkdir()
    monkeypatch.setattr("pumice.kong.sandbox._lupa_directory", lambda: str(tmp_path / "lupa"))
    with pytest.raises(CheckError, match="could not be started: ") as caught:
        load("return {}")
    assert "lupa" in caught.value.hint


def test_without_a_python_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nonexistent/python")
    with pytest.raises(PumiceError, match="start the process that loads plugins"):
        load("return {}")


def test_modules_that_leave_no_room_are_not_even_loaded() -> None:
    outcome = load("-- " + "x" * (17 << 20), memory=64 << 20)
    assert outcome == Outcome((), "memory")
