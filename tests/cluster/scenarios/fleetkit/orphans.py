"""Fleets whose test run was killed: ended by the next one, so that nothing is left behind for long."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path

_PREFIX = "pumice-fleet-"


def new_folder(parent: Path) -> Path:
    """A folder for a fleet, named after the process that will end it."""
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent))


def end_orphans(parent: Path) -> None:
    """End what still runs of fleets whose process is gone, and remove them."""
    gone = [place for place in parent.glob(f"{_PREFIX}[0-9]*-*") if not _owned(place)]
    marks = [f"{place}/".encode() for place in gone]
    for process in Path("/proc").glob("[0-9]*") if gone else ():
        try:
            command = (process / "cmdline").read_bytes()
            if any(mark in command for mark in marks):
                os.kill(int(process.name), signal.SIGTERM)
        except OSError:
            continue
    for place in gone:
        shutil.rmtree(place, ignore_errors=True)


def _owned(place: Path) -> bool:
    return Path("/proc", place.name.removeprefix(_PREFIX).partition("-")[0]).exists()
