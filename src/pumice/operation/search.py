"""`search`: which rocks the servers have (contract 1.5, 6.4)."""

from __future__ import annotations

from pumice.base.value import Value
from pumice.index.index import Index, Query
from pumice.net.downloader import Downloader
from pumice.operation.change import provided_rocks
from pumice.rock.constraint import Constraint
from pumice.rock.version import parse_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.index.index import Row

__all__ = ["Found", "exact_version", "search"]


class Found(Value):
    """What a search has found, each part sorted as LuaRocks prints it."""

    sources: tuple[Row, ...]
    """Rockspecs, source rocks, and what the Lua or the configuration provides."""
    binaries: tuple[Row, ...]
    """Rocks for every machine, or for this one."""


def search(
    name: str,
    version: str | None,
    namespace: str | None,
    config: Config,
    progress: Progress,
    *,
    offline: bool = False,
) -> Found:
    """Every file on the servers whose rock's name holds `name`, for the Lua in use.

    `version` matches as LuaRocks's `==` does: `1.0` finds `1.0-2`. A server that fails is a warning.
    Raises ConfigError, UsageError.
    """
    with Downloader.of(config, progress, offline=offline) as downloader:
        query = Query(name, namespace, exact_version(version), substring=True)
        rows = Index(config, downloader, progress).search(query, provided_rocks(config))
    return Found(
        tuple([row for row in rows if row.is_source]), tuple([row for row in rows if not row.is_source])
    )


def exact_version(version: str | None) -> tuple[Constraint, ...]:
    """The constraints that a VERSION on the command line stands for."""
    return (Constraint("==", parse_version(version)),) if version else ()
