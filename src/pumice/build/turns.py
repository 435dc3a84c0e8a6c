"""`TURN`: of all builds in this process, only as many programs run at once as there are processors."""

from __future__ import annotations

import os
from _thread import allocate_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from threading import Semaphore

__all__ = ["TURN", "processors"]


def processors() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Turn:
    """A context manager that many hold at once; who holds it must not ask for it again."""

    __slots__ = ("_lock", "_places")

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._places: Semaphore | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._places is None:
                from threading import Semaphore

                self._places = Semaphore(processors())
        self._places.acquire()

    def __exit__(self, *_exception: object) -> None:
        assert self._places is not None
        self._places.release()


TURN = _Turn()
