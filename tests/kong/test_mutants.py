"""Mutated handlers and schemas, as texts: each gets a verdict, in bounded time and memory, and nothing crashes."""

import random
import re
import resource
import time

import pytest

from pumice.kong.code_mentions import mentions
from pumice.kong.handler_rules import handler_findings
from pumice.kong.loaded import Job
from pumice.kong.metaschema import judge
from pumice.kong.metaschema_doubts import doubts
from pumice.kong.requires import required_modules
from pumice.kong.sandbox import ModuleSource, Sandbox, load_modules
from pumice.kong.schema_rules import schema_findings
from pumice.lua.compile import compile_check

HANDLER = """
local kong = kong
local D = { PRIORITY = 1000, VERSION = "1.0.0" }
local count = 0
local function helper(value) count = count + 1 return value or count end
function D:init_worker() ngx.timer.every(10, function() helper(1) end) end
function D:access(conf)
  for index, name in ipairs(conf.names or {}) do
    if name ~= "" then kong.service.request.set_header(name, helper(index)) end
  end
  repeat local done = true until done
end
D.log = function(self, conf) if conf.on then kong.log.notice("x", [[ long ]], 'y') end end
return D
"""
SCHEMA = """
local t = require "kong.db.schema.typedefs"
local function even(value) if value % 2 == 0 then return true end return nil, "must be even" end
return { name = "d", fields = {
  { consumer = t.no_consumer }, { protocols = t.protocols_http },
  { config = { type = "record", fields = {
    { a = { type = "string", one_of = { "x", "y" }, default = "x", match = "^[xy]$" } },
    { b = { type = "integer", default = 2, custom_validator = even } },
    { d = { type = "record", fields = { { port = t.port { default = 80 } }, { q = t.queue } } } },
  }, entity_checks = { { at_least_one_of = { "a", "b" } } },
     shorthand_fields = { { old = { type = "string", func = function(v) return { a = v } end } } } } } } }
"""
EXPRESSIONS = (
    "nil", "true", "0", "-1", "1.5", "1e999", "0/0", "''", "'x'", "'[a'", "{}", "{ 1 }", "{ a = 1 }", "{ {} }", "ngx.null",
    "print", "function() end", "function() error('x') end", "setmetatable({}, { __index = error })", "string.rep('x', 1e6)",
    "(...)", "kong.cache", "ngx.re", "coroutine.wrap(print)", "t", "D", "_G", "kong.request.get_path()", "'record'", "'map'",
)  # fmt: skip
STATEMENTS = (
    "D = 1", "t = nil", "error({})", "error()", "error(setmetatable({}, { __tostring = error }))", "require 'nothing'",
    "getmetatable('').__index = nil", "getmetatable('').__index = function() error('x') end", "table.concat = nil",
    "type = nil", "next = nil", "tostring = error", "for k in pairs(_G) do _G[k] = nil end", "setmetatable(_G, { __index = error })",
    "coroutine.yield()", "x = 1", "local x <const> = 1", "return", "do return 1 end", "goto x", "end", "}", "debug.getinfo = nil",
    "os.execute('true')", "io.open('/x', 'w')", "collectgarbage('stop')", "pcall(string.rep, 'x', 1e10)", "string.rep('x', 1e9)",
)  # fmt: skip
FATAL = ("while true do end", "os.exit(1)", "local a = {} while true do a[#a + 1] = a .. a end", "repeat until nil",
         "local a = {} while true do a[#a + 1] = ('x'):rep(1e6) .. #a end")  # fmt: skip
SCRAPS = ("{", ")", "[[", "--[[", '"', "\\", "\x00", "\udcff", "\r\n", "=", "...", "end", "\ufeff")
WORDS = 20.0
"""Seconds that one child of many mutants may take before the rest get another one."""


def mutate(text: str, choose: random.Random) -> str:
    for _ in range(choose.randint(1, 2)):
        lines = text.split("\n")
        line = choose.randrange(len(lines))
        what = choose.random()
        if what < 0.1:
            del lines[line]
        elif what < 0.15:
            lines.insert(line, choose.choice(lines))
        elif what < 0.45:
            lines.insert(line, choose.choice(STATEMENTS))
        elif what < 0.453:
            lines.insert(line, choose.choice(FATAL))
        text = "\n".join(lines)
        if what > 0.95:
            place = choose.randrange(len(text) + 1)
            text = f"{text[:place]}{choose.choice(SCRAPS)}{text[place:]}"
        elif what > 0.453:
            values = list(re.finditer(r'"[^"\n]*"|\b(?:true|nil|\d+|even|t\.\w+)\b|\{[^{}\n]*\}', text)) or [
                None
            ]
            value = choose.choice(values)
            if value is not None:
                text = text[: value.start()] + choose.choice(EXPRESSIONS) + text[value.end() :]
    return text


def verdicts(count: int, seed: int) -> dict[str, int]:
    """Loads `count` mutants, half of them handlers, and judges each; how many were refused, and how."""
    choose = random.Random(seed)
    told = {"loaded": 0, "refused": 0, "error": 0, "stopped": 0}
    left = [
        (kind, mutate(text, choose))
        for _ in range(count // 2)
        for kind, text in (("handler", HANDLER), ("schema", SCHEMA))
    ]
    while left:
        batch, left = left[:100], left[100:]
        modules = {
            f"m{number}": ModuleSource(f"m{number}.lua", text.encode("utf-8", "surrogateescape"))
            for number, (_, text) in enumerate(batch)
        }
        jobs = [Job(kind, f"m{number}") for number, (kind, _) in enumerate(batch)]
        began = time.monotonic()
        outcome = load_modules(jobs, Sandbox(modules=modules, seconds=2.0, memory=128 << 20))
        assert time.monotonic() - began < WORDS
        if len(outcome.loaded) < len(batch):
            # one that hangs, or that ends the process; what comes after it gets another child
            assert outcome.failure
            told["stopped"] += 1
            left = batch[len(outcome.loaded) + 1 :] + left
        for loaded, (kind, text) in zip(outcome.loaded, batch, strict=False):
            source = text.encode("utf-8", "surrogateescape")
            began = time.monotonic()
            compile_check(source, "luajit", "m.lua")
            list(mentions(source))
            required_modules(source)
            if loaded.error is not None:
                told["error"] += 1
                continue
            if kind == "handler":
                findings = list(handler_findings("d", loaded, "m.lua", source))
            else:
                findings = list(schema_findings("d", loaded, "m.lua", source))
                if isinstance(loaded.value, dict) and judge("d", loaded.value) is None:
                    list(doubts(loaded.value))
            assert time.monotonic() - began < WORDS
            told["refused" if any(item.is_error for item in findings) else "loaded"] += 1
    return told


def test_mutants_get_a_verdict() -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    assert sum(verdicts(60, seed).values()) == 60


@pytest.mark.sweep
def test_ten_thousand_mutants_get_a_verdict_in_bounded_memory() -> None:
    told = verdicts(10_000, 7)
    assert sum(told.values()) == 10_000
    # some of each kind, else the mutations are no good
    assert min(told.values()) > 5, told
    # of this process, in KiB: the plugins are somewhere else
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2 << 20
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 2 << 20
