"""The cache of this user: what it holds, and how to empty it (`net.cache`, `operation.rock_cache`)."""

from __future__ import annotations

import os

from pumice.base.value import Value
from pumice.net.cache import Cache, CacheUse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pumice.base.config import Config

__all__ = ["CacheReport", "clean_cache", "report_cache"]

_ROCKS = "rocks"


class CacheReport(Value):
    """What a cache holds, part by part."""

    directory: str
    parts: tuple[CacheUse, ...]

    @property
    def files(self) -> int:
        """How many files in all."""
        return sum(part.files for part in self.parts)

    @property
    def size(self) -> int:
        """How many bytes in all."""
        return sum(part.size for part in self.parts)


def report_cache(config: Config) -> CacheReport:
    """How much each part of the cache holds; a cache that is not there holds nothing."""
    rocks = [status.st_size for _, status in _rocks(config)]
    parts = (*Cache(config.cache_dir).use(), CacheUse(_ROCKS, len(rocks), sum(rocks)))
    return CacheReport(config.cache_dir, parts)


def clean_cache(config: Config, *, older_than: float | None = None, everything: bool = False) -> CacheUse:
    """Removes what can be fetched or computed again; gives how much that was.

    `older_than`: only files that have been there for so many seconds. `everything`: also which digests
    released files had, so that changed ones are believed again. Safe beside commands that use the cache.
    """
    before = None
    if older_than is not None:
        import time

        before = time.time() - older_than
    cleaned = Cache(config.cache_dir).clean(everything=everything, before=before)
    count, freed = cleaned.files, cleaned.size
    for path, status in _rocks(config):
        if before is None or status.st_mtime < before:
            try:
                os.unlink(path)
            except OSError:
                continue
            count += 1
            freed += status.st_size
    _forget_empty_folders(os.path.join(config.cache_dir, _ROCKS))
    return CacheUse("all", count, freed)


def _rocks(config: Config) -> Iterator[tuple[str, os.stat_result]]:
    """The rocks that are kept as they were installed."""
    for folder, _, names in os.walk(os.path.join(config.cache_dir, _ROCKS)):
        for name in names:
            path = os.path.join(folder, name)
            try:
                yield path, os.lstat(path)
            except OSError:
                continue


def _forget_empty_folders(top: str) -> None:
    for folder, _, _ in os.walk(top, topdown=False):
        try:
            os.rmdir(folder)
        except OSError:
            # Not empty, or somebody puts a rock there just now.
            continue
