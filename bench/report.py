"""The results as a table for people and as JSON for machines."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from bench.cases import FLOOR, LUAROCKS, PUMICE
from bench.corpus import TARGET, Evaluated
from bench.measure import Samples


@dataclass
class Row:
    """One operation, all sides."""

    name: str
    target: float | None
    sides: dict[str, Samples] = field(default_factory=dict)
    failure: str = ""
    against: str = LUAROCKS
    """The side that Pumice is compared with; empty: the fastest of all others, by wall time alone.

    What a rival's nodes take is no CPU time of its command, so of nodes only the wall time says something.
    """
    most_memory: float | None = None
    """Megabytes that no process of Pumice may go beyond."""
    most_wall: float | None = None
    """Milliseconds that Pumice may take, where no rival does the work."""
    memory: float = 0.0
    """Megabytes that Pumice took at most, where there is such a limit."""

    @property
    def rival(self) -> str:
        """The side that Pumice is compared with, or "" where none has run."""
        others = [side for side in self.sides if side not in {PUMICE, FLOOR}]
        return self.against or min(others, key=lambda side: self.sides[side].wall, default="")

    def ratio(self, kind: str) -> float | None:
        """Pumice / LuaRocks (or what else it is compared with) of the medians; `kind` is wall or cpu."""
        if PUMICE not in self.sides or self.rival not in self.sides:
            return None
        other: float = getattr(self.sides[self.rival], kind)
        mine: float = getattr(self.sides[PUMICE], kind)
        return mine / other if other else None

    @property
    def rivals(self) -> str:
        """Every rival with its wall time, and Pumice's ratio to it."""
        if PUMICE not in self.sides:
            return "-"
        mine = self.sides[PUMICE].wall
        return ", ".join(
            f"{side} {_ms(samples.wall)} ({_ratio(mine / samples.wall)})"
            for side, samples in self.sides.items()
            if side not in {PUMICE, FLOOR}
        )

    @property
    def verdict(self) -> str:
        """ok, over, or "" where there is no target."""
        if self.failure:
            return "failed"
        ratios = [self.ratio("wall"), *([self.ratio("cpu")] if self.against else [])]
        if self.most_memory is not None and self.memory > self.most_memory:
            return "over"
        if self.most_wall is not None and PUMICE in self.sides:
            return "ok" if self.sides[PUMICE].wall <= self.most_wall else "over"
        if self.target is None or None in ratios:
            return ""
        return "ok" if all(ratio is not None and ratio <= self.target for ratio in ratios) else "over"


@dataclass
class Report:
    """Everything that one bench run found out."""

    machine: dict[str, str]
    rows: list[Row] = field(default_factory=list)
    corpus: Evaluated | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing failed and every target is met."""
        met = self.corpus is None or self.corpus.mean_wall <= TARGET
        return met and all(row.verdict in {"ok", ""} for row in self.rows)

    def json(self) -> str:
        """One JSON object, times in milliseconds."""
        found: dict[str, object] = {"machine": self.machine, "rows": [_row(row) for row in self.rows]}
        if self.corpus is not None:
            found["corpus"] = {**vars(self.corpus), "target": TARGET}
        return json.dumps(found, indent=2)

    def table(self) -> str:
        """A table with one line a row."""
        head = [
            "operation",
            "pumice",
            "cpu",
            "luarocks",
            "cpu",
            "floor",
            "memory",
            "wall ratio",
            "cpu ratio",
            "target",
            "",
        ]
        lines = [head]
        for row in self.rows:
            times = []
            for side in (PUMICE, LUAROCKS if row.against else row.rival):
                samples = row.sides.get(side)
                times += [_ms(samples.wall), _ms(samples.cpu)] if samples else ["-", "-"]
            floor = row.sides.get(FLOOR)
            ratios = [_ratio(row.ratio("wall")), _ratio(row.ratio("cpu"))]
            target = "-" if row.target is None else f"≤ {row.target:g}"
            if row.most_wall is not None:
                target = f"≤ {row.most_wall:g} ms"
            others = [_ms(floor.wall) if floor else "-", f"{row.memory:.0f}" if row.memory else "-"]
            lines.append([row.name, *times, *others, *ratios, target, row.verdict])
        widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
        text = [
            "  ".join(
                cell.ljust(width) if column in {0, len(head) - 1} else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]
        text.insert(1, "-" * len(text[0]))
        text += [
            "",
            "Medians in milliseconds, Pumice's memory in megabytes; ratios are Pumice / LuaRocks.",
            "docs/bench.md says what the floor is.",
        ]
        if self.corpus is not None:
            verdict = "ok" if self.corpus.mean_wall <= TARGET else "over"
            text.append(
                f"{self.corpus.count} rockspecs: {self.corpus.mean_wall:.0f} µs each (cpu "
                f"{self.corpus.mean_cpu:.0f}), {self.corpus.refused} refused, target ≤ {TARGET:g}: {verdict}"
            )
        text += [f"{row.name}: {row.rivals}" for row in self.rows if not row.against]
        text += [f"{row.name} failed: {row.failure}" for row in self.rows if row.failure]
        return "\n".join(text)


def _row(row: Row) -> dict[str, object]:
    return {
        "name": row.name,
        "target": row.target,
        "verdict": row.verdict,
        "failure": row.failure,
        "wall_ratio": row.ratio("wall"),
        "cpu_ratio": row.ratio("cpu"),
        "against": row.rival,
        "memory": row.memory,
        "most_memory": row.most_memory,
        "most_wall": row.most_wall,
        **{
            side: {
                "wall": samples.wall,
                "cpu": samples.cpu,
                "samples": [[cost.wall * 1000, cost.cpu * 1000] for cost in samples.costs],
            }
            for side, samples in row.sides.items()
        },
    }


def _ms(value: float) -> str:
    return f"{value:.1f}" if value < 1000 else f"{value:.0f}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"
