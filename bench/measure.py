"""One command line run and weighed: wall time, and CPU of it and of all that it started."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_MAXRSS = 1 if sys.platform == "darwin" else 1024
"""The unit of `ru_maxrss` in bytes."""
# The bench is large, and what it starts itself is counted as large as that was before its own exec.
_PEAK = """
import os, resource, sys
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[
    (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
status = os.waitpid(child, 0)[1]
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


class CommandFailed(Exception):
    """A measured command did not do what it was measured for."""


@dataclass(frozen=True)
class Cost:
    """What one run took, in seconds."""

    wall: float
    cpu: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.wall + other.wall, self.cpu + other.cpu)


@dataclass
class Samples:
    """The runs of one command."""

    costs: list[Cost] = field(default_factory=list)

    @property
    def wall(self) -> float:
        """Median wall time in milliseconds."""
        return statistics.median(cost.wall for cost in self.costs) * 1000

    @property
    def cpu(self) -> float:
        """Median CPU time in milliseconds."""
        return statistics.median(cost.cpu for cost in self.costs) * 1000


def weigh(command: Sequence[str], *, cwd: Path, environment: Mapping[str, str], output: Path) -> Cost:
    """Run one command to its end; what it writes goes to `output`.

    The kernel counts for us: `wait4` gives the CPU of the child and of every process that it waited for.
    Raises CommandFailed with what the command wrote when it does not exit with 0.
    """
    here = os.open(".", os.O_RDONLY)
    sink = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        os.chdir(cwd)
        began = time.perf_counter()
        child = os.posix_spawn(
            command[0],
            list(command),
            dict(environment),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, sink, 1),
                (os.POSIX_SPAWN_DUP2, sink, 2),
            ],
        )
        _, status, usage = os.wait4(child, 0)
        wall = time.perf_counter() - began
    finally:
        os.fchdir(here)
        os.close(here)
        os.close(sink)
    if os.waitstatus_to_exitcode(status) != 0:
        written = output.read_text(encoding="utf-8", errors="replace")
        raise CommandFailed(f"{' '.join(command[:8])}: exit {os.waitstatus_to_exitcode(status)}\n{written}")
    return Cost(wall, usage.ru_utime + usage.ru_stime)


def peak_memory(command: Sequence[str], *, cwd: Path, environment: Mapping[str, str]) -> float:
    """The largest resident size of one command's processes, in megabytes (10 at least).

    Raises CommandFailed when it does not exit with 0.
    """
    done = subprocess.run(
        [sys.executable, "-S", "-c", _PEAK, *command],
        cwd=cwd,
        env=dict(environment),
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise CommandFailed(f"{' '.join(command[:8])}: exit {done.returncode}\n{done.stderr}")
    return int(done.stdout) * _MAXRSS / 1e6
