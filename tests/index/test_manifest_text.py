"""Manifests are read exactly: the quick reader gives what Lua gives, or leaves the text to Lua."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.errors import ManifestError
from pumice.index.lines import format_lines, parse_lines
from pumice.index.manifest_text import (
    _read_canonical,
    compiled,
    parse_record,
    read_json_manifest,
    read_manifest,
)
from pumice.lua.data import MANIFEST, evaluate
from pumice.lua.write import format_globals

HEAD = b"commands = {}\nmodules = {}\n"
names = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=12)
archs = st.lists(
    st.sampled_from(["rockspec", "src", "all", "linux-x86_64", "macosx-aarch64"]), min_size=1, max_size=4
)
repositories = st.dictionaries(names, st.dictionaries(names, archs, min_size=1, max_size=4), max_size=6)


def written(repository: dict[str, dict[str, list[str]]]) -> bytes:
    """As LuaRocks writes it."""
    table: dict[Any, Any] = {
        "commands": {},
        "modules": {},
        "repository": {
            name: {
                version: {number: {"arch": arch} for number, arch in enumerate(items, 1)}
                for version, items in versions.items()
            }
            for name, versions in repository.items()
        },
    }
    return format_globals(table).encode()


def encoded(repository: dict[str, dict[str, list[str]]]) -> dict[bytes, dict[bytes, tuple[bytes, ...]]]:
    return {
        name.encode(): {
            version.encode(): tuple(arch.encode() for arch in items) for version, items in versions.items()
        }
        for name, versions in repository.items()
    }


@given(repositories)
def test_what_luarocks_writes_is_read_back(repository: dict[str, dict[str, list[str]]]) -> None:
    assert read_manifest(written(repository), "m") == encoded(repository)


@given(repositories)
def test_json_says_the_same(repository: dict[str, dict[str, list[str]]]) -> None:
    table = {
        "commands": [],
        "modules": {},
        "repository": {
            name: {version: [{"arch": arch} for arch in items] for version, items in versions.items()}
            for name, versions in repository.items()
        },
    }
    assert read_json_manifest(json.dumps(table).encode(), "m") == encoded(repository)


@given(repositories, st.data())
def test_a_changed_text_is_read_as_lua_reads_it_or_not_at_all(
    repository: dict[str, dict[str, list[str]]], data: st.DataObject
) -> None:
    """One byte replaced, removed or put in anywhere: the quick reader never has an opinion of its own."""
    text = bytearray(written(repository))
    place = data.draw(st.integers(0, len(text) - 1))
    byte = data.draw(st.sampled_from(list(b"\"'\\[]{}=, \nax0-\x00\xff")))
    kind = data.draw(st.sampled_from(["replace", "remove", "insert"]))
    if kind == "replace":
        text[place] = byte
    elif kind == "remove":
        del text[place]
    else:
        text.insert(place, byte)
    quick = _read_canonical(bytes(text))
    if quick is None:
        return
    table = evaluate(bytes(text), "m", limits=MANIFEST).globals["repository"]
    assert quick == {
        name.encode("utf-8", "surrogateescape"): {
            version.encode("utf-8", "surrogateescape"): tuple(
                item["arch"].encode("utf-8", "surrogateescape") for item in items.values()
            )
            for version, items in versions.items()
        }
        for name, versions in table.items()
    }


@pytest.mark.parametrize(
    "text",
    [
        b'repository = { foo = { ["1.0-1"] = { { arch = "all" } } } } modules = {} commands = {}',
        b'local v = "1.0-1"\nrepository = { foo = { [v] = { { arch = "a" .. "ll" } } } }\n',
        HEAD + b'repository = {\n   foo = {\n      ["1.0-1"] = {\n         {\n            arch = "all",\n'
        b"            modules = {}\n         }\n      }\n   }\n}\n",
    ],
)
def test_other_layouts_are_read_as_lua(text: bytes) -> None:
    assert read_manifest(text, "m") == {b"foo": {b"1.0-1": (b"all",)}}


def test_an_empty_manifest_is_one() -> None:
    assert read_manifest(b"commands = {}\nmodules = {}\nrepository = {}\n", "m") == {}
    assert read_json_manifest(b'{"repository": []}', "m") == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"commands = {}", "Error checking manifest: Missing mandatory field repository"),
        (b"repository = {} other = {}", "Error checking manifest: Unknown field other"),
        (b"repository = 1", "Error checking manifest: Type mismatch on field repository"),
        (b"repository = { a = 1 }", "Error checking manifest: Type mismatch on field repository.a"),
        (b"repository = { a = { b = { {} } } }", "Missing mandatory field repository.a.b.arch"),
        (b"repository = {", "Failed loading manifest for m: Error loading file: m:1"),
        (b"error('x')", "Failed loading manifest for m: Error running file"),
        (b"\x1bLua", "Failed loading manifest for m"),
        (b"", "Missing mandatory field repository"),
    ],
)
def test_what_is_no_manifest_is_refused_in_luarocks_words(text: bytes, problem: str) -> None:
    with pytest.raises(ManifestError, match="^.*" + problem.replace("(", r"\(")):
        read_manifest(text, "m")


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{", b"[" * 100_000, b'{"repository": {"a": {"b": [1]}}}', b"\xff"]
)
def test_what_is_no_json_manifest_is_refused(text: bytes) -> None:
    with pytest.raises(ManifestError):
        read_json_manifest(text, "m")


def test_names_that_could_lead_elsewhere_are_left_out() -> None:
    repository: Any = {
        b"..": {b"1-1": (b"all",)},
        b"a/b": {b"1-1": (b"all",)},
        b"a\nb": {b"1-1": (b"all",)},
        b"a\x1b[2Jb": {b"1-1": (b"all",)},
        b"n" * 201: {b"1-1": (b"all",)},
        b"long": {b"1" * 201 + b"-1": (b"all",)},
        b"good": {b"../1-1": (b"all",), b"1\x1f-1": (b"all",), b"1-1": (b"all", b"src"), b"2-1": ()},
    }
    assert compiled(repository) == [(b"good", b"1-1\x1eall\x1esrc")]
    assert parse_record(b"1-1\x1eall\x1esrc\x1f2-1\x1eall") == {"1-1": ("all", "src"), "2-1": ("all",)}


@pytest.mark.adversary(37)
@pytest.mark.corpus
def test_the_real_manifests_are_read_quickly_and_as_lua_reads_them(shared: Path) -> None:
    """More than 80,000 constants, which LuaJIT refuses; every one by the quick reader."""
    import time

    with tarfile.open(shared / "corpus" / "manifests.tar.xz") as archive:
        for name in ("manifest-5.1", "manifest-5.4"):
            file = archive.extractfile(archive.getmember(name))
            assert file is not None
            data = file.read()
            start = time.process_time()
            quick = _read_canonical(data)
            took = time.process_time() - start
            assert quick is not None
            assert took < 1.0  # some 0.06 s
            table = evaluate(data, name, limits=MANIFEST).globals["repository"]
            assert {name.decode() for name in quick} == set(table)
            for rock, versions in quick.items():
                listed = {
                    version: tuple(item["arch"] for item in items.values())
                    for version, items in table[rock.decode()].items()
                }
                assert {
                    version.decode(): tuple(arch.decode() for arch in archs)
                    for version, archs in versions.items()
                } == listed
            lines = parse_lines(format_lines("x", compiled(quick)), "x")
            assert lines is not None
            for rock in list(quick)[::97]:
                record = lines.find(rock.decode())
                assert record is not None
                assert {version.decode() for version in quick[rock]} == set(parse_record(record))
