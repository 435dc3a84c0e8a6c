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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The numbers of the hostile cases travel with the reports, through the workers too.

    Sweeps come first: they fork thousands of times, which costs by the memory that the worker has gathered, and
    what is long is shared out best while there is other work left.
    """
    items.sort(key=lambda item: item.get_closest_marker("sweep") is None)
    for item in items:
        for marker in item.iter_markers("adversary"):
            item.user_properties += [("adversary", case) for case in marker.args]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many of the adversary's cases were tried, and how many passed with every one of their tests."""
    outcomes: dict[int, bool] = {}
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, case in getattr(report, "user_properties", ()):
                if name == "adversary":
                    outcomes[case] = outcomes.get(case, True) and outcome == "passed"
    if outcomes:
        passed = sorted(case for case, good in outcomes.items() if good)
        failed = sorted(case for case, good in outcomes.items() if not good)
        line = f"adversary: {len(passed)} of {len(outcomes)} cases tried passed"
        terminalreporter.write_line(line + (f"; FAILED: {failed}" if failed else f" ({_ranges(passed)})"))


def _ranges(numbers: list[int]) -> str:
    """1, 2, 3, 5 as `1-3, 5`."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts)
