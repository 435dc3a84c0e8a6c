"""Whole commands in a forked child: fast, and it can be killed at any of its file-system calls."""

import hashlib
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pumice.archive.member import Entry
from pumice.archive.zip_writer import write_zip
from pumice.rock.rock_manifest import rock_manifest_bytes

CHANGING_CALLS = (
    "open", "write", "rename", "replace", "link", "symlink", "unlink", "mkdir", "rmdir", "fsync",
    "fdatasync", "chmod", "fchmod", "truncate", "ftruncate", "sync", "copy_file_range", "utime",
)  # fmt: skip
"""Every call of `os` by which a command changes a file system (or opens what it will change)."""


class Fault:
    """What happens at the file-system call number `at`, counted from 1: a kill, or an OSError."""

    def __init__(self, at: int, error: int | None = None) -> None:
        self.at = at
        self.error = error
        self.count = 0

    def install(self) -> None:
        """Put the fault in front of every changing call of `os`, in this (forked) process."""
        for name in CHANGING_CALLS:
            original = getattr(os, name, None)
            if original is not None:
                setattr(os, name, self._wrapped(name, original))

    def _wrapped(self, name: str, original: Callable[..., object]) -> Callable[..., object]:
        def call(*words: object, **named: object) -> object:
            if (
                name == "open"
                and len(words) > 1
                and not int(str(words[1])) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            ):
                return original(*words, **named)
            self.count += 1
            if self.count == self.at:
                if self.error is None:
                    os.kill(os.getpid(), signal.SIGKILL)
                raise OSError(self.error, os.strerror(self.error or 0), "injected")
            return original(*words, **named)

        return call


class Command:
    """Runs `pumice` commands in forked children of this process."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.output = ""

    def __call__(
        self,
        *words: str,
        cwd: Path | None = None,
        fault: Fault | None = None,
        kill_after: float | None = None,
    ) -> int:
        """The exit code; -9 when the child was killed. `output` holds what it wrote."""
        log = self.home / f"output-{os.urandom(4).hex()}"
        child = os.fork()
        if child == 0:
            self._child(words, cwd or self.home, log, fault)
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        self.output = log.read_text(errors="replace") if log.exists() else ""
        log.unlink(missing_ok=True)
        return os.waitstatus_to_exitcode(status)

    def count(self, *words: str, cwd: Path | None = None) -> int:
        """How many changing file-system calls a command makes."""
        report = self.home / "count"
        child = os.fork()
        if child == 0:
            fault = Fault(-1)
            try:
                self._quiet(words, cwd or self.home, report.with_suffix(".log"), fault)
            finally:
                descriptor = _open(str(report), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
                _write(descriptor, str(fault.count).encode())
                os._exit(0)
        os.waitpid(child, 0)
        return int(report.read_text())

    def _child(self, words: Sequence[str], cwd: Path, log: Path, fault: Fault | None) -> None:
        code = 99
        try:
            code = self._quiet(words, cwd, log, fault)
        finally:
            os._exit(code)

    def _quiet(self, words: Sequence[str], cwd: Path, log: Path, fault: Fault | None) -> int:
        from pumice.cli.main import main

        os.environ.clear()
        os.environ.update({"HOME": str(self.home), "PATH": "/usr/bin:/bin", "TMPDIR": str(self.home)})
        os.chdir(cwd)
        with open(log, "w") as out:
            sys.stdout = sys.stderr = out
            if fault is not None:
                fault.install()
            return main(list(words))


_open, _write = os.open, os.write


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Runs commands with a home of the test's own."""
    home = tmp_path / "home"
    home.mkdir()
    return Command(home)


MakeRock = Callable[..., Path]


@pytest.fixture
def make_rock(tmp_path: Path) -> MakeRock:
    """Writes `.all.rock` files: `make_rock("a", "1.0-1", {"lua/a.lua": "…"}, ["b >= 1"])`."""

    def write(
        name: str,
        version: str,
        files: dict[str, str],
        dependencies: Sequence[str] = (),
        folder: str = "rocks",
    ) -> Path:
        target = tmp_path / folder
        target.mkdir(exist_ok=True)
        listed = ", ".join(f'"{dependency}"' for dependency in dependencies)
        rockspec = (
            f'package = "{name}"\nversion = "{version}"\nsource = {{ url = "http://localhost/{name}.zip" }}\n'
            f'description = {{ license = "MIT" }}\ndependencies = {{ {listed} }}\n'
            'build = { type = "builtin", modules = {} }\n'
        )
        contents = {f"{name}-{version}.rockspec": rockspec.encode()}
        contents |= {path: text.encode() for path, text in files.items()}
        digests = {path: hashlib.md5(data).hexdigest() for path, data in contents.items()}
        contents["rock_manifest"] = rock_manifest_bytes(digests)
        path = target / f"{name}-{version}.all.rock"
        write_zip(
            str(path),
            [Entry(member, lambda data=data: data, False) for member, data in contents.items()],
        )
        return path

    return write


TreeHash = Callable[[Path], str]


@pytest.fixture
def tree_hash() -> TreeHash:
    """A digest of every name, mode and content below a folder; none of a folder that is not there."""

    def digest(folder: Path) -> str:
        found = hashlib.sha256()
        for path in sorted(folder.rglob("*")):
            found.update(f"{path.relative_to(folder)}\0{path.lstat().st_mode:o}\0".encode())
            if path.is_symlink():
                found.update(os.readlink(path).encode())
            elif path.is_file():
                found.update(path.read_bytes())
        return found.hexdigest()

    return digest


@pytest.fixture
def make_fault() -> type[Fault]:
    """The class of injected faults."""
    return Fault
