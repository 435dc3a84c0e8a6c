"""`Sandbox`: one embedded Lua 5.4 that runs untrusted chunks one after the other, each alone.

Nothing of Python is registered in it, and its libraries are gone once the prelude holds what it needs.
"""

from __future__ import annotations

from pumice.lua._prelude import BROKEN, PRELUDE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["Request", "Sandbox"]

# The heap of the glue and the prelude, which no chunk should pay for.
_OWN_MEMORY = 1 << 20
# A heap that grew beyond this is dropped whole, which is faster than collecting it.
_KEPT_MEMORY = 4 << 20


class Request:
    """What a chunk may see and use; plain values only, so that it can go through a pipe."""

    __slots__ = ("depth", "fields", "given", "instructions", "memory", "seconds", "source", "variables")

    def __init__(
        self,
        source: bytes,
        given: Mapping[str, Any] | None,
        variables: Mapping[str, str] | None,
        instructions: int,
        memory: int,
        seconds: float,
        depth: int,
        fields: int,
    ) -> None:
        self.source = source
        self.given = given
        self.variables = variables
        self.instructions = instructions
        self.memory = memory
        self.seconds = seconds
        self.depth = depth
        self.fields = fields


class Sandbox:
    """Runs chunks; `guarded` says that this process may be killed, so all string methods are there."""

    def __init__(self, *, guarded: bool = False) -> None:
        from lupa.lua54 import LuaError, LuaRuntime

        self._new_runtime = LuaRuntime
        self._errors = (LuaError, MemoryError)
        self._guarded = guarded
        self._runtime: Any = None
        self._run: Any = None

    def run(self, request: Request) -> tuple[bytes, bytes]:
        """A status and a text, as `_prelude` says. One thread at a time."""
        try:
            if self._run is None:
                self._start()
            status, text = self._evaluate(request)
        except self._errors:
            # Only the frame around the chunk raises: the chunk's own errors come as a status.
            status, text = BROKEN, b"needs too much memory"
        # A heap that a limit was broken in is not trusted with the next file, nor is a huge one kept.
        if status == BROKEN or self._runtime.get_memory_used() > _KEPT_MEMORY:
            self._runtime = self._run = None
        return status, text

    def _evaluate(self, request: Request) -> tuple[bytes, bytes]:
        runtime = self._runtime
        # What is handed over is pushed outside any protected call, where Lua aborts the process when it
        # finds no memory: the limit holds from the chunk on, and counts from what is there by then.
        runtime.set_max_memory(0)
        environment = runtime.table()
        if request.given:
            _fill(runtime, environment, request.given)
        variables = None
        if request.variables is not None:
            variables = runtime.table()
            _fill(runtime, variables, request.variables)
        limit = runtime.get_memory_used() + _OWN_MEMORY + len(request.source) + request.memory
        runtime.set_max_memory(limit)
        status: bytes
        text: bytes
        status, text = self._run(
            request.source,
            environment,
            variables,
            self._guarded,
            request.instructions,
            request.seconds,
            request.depth,
            request.fields,
        )
        return status, text

    def _start(self) -> None:
        self._runtime = self._new_runtime(
            encoding=None,
            attribute_filter=_refuse,
            register_eval=False,
            register_builtins=False,
            unpack_returned_tuples=False,
            max_memory=0,
        )
        self._run = self._runtime.execute(PRELUDE)
        everything = self._runtime.globals()
        for name in list(everything):
            everything[name] = None


def _refuse(_owner: object, name: object, _setting: bool) -> object:
    raise AttributeError(name)


def _fill(runtime: Any, table: Any, values: Mapping[Any, Any]) -> None:
    for key, value in values.items():
        table[_encoded(key)] = _to_lua(runtime, value)


def _to_lua(runtime: Any, value: Any) -> Any:
    if isinstance(value, dict):
        table = runtime.table()
        _fill(runtime, table, value)
        return table
    return _encoded(value)


def _encoded(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if value is None or isinstance(value, (bool, int, float)):
        return value
    raise TypeError(f"a Lua chunk cannot be given a {type(value).__name__}")
