"""Headers and libraries are found where LuaRocks finds them; what is missing is named by its package."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pumice.base.config import Config, TreeSpec
from pumice.errors import BuildError
from pumice.lua import headers as module
from pumice.lua.headers import find_headers
from pumice.lua.interpreter import Interpreter, find_interpreter

TREE = TreeSpec("", "/t", "/t/bin", "/t/share/lua/5.1", "/t/lib/lua/5.1", "/t/lib/luarocks/rocks-5.1")
PLAIN = "#define LUA_VERSION_NUM\t\t501\n"


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Config]:
    """A configuration by Lua version and variables; nothing is on PATH."""

    def make(version: str = "5.1", *, path: str = "", link: bool = False, **variables: str) -> Config:
        return Config(
            lua_version=version,
            tree=TREE,
            trees=(TREE,),
            arch="linux-x86_64",
            platforms=("unix", "linux"),
            variables=variables,
            home="/nowhere",
            sysconfdir="/nowhere",
            cache_dir=str(tmp_path / "cache"),
            cwd="/",
            environment={"PATH": path},
            external_deps_subdirs={"lib": ("lib/x86_64-linux-gnu", "lib64", "lib")},
            link_lua_explicitly=link,
        )

    return make


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No headers of this machine are looked at."""
    monkeypatch.setattr(module, "_PLAIN_PREFIXES", ())


def _put(file: Path, text: str = PLAIN) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def test_directories_are_tried_in_the_order_of_luarocks(
    config: Callable[..., Config], tmp_path: Path
) -> None:
    order = ["include/lua/5.1", "include/lua5.1", "include/lua-5.1", "include/lua51", "include", "."]
    files = [_put(tmp_path / "p" / directory / "lua.h") for directory in order]
    for file in files:
        found = find_headers(config(LUA_DIR=str(tmp_path / "p")), None)
        assert os.path.realpath(found.incdir) == str(file.parent)
        file.unlink()


def test_a_header_of_another_version_is_passed_over(config: Callable[..., Config], tmp_path: Path) -> None:
    _put(tmp_path / "include/lua5.1/lua.h", "#define LUA_VERSION_NUM 503\n")
    right = _put(tmp_path / "include/lua.h")
    assert find_headers(config(LUA_DIR=str(tmp_path)), None).incdir == str(right.parent)


def test_the_header_of_5_5_tells_its_version_in_two_parts(
    config: Callable[..., Config], tmp_path: Path
) -> None:
    text = (
        "#define LUA_VERSION_MAJOR_N\t5\n#define LUA_VERSION_MINOR_N\t5\n"
        "#define LUA_VERSION_NUM  (LUA_VERSION_MAJOR_N * 100 + LUA_VERSION_MINOR_N)\n"
    )
    _put(tmp_path / "include/lua.h", text)
    assert find_headers(config("5.5", LUA_DIR=str(tmp_path)), None).incdir == f"{tmp_path}/include"
    with pytest.raises(BuildError, match="mismatches"):
        find_headers(config("5.4", LUA_DIR=str(tmp_path)), None)


def test_the_headers_of_luajit_follow_its_version(config: Callable[..., Config], tmp_path: Path) -> None:
    wanted = _put(tmp_path / "include/luajit-2.0/lua.h")
    _put(tmp_path / "include/luajit-2.1/lua.h")
    jit = Interpreter(str(tmp_path / "bin/luajit"), "5.1", "2.0.5", str(tmp_path))
    assert find_headers(config(), jit).incdir == str(wanted.parent)


