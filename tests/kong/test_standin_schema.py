"""The stand-in gateway judges schemas and settings in Lua as `check` does in Python: two readings of one contract."""

import json
import os
import random
import re
import subprocess

import pytest

from pumice.errors import BuildError
from pumice.kong.kong_version import Gateway
from pumice.kong.loaded import Job
from pumice.kong.metaschema import judge
from pumice.kong.sandbox import ModuleSource, Sandbox, load_modules
from pumice.kong.schema_values import validate_configuration
from pumice.kong.standin.write import find_programs, write_gateway

pytestmark = pytest.mark.peer

HARNESS = """
local null = newproxy()
ngx = { null = null }
local part = assert(loadfile(arg[1] .. "/lua/parts.lua"))(arg[1], null)
part("libraries").install()
local schemas, json = part("schema"), part("json").plain
for line in io.lines(arg[2]) do
  local case = json.decode(line)
  local ok, answer = pcall(function()
    local schema = assert(loadstring(case.schema))()
    local words = schemas.refused("d", schema)
    if words or case.config == nil then
      return { words = words or "" }
    end
    local judged, _, problems = pcall(schemas.instance, schema, { name = "d", config = case.config })
    return { words = "", settings = not judged and "a fault" or problems and schemas.violation(problems) or "" }
  end)
  print(json.encode(ok and answer or { words = tostring(answer) }))
end
"""

VALUES = {
    "string": ['"x"', '""', '"longer text"', "5", "true", "{}"],
    "integer": ["1", "0", "-3", "1.5", '"x"', "70000"],
    "number": ["1", "2.5", '"x"', "{}"],
    "boolean": ["true", "false", '"x"'],
    "array": ["{}", "{ 1, 2 }", '{ "a", "b" }', "{ a = 1 }", '"x"'],
    "map": ["{}", '{ a = "b" }', "{ 1 }", '"x"'],
    "record": ["{}", "{ inner = 1 }", '"x"', "{ other = true }"],
}
ATTRIBUTES = [
    ("required", ["true", "false", '"yes"']),
    ("len_min", ["2", '"x"']),
    ("len_max", ["3"]),
    ("between", ["{ 1, 10 }", "{ 1 }", "5"]),
    ("gt", ["0"]),
    ("one_of", ['{ "x", "y" }', "{ 1, 2 }"]),
    ("match", ['"^%a+$"']),
    ("not_match", ['"z"']),
    ("starts_with", ['"x"']),
    ("eq", ['"x"', "1"]),
    ("ne", ['"y"']),
    ("unique", ["true"]),
    ("uuid", ["true"]),
    ("timestamp", ["true"]),
    ("description", ['"too short"', '"a description that is long enough"']),
    ("requird", ["true"]),
    ("err", ['"my own words"']),
    ("encrypted", ["true", "1"]),
]


def field(rng, depth=0):
    """The text of a random definition, mostly a good one."""
    kind = rng.choice([*VALUES, "string", "integer", "boolean"])
    parts = [f'type = "{kind}"'] if rng.random() < 0.97 else ['type = "strnig"']
    if kind == "array" and rng.random() < 0.95:
        parts.append(f"elements = {field(rng, depth + 1)}")
    if kind == "map" and rng.random() < 0.95:
        parts += ['keys = { type = "string" }', f"values = {field(rng, depth + 1)}"]
    if kind == "record" and rng.random() < 0.95:
        inner = field(rng, depth + 1) if depth < 2 else '{ type = "integer" }'
        parts.append(f"fields = {{ {{ inner = {inner} }} }}")
        if rng.random() < 0.2:
            parts.append('entity_checks = { { at_least_one_of = { "inner" } } }')
    for name, values in rng.sample(ATTRIBUTES, rng.choice([0, 0, 1, 1, 2])):
        parts.append(f"{name} = {rng.choice(values)}")
    if rng.random() < 0.25:
        parts.append(f"default = {rng.choice(VALUES[kind])}")
    return "{ " + ", ".join(parts) + " }"


def schema(rng):
    """The text of a random schema, and random settings for it."""
    names = ["a", "b", "c"][: rng.randint(1, 3)]
    fields = ", ".join(f"{{ {name} = {field(rng)} }}" for name in names)
    checks = ""
    if len(names) > 1 and rng.random() < 0.4:
        name = rng.choice(
            ["at_least_one_of", "only_one_of", "mutually_required", "mutually_exclusive", "distinct", "bad"]
        )
        checks = f', entity_checks = {{ {{ {name} = {{ "a", "b" }} }} }}'
        if rng.random() < 0.3:
            rule = 'if_field = "a", if_match = { one_of = { 1, "x" } }, then_field = "b", then_match = { required = true }'
            checks = f", entity_checks = {{ {{ conditional = {{ {rule} }} }} }}"
    config = f'{{ config = {{ type = "record", fields = {{ {fields} }}{checks} }} }}'
    settings = {
        name: rng.choice(["x", "", 5, 1, True, None, [], ["a"], [1, 2], {"inner": 1}, {"k": "v"}])
        for name in names
    }
    return f'return {{ name = "d", fields = {{ {config} }} }}', settings


def in_lua(stand_in, tmp_path, cases):
    """What the stand-in says of each case."""
    (tmp_path / "cases").write_text("".join(json.dumps(case) + "\n" for case in cases))
    (tmp_path / "harness.lua").write_text(HARNESS)
    command = ["luajit", str(tmp_path / "harness.lua"), stand_in.directory, str(tmp_path / "cases")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def comparable(answer):
    """An answer without what Lua's order of keys decides: which of several attributes is told."""
    return {
        key: re.sub("cannot have attribute '[a-z_]+'", "cannot have it", text) for key, text in answer.items()
    }


def in_python(cases):
    """What `check` and `schema --validate` say of each case."""
    modules = {f"s{n}": ModuleSource(f"s{n}.lua", case["schema"].encode()) for n, case in enumerate(cases)}
    loaded = load_modules(
        [Job("schema", name) for name in modules], Sandbox(modules=modules, seconds=60)
    ).loaded
    told = []
    for one, case in zip(loaded, cases, strict=True):
        verdict = judge("d", one.value, Gateway("3.9"))
        answer = {"words": verdict.words if verdict else ""}
        if verdict is None and "config" in case:
            said = validate_configuration("d", one.value, {"name": "d", "config": case["config"]})
            fault = said.message.startswith("An unexpected error occurred")
            answer["settings"] = "" if said.ok else "a fault" if fault else said.message
        told.append(answer)
    return told


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    try:
        programs = find_programs(os.environ["PATH"])
    except BuildError as missing:
        pytest.skip(str(missing))
    return write_gateway(str(tmp_path_factory.mktemp("gateway")), programs=programs)


@pytest.mark.parametrize("seed", range(4))
def test_two_readings_of_one_contract_agree(stand_in, tmp_path, seed):
    rng = random.Random(seed)
    cases = []
    for _ in range(250):
        text, settings = schema(rng)
        cases.append({"schema": text, "config": settings})
    expected, told = in_python(cases), in_lua(stand_in, tmp_path, cases)
    for case, one, other in zip(cases, expected, told, strict=True):
        assert comparable(other) == comparable(one), case
