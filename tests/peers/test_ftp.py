"""A server of rocks over ftp, and sources from there: as LuaRocks installs them."""

import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.peer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """`stem` from a rockspec whose sources are on the same ftp server, and `leaf`, which it needs."""
    folder = tmp_path / "server"
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"ftp://127.0.0.1:{port}"
    for name, needs in (("stem", '"leaf"'), ("leaf", "")):
        (tmp_path / f"{name}.lua").write_text(f"return '{name}'\n")
        with tarfile.open(folder / f"{name}-1.0.tar.gz", "w:gz") as tar:
            tar.add(tmp_path / f"{name}.lua", f"{name}-1.0/{name}.lua")
        (folder / f"{name}-1.0-1.rockspec").write_text(
            f'package = "{name}" version = "1.0-1" source = {{ url = "{url}/{name}-1.0.tar.gz" }}\n'
            f"dependencies = {{ {needs} }}\n"
            f'build = {{ type = "builtin", modules = {{ {name} = "{name}.lua" }} }}\n'
        )
    words = ["luarocks-admin", "make_manifest", "."]
    subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=60)
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "pyftpdlib",
        "-i",
        "127.0.0.1",
        "-p",
        str(port),
        "-d",
        str(folder),
    ]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < until, "the ftp server does not start"
                time.sleep(0.05)
        yield url
    finally:
        running.terminate()
        running.wait(10)


@pytest.mark.parametrize("who", ["pumice", "luarocks"])
def test_rocks_and_sources_come_over_ftp(
    request: pytest.FixtureRequest, who: str, server: str, tree: Path
) -> None:
    run: Run = request.getfixturevalue(who)
    run("--lua-version=5.1", f"--only-server={server}", "install", "stem")
    for name in ("stem", "leaf"):
        assert (tree / f"share/lua/5.1/{name}.lua").read_text() == f"return '{name}'\n"


def test_what_came_over_ftp_is_there_offline(pumice: Run, server: str, tree: Path) -> None:
    words = ("--lua-version=5.1", f"--only-server={server}")
    pumice(*words, "install", "stem")
    pumice(*words, "remove", "stem")
    pumice(*words, "--offline", "install", "stem")
    assert (tree / "share/lua/5.1/stem.lua").exists()
    found = pumice(*words, "search", "leaf", "--porcelain").stdout
    assert found.split("\t")[:3] == ["leaf", "1.0-1", "rockspec"]
