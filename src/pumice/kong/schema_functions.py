"""`SchemaFunctions`: the functions of a plugin's schema, run in the child process that loads plugins.

A validation is pure and asks for what a function gives; what is not known yet is learned, all of it in one
child, and the validation is done again (`settled`). So the child's limits hold for the plugin's code, and a
validation never waits for a process.
"""

from __future__ import annotations

from pumice.base.value import Value
from pumice.kong.loaded import Job, Opaque
from pumice.kong.sandbox import load_modules
from pumice.kong.schema_table import NULL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from pumice.kong.sandbox import Sandbox

    Result = TypeVar("Result")

__all__ = ["Called", "SchemaFunctions", "settled"]

_ROUNDS = 20
"""So often what one function gave may lead to another that was not asked before."""
_EXACT = 1 << 53
"""Larger whole numbers are no numbers of their own in Lua."""


class Called(Value):
    """What a call came to."""

    error: str | None
    """Lua's message when it threw."""
    values: tuple[object, ...] = ()
    """What it gave, as `Loaded.value` has it."""
    unknown: str = ""
    """Why that tells nothing: what it asked of the gateway, or that it took too long."""


class SchemaFunctions:
    """The functions in the value of one schema module."""

    def __init__(self, module: str, sandbox: Sandbox) -> None:
        self._module = module
        self._sandbox = sandbox
        self._known: dict[str, Called] = {}
        self._wanted: dict[str, Job] = {}

    def call(self, function: Opaque, arguments: tuple[object, ...]) -> Called | None:
        """What the function gives for these arguments; None when that has to be learned first."""
        given = tuple(_plain(argument) for argument in arguments)
        key = repr((function.path, given))
        if key not in self._known:
            self._wanted[key] = Job("call", self._module, function.path, given)
            return None
        return self._known[key]

    def learn(self) -> bool:
        """Calls whatever was asked for and is not known; whether there was anything."""
        wanted, self._wanted = self._wanted, {}
        if not wanted:
            return False
        jobs = list(wanted.values())
        outcome = load_modules(jobs, self._sandbox)
        for key, loaded in zip(wanted, outcome.loaded, strict=False):
            self._known[key] = Called(loaded.error, loaded.values, loaded.touched)
        reasons = {"time": "it takes too long", "memory": "it takes too much memory"}
        for key in wanted:
            if key not in self._known:
                self._known[key] = Called(None, (), reasons.get(outcome.failure or "", "it cannot be run"))
        return True


def settled(compute: Callable[[], Result], functions: SchemaFunctions | None) -> Result:
    """What `compute` gives once all that it asks of `functions` is known."""
    for _ in range(_ROUNDS):
        result = compute()
        if functions is None or not functions.learn():
            return result
    return compute()


def _plain(value: object) -> object:
    """A Lua value for the child: tables as lists of pairs, so that their keys keep their types."""
    if isinstance(value, dict):
        return {"t": [[_plain(key), _plain(item)] for key, item in value.items()]}
    if value == NULL or value is None:
        return {"null": True}
    if isinstance(value, Opaque):
        return {"other": value.kind}
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _EXACT:
        return float(value)
    return value
