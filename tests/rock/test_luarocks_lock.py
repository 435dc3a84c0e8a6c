"""luarocks.lock is read, and written as LuaRocks writes it."""

from __future__ import annotations

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
    "text", ["return 1", "return {", "return { dependencies = 1 }", "return { dependencies = { a = 1 } }", ""]
)
def test_what_pins_nothing_properly_is_refused(text: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read_luarocks_lock(text.encode(), "dir/luarocks.lock")
    assert "dir/luarocks.lock" in caught.value.message
    assert caught.value.hint
