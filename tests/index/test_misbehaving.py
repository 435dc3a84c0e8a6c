"""Servers that misbehave, one way after the other: each search ends as a user would want it to."""

from __future__ import annotations

import gzip
import io
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pumice.base.progress import Silent
from pumice.errors import DataError, FetchError, NotFoundError
from pumice.index.build import build_index
from pumice.index.index import Query


@pytest.fixture
def folder(tmp_path: Path, rocks: Any) -> Path:
    """A server's directory, with LuaRocks's manifests only."""
    folder = tmp_path / "server"
    folder.mkdir()
    rocks.rockspec(folder, "foo", "1.0-1", ["lua >= 5.1", "bar >= 1"])
    rocks.rock(folder, "foo", "1.0-1", ["lua >= 5.1", "bar >= 1"])
    rocks.rockspec(folder, "bar", "1.0-1", ["lua >= 5.1"])
    build_index(str(folder), Silent())
    (folder / "pumice-index.json").unlink()
    return folder


@pytest.fixture
def good(folder: Path, serve: Callable[[Path], Any]) -> Any:
    return serve(folder)


@pytest.fixture
def bad(folder: Path, serve: Callable[[Path], Any]) -> Any:
    return serve(folder)


def versions(index: Any, name: str = "foo") -> list[str]:
    return [candidate.version for candidate in index.candidates(name)]


def only_headers(handler: Any, length: int) -> None:
    handler.close_connection = True
    handler.send_response(200)
    handler.send_header("Content-Length", str(length))
    handler.end_headers()


