"""Output that cannot be written, and streams that were closed before the program began."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a shell line in which `$P` is the program."""

    def start(line: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        program = tmp_path / "pumice"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pumice "$@"\n')
        program.chmod(0o755)
        return subprocess.run(
            ["sh", "-c", line],
            cwd=tmp_path,
            env={
                "HOME": str(tmp_path),
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(SOURCE),
                "P": str(program),
            }
            | environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return start


def test_a_full_disk_behind_standard_output_is_an_error_like_any_other(run: Run) -> None:
    done = run("$P --tree t list > /dev/full")
    assert done.returncode == 1
    assert "Error: " in done.stderr
    assert "Hint: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", [">&-", "<&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_may_be_closed(closed: str, run: Run) -> None:
    done = run(f"$P --tree t list {closed}")
    assert (done.returncode, done.stderr) == (0, "")


def test_an_error_with_standard_error_closed_is_only_an_exit_code(run: Run) -> None:
    done = run("$P --tree t show nosuch 2>&-")
    assert (done.returncode, done.stderr) == (1, "")


def test_a_reader_that_goes_away_is_not_an_error_to_tell(run: Run) -> None:
    done = run("$P help | true")
    assert done.stderr == ""


def test_a_temporary_directory_that_is_not_there_is_not_made(run: Run, tmp_path: Path) -> None:
    """`/tmp` serves instead, as for every program that looks at TMPDIR."""
    (tmp_path / "a-1.0-1.rockspec").write_text(
        'package = "a" version = "1.0-1" source = { url = "http://localhost/a" }'
        'description = { license = "MIT" } build = { type = "make", install_pass = false }'
    )
    (tmp_path / "Makefile").write_text("all:\n\techo made\n")
    assert run("$P --tree t make", TMPDIR=str(tmp_path / "nowhere")).returncode == 0
    assert not (tmp_path / "nowhere").exists()
