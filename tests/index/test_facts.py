"""What a rock needs is read from a part of it where its server gives parts."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pumice.errors import PumiceError
from pumice.net.downloader import Wanted

PATH = "/big-1.0-1.all.rock"


class Parts:
    """Gives parts of the rock, and counts what it sends."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / PATH.lstrip("/")
        self.sent: list[int] = []
        self.spoil: Callable[[bytes], bytes] = lambda data: data

    def __call__(self, handler: Any) -> None:
        data = self.file.read_bytes()
        wanted = handler.headers.get("Range")
        if wanted is None:
            self.sent.append(len(data))
            handler.reply(200, data, ETag='"e"')
            return
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        size = len(data)
        start, end = (int(first), int(last) + 1) if first else (max(0, size - int(last)), size)
        body = self.spoil(data[start:end])
        self.sent.append(len(body))
        handler.reply(206, body, Content_Range=f"bytes {start}-{end - 1}/{size}", ETag='"e"')


@pytest.fixture
def big(tmp_path: Path, rocks: Any, serve: Callable[[Path], Any]) -> tuple[Any, Parts]:
    """A server with a manifest and one rock of a megabyte, without its rockspec."""
    folder = tmp_path / "server"
    folder.mkdir()
    noise = random.Random(3).randbytes(1 << 20).hex()
    rocks.rock(folder, "big", "1.0-1", ["lua >= 5.1", "other > 2"], module=noise)
    (folder / "manifest-5.1").write_text(
        'commands = {}\nmodules = {}\nrepository = { big = { ["1.0-1"] = { { arch = "all" } } } }\n',
        encoding="utf-8",
    )
    server = serve(folder)
    parts = Parts(folder)
    server.actions[PATH] = parts
    return server, parts


def needs(index: Any) -> list[str]:
    found = index.facts(index.candidates("big")[0])
    return [dependency.text for dependency in found.dependencies]


def test_only_a_part_of_a_large_rock_is_fetched_and_only_once(big: tuple[Any, Parts], ask: Any) -> None:
    server, parts = big
    assert needs(ask(server.url)) == ["lua >= 5.1", "other > 2"]
    assert sum(parts.sent) < 110_000 < 1 << 20 < parts.file.stat().st_size
    requests = len(parts.sent)
    ask.now += 10**6
    assert needs(ask(server.url)) == ["lua >= 5.1", "other > 2"]
    assert needs(ask(server.url, offline=True)) == ["lua >= 5.1", "other > 2"]
    assert len(parts.sent) == requests


def test_parts_that_do_not_fit_together_are_dropped_for_the_whole(big: tuple[Any, Parts], ask: Any) -> None:
    server, parts = big
    parts.spoil = lambda data: bytes(len(data))
    assert needs(ask(server.url)) == ["lua >= 5.1", "other > 2"]
    assert parts.sent[-1] == parts.file.stat().st_size


def test_the_whole_tells_what_is_wrong_with_a_rock(big: tuple[Any, Parts], ask: Any) -> None:
    server, parts = big
    data = parts.file.read_bytes()
    parts.file.write_bytes(data + b"more")
    with pytest.raises(PumiceError, match="cut off, or something follows its end"):
        needs(ask(server.url))


def test_a_server_that_chokes_on_parts_gives_the_whole(big: tuple[Any, Parts], ask: Any) -> None:
    server, parts = big

    def choke(handler: Any) -> None:
        if "Range" in handler.headers:
            handler.close_connection = True
        else:
            parts(handler)

    server.actions[PATH] = choke
    assert needs(ask(server.url)) == ["lua >= 5.1", "other > 2"]
    assert parts.sent == [parts.file.stat().st_size]


def test_once_the_whole_is_here_it_is_asked_and_not_the_part(big: tuple[Any, Parts], ask: Any) -> None:
    server, parts = big
    index = ask(server.url)
    needs(index)
    target = ask.folder / "whole.rock"
    ask.downloader.fetch(Wanted(index.candidates("big")[0].best.urls, str(target)))
    requests = len(parts.sent)
    answers = [path for path in (ask.folder / "cache/answers").rglob("*") if path.is_file()]
    (part,) = [path for path in answers if "big-1.0-1.all.rock\n" in path.read_text()]
    part.unlink()
    assert needs(ask(server.url)) == ["lua >= 5.1", "other > 2"]
    assert len(parts.sent) == requests
