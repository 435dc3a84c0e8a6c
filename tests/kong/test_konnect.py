"""Request bodies and decK files, by the contract's section 4.8; not seen on the real Konnect."""

import json

import pytest
import yaml

from pumice.errors import CheckError
from pumice.kong.konnect import KonnectTexts, konnect_texts
from pumice.kong.plugin_files import PluginFiles

HANDLER = 'return { VERSION = "1.0.0", é = "\t" }\n'.encode()
SCHEMA = b'local typedefs = require "kong.db.schema.typedefs"\nreturn { name = "demo", fields = {} }\n'
FILES = {"handler.lua": HANDLER, "schema.lua": SCHEMA}


def made(files: dict[str, bytes] = FILES, name: str = "demo", **given: object) -> KonnectTexts:
    return konnect_texts(PluginFiles(name, "1.0.0-1", files), **given)  # type: ignore[arg-type]


def read(texts: KonnectTexts) -> dict[str, object]:
    readers = {"json": json.loads, "yaml": yaml.safe_load}
    return {text.name: readers[text.name[-4:]](text.text) for text in texts.texts}


def test_bodies_and_deck_file_hold_the_sources_as_they_are() -> None:
    entity = {"name": "demo", "schema": SCHEMA.decode(), "handler": HANDLER.decode()}
    texts = made(schema_name="demo", phases=("access",))
    assert read(texts) == {
        "plugin-schema.json": {"lua_schema": SCHEMA.decode()},
        "custom-plugin.json": entity,
        "deck.yaml": {"_format_version": "3.0", "custom_plugins": [entity]},
    }
    assert texts.warnings == ()


@pytest.mark.parametrize(
    ("more", "phases", "reason"),
    [
        ({"util.lua": b""}, (), "also needs util.lua"),
        ({}, ("init_worker", "access"), "its handler has init_worker"),
        ({"handler.lua": b"\xff"}, (), "no UTF-8 at byte 0"),
        ({"handler.lua": b"return { access = function() ngx.timer.at(0, f) end }"}, (), "starts a timer"),
    ],
)
def test_what_cannot_be_streamed_leaves_the_schema_and_a_reason(
    more: dict[str, bytes], phases: tuple[str, ...], reason: str
) -> None:
    texts = made({**FILES, **more}, phases=phases)
    assert [text.name for text in texts.texts] == ["plugin-schema.json"]
    (warning,) = texts.warnings
    assert warning.startswith("only the schema was written, since demo cannot be streamed: ")
    assert reason in warning


def test_sizes_that_were_refused_somewhere_are_warned_of() -> None:
    large = {"handler.lua": b"--" + b"x" * 100_000, "schema.lua": SCHEMA + b"--" + b"x" * 8192}
    assert made(large).warnings == (
        "schema.lua has 8,283 characters; control planes were seen to take 8,192",
        "handler.lua has 100,002 bytes; Dedicated Cloud Gateways take 100,000",
    )


def test_modules_are_missed_in_a_strict_sandbox_unless_they_are_folded_in() -> None:
    files = {
        "handler.lua": b"-- ngx.timer\nlocal http = require 'resty.http'",
        "schema.lua": b"return require 'x'",
    }
    (warning,) = made(files, folded=frozenset(("x",))).warnings
    assert warning.startswith(
        "handler.lua:2 requires resty.http, and a gateway whose untrusted_lua is strict, as by default"
    )
    assert made(files, folded=frozenset(("x", "resty.http"))).warnings == ()
    with pytest.raises(CheckError, match="requires x"):
        made(files)


@pytest.mark.parametrize("name", ["my_plugin", "a.b", "", "x" * 129, "a\n"])
def test_names_that_konnect_does_not_take_are_refused(name: str) -> None:
    with pytest.raises(CheckError, match="no name for Konnect"):
        made(name=name)


@pytest.mark.parametrize(
    ("files", "given", "message"),
    [
        (FILES, {"schema_name": "demo2"}, "the schema calls itself 'demo2'"),
        ({**FILES, "api.lua": b""}, {}, "endpoints of its own, and demo has api.lua"),
        ({**FILES, "schema.lua": b"\nlocal x = require 'pl.tablex'"}, {}, "schema.lua:2 requires pl.tablex"),
        ({**FILES, "schema.lua": b"\xff"}, {}, "schema.lua is no UTF-8"),
        ({"handler.lua": b""}, {}, "has no schema.lua"),
    ],
)
def test_what_konnect_refuses_altogether_is_refused(
    files: dict[str, bytes], given: dict[str, str], message: str
) -> None:
    with pytest.raises(CheckError, match=message):
        made(files, **given)
