"""The bench as a package, though it is not installed."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def bench(project: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The package at the root of the repository, by module name."""
    monkeypatch.syspath_prepend(str(project))

    def module(name: str) -> ModuleType:
        return __import__(f"bench.{name}", fromlist=["*"])

    return module
