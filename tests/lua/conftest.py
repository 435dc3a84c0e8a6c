"""What the tests of the Lua room share: real Luas, and the corpus in memory."""

import shutil
import tarfile
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_lua():
    """The path of a real Lua by its name (`lua5.1`, …, `luajit`); it must be installed."""

    def find(name: str) -> str:
        found = shutil.which(name)
        assert found, f"{name} is not installed"
        return found

    return find


@pytest.fixture(scope="session")
def corpus(shared: Path) -> dict[str, bytes]:
    """Every rockspec of the corpus by file name, as published."""
    with tarfile.open(shared / "corpus" / "rockspecs.tar.xz") as archive:
        files = {}
        for member in archive:
            if member.isfile():
                content = archive.extractfile(member)
                assert content is not None
                files[member.name] = content.read()
    return files


@pytest.fixture(scope="session")
def server_manifests(shared: Path) -> dict[str, bytes]:
    """The public server's manifests by file name."""
    with tarfile.open(shared / "corpus" / "manifests.tar.xz") as archive:
        return {
            Path(member.name).name: content.read()
            for member in archive
            if member.isfile() and (content := archive.extractfile(member)) is not None
        }
