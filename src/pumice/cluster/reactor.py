"""An event loop in a thread of its own: connections live there, whoever needs one asks from any thread."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, TypeVar

from pumice.cluster.connection import ConnectionCut

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["Reactor"]

T = TypeVar("T")

_LAST_WAIT = 2.0
"""Seconds that what was told to end may take."""


class Reactor:
    """Runs coroutines for callers in other threads until it is closed."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._calls: set[asyncio.Task[object]] = set()
        self._last: set[asyncio.Task[None]] = set()
        self._closed = False
        self._refusing = False
        # Nobody waits for it at the end of the program: what it holds are sockets.
        self._thread = threading.Thread(target=self._serve, name="pumice-nodes", daemon=True)
        self._thread.start()

    def call(self, coroutine: Coroutine[object, object, T]) -> T:
        """What a coroutine returns or raises; the caller's thread waits for it.

        Raises ConnectionCut when `stop_calls` or `close` ended it.
        """
        if self._closed or self._refusing:
            coroutine.close()
            raise ConnectionCut("The work on the nodes was stopped.")
        future = asyncio.run_coroutine_threadsafe(self._tracked(coroutine), self._loop)
        try:
            return future.result()
        except CancelledError:
            raise ConnectionCut("The work on the nodes was stopped.") from None
        except BaseException:
            future.cancel()
            raise

    def post(self, function: Callable[[], object]) -> None:
        """Have a function called in the loop, soon, whether calls are refused or not."""
        if not self._closed:
            self._loop.call_soon_threadsafe(function)

    def start_last(self, coroutine: Coroutine[object, object, None]) -> None:
        """Start what tidies after a call, from within the loop; it is waited for when all ends."""
        task = asyncio.ensure_future(coroutine)
        self._last.add(task)
        task.add_done_callback(self._last.discard)

    def stop_calls(self) -> None:
        """End what is being called, and refuse new calls until `serve_again`."""
        self._refusing = True
        if not self._closed:
            asyncio.run_coroutine_threadsafe(self._cancel(), self._loop).result()

    def serve_again(self) -> None:
        """The opposite of `stop_calls`."""
        self._refusing = False

    def close(self, last: Coroutine[object, object, None]) -> None:
        """End everything, run a last coroutine, and stop; calls that wait raise ConnectionCut."""
        if self._closed:
            last.close()
            return
        self._closed = True
        for work in (self._cancel(), last, asyncio.sleep(0)):
            asyncio.run_coroutine_threadsafe(work, self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _tracked(self, coroutine: Coroutine[object, object, T]) -> T:
        task = asyncio.current_task()
        assert task is not None
        self._calls.add(task)
        try:
            return await coroutine
        finally:
            self._calls.discard(task)

    async def _cancel(self) -> None:
        for task in self._calls:
            task.cancel()
        # Those that are cancelled may start last ones.
        for tasks in (self._calls, self._last):
            if tasks:
                await asyncio.wait(set(tasks), timeout=_LAST_WAIT)
