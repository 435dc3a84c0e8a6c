"""rock_manifest is read without trust and written byte for byte as LuaRocks writes it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.errors import ManifestError
from pumice.lua.data import evaluate
from pumice.rock import rock_manifest as module
from pumice.rock.rock_manifest import md5_hex, read_rock_manifest, rock_manifest_bytes

A, B = "0123456789abcdef0123456789abcdef", "ffffffffffffffffffffffffffffffff"
CANONICAL = f"""rock_manifest = {{
   doc = {{
      ["README.md"] = "{A}"
   }},
   ["inspect-3.1.3-0.rockspec"] = "{B}",
   lua = {{
      ["inspect.lua"] = "{A}",
      sub = {{
         deep = {{
            ["a.lua"] = "{B}"
         }},
         ["end"] = "{A}"
      }}
   }}
}}
"""
ENTRIES = {
    "doc/README.md": A,
    "inspect-3.1.3-0.rockspec": B,
    "lua/inspect.lua": A,
    "lua/sub/deep/a.lua": B,
    "lua/sub/end": A,
}


def test_the_text_of_luarocks_is_read_flat() -> None:
    assert read_rock_manifest(CANONICAL.encode(), "rock_manifest") == ENTRIES


def test_the_entries_are_written_as_luarocks_writes_them() -> None:
    assert rock_manifest_bytes(ENTRIES).decode() == CANONICAL
    assert rock_manifest_bytes(dict(reversed(ENTRIES.items()))).decode() == CANONICAL


def test_the_text_of_luarocks_needs_no_lua(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pumice.lua.data.evaluate", None)
    assert read_rock_manifest(CANONICAL.encode(), "rock_manifest") == ENTRIES


@pytest.mark.parametrize(
    "text",
    [
        CANONICAL.replace("\n", " "),
        CANONICAL.replace("   ", "\t"),
        "-- a comment\n" + CANONICAL,
        CANONICAL.replace("lua = {", '["lua"] = {'),
        CANONICAL.replace(A, A.upper()),
        CANONICAL + "other = 1\n",
        CANONICAL.rstrip(),
        "#!/usr/bin/lua\n" + CANONICAL,
    ],
)
def test_any_other_text_of_the_same_meaning_is_read_too(text: str) -> None:
    assert read_rock_manifest(text.encode(), "rock_manifest") == ENTRIES


HOSTILE = [
    '{ [".."] = "%s" }',
    '{ lua = { [".."] = { [".."] = { etc = { passwd = "%s" } } } } }',
    '{ ["../../x"] = "%s" }',
    '{ ["/etc/passwd"] = "%s" }',
    '{ ["a/b"] = "%s" }',
    '{ ["a\\\\b"] = "%s" }',
    '{ ["."] = "%s" }',
    '{ [""] = "%s" }',
    '{ ["a\\0b"] = "%s" }',
    '{ ["a\\nb"] = "%s" }',
    '{ ["a\\127b"] = "%s" }',
    '{ "%s" }',
    '{ [true] = "%s" }',
    '{ [1.5] = "%s" }',
    '{ a = 1, b = "%s" }',
    '{ a = true, b = "%s" }',
    '{ a = function() end, b = "%s" }',
    '{ a = "not an md5", b = "%s" }',
    '{ a = "", b = "%s" }',
    '{ ["' + "n" * 256 + '"] = "%s" }',
    "{ a = " * 150 + '{ b = "%s" }' + "}" * 150,
]


@pytest.mark.adversary(16, 18, 30, 41)
@pytest.mark.parametrize("table", HOSTILE)
def test_a_name_that_could_lead_out_of_the_rock_is_refused(table: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read_rock_manifest(("rock_manifest = " + table % A).encode(), "rock_manifest")
    assert "rock_manifest" in caught.value.message
    assert caught.value.hint


@pytest.mark.adversary(41)
@pytest.mark.parametrize("name", ["..", ".", "", "/etc/passwd", "a/b", "..\\\\x"])
def test_a_hostile_name_in_the_text_of_luarocks_is_refused(name: str) -> None:
    """The reader that needs no Lua refuses what the other one refuses."""
    text = f'rock_manifest = {{\n   ["{name}"] = "{A}"\n}}\n'
    with pytest.raises(ManifestError):
        read_rock_manifest(text.encode(), "rock_manifest")


@pytest.mark.parametrize(
    "text", ["", "rock_manifest = 1", "rock_manifest = {", "return {}", "<html>", "\x1bLua"]
)
def test_what_is_no_rock_manifest_is_refused(text: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read_rock_manifest(text.encode(), "foo/rock_manifest")
    assert "foo/rock_manifest" in caught.value.message


@pytest.mark.adversary(31)
def test_an_endless_loop_is_refused() -> None:
    started = time.process_time()
    with pytest.raises(ManifestError):
        read_rock_manifest(b"while true do end", "rock_manifest")
    assert time.process_time() - started < 10


def test_a_path_below_a_file_cannot_be_written() -> None:
    for paths in (("a", "a/b"), ("a/b", "a")):
        with pytest.raises(ManifestError):
            rock_manifest_bytes(dict.fromkeys(paths, A))


def test_md5_is_the_usual_one() -> None:
    assert md5_hex(b"") == "d41d8cd98f00b204e9800998ecf8427e"


NAMES = st.text(st.sampled_from([*"aZ_1.- é=\"]'[,}{end"]), min_size=1, max_size=6).filter(
    lambda name: name not in (".", "..")
)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


def _without_clashes(entries: dict[str, str]) -> dict[str, str]:
    return {
        path: md5
        for path, md5 in entries.items()
        if not any(other != path and other.startswith(path + "/") for other in entries)
    }


TREES = st.dictionaries(PATHS, st.sampled_from([A, B]), max_size=8).map(_without_clashes)


@given(TREES)
def test_what_is_written_reads_the_same(entries: dict[str, str]) -> None:
    assert read_rock_manifest(rock_manifest_bytes(entries), "rock_manifest") == entries


LINES = st.sampled_from(
    [
        *CANONICAL.split("\n")[1:-1],
        "}",
        "},",
        "   }",
        f'a = "{A}"',
        f'a = "{B}",',
        "a = {",
        '["a"] = {',
        "return",
    ]
)


@settings(max_examples=1000)
@given(st.lists(LINES, max_size=6), st.sampled_from(["\n", "\n}\n", ",\n}\n"]))
def test_what_is_read_without_lua_means_the_same_in_lua(lines: list[str], end: str) -> None:
    text = "rock_manifest = {\n" + "\n".join(lines) + end
    entries = module._read_canonical(text)
    if entries is None:
        return
    table = evaluate(text.encode(), "rock_manifest").globals["rock_manifest"]
    assert dict(module._entries(table, "", "rock_manifest", 1)) == entries


@pytest.mark.peer
@settings(max_examples=200, deadline=None)
@given(TREES.filter(bool))
def test_luarocks_writes_the_same_bytes(luarocks, entries: dict[str, str]) -> None:
    def lua(table: dict[str, object]) -> str:
        items = []
        for key, value in table.items():
            shown = key.replace('"', '\\"')
            items.append(f'["{shown}"]=' + (lua(value) if isinstance(value, dict) else f'"{value}"'))
        return "{" + ",".join(items) + "}"

    root: dict[str, object] = {}
    for path, md5 in entries.items():
        here: dict = root
        *directories, file = path.split("/")
        for directory in directories:
            here = here.setdefault(directory, {})
        here[file] = md5
    assert luarocks.ask("persist", lua(root)) == rock_manifest_bytes(entries).decode()


def test_ten_thousand_files_are_read_in_a_moment() -> None:
    text = rock_manifest_bytes({f"lua/d{number // 100}/f{number}.lua": A for number in range(10_000)})
    started = time.process_time()
    assert len(read_rock_manifest(text, "rock_manifest")) == 10_000
    assert time.process_time() - started < 1
