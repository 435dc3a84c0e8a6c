"""What every test may use."""

import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def project() -> Path:
    """The root of this repository."""
    return PROJECT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the corpus; its absence is a failure in CI and a visible skip elsewhere."""
    folder = Path(os.environ.get("PUMICE_SHARED", PROJECT.parent / "shared"))
    if not (folder / "corpus").is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"the shared corpus is not at {folder}")
        pytest.skip("the shared corpus is not here: set PUMICE_SHARED")
    return folder
