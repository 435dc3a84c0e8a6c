"""What a solve starts from: the requests, and what is there already."""

from __future__ import annotations

from pumice.base.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pumice.rock.dependency import Dependency

__all__ = ["NEWEST", "PREFER_INSTALLED", "PREFER_SERVER", "InstalledRock", "Request", "Situation"]

PREFER_SERVER = "server"
"""The newest that servers have, as `luarocks install NAME` takes it; what is only installed comes last."""
PREFER_INSTALLED = "installed"
"""What is installed stays if it fits, as LuaRocks treats dependencies."""
NEWEST = "newest"
"""The newest of all; what is installed stays if servers have nothing newer."""


class Request(Value):
    """A rock that somebody asks for by name."""

    dependency: Dependency
    prefer: str = PREFER_SERVER
    tests: bool = False
    """Whether its test dependencies are wanted too."""


class InstalledRock(Value):
    """A rock in a tree."""

    name: str
    version: str
    namespace: str | None = None
    dependencies: tuple[Dependency, ...] = ()


class Situation(Value):
    """Everything but the requests and the table: what is there, and what is allowed."""

    provided: Mapping[str, str] = {}
    """Rocks that the Lua (`lua = 5.1-1`) or the host brings, by version; nothing can replace them."""
    platforms: tuple[str, ...] = ("unix", "linux")
    installed: tuple[InstalledRock, ...] = ()
    """The rocks of the tree that is changed; a name may be there in several versions."""
    elsewhere: tuple[InstalledRock, ...] = ()
    """Rocks of other trees that may satisfy dependencies (deps-mode `order` and `all`)."""
    pinned: Mapping[str, str] = {}
    """The only version of a name that requests, and what is installed for them, may have."""
    preferred: Mapping[str, str] = {}
    """The version that a name has if it fits, as an older lock says."""
    keep: bool = False
    """Whether other versions of a rock stay beside the new one (`--keep`)."""
    dependencies: bool = True
    """Whether dependencies count at all; False is deps-mode `none`."""
    build_dependencies: bool = True
    """Whether rocks that are built here need their build dependencies."""
