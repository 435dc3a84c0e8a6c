"""`./pumice` runs this checkout from anywhere; `scripts/setup` names what a machine lacks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Checkout = Callable[..., subprocess.CompletedProcess[str]]

_PYPROJECT = '[project]\nname = "x"\ndependencies = []\n'


def run(*command: object, cwd: Path, path: str = "/usr/bin:/bin") -> subprocess.CompletedProcess[str]:
    environment = {"HOME": str(cwd), "PATH": path}
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, cwd=cwd, env=environment, timeout=60
    )


@pytest.fixture
def checkout(project: Path, tmp_path: Path) -> Path:
    """The scripts of this checkout, in a folder with a space, set up with the Python of the tests."""
    folder = tmp_path / "a checkout"
    (folder / "scripts").mkdir(parents=True)
    for name in ("pumice", "scripts/setup", "scripts/debian-packages"):
        shutil.copy(project / name, folder / name)
    (folder / "src").symlink_to(project / "src")
    (folder / "pyproject.toml").write_text(_PYPROJECT)
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/python").symlink_to(sys.executable)
    (folder / ".venv/lib").symlink_to(Path(sys.prefix) / "lib")
    (folder / ".venv/.core").write_text("set up\n")
    os.utime(folder / "pyproject.toml", (1, 1))
    return folder


def test_it_runs_from_any_directory_and_through_links(checkout: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "absolute").symlink_to(checkout / "pumice")
    (elsewhere / "relative").symlink_to("../a checkout/pumice")
    (elsewhere / "link of a link").symlink_to("relative")
    for program, cwd in (
        (checkout / "pumice", elsewhere),
        ("./pumice", checkout),
        ("../pumice", checkout / "scripts"),
        ("./absolute", elsewhere),
        ("./relative", elsewhere),
        ("elsewhere/link of a link", tmp_path),
    ):
        done = run(program, "--version", cwd=cwd)
        assert done.stdout.startswith("pumice "), (program, done.stderr)
    assert run("sh", "pumice", "--version", cwd=checkout).stdout.startswith("pumice ")


def test_modules_of_the_current_directory_are_never_loaded(checkout: Path, tmp_path: Path) -> None:
    for name in ("os.py", "json.py", "lupa.py", "pumice/__init__.py"):
        (tmp_path / "trap" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "trap" / name).write_text("raise SystemExit('trapped')\n")
    (tmp_path / "trap" / "x-1-1.rockspec").write_text('package = "x"\nversion = "1-1"\n')
    done = run(checkout / "pumice", "inspect", "--json", "x-1-1.rockspec", cwd=tmp_path / "trap")
    assert done.stdout.startswith("{")
    assert "trapped" not in done.stdout + done.stderr


def test_arguments_arrive_as_they_are_and_the_exit_code_comes_back(checkout: Path) -> None:
    done = run(checkout / "pumice", "inspect", "a file  with '\"$HOME\n*", "", cwd=checkout)
    assert done.returncode == 1
    assert "a file  with '\"$HOME\n*" in done.stdout + done.stderr


def fakes(folder: Path, **scripts: str) -> str:
    """A PATH with the plain tools, these scripts, and nothing else: no Python, no apt."""
    folder.mkdir()
    for name in ("sh", "cat", "cksum", "dirname", "rm", "mkdir", "sed", "grep", "flock", "touch", "mktemp"):
        found = shutil.which(name)
        if found:
            (folder / name).symlink_to(found)
    for name, text in scripts.items():
        (folder / name.replace("_", "-")).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name.replace("_", "-")).chmod(0o755)
    return str(folder)


@pytest.fixture
def fresh(checkout: Path) -> Path:
    """A checkout that was never set up."""
    shutil.rmtree(checkout / ".venv/bin")
    (checkout / ".venv/lib").unlink()
    shutil.rmtree(checkout / ".venv")
    return checkout


def test_a_user_without_python_is_told_which_packages_to_install(fresh: Path, tmp_path: Path) -> None:
    path = fakes(tmp_path / "path", id="echo 1000", dpkg_query="exit 1", apt_get="echo apt ran; exit 1")
    done = run("./pumice", "--version", cwd=fresh, path=path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "missing on this machine: python3 python3-venv\n" in done.stderr
    assert "sudo apt-get install python3 python3-venv\n" in done.stderr
    assert "apt ran" not in done.stderr


def test_a_python_without_ensurepip_is_told_what_it_lacks(fresh: Path, tmp_path: Path) -> None:
    python = f'case $2 in *ensurepip*) exit 1 ;; esac; exec "{sys.executable}" "$@"'
    path = fakes(tmp_path / "path", id="echo 1000", python3=python, apt_get="exit 1")
    done = run("./pumice", "--version", cwd=fresh, path=path)
    assert done.returncode == 1
    assert "missing on this machine: python3-venv\n" in done.stderr


def test_a_system_without_apt_is_told_that_these_are_names_of_debian(fresh: Path, tmp_path: Path) -> None:
    done = run("sh", "scripts/setup", "core", cwd=fresh, path=fakes(tmp_path / "path", id="echo 0"))
    assert done.returncode == 1
    assert "missing on this machine: python3 python3-venv\n" in done.stderr
    assert "Debian's names" in done.stderr


def test_the_peers_that_are_missing_are_all_named_at_once(fresh: Path, tmp_path: Path) -> None:
    dpkg = "printf '%s\\n' 'gcc install ok installed' 'make install ok installed' 'git deinstall ok config-files'"
    path = fakes(tmp_path / "path", id="echo 1000", dpkg_query=dpkg, apt_get="exit 1")
    done = run("sh", "scripts/setup", "peers", cwd=fresh, path=path)
    named = done.stderr.splitlines()[0].removeprefix("setup: missing on this machine: ").split()
    lines = (fresh / "scripts/debian-packages").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#") and line not in ("gcc", "make")] == named
    assert done.returncode == 1


def test_what_is_set_up_asks_neither_apt_nor_pip(checkout: Path, tmp_path: Path) -> None:
    """Nothing but the shell and Python runs, and neither is looked for on the PATH."""
    done = run(checkout / "pumice", "--version", cwd=tmp_path, path="/nonexistent")
    assert done.stdout.startswith("pumice ")
    assert done.stderr == ""
