"""`Query`: what is searched for; `Row`: what was found, as `search` prints it (contract 1.5, 6.4)."""

from __future__ import annotations

from pumice.base.value import Value
from pumice.index.release import is_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.rock.constraint import Constraint

__all__ = ["Query", "Row"]


class Query(Value):
    """What is searched for."""

    name: str
    namespace: str | None = None
    constraints: tuple[Constraint, ...] = ()
    substring: bool = False
    """Whether names that hold `name` will do, as in `search`."""
    archs: frozenset[str] | None = None
    """None: those that may be used on this machine."""


class Row(Value):
    """One file that was found, as `search` prints it."""

    name: str
    version: str
    arch: str
    """Also `installed`, for what is provided."""
    server: str
    namespace: str | None = None

    @property
    def is_source(self) -> bool:
        """Whether `search` lists it among the sources; LuaRocks does so with provided rocks too."""
        return self.arch == "installed" or is_source(self.arch)
