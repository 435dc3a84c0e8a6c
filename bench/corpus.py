"""How long a rockspec takes to evaluate: the whole public server's, in this process."""

from __future__ import annotations

import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

from pumice.errors import DataError
from pumice.rock.platform import platforms_of
from pumice.rock.rockspec import load_rockspec

TARGET = 150.0
"""Microseconds a rockspec, on average."""
_PASSES = 3


@dataclass(frozen=True)
class Evaluated:
    """All rockspecs of the corpus, evaluated; the best of several passes."""

    count: int
    refused: int
    mean_wall: float
    """Microseconds."""
    mean_cpu: float


def evaluate_corpus(shared: Path, limit: int | None) -> Evaluated:
    """Load every rockspec of `rockspecs.tar.xz`; reading the archive is not measured.

    The best pass counts: what disturbs a busy machine can only add to it.
    """
    sources: list[tuple[str, bytes]] = []
    with tarfile.open(shared / "corpus/rockspecs.tar.xz") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".rockspec") else None
            if file is not None:
                sources.append((Path(member.name).name, file.read()))
            if limit is not None and len(sources) >= limit:
                break
    platforms = platforms_of("linux")
    return min((_one_pass(sources, platforms) for _ in range(_PASSES)), key=lambda found: found.mean_wall)


def _one_pass(sources: list[tuple[str, bytes]], platforms: tuple[str, ...]) -> Evaluated:
    refused = 0
    began, worked = time.perf_counter(), time.process_time()
    for name, source in sources:
        try:
            load_rockspec(source, name, platforms)
        except DataError:
            refused += 1
    wall, cpu = time.perf_counter() - began, time.process_time() - worked
    count = max(len(sources), 1)
    return Evaluated(len(sources), refused, wall / count * 1e6, cpu / count * 1e6)
