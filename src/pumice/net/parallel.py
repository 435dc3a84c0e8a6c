"""Several blocking tasks at once, each answered by its value or its error; one task costs no thread."""

from __future__ import annotations

from pumice.errors import PumiceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    T = TypeVar("T")

__all__ = ["attempt_all"]


def attempt_all(tasks: Sequence[Callable[[], T]], *, width: int) -> list[T | PumiceError]:
    """What every task gives, in their order: its value, or the PumiceError that it raised.

    At most `width` run at a time. Another exception of a task, or of the waiter (a signal), ends the call at
    once: tasks that have not begun are dropped, those under way are left to end by themselves.
    """
    if len(tasks) <= 1 or width <= 1:
        return [_attempt(task) for task in tasks]
    from _thread import allocate_lock
    from threading import Thread

    results: dict[int, T | PumiceError] = {}
    failures: list[BaseException] = []
    waiting = list(range(len(tasks)))[::-1]
    lock = allocate_lock()

    def work() -> None:
        while True:
            with lock:
                if not waiting or failures:
                    return
                index = waiting.pop()
            try:
                results[index] = _attempt(tasks[index])
            except BaseException as error:
                failures.append(error)

    threads = [Thread(target=work, daemon=True) for _ in range(min(width, len(tasks)))]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        # On a signal nobody takes another task.
        with lock:
            waiting.clear()
    if failures:
        raise failures[0]
    return [results[index] for index in range(len(tasks))]


def _attempt(task: Callable[[], T]) -> T | PumiceError:
    try:
        return task()
    except PumiceError as error:
        return error
