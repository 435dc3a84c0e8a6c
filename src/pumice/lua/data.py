"""Lua data files (rockspecs, manifests, configurations) evaluated as the untrusted programs they are.

A file runs in Lua 5.4 with an empty environment, as LuaRocks gives it (`luarocks.core.persist`): text
only, a leading `#!` line skipped, reads of undefined globals recorded. It may compute, within limits of
instructions, time and memory; it reaches neither Python, nor the disk, nor the next file. A file that
calls a string method which matches patterns or repeats runs in a child process that can be killed,
because nothing can interrupt those (docs/decisions/0001-untrusted-lua.md).
"""

from __future__ import annotations

import os
from _thread import allocate_lock

from pumice.base.value import Value
from pumice.errors import LuaDataError
from pumice.lua._flat import read_flat
from pumice.lua._prelude import (
    CHUNK_NAME,
    LOAD_FAILED,
    NEEDS_STRINGS,
    OUT_OF_BOUNDS,
    PLAIN,
    RUN_FAILED,
    WITH_FUNCTIONS,
)
from pumice.lua._sandbox import Request, Sandbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypeAlias

    from pumice.lua._child import GuardedChild

    LuaKey: TypeAlias = int | float | bool | str
    LuaTable: TypeAlias = dict[LuaKey, Any]
    LuaValue: TypeAlias = Any
else:
    LuaTable, LuaKey, LuaValue = dict, object, object

__all__ = [
    "MANIFEST",
    "ROCKSPEC",
    "Evaluation",
    "Limits",
    "LuaFunction",
    "LuaKey",
    "LuaTable",
    "LuaValue",
    "evaluate",
    "lua_type",
    "sequence",
]


class LuaFunction:
    """A Lua function in a table: there, but of no use outside its file."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<a Lua function>"


_FUNCTION = LuaFunction()


class Limits(Value):
    """What one file may use. `memory` is its Lua heap in bytes, `source` its size, `seconds` CPU time."""

    instructions: int = 1_000_000
    memory: int = 24 << 20
    seconds: float = 1.0
    depth: int = 200
    fields: int = 100_000
    source: int = 1 << 20


ROCKSPEC = Limits()
# A manifest is large because the tree or the server is: the public server's is 3.5 MB today.
MANIFEST = Limits(instructions=100_000_000, memory=1 << 30, seconds=20.0, fields=20_000_000, source=128 << 20)


class Evaluation(Value):
    """What a file left: its globals, the names it read while they had no value, what it returned."""

    globals: LuaTable
    undefined: tuple[str, ...] = ()
    returned: LuaValue = None


def evaluate(
    source: bytes,
    name: str,
    *,
    limits: Limits = ROCKSPEC,
    given: Mapping[str, LuaValue] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Evaluation:
    """Run the Lua data file `source` and give what it leaves; `name` stands in messages.

    `given` are globals that the file finds (they are in the result, changed or not). With `environment`
    it also finds `os_getenv(name)` and `dump_env()`, which a LuaRocks configuration may call; these are
    not in the result, and `dump_env` prints nothing.

    Tables become dicts with their keys in order (1..n, then other numbers, booleans, names); whole numbers
    are `int` where Lua 5.4 has an integer; strings that are not UTF-8 keep their bytes as surrogate escapes.

    Raises LuaDataError: `Error loading file: NAME:LINE: …`, `Error running file: NAME:LINE: …`, or what
    limit the file breaks.
    """
    if len(source) > limits.source:
        raise LuaDataError(
            f"{name} is {len(source)} bytes long: more than the {limits.source} that are read as Lua data",
            hint="a data file of this size is an accident or an attack; look at what wrote it",
        )
    request = Request(
        _without_first_line(source),
        given,
        environment,
        limits.instructions,
        limits.memory,
        limits.seconds,
        limits.depth,
        limits.fields,
    )
    status, text = _keeper.run(request, name)
    if status in {PLAIN, WITH_FUNCTIONS}:
        left, returned, undefined = read_flat(text, _FUNCTION, functions=status == WITH_FUNCTIONS)
        return Evaluation(left, tuple(undefined.values()), returned)
    raise _refusal(status, text.decode("utf-8", "backslashreplace"), name)


def lua_type(value: LuaValue) -> str:
    """The name that Lua's `type` gives for a value."""
    if value is None:
        return "nil"
    if isinstance(value, str):
        return "string"
    if isinstance(value, dict):
        return "table"
    if isinstance(value, bool):
        return "boolean"
    return "function" if isinstance(value, LuaFunction) else "number"


def sequence(table: LuaTable) -> list[LuaValue]:
    """The values at 1, 2, … up to the first that is missing: what `ipairs` visits."""
    items = []
    for index in range(1, len(table) + 1):
        item = table.get(index)
        if item is None:
            break
        items.append(item)
    return items


def _without_first_line(source: bytes) -> bytes:
    """Blank the `#!` line, but keep its end: line numbers in messages stay those of the file."""
    if source.startswith(b"#!"):
        end = source.find(b"\n")
        if end >= 0:
            return source[end:]
    return source


def _refusal(status: bytes, message: str, name: str) -> LuaDataError:
    mark = CHUNK_NAME.decode() + ":"
    where = f"{name}:" + message[len(mark) :] if message.startswith(mark) else f"{name}: {message}"
    if status == LOAD_FAILED:
        return LuaDataError(f"Error loading file: {where}", hint="mend the Lua syntax at that line")
    if status == RUN_FAILED:
        return LuaDataError(
            f"Error running file: {where}",
            hint="a data file may use tables, strings, operators and its own functions, but no library",
        )
    if status == OUT_OF_BOUNDS:
        return LuaDataError(f"{name} {message}", hint="a data file holds plain, finite tables")
    return LuaDataError(
        f"Error running file: {name} {message}",
        hint="a data file only assigns values; look at its loops and long strings",
    )


class _Keeper:
    """The sandbox and the child of this process, made when first needed, used by one thread at a time."""

    def __init__(self) -> None:
        self.forget()
        os.register_at_fork(after_in_child=self._forget_after_fork)

    def forget(self) -> None:
        self._lock = allocate_lock()
        self._child_lock = allocate_lock()
        self._sandbox: Sandbox | None = None
        self._child: GuardedChild | None = None

    def _forget_after_fork(self) -> None:
        # Another thread may have been inside when the process forked, and the child is the parent's.
        child = self._child
        self.forget()
        if child is not None:
            child.forget()

    def run(self, request: Request, name: str) -> tuple[bytes, bytes]:
        with self._lock:
            if self._sandbox is None:
                self._sandbox = Sandbox()
            answer = self._sandbox.run(request)
        if answer[0] != NEEDS_STRINGS:
            return answer
        with self._child_lock:
            if self._child is None:
                from pumice.lua._child import GuardedChild

                self._child = GuardedChild()
            guarded = self._child.run(request)
        if guarded is None:
            raise LuaDataError(
                f"Error running file: {name} calls string methods for more than {request.seconds:g} s",
                hint="a data file only assigns values; look at its patterns and repetitions",
            )
        return guarded


_keeper = _Keeper()
