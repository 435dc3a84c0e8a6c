"""`sarif_log`: findings as SARIF 2.1.0 (OASIS), which code hosts show beside the lines they are about."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pumice.kong.finding import Finding
    from pumice.kong.silence import Silenced

__all__ = ["sarif_log"]

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def sarif_log(
    checked: Iterable[tuple[str, Sequence[Finding], Sequence[Silenced]]], *, version: str
) -> dict[str, object]:
    """A log of one run: for each thing that was checked its address, its findings and the silenced ones.

    The address is a directory, below which the findings' files lie, or an artefact; `version` is Pumice's.
    """
    results: list[dict[str, object]] = []
    severities: dict[str, str] = {}
    for address, findings, silenced in checked:
        told = [(item, "") for item in findings] + [(item.finding, item.reason) for item in silenced]
        for item, reason in told:
            severities.setdefault(item.code, item.severity)
            results.append(_result(address, item, reason, list(severities).index(item.code)))
    rules = [
        {
            "id": code,
            "shortDescription": {"text": code.replace("-", " ")},
            "help": {"text": f"docs/checks/{code}.md tells what it means and what to do."},
            "defaultConfiguration": {"level": severity},
        }
        for code, severity in severities.items()
    ]
    driver = {"name": "pumice", "version": version, "rules": rules}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _result(address: str, item: Finding, reason: str, rule: int) -> dict[str, object]:
    text = item.message
    if item.kong:
        text += f"\nKong says: {item.kong}"
    if item.targets:
        text += f"\nIt holds for: {', '.join(item.targets)}"
    if item.hint:
        text += f"\nWhat to do: {item.hint}"
    result: dict[str, object] = {
        "ruleId": item.code,
        "ruleIndex": rule,
        "level": item.severity,
        "message": {"text": _clean(text)},
        "locations": [_location(address, item)],
    }
    if reason:
        result["suppressions"] = [{"kind": "external", "justification": _clean(reason)}]
    return result


def _location(address: str, item: Finding) -> dict[str, object]:
    place: dict[str, object] = {"artifactLocation": {"uri": _uri(address, item.file)}}
    if item.line:
        place["region"] = {"startLine": item.line}
    return {"physicalLocation": place}


def _uri(address: str, file: str | None) -> str:
    import posixpath
    import urllib.parse

    path = posixpath.normpath(posixpath.join(address, file) if file else address)
    return urllib.parse.quote(path.encode("utf-8", "surrogateescape"), safe="/~")


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
