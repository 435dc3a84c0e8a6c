"""What real tools write is read; what is written, real tools read."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pumice.archive.member import Entry
from pumice.archive.tar_reader import open_tar
from pumice.archive.tar_writer import write_tar_gz
from pumice.archive.unpack import unpack
from pumice.archive.zip_reader import open_zip
from pumice.archive.zip_writer import write_zip

LUA_SCRIPT = Path(__file__).with_name("luarocks_zip.lua")

CONTENTS = {
    "top/init.lua": b"return {}\n" * 500,
    "top/empty": b"",
    "top/bin/run": b"#!/bin/sh\n",
    "top/é ü.txt": b"accents",
    "top/" + "long-directory-name/" * 6 + "n" * 90: b"long",
    "top/binary": bytes(range(256)) * 300,
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with all of `CONTENTS` below `top`."""
    folder = tmp_path / "project"
    for name, data in CONTENTS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "top/bin/run").chmod(0o755)
    return folder


def _run(*command: str, cwd: Path, **options: Any) -> bytes:
    if shutil.which(command[0]) is None:
        pytest.fail(f"{command[0]} is not installed; scripts/debian-packages names what the tests need")
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(cwd)}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, timeout=60, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _assert_contents(folder: Path) -> None:
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == CONTENTS
    executable = [path.name for path in folder.rglob("*") if path.is_file() and os.access(path, os.X_OK)]
    assert executable == ["run"]


ZIP_COMMANDS = {
    "plain": ["zip", "-qr", "../a.zip", "top"],
    "no-extra": ["zip", "-qrX", "../a.zip", "top"],
    "no-directories": ["zip", "-qrD", "../a.zip", "top"],
    "stored": ["zip", "-qr0", "../a.zip", "top"],
    "zip64": ["zip", "-qrfz", "../a.zip", "top"],
    "descriptors": ["zip", "-qrfd", "../a.zip", "top"],
    "best": ["zip", "-qr9", "../a.zip", "top"],
}


@pytest.mark.peer
@pytest.mark.adversary(25)
@pytest.mark.parametrize("command", ZIP_COMMANDS.values(), ids=ZIP_COMMANDS)
def test_what_info_zip_writes_is_read(command: list[str], project: Path, tmp_path: Path) -> None:
    _run(*command, cwd=project)
    unpack(str(tmp_path / "a.zip"), str(tmp_path / "out"))
    _assert_contents(tmp_path / "out")


@pytest.mark.peer
def test_what_info_zip_streams_is_read(project: Path, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(_run("zip", "-qr", "-", "top", cwd=project))
    unpack(str(tmp_path / "a.zip"), str(tmp_path / "out"))
    _assert_contents(tmp_path / "out")


@pytest.mark.peer
def test_a_comment_of_info_zip_is_no_harm(project: Path, tmp_path: Path) -> None:
    _run("zip", "-qrz", "../a.zip", "top", cwd=project, input=b"what a comment\n")
    unpack(str(tmp_path / "a.zip"), str(tmp_path / "out"))
    _assert_contents(tmp_path / "out")


@pytest.mark.peer
def test_what_info_zip_updates_is_read(project: Path, tmp_path: Path) -> None:
    _run("zip", "-qr", "../a.zip", "top", cwd=project)
    (project / "top/empty").write_bytes(b"full")
    _run("zip", "-q", "../a.zip", "top/empty", cwd=project)
    _run("zip", "-qd", "../a.zip", "top/binary", cwd=project)
    archive = open_zip(str(tmp_path / "a.zip"))
    assert archive.read("top/empty") == b"full"


@pytest.mark.peer
def test_an_encrypted_zip_is_refused(project: Path, tmp_path: Path) -> None:
    from pumice.errors import ArchiveError

    _run("zip", "-qr", "-P", "secret", "../a.zip", "top", cwd=project)
    with pytest.raises(ArchiveError, match="encrypted"):
        open_zip(str(tmp_path / "a.zip"))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("force_zip64", [False, True])
def test_what_python_writes_is_read(method: int, streamed: bool, force_zip64: bool, tmp_path: Path) -> None:
    class Unseekable(io.RawIOBase):
        def __init__(self) -> None:
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.data += data
            return len(data)

    output: Any = Unseekable() if streamed else io.BytesIO()
    with zipfile.ZipFile(output, "w", method) as file:
        for name, data in CONTENTS.items():
            with file.open(name, "w", force_zip64=force_zip64) as member:
                member.write(data)
    path = tmp_path / "a.zip"
    path.write_bytes(bytes(output.data) if streamed else output.getvalue())
    archive = open_zip(str(path))
    assert {member.name: archive.read(member.name) for member in archive.members} == CONTENTS


@pytest.mark.peer
@pytest.mark.parametrize("format_name", ["zip", "tar.gz", "tar"])
def test_what_git_archives_is_read(format_name: str, project: Path, tmp_path: Path) -> None:
    (project / "top/link").symlink_to("bin/run")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "core.quotePath=false"]
    _run("git", "init", "-q", ".", cwd=project)
    _run(*git, "add", ".", cwd=project)
    _run(*git, "commit", "-qm", "all", cwd=project)
    path = tmp_path / f"a.{format_name}"
    _run(*git, "archive", f"--format={format_name}", "-o", str(path), "HEAD", cwd=project)
    unpack(str(path), str(tmp_path / "out"))
    assert os.readlink(tmp_path / "out/top/link") == "bin/run"
    (tmp_path / "out/top/link").unlink()
    _assert_contents(tmp_path / "out")


