"""Which installed rocks have a higher version on the servers: `list --outdated` (contract 1.5)."""

from __future__ import annotations

from pumice.base.value import Value
from pumice.index.index import Index, Query
from pumice.index.servers import Mirror
from pumice.net.downloader import Downloader
from pumice.operation.change import provided_rocks
from pumice.operation.listing import find_installed
from pumice.rock.version import parse_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.base.config import Config, TreeSpec
    from pumice.base.progress import Progress

__all__ = ["OutdatedRock", "find_outdated"]


class OutdatedRock(Value):
    """A rock, the highest version of it that is installed, and a higher one that a server has."""

    name: str
    installed: str
    available: str
    server: str
    """As LuaRocks prints it here: as configured, `file://` left out."""


def find_outdated(
    trees: Sequence[TreeSpec],
    name: str,
    version: str | None,
    config: Config,
    progress: Progress,
    *,
    namespace: str | None = None,
    offline: bool = False,
) -> list[OutdatedRock]:
    """The outdated rocks of the trees, by name; `name`, `version` and `namespace` select as in `list`.

    Servers are asked without namespace, as LuaRocks does. A server that fails is a warning.
    """
    installed: dict[str, str] = {}
    for rock in find_installed(trees, name, version, progress, substring=True, namespace=namespace):
        # The first is the newest.
        installed.setdefault(rock.name, rock.version)
    if not installed:
        return []
    places = _as_configured(config)
    provided = provided_rocks(config, frozenset(installed))
    outdated = []
    with Downloader.of(config, progress, offline=offline) as downloader:
        index = Index(config, downloader, progress)
        index.announce([(each, None) for each in installed])
        for each, newest in installed.items():
            rows = index.search(Query(each), provided)
            if rows and parse_version(newest) < parse_version(rows[0].version):
                server = places.get(rows[0].server, rows[0].server)
                outdated.append(OutdatedRock(each, newest, rows[0].version, server))
    return outdated


def _as_configured(config: Config) -> dict[str, str]:
    """How the configuration writes each server, by what the index calls it; none that has credentials."""
    places: dict[str, str] = {}
    for mirrors in config.rocks_servers:
        for text in mirrors:
            if "@" not in text:
                shown = text.removeprefix("file://")
                places.setdefault(Mirror.of(text, config.cwd).shown, shown)
    return places