def cut(handler: Any) -> None:
    file = handler.server.folder / handler.path.lstrip("/")
    if not file.exists():
        handler.reply(404)
        return
    data = file.read_bytes()
    only_headers(handler, len(data))
    handler.wfile.write(data[: len(data) // 2])


def drip(handler: Any) -> None:
    only_headers(handler, 100_000)
    while not handler.server.ended.wait(0.05):
        handler.wfile.write(b"x")


def zip_of(data: bytes, member: str = "manifest-5.1") -> bytes:
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, data)
    return output.getvalue()


FAILURES: dict[str, tuple[Callable[[Any], object], str]] = {
    "404": (lambda handler: handler.reply(404), "has no manifest-5.1"),
    "500": (lambda handler: handler.reply(500), "answers 500"),
    "403": (lambda handler: handler.reply(403), "answers 403"),
    "cut in mid-body": (cut, "cut off"),
    "slow drip": (drip, "bytes came in"),
    "silence": (lambda handler: handler.server.ended.wait(5), "no answer came"),
    "redirect loop": (lambda handler: handler.reply(302, Location=handler.path), "circles"),
    "redirect to a file": (
        lambda handler: handler.reply(302, Location="file:///etc/passwd"),
        "no http or https",
    ),
    "a login page": (
        lambda handler: handler.reply(200, b"<html>log in</html>", Content_Type="text/html"),
        "web page",
    ),
    "a manifest that runs for ever": (
        lambda handler: (
            handler.reply(404) if handler.path.endswith("zip") else handler.reply(200, b"while 1 do end")
        ),
        "Failed loading manifest",
    ),
    "no manifest": (
        lambda handler: handler.reply(404) if handler.path.endswith("zip") else handler.reply(200, b"x = 1"),
        "Error checking manifest",
    ),
    "a zip of something else": (
        lambda handler: (
            handler.reply(404) if not handler.path.endswith("zip") else handler.reply(200, zip_of(b"", "x"))
        ),
        "Failed extracting manifest file",
    ),
}


@pytest.mark.adversary(60, 61, 63)
@pytest.mark.parametrize("failure", FAILURES)
def test_a_failing_server_is_warned_of_and_the_search_goes_on(
    failure: str, bad: Any, good: Any, ask: Any
) -> None:
    """Within bounded time; and what failed is not taken for an answer by the next command."""
    action, cause = FAILURES[failure]
    bad.actions["*"] = lambda handler: bool(action(handler)) and False
    start = time.monotonic()
    index = ask(bad.url, good.url, stall=0.2)
    assert versions(index) == ["1.0-1"]
    assert time.monotonic() - start < 15
    assert len(ask.notes.warnings) == 1
    assert ask.notes.warnings[0].startswith("Failed searching manifest: ")
    assert cause in ask.notes.warnings[0]
    assert len(bad.requests) <= (2 if failure in ("slow drip", "silence") else 16)
    bad.actions.clear()
    ask.now += 4000
    assert versions(ask(bad.url)) == ["1.0-1"]


@pytest.mark.parametrize("failure", ["404", "500", "cut in mid-body", "a login page"])
def test_the_next_mirror_takes_over(failure: str, bad: Any, good: Any, ask: Any) -> None:
    action, _ = FAILURES[failure]
    bad.actions["*"] = lambda handler: bool(action(handler)) and False
    index = ask((bad.url, good.url), stall=0.3)
    found = index.candidates("foo")
    assert [offer.urls[0].startswith(good.url) for offer in found[0].offers] == [True, True]


def test_when_all_servers_fail_the_cause_is_told_under_luarocks_line(bad: Any, ask: Any) -> None:
    bad.actions["*"] = lambda handler: handler.reply(500)
    index = ask(bad.url, "http://no-such-host.invalid", "ftp-is-not-a-directory")
    assert versions(index) == []
    error = index.not_found()
    assert error.message == "No results matching query were found for Lua 5.1."
    assert "answers 500" in error.hint
    assert "no-such-host.invalid is not known" in error.hint
    assert "ftp-is-not-a-directory has no manifest-5.1" in error.hint


def test_one_of_three_servers_is_down(
    good: Any, folder: Path, ask: Any, serve: Callable[[Path], Any]
) -> None:
    down = serve(folder)
    down.shutdown()
    down.server_close()
    index = ask(good.url, down.url, str(folder))
    offers = index.candidates("foo")[0].offers
    assert [offer.server for offer in offers] == [good.url] * 2 + [str(folder)] * 2
    assert [down.url in warning for warning in ask.notes.warnings] == [True]


def test_a_server_that_cannot_be_reached_is_tried_once_a_command(ask: Any) -> None:
    index = ask("http://no-such-host.invalid")
    for name in ("a", "b", "c"):
        assert versions(index, name) == []
    assert len(ask.notes.warnings) == 1


def test_500_then_200_is_an_answer(good: Any, ask: Any) -> None:
    answered = []

    def once(handler: Any) -> bool:
        answered.append(handler.path)
        if answered.count(handler.path) == 1:
            handler.reply(500)
            return False
        return True

    good.actions["*"] = once
    assert versions(ask(good.url)) == ["1.0-1"]
    assert ask.notes.warnings == []


def test_a_plain_manifest_serves_where_the_zip_is_broken(folder: Path, good: Any, ask: Any) -> None:
    (folder / "manifest-5.1.zip").write_bytes(b"PK\3\4 broken")
    assert versions(ask(good.url)) == ["1.0-1"]


def test_json_serves_where_there_is_nothing_else(folder: Path, good: Any, ask: Any) -> None:
    for name in ("manifest-5.1", "manifest-5.1.zip"):
        (folder / name).unlink()
    assert versions(ask(good.url)) == ["1.0-1"]
    assert good.requests[1:] == [f"/manifest-5.1{suffix}" for suffix in (".zip", "", ".json")]


def test_the_manifest_without_a_version_is_never_asked_for(folder: Path, good: Any, ask: Any) -> None:
    for path in folder.glob("manifest-*"):
        path.unlink()
    assert versions(ask(good.url)) == []
    assert "/manifest" not in good.requests


@pytest.mark.adversary(26)
def test_a_manifest_bomb_is_refused(good: Any, ask: Any) -> None:
    bomb = zip_of(b"-" * (300 << 20))
    good.actions["/manifest-5.1.zip"] = lambda handler: handler.reply(200, bomb)
    good.actions["/manifest-5.1"] = good.actions["/manifest-5.1.json"] = lambda handler: handler.reply(404)
    assert versions(ask(good.url)) == []
    assert "Failed extracting manifest file" in ask.notes.warnings[0]


def test_a_rockspec_that_is_listed_but_gone_is_told(folder: Path, good: Any, ask: Any) -> None:
    (folder / "foo-1.0-1.rockspec").unlink()
    index = ask(good.url)
    with pytest.raises(NotFoundError, match="has no rockspec of it"):
        index.facts(index.candidates("foo")[0])


@pytest.mark.parametrize("data", [b"while true do end", b'package = "foo"', b"<html>", b"\x1bLua", b""])
def test_a_rockspec_that_cannot_be_read_is_a_data_error(
    folder: Path, good: Any, ask: Any, data: bytes
) -> None:
    (folder / "foo-1.0-1.rockspec").write_bytes(data)
    index = ask(good.url)
    candidate = index.candidates("foo")[0]
    for _ in range(2):
        with pytest.raises(DataError):
            index.facts(candidate)
    index.announce([], [candidate, *index.candidates("bar")])
    assert index.facts(index.candidates("bar")[0]).dependencies[0].name == "lua"


@pytest.mark.adversary(71)
def test_a_rockspec_that_was_replaced_is_refused_with_both_digests(folder: Path, good: Any, ask: Any) -> None:
    index = ask(good.url)
    first = index.facts(index.candidates("foo")[0])
    assert [str(dependency) for dependency in first.dependencies] == ["lua >= 5.1", "bar >= 1"]
    ask.downloader.cache.clean()
    path = folder / "foo-1.0-1.rockspec"
    path.write_text(path.read_text() + "-- and more\n")
    index = ask(good.url)
    with pytest.raises(FetchError, match="is not the file that it was: its sha256 was"):
        index.facts(index.candidates("foo")[0])


# Pumice's own index


def own(folder: Path) -> dict[str, Any]:
    build_index(str(folder), Silent())
    head: dict[str, Any] = json.loads((folder / "pumice-index.json").read_text())
    return head


def test_a_server_with_an_index_never_sends_a_manifest(folder: Path, good: Any, ask: Any) -> None:
    own(folder)
    index = ask(good.url)
    facts = index.facts(index.candidates("foo")[0])
    assert [dependency.text for dependency in facts.dependencies] == ["lua >= 5.1", "bar >= 1"]
    assert [path.split("/")[1] for path in good.requests] == ["pumice-index.json", "pumice-index"]
    ask.now += 100
    assert versions(ask(good.url)) == ["1.0-1"]
    assert good.requests[2:] == good.unmodified == ["/pumice-index.json"]


@pytest.mark.parametrize("broken", ["not json", "later format", "no graph", "wild path", "array"])
def test_a_broken_head_leaves_the_manifest(folder: Path, good: Any, ask: Any, broken: str) -> None:
    head = own(folder)
    texts = {
        "not json": "{",
        "later format": json.dumps(head | {"format": 2}),
        "no graph": json.dumps({"format": 1}),
        "wild path": json.dumps(head | {"graph": head["graph"] | {"path": "../../etc/passwd"}}),
        "array": "[]",
    }
    (folder / "pumice-index.json").write_text(texts[broken])
    assert versions(ask(good.url)) == ["1.0-1"]
    assert ask.notes.warnings == []


@pytest.mark.adversary(66)
@pytest.mark.parametrize("broken", ["truncated", "other", "gone", "page"])
def test_a_graph_that_is_not_the_one_of_the_head_is_never_used(
    folder: Path, good: Any, ask: Any, broken: str
) -> None:
    """The manifest serves instead."""
    head = own(folder)
    path = folder / head["graph"]["path"]
    data = path.read_bytes()
    if broken == "gone":
        path.unlink()
    else:
        path.write_bytes({"truncated": data[:-5], "other": gzip.compress(b"{}"), "page": b"<html>"}[broken])
    assert versions(ask(good.url)) == ["1.0-1"]
    assert any("its manifest is used" in text for _, text in ask.notes.messages)


@pytest.mark.adversary(26)
def test_a_graph_bomb_is_refused(folder: Path, good: Any, ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib

    monkeypatch.setattr("pumice.index.own._LARGEST_GRAPH", 1 << 20)
    head = own(folder)
    bomb = gzip.compress(b"\0" * (8 << 20))
    (folder / head["graph"]["path"]).write_bytes(bomb)
    head["graph"] |= {"sha256": hashlib.sha256(bomb).hexdigest(), "size": len(bomb)}
    (folder / "pumice-index.json").write_text(json.dumps(head))
    assert versions(ask(good.url)) == ["1.0-1"]
    assert any("is broken" in text for _, text in ask.notes.messages)


@pytest.mark.parametrize(
    "record",
    [
        b'{"name": "foo", "versions": {"../1-1": {"files": {"all": {}}}}}',
        b'{"name": "foo", "versions": {"1\\u001b[2J-1": {"files": {"all": {}}}}}',
        b'{"name": "foo", "versions": {"1-1": {"files": []}}}',
        b'{"name": "foo", "versions": {"1-1": {"files": {}, "dependencies": "x"}}}',
        b'{"name": "bar", "versions": {}}',
        b'{"name": "foo"}',
        b"[[[[",
        b"\xff\xfe",
    ],
)
def test_a_hostile_record_is_a_warning(folder: Path, good: Any, ask: Any, record: bytes) -> None:
    head = own(folder)
    del head["graph"]
    (folder / "pumice-index.json").write_text(json.dumps(head))
    next((folder / "pumice-index").rglob("foo.json")).write_bytes(record)
    assert versions(ask(good.url)) == []
    assert len(ask.notes.warnings) == 1
    assert ask.notes.warnings[0].isprintable()


def test_a_dependency_that_does_not_parse_takes_its_version_alone(folder: Path, good: Any, ask: Any) -> None:
    head = own(folder)
    del head["graph"]
    (folder / "pumice-index.json").write_text(json.dumps(head))
    versions_told = {
        "2-1": {"files": {"all": {}}, "dependencies": ["foo !! 1"]},
        "1-1": {"files": {"all": {}}},
    }
    record = json.dumps({"name": "foo", "versions": versions_told})
    next((folder / "pumice-index").rglob("foo.json")).write_text(record)
    index = ask(good.url)
    assert versions(index) == ["2-1", "1-1"]
    with pytest.raises(DataError, match="Failed to parse constraint"):
        index.facts(index.candidates("foo")[0])
    assert index.facts(index.candidates("foo")[1]).dependencies == ()


def test_a_broken_record_is_an_error_of_that_server_alone(
    folder: Path, good: Any, bad: Any, ask: Any
) -> None:
    head = own(folder)
    del head["graph"]
    (folder / "pumice-index.json").write_text(json.dumps(head))
    bad.actions["*"] = lambda handler: (
        "pumice-index/" not in handler.path or handler.reply(200, b'{"name":"x"}')
    )
    index = ask(bad.url, good.url)
    assert versions(index) == ["1.0-1"]
    assert ["is broken" in warning for warning in ask.notes.warnings] == [True]
    assert index.facts(index.candidates("foo")[0]).dependencies != ()


def test_search_by_a_part_needs_a_list_of_names(folder: Path, good: Any, ask: Any) -> None:
    head = own(folder)
    del head["graph"]
    (folder / "pumice-index.json").write_text(json.dumps(head))
    index = ask(good.url)
    assert index.search(Query("fo", substring=True)) == ()
    assert "no list of its rocks" in ask.notes.warnings[0]
    assert len(index.search(Query("foo"))) == 2
