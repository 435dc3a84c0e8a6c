"""The installed LuaRocks, asked through `luarocks_oracle.lua`."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ORACLE = Path(__file__).with_name("luarocks_oracle.lua")


def _bytes_as_text(value: Any) -> Any:
    """The oracle escapes every byte by itself; put those that are UTF-8 together again."""
    if isinstance(value, str):
        return value.encode("latin-1").decode("utf-8", "surrogateescape")
    if isinstance(value, dict):
        return {_bytes_as_text(key): _bytes_as_text(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_bytes_as_text(inner) for inner in value]
    return value


class LuaRocks:
    """One Lua process that has LuaRocks's modules and answers one question at a time."""

    def __init__(self, lua: str, home: Path) -> None:
        self.process = subprocess.Popen(
            [lua, str(ORACLE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin", "HOME": str(home), "LC_ALL": "C"},
        )

    def ask(self, question: str, item: str) -> Any:
        """The answer about one item; the kinds of question are the functions of the Lua file."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        line = item.replace("\n", "\\n").encode("utf-8", "surrogateescape")
        self.process.stdin.write(question.encode() + b"\t" + line + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"the oracle died of {question} {item!r}"
        return _bytes_as_text(json.loads(answer))

    def close(self) -> None:
        """Ends the process: its input is over."""
        self.process.communicate(timeout=10)


def _luarocks(lua: str, home: Path) -> Iterator[LuaRocks]:
    if shutil.which("luarocks") is None:
        pytest.fail("the real luarocks is not installed; scripts/debian-packages names it")
    oracle = LuaRocks(lua, home)
    yield oracle
    oracle.close()


@pytest.fixture(scope="session")
def luarocks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LuaRocks]:
    """LuaRocks's own modules in Lua 5.4."""
    yield from _luarocks("lua5.4", tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def luarocks_51(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LuaRocks]:
    """LuaRocks's own modules in Lua 5.1."""
    yield from _luarocks("lua5.1", tmp_path_factory.mktemp("home"))
