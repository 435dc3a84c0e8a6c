"""Findings as people read them: where, what, what Kong will say, what to do."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pumice.kong.finding import Finding

__all__ = ["counted", "finding_lines", "table"]


def counted(number: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


_WIDE = 200
"""So much of a source line is shown."""


def finding_lines(
    found: Iterable[Finding], sources: Mapping[tuple[str, int], str] | None = None
) -> list[str]:
    """A few lines a finding, the worst first; `sources` are the source lines by file and number."""
    order = {"error": 0, "warning": 1, "note": 2}
    lines = []
    for item in sorted(found, key=lambda item: order[item.severity]):
        where = (
            f"{item.file}:{item.line}: " if item.file and item.line else f"{item.file}: " if item.file else ""
        )
        targets = f" (for {', '.join(item.targets)})" if item.targets else ""
        lines.append(f"{where}{item.severity}: {item.message}{targets} [{item.code}]")
        source = (sources or {}).get((item.file, item.line)) if item.file and item.line else None
        if source is not None and source.strip():
            lines.append(f"    {item.line} | {source.rstrip().expandtabs(4)[:_WIDE]}")
        if item.kong:
            lines += [f"    Kong says: {line}" for line in item.kong.splitlines()[:3]]
        if item.hint:
            lines.append(f"    hint: {item.hint}")
    return lines


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Columns as wide as their widest cell, two blanks between them."""
    rows = list(rows)
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *rows)
    ]
