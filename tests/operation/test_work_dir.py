"""Work directories are private, gone afterwards, and those of killed commands do not pile up."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pumice.base.config import Config, TreeSpec
from pumice.operation.work_dir import WorkDir


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Settings whose TMPDIR is the test's own."""
    tree = TreeSpec.at(str(tmp_path / "tree"), "5.1")
    return Config(
        lua_version="5.1",
        tree=tree,
        trees=(tree,),
        arch="linux-x86_64",
        platforms=("unix", "linux"),
        variables={},
        home=str(tmp_path),
        sysconfdir="/etc/luarocks",
        cache_dir=str(tmp_path / "cache"),
        cwd=str(tmp_path),
        environment={"TMPDIR": str(tmp_path)},
    )


def test_it_is_private_made_when_needed_and_gone_afterwards(config: Config, tmp_path: Path) -> None:
    with WorkDir(config, "test") as work:
        assert not os.path.exists(work.path)
        (Path(work.make("inner")) / "file").write_text("x")
        assert os.stat(work.path).st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []


def left_behind(tmp_path: Path, process: int, *, days: float = 2.0, name: str = "pumice-install") -> Path:
    """A directory as a command of that process made it, some days ago."""
    folder = tmp_path / f"{name}-{process}-0123456789abcdef"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").write_text("x")
    when = folder.stat().st_mtime - days * 86_400
    os.utime(folder, (when, when))
    return folder


def test_what_a_killed_command_left_is_removed_and_nothing_else(config: Config, tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    stale = left_behind(tmp_path, child.pid)
    kept = [
        left_behind(tmp_path, os.getpid()),
        left_behind(tmp_path, child.pid, days=0.5, name="pumice-make"),
        left_behind(tmp_path, child.pid, name="other-install"),
        left_behind(tmp_path, 10**30),
    ]
    away = tmp_path / "away"
    away.mkdir()
    link = tmp_path / f"pumice-link-{child.pid}-0123456789abcdef"
    link.symlink_to(away)
    os.utime(link, (1, 1), follow_symlinks=False)
    with WorkDir(config, "test"):
        pass
    assert stale.exists()  # a command that put nothing there looks for nothing there
    with WorkDir(config, "test") as work:
        work.make()
    assert not stale.exists()
    assert all(folder.exists() for folder in kept) and link.is_symlink() and away.exists()
