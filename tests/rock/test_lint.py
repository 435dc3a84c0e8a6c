"""lint says what `luarocks lint` says, and warns of what surprises."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pumice.rock.lint import lint
from pumice.rock.rockspec import load_rockspec

LICENSED = """
package = "foo"
version = "1.0-1"
source = { url = "https://example.org/foo-1.0.tar.gz" }
description = { license = "MIT" }
build = { type = "builtin", modules = {} }
"""


def codes(text: str) -> list[tuple[str, str]]:
    problems = lint(load_rockspec(text.encode(), "foo-1.0-1.rockspec", ("unix", "linux")))
    assert all(problem.message and problem.hint for problem in problems)
    return [(problem.severity, problem.code) for problem in problems]


def test_a_good_rockspec_has_no_problem() -> None:
    assert codes(LICENSED) == []
    whole = 'dependencies = { "a", "b", platforms = { unix = { "c", "d", "e" } } }'
    assert codes(LICENSED + whole) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("description = {}", ("error", "no-license")),
        ("description = nil", ("error", "no-license")),
        ("build = {}", ("warning", "no-build-type")),
        ('build.type = "module"', ("warning", "old-build-type")),
        ('dependencies = { "a >= 1_." }', None),
        ('dependencies = { "a >= .1" }', ("warning", "odd-version")),
        ('dependencies = { "a @1" }', ("warning", "no-upgrade")),
        ("build.platforms = { macos = {} }", ("warning", "platform-without-effect")),
        ('dependencies = { "a", "b", platforms = { unix = { "c" } } }', ("warning", "array-override")),
        (
            'build.x = { m = { "a", "b" } } build.platforms = { linux = { x = { m = { "z" } } } }',
            ("warning", "array-override"),
        ),
    ],
)
def test_each_problem_is_found(text: str, problem: tuple[str, str] | None) -> None:
    assert codes(LICENSED + text) == ([problem] if problem else [])


@pytest.mark.peer
@pytest.mark.parametrize(("text", "fails"), [("", False), ("description = {}", True)])
def test_luarocks_lint_fails_where_an_error_is_found(tmp_path: Path, text: str, fails: bool) -> None:
    file = tmp_path / "foo-1.0-1.rockspec"
    file.write_text(LICENSED + text)
    done = subprocess.run(["luarocks", "lint", str(file)], capture_output=True, text=True, timeout=60)
    assert (
        (done.returncode != 0) == fails == any(severity == "error" for severity, _ in codes(LICENSED + text))
    )
    assert ("Rockspec has no license field." in done.stderr) == fails
