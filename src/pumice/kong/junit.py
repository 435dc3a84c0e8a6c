"""`junit_xml`: findings as JUnit XML, which continuous integration shows as tests."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pumice.kong.finding import Finding

__all__ = ["junit_xml"]


def junit_xml(checked: Iterable[tuple[str, Sequence[Finding]]], *, strict: bool = False) -> str:
    """One suite for each thing that was checked, one case for each finding; a case that passes for none.

    Errors are failures, with `strict` warnings too; the others are told in the case's output.
    """
    suites = []
    all_cases = all_failures = 0
    for name, findings in checked:
        cases = [_case(name, item, strict) for item in findings]
        if not cases:
            cases = [f'    <testcase classname={_attribute(name)} name="check"/>']
        failures = sum(_fails(item, strict) for item in findings)
        all_cases += len(cases)
        all_failures += failures
        suites.append(
            f'  <testsuite name={_attribute(name)} tests="{len(cases)}" failures="{failures}" errors="0" '
            'skipped="0">\n' + "\n".join(cases) + "\n  </testsuite>"
        )
    head = f'<testsuites name="pumice check" tests="{all_cases}" failures="{all_failures}" errors="0">'
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', head, *suites, "</testsuites>"])


def _fails(item: Finding, strict: bool) -> bool:
    return item.is_error or (strict and item.severity == "warning")


def _case(name: str, item: Finding, strict: bool) -> str:
    where = f"{item.file}:{item.line}" if item.file and item.line else item.file or name
    lines = [f"{where}: {item.severity}: {item.message}"]
    if item.kong:
        lines.append(f"Kong says: {item.kong}")
    if item.targets:
        lines.append(f"It holds for: {', '.join(item.targets)}")
    if item.hint:
        lines.append(f"What to do: {item.hint}")
    text = _escaped("\n".join(lines))
    if _fails(item, strict):
        inside = f"<failure message={_attribute(item.message)} type={_attribute(item.code)}>{text}</failure>"
    else:
        inside = f"<system-out>{text}</system-out>"
    return (
        f"    <testcase classname={_attribute(name)} name={_attribute(f'{item.code} {where}')}>"
        f"{inside}</testcase>"
    )


def _attribute(text: str) -> str:
    return '"' + _escaped(text).replace('"', "&quot;").replace("\n", "&#10;") + '"'


def _escaped(text: str) -> str:
    """Text that XML 1.0 may hold: its signs escaped, other control characters as `?`."""
    allowed = "".join(
        c if c in "\t\n" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c >= "\U00010000" else "?"
        for c in text
    )
    return allowed.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
