"""`luarocks.lock`, before and after the real LuaRocks."""

import subprocess

import pytest

from pumice.errors import DataError, LuaDataError
from pumice.solve.luarocks_lock import LuarocksLock, luarocks_lock_text, read_luarocks_lock

TEXT = """\
return {
   dependencies = {
      ["lua-cjson"] = "2.1.0-1",
      penlight = "1.13.1-1"
   },
   test_dependencies = {
      busted = "2.0.0-1"
   },
}
"""


def test_the_text_is_luarockss_and_is_read_again():
    lock = LuarocksLock(
        {"penlight": "1.13.1-1", "lua-cjson": "2.1.0-1", "lua": "5.1-1"}, {}, {"busted": "2.0.0-1"}
    )
    assert luarocks_lock_text(lock) == TEXT
    assert read_luarocks_lock(TEXT.encode()).dependencies == {"penlight": "1.13.1-1", "lua-cjson": "2.1.0-1"}


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (b"return 1", "luarocks.lock returns no table"),
        (b"return { dependencies = 1 }", "'dependencies' is no table"),
        (b"return { dependencies = { a = {} } }", "something else than names and versions"),
        (b"return { dependencies = { 'a' } }", "something else than names and versions"),
    ],
)
def test_what_is_no_lock_is_refused(source, problem):
    with pytest.raises(DataError, match=problem):
        read_luarocks_lock(source)


def test_what_is_no_lua_is_refused():
    with pytest.raises(LuaDataError):
        read_luarocks_lock(b"return {")


@pytest.mark.peer
def test_luarocks_reads_a_lock_of_ours_and_we_read_one_of_its(tmp_path):
    for name, needs in (("dep", ""), ("app", 'dependencies = {"dep"}')):
        for version in ("1.0-1", "2.0-1"):
            (tmp_path / f"{name}-{version}.rockspec").write_text(
                f'package = "{name}"\nversion = "{version}"\nsource = {{url = "file://{tmp_path}/none.lua"}}\n'
                f'{needs}\nbuild = {{type = "builtin", modules = {{}}}}\n'
            )

    def luarocks(*words, code=0):
        done = subprocess.run(
            ["luarocks", "--lua-version=5.1", f"--tree={tmp_path}/tree", f"--only-server={tmp_path}", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert code == done.returncode, done.stdout + done.stderr
        return done.stdout

    (tmp_path / "none.lua").write_text("")
    subprocess.run(
        ["luarocks-admin", "make_manifest", "."], cwd=tmp_path, check=True, capture_output=True, timeout=60
    )
    luarocks("make", "--pin", "app-1.0-1.rockspec")
    its = (tmp_path / "luarocks.lock").read_bytes()
    lock = read_luarocks_lock(its)
    assert lock.dependencies == {"dep": "2.0-1"}
    assert its.decode() == luarocks_lock_text(lock)
    (tmp_path / "luarocks.lock").write_text(luarocks_lock_text(LuarocksLock({"dep": "1.0-1"})))
    assert "dep 1.0-1" in luarocks("make", "app-1.0-1.rockspec")
