"""Source rocks that the real LuaRocks packs hold what we fetch, and their sources are found in them."""

import os
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pumice.source.source import open_source

pytestmark = pytest.mark.peer


def packed(fetcher: Any, source: str) -> Path:
    """The source rock that `luarocks pack` makes."""
    folder = fetcher.place / "packing"
    folder.mkdir()
    (folder / "sample-1.0-1.rockspec").write_bytes(fetcher.rockspec(source).text)
    environment = {"PATH": os.environ["PATH"], "HOME": str(fetcher.place), "LC_ALL": "C"}
    done = subprocess.run(
        ["luarocks", "--lua-version=5.1", "pack", "sample-1.0-1.rockspec"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "sample-1.0-1.src.rock"


def names(rock: Path) -> set[str]:
    with zipfile.ZipFile(rock) as archive:
        return {name for name in archive.namelist() if not name.endswith(("/", ".rockspec"))}


def test_an_archive(fetcher: Any, archive: Any, files: Any) -> None:
    path = archive("sample-1.0.tar.gz", {"sample-1.0/a.lua": "a"})
    source = f'url = "file://{path}"'
    rock = packed(fetcher, source)
    fetched = fetcher.fetch(source, unpack=False)
    assert {os.path.basename(fetched.archive_path)} == names(rock)
    there = fetcher.place / "unpacked"
    with zipfile.ZipFile(rock) as opened:
        opened.extractall(there)
    assert files(open_source(fetcher.rockspec(source), str(there)).dir) == {"a.lua"}


def test_a_repository(fetcher: Any, repository: Any, files: Any) -> None:
    repository.git("tag", "v1")
    repository.commit({"later.lua": ""})
    source = f'url = "git+file://{repository.path}", tag = "v1"'
    rock = packed(fetcher, source)
    fetched = fetcher.fetch(source, unpack=False)
    top = os.path.basename(fetched.checkout_dir)
    assert {f"{top}/{name}" for name in files(fetched.checkout_dir)} == names(rock)
    there = fetcher.place / "unpacked"
    with zipfile.ZipFile(rock) as opened:
        opened.extractall(there)
    assert files(open_source(fetcher.rockspec(source), str(there)).dir) == {"a.lua", "sub/b.lua"}
