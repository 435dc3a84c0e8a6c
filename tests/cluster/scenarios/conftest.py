"""A fleet of real sshd nodes with gateways, and whoever rolls out to it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[3])]

from fleetkit.controller import Controller  # noqa: E402
from fleetkit.fleet import Fleet  # noqa: E402
from fleetkit.orphans import end_orphans, new_folder  # noqa: E402
from fleetkit.plugins import write_plugin  # noqa: E402


@pytest.fixture
def fleet(needs_sshd: None, tmp_path: Path) -> Iterator[Fleet]:
    """A cluster without nodes: `fleet.start([...])` makes and starts them."""
    # Twenty nodes at once on a busy disk wait for each other; in memory they do not.
    memory = Path("/dev/shm")
    parent = memory if os.access(memory, os.W_OK) else tmp_path
    end_orphans(parent)
    place = new_folder(parent)
    made = Fleet(place)
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def controller(tmp_path: Path) -> Controller:
    """From where it is rolled out."""
    return Controller.at(tmp_path / "controller")


@pytest.fixture
def plugin(tmp_path: Path) -> Callable[..., Path]:
    """Makes the sources of a plugin of a version, with the faults of `write_plugin`."""

    def make(version: str, **faults: bool | int | str) -> Path:
        folder = tmp_path / "plugins" / "-".join([version, *map(str, faults)])
        return folder if folder.is_dir() else write_plugin(folder, version, **faults)

    return make


@pytest.fixture
def needs_root() -> None:
    """Skips where nothing can be mounted."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount file systems and change roots")
