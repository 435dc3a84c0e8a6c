"""Every real rockspec evaluates to what a real Lua makes of it."""

import subprocess
import time
from pathlib import Path

import pytest

from pumice.errors import LuaDataError
from pumice.lua.data import MANIFEST, LuaFunction, evaluate

pytestmark = [pytest.mark.corpus, pytest.mark.peer]

ORACLE = Path(__file__).with_name("evaluate_corpus.lua")

# What `\z` and `\x0A` in strings mean since Lua 5.2 (docs/lua-evaluation.md).
OTHER_IN_51 = {
    "editorconfig-core-0.3.0-1.rockspec",
    "lcf-5.3-2.rockspec",
    "lcf-5.3-3.rockspec",
    "lcf-5.3-4.rockspec",
}


def canonical(value, out):
    if isinstance(value, dict):
        out.append(b"{")
        numbers = sorted(key for key in value if isinstance(key, (int, float)) and not isinstance(key, bool))
        others = {("true" if key else "false") if isinstance(key, bool) else key: key for key in value}
        names = sorted((name for name in others if isinstance(name, str)), key=as_bytes)
        for shown, key in [(number, number) for number in numbers] + [(name, others[name]) for name in names]:
            canonical(shown, out)
            canonical(value[key], out)
        out.append(b"}")
    elif isinstance(value, bool):
        out.append(b"T" if value else b"F")
    elif isinstance(value, (int, float)):
        out.append(b"n%.17g;" % value)
    elif isinstance(value, str):
        out.append(b"s%d:%s" % (len(as_bytes(value)), as_bytes(value)))
    else:
        assert isinstance(value, LuaFunction)
        out.append(b"function")


def as_bytes(text):
    return text.encode("utf-8", "surrogateescape")


def ours(files):
    answers = {}
    for name, source in files.items():
        try:
            found = evaluate(source, name)
        except LuaDataError:
            answers[name] = b"refused"
            continue
        out = []
        canonical(found.globals, out)
        canonical(dict(enumerate(sorted(found.undefined, key=as_bytes), 1)), out)
        answers[name] = b"".join(out)
    return answers


def theirs(lua, files, folder):
    packed, answered = folder / "files", folder / "answers"
    with packed.open("wb") as out:
        for name, source in files.items():
            out.write(b"%s\n%d\n%s" % (name.encode(), len(source), source))
    subprocess.run([lua, str(ORACLE), str(packed), str(answered)], check=True, timeout=200)
    text, at, answers = answered.read_bytes(), 0, {}
    while at < len(text):
        name_end = text.index(b"\n", at)
        size_end = text.index(b"\n", name_end + 1)
        size = int(text[name_end + 1 : size_end])
        at_end = size_end + 1 + size
        answers[text[at:name_end].decode()] = text[size_end + 1 : at_end]
        at = at_end
    return answers


def test_every_rockspec_gives_the_globals_that_real_lua_gives(corpus, real_lua, tmp_path):
    """Lua 5.4, no exception; refused by both or by neither."""
    mine, real = ours(corpus), theirs(real_lua("lua5.4"), corpus, tmp_path)
    assert len(corpus) > 16_000
    assert list(mine) == list(real)
    assert [name for name in mine if mine[name] != real[name]] == []


def test_lua_51_gives_the_same_but_for_the_files_that_the_docs_name(corpus, real_lua, tmp_path):
    """LuaRocks usually runs on Lua 5.1."""
    mine, real = ours(corpus), theirs(real_lua("lua5.1"), corpus, tmp_path)
    assert {name for name in mine if mine[name] != real[name]} == OTHER_IN_51


def test_a_rockspec_takes_150_microseconds_on_average(corpus):
    """The figure lives in bench/; here the mechanism is held to ten times it."""
    before = time.process_time()
    for name, source in corpus.items():
        try:
            evaluate(source, name)
        except LuaDataError:
            pass
    mean = (time.process_time() - before) / len(corpus) * 1e6
    print(f"evaluated {len(corpus)} rockspecs, mean {mean:.0f} µs")
    assert mean < 1500


def test_a_server_manifest_loads(server_manifests):
    """3.5 MB; all five of the public server."""
    for name, source in server_manifests.items():
        before = time.process_time()
        repository = evaluate(source, name, limits=MANIFEST).globals["repository"]
        print(f"{name}: {(time.process_time() - before) * 1e3:.0f} ms, {len(repository)} rocks")
        assert len(repository) > 3000
