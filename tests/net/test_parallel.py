"""Tasks at once: values and errors in their order, bounded width, and an end when something else goes wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from pumice.errors import FetchError
from pumice.net.parallel import attempt_all


def test_values_and_errors_stand_in_the_order_of_the_tasks() -> None:
    def task(number: int) -> Callable[[], int | None]:
        def run() -> int | None:
            time.sleep(0.001 * (7 - number % 7))
            if number % 3 == 0:
                raise FetchError(str(number))
            return None if number == 1 else number

        return run

    results = attempt_all([task(number) for number in range(20)], width=5)
    expected = [f"error {n}" if n % 3 == 0 else None if n == 1 else n for n in range(20)]
    assert expected == [f"error {r.message}" if isinstance(r, FetchError) else r for r in results]


@pytest.mark.parametrize("width", [1, 3])
def test_no_more_than_the_width_run_at_a_time(width: int) -> None:
    lock = threading.Lock()
    running = most = 0

    def task() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.005)
        with lock:
            running -= 1

    attempt_all([task] * 12, width=width)
    assert most == width


def test_one_task_needs_no_thread() -> None:
    assert attempt_all([threading.current_thread], width=8) == [threading.main_thread()]
    assert attempt_all([], width=8) == []


def test_a_bug_in_a_task_is_raised_and_no_further_task_begins() -> None:
    begun = []

    def good(number: int) -> Callable[[], None]:
        def run() -> None:
            begun.append(number)
            time.sleep(0.01)

        return run

    def bad() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        attempt_all([bad, *[good(number) for number in range(50)]], width=2)
    assert len(begun) < 10