def test_a_configured_directory_is_final(config: Callable[..., Config], tmp_path: Path) -> None:
    _put(tmp_path / "include/lua.h")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BuildError, match="Failed finding Lua header files"):
        find_headers(config(LUA_DIR=str(tmp_path), LUA_INCDIR=str(tmp_path / "empty")), None)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    ("release", "jit", "words"),
    [
        ('ID=debian\nPRETTY="a=b"\n', None, "apt-get install liblua5.1-0-dev"),
        ("ID=linuxmint\nID_LIKE='ubuntu debian'\n", None, "apt-get install liblua5.1-0-dev"),
        ("ID=debian\n", "2.1.0", "apt-get install libluajit-5.1-dev"),
        ("ID=alpine\n", None, "apk add lua5.1-dev"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', None, "dnf install compat-lua-devel"),
        ('ID="opensuse-leap"\n', None, "zypper install lua51-devel"),
        ("ID=plan9\n", None, "liblua5.1-0-dev (debian)"),
    ],
)
def test_missing_headers_name_the_package(
    config: Callable[..., Config],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    release: str,
    jit: str | None,
    words: str,
) -> None:
    from pumice.base import distribution

    file = _put(tmp_path / "os-release", release)
    here = distribution.family(os_release=(str(file),), system="linux")
    monkeypatch.setattr(distribution, "family", lambda: here)
    interpreter = Interpreter(str(tmp_path / "bin/lua"), "5.1", jit, str(tmp_path))
    with pytest.raises(BuildError, match="Failed finding Lua header files") as caught:
        find_headers(config(), interpreter)
    assert words in caught.value.hint


def test_homebrew_is_the_family_of_a_mac() -> None:
    from pumice.base.distribution import family, install_hint

    assert family(system="darwin") == "brew"
    assert install_hint({"brew": "luajit"}, here="brew") == "Install it: brew install luajit"


def test_a_library_is_found_by_name_before_place_patterns(
    config: Callable[..., Config], tmp_path: Path
) -> None:
    _put(tmp_path / "include/lua.h")
    _put(tmp_path / "lib/liblua5.1.so.0")
    found = find_headers(config(LUA_DIR=str(tmp_path)), None)
    assert (found.libdir, found.library) == (f"{tmp_path}/lib", "liblua5.1.so.0")
    _put(tmp_path / "lib64/liblua51.a")
    found = find_headers(config(LUA_DIR=str(tmp_path)), None)
    assert (found.libdir, found.library) == (f"{tmp_path}/lib64", "liblua51.a")


def test_a_library_without_version_in_its_name_is_judged_by_content(
    config: Callable[..., Config], tmp_path: Path
) -> None:
    _put(tmp_path / "include/lua.h")
    _put(tmp_path / "lib/liblua.a", "…Lua 5.4…")
    assert find_headers(config(LUA_DIR=str(tmp_path)), None).library is None
    _put(tmp_path / "lib/liblua.a", "…Lua 5.1…")
    assert find_headers(config(LUA_DIR=str(tmp_path)), None).library == "liblua.a"


def test_a_missing_library_matters_only_where_it_is_linked(
    config: Callable[..., Config], tmp_path: Path
) -> None:
    _put(tmp_path / "include/lua.h")
    assert find_headers(config(LUA_DIR=str(tmp_path)), None).libdir is None
    with pytest.raises(BuildError, match="Failed finding Lua library"):
        find_headers(config(LUA_DIR=str(tmp_path), link=True), None)


@pytest.mark.usefixtures("alone")
def test_pkg_config_is_asked_when_the_prefix_has_none(config: Callable[..., Config], tmp_path: Path) -> None:
    header = _put(tmp_path / "odd place/../deep/lua.h")
    tool = _put(
        tmp_path / "bin/pkg-config",
        f'#!/bin/sh\n[ "$2" = lua-5.1 ] && echo "-I/nowhere -I{tmp_path}/deep " || exit 1\n',
    )
    tool.chmod(0o755)
    found = find_headers(config(path=str(tmp_path / "bin")), None)
    assert found.incdir == os.path.realpath(header.parent)


@pytest.mark.peer
@pytest.mark.parametrize("version", ["5.1", "5.2", "5.3", "5.4"])
def test_headers_and_library_are_those_of_luarocks(
    config: Callable[..., Config], version: str, tmp_path: Path
) -> None:
    settings = config(version, path="/usr/bin:/bin")
    found = find_headers(settings, find_interpreter(settings))
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    real = [
        subprocess.run(
            ["/usr/bin/luarocks", "--lua-version", version, "config", name],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout.strip()
        for name in ("variables.LUA_INCDIR", "variables.LUA_LIBDIR")
    ]
    assert [found.incdir, found.libdir] == real
    assert found.library == f"liblua{version}.a"
