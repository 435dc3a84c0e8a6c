"""`index build`: a directory of rocks becomes a server for Pumice and LuaRocks alike (contract 1.7, 6.1)."""

from __future__ import annotations

import os

from pumice.index.build import Built, build_index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.base.config import Config
    from pumice.base.progress import Progress

__all__ = ["Built", "index_directory"]


def index_directory(
    directory: str, config: Config, progress: Progress, *, exclusive: bool = False
) -> tuple[str, Built]:
    """The index files in `directory` are those of the rocks in it; gives its path, and what was done.

    `exclusive`: clients ask no other server for the names of this one.
    Raises NotFoundError, DataError, DiskError, PermissionDenied.
    """
    path = os.path.normpath(os.path.join(config.cwd, directory.removeprefix("file://")))
    return path, build_index(path, progress, exclusive=exclusive)
