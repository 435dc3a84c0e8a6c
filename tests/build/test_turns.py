"""Rocks that are built at once share the processors."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pumice.base.process import Finished
from pumice.build import compiler
from pumice.build.turns import processors

C = "int luaopen_%s(void *L) { return 0; }\n"


def test_rocks_built_at_once_run_no_more_compilers_than_there_are_processors(
    new_builder: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    running, most, lock = 0, 0, threading.Lock()

    def fake(command: str, **_: object) -> Finished:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        Path(command.split("'-o' '")[1].split("'", maxsplit=1)[0]).write_bytes(b"")
        with lock:
            running -= 1
        return Finished(0, "")

    monkeypatch.setattr(compiler, "run", fake)

    def build(number: int) -> None:
        names = [f"m{number}_{each}" for each in range(4)]
        builder = new_builder(f"rock{number}")
        builder.write({f"{name}.c": C % name for name in names})
        modules = ", ".join(f'{name} = "{name}.c"' for name in names)
        text = f'build = {{ type = "builtin", modules = {{ {modules} }} }}'
        builder.build(text, variables={"LUA_INCDIR": "/usr/include/lua5.1"})

    threads = [threading.Thread(target=build, args=(number,)) for number in range(4 * processors())]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == processors()
