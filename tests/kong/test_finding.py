"""Every finding has a stable code, and every code a page."""

import re
from pathlib import Path

import pytest

from pumice.kong.finding import CODES, Finding, finding


def test_every_code_has_a_page_and_every_page_a_code(project: Path) -> None:
    pages = {page.stem for page in (project / "docs" / "checks").glob("*.md")} - {"index"}
    assert pages == set(CODES)


def test_every_page_says_what_why_and_how(project: Path) -> None:
    for code, severity in CODES.items():
        text = (project / "docs" / "checks" / f"{code}.md").read_text()
        assert text.startswith(f"# {code}\n\n*{severity}*"), code
        assert "## What to do" in text, code


def test_every_code_is_found_in_the_rules_and_no_other(project: Path) -> None:
    sources = "".join(path.read_text() for path in (project / "src/pumice/kong").glob("*.py"))
    sources += (project / "src/pumice/cli/check_command.py").read_text()
    used = set(re.findall(r'finding\(\s*"([a-z-]+)"', sources))
    used |= set(re.findall(r'code = "([a-z-]+)" if .* else "[a-z-]+"', sources))
    used |= set(re.findall(r'code = "[a-z-]+" if .* else "([a-z-]+)"', sources))
    used |= {"handler-missing", "schema-missing"} if 'f"{part}-missing"' in sources else set()
    assert used == set(CODES)


def test_a_finding_has_the_severity_of_its_code() -> None:
    assert finding("module-unlisted", "m", hint="h") == Finding("module-unlisted", "warning", "m", hint="h")
    assert finding("lua-syntax", "m").is_error


def test_an_unknown_code_is_a_bug() -> None:
    with pytest.raises(KeyError):
        finding("nonsense", "m")


def test_a_finding_is_one_json_object() -> None:
    assert finding("lua-syntax", "m", kong="k", file="f", line=3, hint="h").as_json() == {
        "code": "lua-syntax",
        "severity": "error",
        "message": "m",
        "kong": "k",
        "file": "f",
        "line": 3,
        "hint": "h",
        "for": [],
    }
