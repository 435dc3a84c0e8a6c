"""A folded plugin is the unfolded one: same phases, same schema, same answers, same errors."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pumice.errors import CheckError
from pumice.kong.loaded import Job
from pumice.kong.plugin_files import PluginFiles
from pumice.kong.sandbox import ModuleSource, Sandbox, load_modules
from pumice.kong.single_file import Folded, LuaSource, fold, place_in

EXAMPLE = Path(__file__).parents[2] / "examples/kong-plugin-request-stamp/kong/plugins/request-stamp"
HANDLER = """\
local util = require "kong.plugins.demo.util"
local Demo = { PRIORITY = 10, VERSION = "1.2.0" }
function Demo:access(conf) return util.answer(conf) end
return Demo
"""
SCHEMA = """\
local shared = require("kong.plugins.demo.shared")
return { name = "demo", fields = { { config = { type = "record", fields = shared.fields } } } }
"""
UTIL = """\
local name = ...
local inner = require 'demo_lib.inner'
return { answer = function(x) return name .. ":" .. inner(x) end }
"""
INNER = "#!/usr/bin/lua\nreturn function(x) return x * 2 end -- no line end"
SHARED = "return { fields = { { on = { type = 'boolean', default = true } } } }"
MODULES = {
    "kong.plugins.demo.handler": HANDLER,
    "kong.plugins.demo.schema": SCHEMA,
    "kong.plugins.demo.util": UTIL,
    "kong.plugins.demo.shared": SHARED,
    "demo_lib.inner": INNER,
    "demo_lib.unused": "return 1",
}


def sources(modules: dict[str, str]) -> dict[str, LuaSource]:
    return {name: LuaSource(name.replace(".", "/") + ".lua", text.encode()) for name, text in modules.items()}


def folded(modules: dict[str, str], name: str = "demo") -> Folded:
    root = f"kong.plugins.{name}."
    files = {
        module.removeprefix(root).replace(".", "/") + ".lua": text.encode()
        for module, text in modules.items()
        if module.startswith(root)
    }
    return fold(PluginFiles(name, "1.0-1", files), sources(modules))


def run_both(luajit: Callable[..., str], modules: dict[str, str], program: str) -> tuple[str, str]:
    """What a program prints with the modules preloaded, unfolded and folded; `load` gives the handler."""
    made = folded(modules)
    printed = []
    both = (
        modules,
        {
            f"kong.plugins.demo.{part}": made.plugin.files[f"{part}.lua"].decode()
            for part in ("handler", "schema")
        },
    )
    for texts in both:
        preload = "".join(
            f"package.preload[{json.dumps(name)}] = assert(loadstring({lua(text)}, '=x'))\n"
            for name, text in texts.items()
        )
        printed.append(luajit(preload + program))
    return printed[0], printed[1]


def lua(text: str) -> str:
    body = text[text.find("\n") :] if text.startswith("#") else text
    return '"' + "".join(f"\\{byte:03d}" for byte in body.encode()) + '"'


def test_the_two_files_hold_what_each_part_needs_and_nothing_else() -> None:
    made = folded(MODULES)
    assert list(made.plugin.files) == ["handler.lua", "schema.lua"]
    assert [(span.file, span.module) for span in made.spans] == [
        ("handler.lua", "kong.plugins.demo.handler"),
        ("handler.lua", "kong.plugins.demo.util"),
        ("handler.lua", "demo_lib.inner"),
        ("schema.lua", "kong.plugins.demo.schema"),
        ("schema.lua", "kong.plugins.demo.shared"),
    ]


def test_every_line_of_the_map_is_the_line_of_its_module() -> None:
    made = folded(MODULES)
    for span in made.spans:
        lines = made.plugin.files[span.file].decode().split("\n")[span.first - 1 : span.last]
        original = MODULES[span.module].split("\n")
        for number, line in enumerate(lines, 1):
            if not original[number - 1].startswith("#!"):
                assert original[number - 1] == line
            assert place_in(made.spans, span.file, span.first + number - 1) == (span.path, number)
    assert place_in(made.spans, "handler.lua", 1) is None


def test_the_head_of_the_file_tells_the_lines_too() -> None:
    made = folded(MODULES)
    head = made.plugin.files["handler.lua"].decode().splitlines()[1:4]
    spans = [span for span in made.spans if span.file == "handler.lua"]
    assert head == [f"--   {span.first}-{span.last}  {span.path}" for span in spans]


def test_a_part_without_modules_stays_as_it_is() -> None:
    own = {
        "kong.plugins.demo.handler": "return {}",
        "kong.plugins.demo.schema": SCHEMA,
        "kong.plugins.demo.shared": SHARED,
    }
    assert folded(own).plugin.files["handler.lua"] == b"return {}"


def test_folding_is_reproducible() -> None:
    assert folded(MODULES).plugin == folded(dict(reversed(MODULES.items()))).plugin


@pytest.mark.peer
def test_a_function_through_both_gives_the_same(luajit: Callable[..., str]) -> None:
    before, after = run_both(
        luajit,
        MODULES,
        "local h = require 'kong.plugins.demo.handler' print(h:access(21), h.PRIORITY, h.VERSION)"
        " print(require('kong.plugins.demo.schema').fields[1].config.fields[1].on.default)",
    )
    assert before == after == "kong.plugins.demo.util:42\t10\t1.2.0\ntrue\n"


@pytest.mark.peer
@pytest.mark.parametrize(
    "util",
    [
        "error('no, not this one')",
        "return nil",
        "return false",
        "local u = {} ; counter = (counter or 0) + 1 ; u.n = counter ; return u",
        "return require 'kong.plugins.demo.handler'",
        "return { seen = select('#', ...), name = (...) }",
        "local ok, found = pcall(require, 'demo_lib.inner') return { n = found and found(4) }",
        "local which = 'inner' return { n = require('demo_lib.inner')(5), missing = pcall(require, 'no.' .. which) }",
        "setfenv(1, { require = require }) x = 1 return { n = x }",
        "do return { n = 1 } end",
        "goto done ::done:: return { n = [[\nlong ]] } --[==[ comment ]==]",
        "local a, b, c, d, e = folded, define, chunks, loaded, outside return { n = table.concat({ tostring(a), tostring(b), tostring(c), tostring(d), tostring(e) }) }",
    ],
)  # fmt: skip
def test_odd_modules_behave_the_same_in_both(luajit: Callable[..., str], util: str) -> None:
    handler = (
        "local again, tries = nil, {} for i = 1, 2 do local ok, found = pcall(require, 'kong.plugins.demo.util') "
        "tries[i] = tostring(ok) .. ' ' .. (type(found) == 'table' and 'table' .. tostring(found.n) .. tostring(found.seen) "
        ".. tostring(found.name) .. tostring(found == again) .. tostring(found.missing) or tostring(found):gsub('^[^ ]*:%d+: ', '')) again = found end "
        "return { tries = tries }"
    )
    modules = {**MODULES, "kong.plugins.demo.handler": handler, "kong.plugins.demo.util": util}
    before, after = run_both(
        luajit, modules, "for i, t in ipairs(require('kong.plugins.demo.handler').tries) do print(i, t) end"
    )
    assert before == after


@pytest.mark.peer
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=3), min_size=5, max_size=5))
def test_any_web_of_modules_loads_in_the_same_order_and_fails_alike(
    luajit: Callable[..., str], web: list[list[tuple[int, bool]]]
) -> None:
    """Circles, repeated and guarded requires: each module says when it begins and what it got."""
    names = ["handler", "util", "shared", "a.b", "c"]
    modules = {**MODULES}
    for name, wanted in zip(names, web, strict=True):
        lines = ["print('begin', (...))"]
        for number, guarded in wanted:
            target = f"kong.plugins.demo.{names[number]}"
            if guarded:
                lines.append(f"print(pcall(require, '{target}'))")
            else:
                lines.append(f"print(require '{target}')")
        modules[f"kong.plugins.demo.{name}"] = "\n".join([*lines, f"return '{name}'"])
    program = (
        "local ok, found = pcall(require, 'kong.plugins.demo.handler') "
        "print(ok, (tostring(found):gsub('^[^ ]*:%d+: ', '')))"
    )
    before, after = run_both(luajit, modules, program)
    assert re.sub(r"\S+:\d+: ", "", before) == re.sub(r"\S+:\d+: ", "", after)


@pytest.mark.peer
def test_the_folded_handler_needs_neither_require_nor_package(luajit: Callable[..., str]) -> None:
    """A gateway gives streamed code a sandbox without both."""
    handler = folded(MODULES).plugin.files["handler.lua"].decode()
    program = f"local chunk = assert(loadstring({lua(handler)})) print(setfenv(chunk, {{ error = error }})():access(4))"
    assert luajit(program) == "kong.plugins.demo.util:8\n"


def test_a_c_module_is_refused_where_it_is_required() -> None:
    plugin = PluginFiles("demo", "1.0-1", {"handler.lua": b"", "schema.lua": b""})
    modules = sources({**MODULES, "demo_lib.inner": "\nreturn require 'demo_lib.fast'"})
    with pytest.raises(CheckError, match=r"demo_lib/inner.lua:2 requires demo_lib.fast, a C module"):
        fold(plugin, modules, frozenset(("demo_lib.fast",)))


def test_the_example_loads_folded_as_unfolded_in_the_sandbox() -> None:
    names = ("handler", "schema", "stamp")
    modules = {f"kong.plugins.request-stamp.{name}": (EXAMPLE / f"{name}.lua").read_text() for name in names}
    made = folded(modules, "request-stamp")
    alone = {
        f"kong.plugins.request-stamp.{part}": made.plugin.files[f"{part}.lua"].decode() for part in names[:2]
    }
    jobs = [Job(part, f"kong.plugins.request-stamp.{part}") for part in names[:2]]
    seen = []
    for texts in (modules, alone):
        given = {name: ModuleSource(name, text.encode()) for name, text in texts.items()}
        outcome = load_modules(jobs, Sandbox(modules=given))
        assert outcome.failure is None
        seen.append([(x.error, x.priority, x.version, x.functions, x.value) for x in outcome.loaded])
    assert seen[0] == seen[1]
    assert seen[1][0][3] == ("access", "header_filter", "log")


def test_a_name_put_together_brings_every_module_of_the_plugin() -> None:
    handler = "local kind = 'util' return require('kong.plugins.demo.' .. kind)"
    made = folded({**MODULES, "kong.plugins.demo.handler": handler})
    assert [span.module for span in made.spans if span.file == "handler.lua"] == [
        "kong.plugins.demo.handler",
        "kong.plugins.demo.shared",
        "kong.plugins.demo.util",
        "demo_lib.inner",
    ]


@pytest.mark.parametrize(
    "util",
    [
        "-- package.loaded and module(x) and _G.require are words here\nreturn 1",
        "local s = 'package.loaded' .. [[ module(...) ]] return s",
        "return package.config",
        "local t = {} function t.module(x) return x end local function module(x) end return t.module(1)",
        "--[==[ require(name) ]==] return 'require'",
    ],
)
def test_words_in_strings_and_comments_and_harmless_uses_are_no_reason(util: str) -> None:
    made = folded({**MODULES, "kong.plugins.demo.util": util})
    assert [span.module for span in made.spans if span.file == "handler.lua"] == [
        "kong.plugins.demo.handler",
        "kong.plugins.demo.util",
    ]


def test_the_helpers_name_is_one_that_nobody_mentions() -> None:
    text = folded({**MODULES, "demo_lib.inner": "return function() return folded, folded_ end"}).plugin.files[
        "handler.lua"
    ]
    assert b"local require, folded__ = " in text


@pytest.mark.parametrize(
    ("module", "text", "message"),
    [
        ("kong.plugins.demo.util", "\nmodule(..., package.seeall)", "kong/plugins/demo/util.lua:2 cannot be folded: it calls module()"),
        ("kong.plugins.demo.util", "package.loaded.x = 1", "the table `package`"),
        ("kong.plugins.demo.util", "return package['loaded']", "the table `package`"),
        ("kong.plugins.demo.util", "--[[\n]] module 'x'", "util.lua:2 cannot be folded"),
        ("kong.plugins.demo.util", "return _G.require 'x'", "_G.require"),
        ("kong.plugins.demo.util", "return (", "util.lua"),
        ("kong.plugins.demo.util", "end) folded('x', function()", "util.lua"),
        ("kong.plugins.demo.daos", "return {}", "Kong loads daos.lua by its name"),
        ("kong.plugins.demo.migrations.init", "return {}", "Kong loads migrations/init.lua by its name"),
    ],
)  # fmt: skip
def test_what_would_not_be_the_same_is_refused(module: str, text: str, message: str) -> None:
    with pytest.raises(CheckError) as caught:
        folded({**MODULES, module: text})
    assert message in caught.value.message
