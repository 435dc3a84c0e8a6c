"""The servers to measure with: what they cost a client, and that LuaRocks takes what they hold."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def installed(count: int, bench: Any, folder: Path) -> tuple[list[str], list[str]]:
    """What a server of `count` rocks is asked for by an install, and what is installed then."""
    sparse = bench("sparse")
    server = sparse.SparseServer(count)
    tree = folder / str(count)
    environment = {
        "HOME": str(folder),
        "PATH": os.environ["PATH"],
        "PUMICE_CACHE": str(folder / f"cache-{count}"),
    }
    command = [sys.executable, "-m", "pumice", f"--tree={tree}", "--lua-version=5.1"]
    command += [f"--only-server={server.url}", "install", sparse.rock(256)]
    try:
        done = subprocess.run(
            command, env=environment, cwd=folder, capture_output=True, text=True, timeout=60
        )
    finally:
        server.stop()
    assert done.returncode == 0, done.stderr
    rocks = sorted(path.name for path in (tree / "share/lua/5.1").iterdir())
    return sorted(server.requests), rocks


def test_a_server_of_300000_rocks_is_asked_for_what_one_of_300_is(bench: Any, tmp_path: Path) -> None:
    """SOLVE: a client with the sparse index pays for what it wants, not for what there is."""
    large, rocks = installed(300_000, bench, tmp_path)
    small, same = installed(300, bench, tmp_path)
    assert large == small
    assert rocks == same
    assert len(rocks) == 10
    # The head, and of each rock its record and its file.
    assert len(large) == 1 + 2 * len(rocks)
    assert len(set(large)) == len(large)


@pytest.mark.peer
def test_luarocks_builds_the_c_rocks(bench: Any, tmp_path: Path) -> None:
    bench("rocks").write_c_rock(tmp_path, "native", [])
    bench("rocks").write_rock(tmp_path, "plain", ["native >= 1.0"])
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}

    def luarocks(program: str, *words: str) -> None:
        subprocess.run(
            [f"/usr/bin/{program}", *words], env=environment, check=True, capture_output=True, timeout=120
        )

    luarocks("luarocks-admin", "make_manifest", str(tmp_path))
    tree = tmp_path / "tree"
    luarocks("luarocks", f"--tree={tree}", f"--only-server={tmp_path}", "install", "plain")
    load = f"package.cpath = '{tree}/lib/lua/5.1/?.so'; assert(#require('native').f2(4) == 4)"
    subprocess.run(["/usr/bin/lua5.1", "-e", load], check=True, timeout=60)
    assert (tree / "share/lua/5.1/plain.lua").is_file()