@pytest.mark.peer
def test_what_luarocks_itself_writes_is_read(project: Path, tmp_path: Path) -> None:
    """LuaRocks's writer in Lua, which it uses where lua-zlib is installed: on a zlib of ours that stores."""
    names = [name for name, data in CONTENTS.items() if len(data) < 65536]
    _run("lua5.3", str(LUA_SCRIPT), "zip", str(tmp_path / "a.zip"), *names, cwd=project)
    archive = open_zip(str(tmp_path / "a.zip"))
    assert {m.name: archive.read(m.name) for m in archive.members} == {n: CONTENTS[n] for n in names}
    assert not any(member.executable for member in archive.members)


TAR_COMMANDS: dict[str, tuple[str, list[str]]] = {
    "gnu": ("a.tar", ["tar", "--format=gnu", "-cf", "../a.tar", "top"]),
    "pax": ("a.tar", ["tar", "--format=pax", "-cf", "../a.tar", "top"]),
    "posix-with-dot": ("a.tar", ["tar", "--format=posix", "-cf", "../a.tar", "."]),
    "gzip": ("a.tar.gz", ["tar", "-czf", "../a.tar.gz", "top"]),
    "bzip2": ("a.tar.bz2", ["tar", "-cjf", "../a.tar.bz2", "top"]),
    "xz": ("a.tar.xz", ["tar", "-cJf", "../a.tar.xz", "top"]),
    "plain-named-gz": ("a.tar.gz", ["tar", "-cf", "../a.tar.gz", "top"]),
}


@pytest.mark.peer
@pytest.mark.parametrize(("name", "command"), TAR_COMMANDS.values(), ids=TAR_COMMANDS)
def test_what_gnu_tar_writes_is_read(name: str, command: list[str], project: Path, tmp_path: Path) -> None:
    _run(*command, cwd=project)
    unpack(str(tmp_path / name), str(tmp_path / "out"))
    _assert_contents(tmp_path / "out")


@pytest.mark.peer
def test_links_of_gnu_tar_are_read(project: Path, tmp_path: Path) -> None:
    os.link(project / "top/bin/run", project / "top/hard")
    (project / "top/soft").symlink_to("bin/run")
    _run("tar", "-cf", "../a.tar", "top", cwd=project)
    unpack(str(tmp_path / "a.tar"), str(tmp_path / "out"))
    assert (tmp_path / "out/top/hard").read_bytes() == CONTENTS["top/bin/run"]
    assert os.access(tmp_path / "out/top/hard", os.X_OK)
    assert os.readlink(tmp_path / "out/top/soft") == "bin/run"


@pytest.mark.peer
@pytest.mark.adversary(11)
@pytest.mark.parametrize("kind", ["gnu", "pax"])
def test_sparse_members_of_gnu_tar_are_refused(kind: str, tmp_path: Path) -> None:
    from pumice.errors import ArchiveError

    with open(tmp_path / "hole", "wb") as file:
        file.truncate(10 << 20)
        file.write(b"x")
    _run("tar", "-S", f"--format={kind}", "-cf", "a.tar", "hole", cwd=tmp_path)
    with pytest.raises(ArchiveError, match="sparse"):
        open_tar(str(tmp_path / "a.tar"))


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_pythons_tarfile_writes_is_read(kind: int, project: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz", format=kind) as file:
        file.add(project / "top", "top")
    unpack(str(tmp_path / "a.tar.gz"), str(tmp_path / "out"))
    _assert_contents(tmp_path / "out")


def _entries() -> list[Entry]:
    return [Entry(name, lambda data=data: data, name.endswith("run")) for name, data in CONTENTS.items()]


Reader = Callable[[Path, Path], object]
READERS: dict[str, tuple[str, Reader]] = {
    "unzip": ("a.zip", lambda path, out: _run("unzip", "-q", str(path), cwd=out)),
    "luarocks": ("a.zip", lambda path, out: _run("lua5.3", str(LUA_SCRIPT), "unzip", str(path), cwd=out)),
    "gnu-tar": ("a.tar.gz", lambda path, out: _run("tar", "-xzf", str(path), cwd=out)),
    "gunzip": ("a.tar.gz", lambda path, out: _run("sh", "-c", f"gunzip -c {path} | tar -xf -", cwd=out)),
    "python-zip": (
        "a.zip",
        lambda path, out: _run("python3", "-m", "zipfile", "-e", str(path), ".", cwd=out),
    ),
    "python-tar": ("a.tar.gz", lambda path, out: _run("python3", "-m", "tarfile", "-e", str(path), cwd=out)),
    "ourselves-zip": ("a.zip", lambda path, out: unpack(str(path), str(out))),
    "ourselves-tar": ("a.tar.gz", lambda path, out: unpack(str(path), str(out))),
}


@pytest.mark.peer
@pytest.mark.parametrize(
    ("reader", "compress"),
    # The stand-in for LuaRocks's zlib only stores.
    [
        (reader, packed)
        for reader in READERS
        for packed in (False, True)
        if reader != "luarocks" or not packed
    ],
)
def test_what_is_written_every_tool_reads(reader: str, compress: bool, tmp_path: Path) -> None:
    name, read = READERS[reader]
    (write_zip if name == "a.zip" else write_tar_gz)(str(tmp_path / name), _entries(), compress=compress)
    out = tmp_path / "out"
    out.mkdir()
    read(tmp_path / name, out)
    found = {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert found == CONTENTS
    if reader not in ("luarocks", "python-zip"):
        _assert_contents(out)
