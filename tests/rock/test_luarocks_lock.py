"""luarocks.lock is read, and written as LuaRocks writes it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pumice.errors import ManifestError
from pumice.rock.luarocks_lock import LuaRocksLock, luarocks_lock_bytes, read_luarocks_lock

LOCK = LuaRocksLock(
    dependencies={"penlight": "1.13.1-1", "lua-cjson": "2.1.0-1"}, test_dependencies={"busted": "2.1-1"}
)
TEXT = """return {
   dependencies = {
      ["lua-cjson"] = "2.1.0-1",
      penlight = "1.13.1-1"
   },
   test_dependencies = {
      busted = "2.1-1"
   },
}
"""


def test_what_is_written_is_luarocks_s_text_and_reads_the_same() -> None:
    assert luarocks_lock_bytes(LOCK).decode() == TEXT
    assert read_luarocks_lock(TEXT.encode(), "luarocks.lock") == LOCK.replace(build_dependencies={})


@pytest.mark.peer
def test_luarocks_writes_the_same_text(luarocks) -> None:
    expression = (
        '{dependencies={penlight="1.13.1-1",["lua-cjson"]="2.1.0-1"},test_dependencies={busted="2.1-1"}}'
    )
    assert luarocks.ask("lock", expression) == TEXT


@pytest.mark.parametrize(
    "text",
    [
        "return 1",
        "return {",
        "return { dependencies = 1 }",
        "return { dependencies = { a = 1 } }",
        "return { dependencies = { 'a' } }",
        "",
    ],
)
def test_what_pins_nothing_properly_is_refused(text: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read_luarocks_lock(text.encode(), "dir/luarocks.lock")
    assert "dir/luarocks.lock" in caught.value.message
    assert caught.value.hint


def test_the_lua_is_neither_read_nor_written() -> None:
    assert (
        luarocks_lock_bytes(LOCK.replace(dependencies={**LOCK.dependencies, "lua": "5.1-1"})) == TEXT.encode()
    )
    text = TEXT.replace('penlight = "1.13.1-1"', 'lua = "5.1-1", penlight = "1.13.1-1"')
    assert read_luarocks_lock(text.encode(), "luarocks.lock") == LOCK.replace(build_dependencies={})


@pytest.mark.peer
def test_luarocks_reads_a_lock_of_ours_and_we_read_one_of_its(tmp_path: Path) -> None:
    for name, needs in (("dep", ""), ("app", 'dependencies = {"dep"}')):
        for version in ("1.0-1", "2.0-1"):
            (tmp_path / f"{name}-{version}.rockspec").write_text(
                f'package = "{name}"\nversion = "{version}"\nsource = {{url = "file://{tmp_path}/none.lua"}}\n'
                f'{needs}\nbuild = {{type = "builtin", modules = {{}}}}\n'
            )

    def run(*words: str) -> str:
        done = subprocess.run(
            ["luarocks", "--lua-version=5.1", f"--tree={tmp_path}/tree", f"--only-server={tmp_path}", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    (tmp_path / "none.lua").write_text("")
    subprocess.run(
        ["luarocks-admin", "make_manifest", "."], cwd=tmp_path, check=True, capture_output=True, timeout=60
    )
    run("make", "--pin", "app-1.0-1.rockspec")
    its = (tmp_path / "luarocks.lock").read_bytes()
    lock = read_luarocks_lock(its, "luarocks.lock")
    assert lock.dependencies == {"dep": "2.0-1"}
    assert its == luarocks_lock_bytes(lock)
    (tmp_path / "luarocks.lock").write_bytes(luarocks_lock_bytes(LuaRocksLock({"dep": "1.0-1"})))
    assert "dep 1.0-1" in run("make", "app-1.0-1.rockspec")
