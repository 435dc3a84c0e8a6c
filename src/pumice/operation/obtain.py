"""A rock from a file or URL: opened, or built from its sources."""

from __future__ import annotations

import os

from pumice.base.value import Value
from pumice.errors import DataError
from pumice.operation.rock_cache import keep_rock
from pumice.rock.arch import accepts
from pumice.rock.filename import base_name, parse_rock_filename

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.operation.build_dependencies import Finder
    from pumice.operation.work_dir import WorkDir
    from pumice.rock.rock import Rock

__all__ = ["Manner", "local_file", "obtain"]


class Manner(Value):
    """How a rock is to be obtained."""

    namespace: str | None = None
    """The user of the server to whom it is ascribed."""
    offline: bool = False
    """Ask nobody: this machine or the cache has it."""
    branch: str | None = None
    """To be checked out instead of the rockspec's `source.branch`."""
    finder: Finder | None = None
    """What finds its build dependencies; None: they must be installed."""
    pins: bool = True
    """Whether a `luarocks.lock` among the sources stays with the rock."""


def obtain(
    request: str, config: Config, progress: Progress, work: WorkDir, manner: Manner | None = None
) -> Rock:
    """The rock that a file or URL holds or describes: opened, or built from its sources.

    `work` keeps what was fetched or built until the rock has been deployed. Raises PumiceError.
    """
    manner = manner or Manner()
    path = local_file(request, config, progress, work, offline=manner.offline)
    if path.endswith(".src.rock"):
        from pumice.operation.from_source import build_source_rock

        return build_source_rock(path, config, progress, work, manner)
    if path.endswith(".rockspec"):
        from pumice.operation.from_source import build_rockspec

        return build_rockspec(path, config, progress, work, manner)
    arch = parse_rock_filename(path).arch
    if not accepts(arch, config.arch):
        raise DataError(
            f"Incompatible architecture {arch}",
            hint=f"This machine is {config.arch}; build the rock from its .src.rock or rockspec.",
        )
    from pumice.rock.rockfile import open_rock

    rock = open_rock(path, platforms=config.platforms)
    if config.deps_mode != "none" and rock.rockspec.external_dependencies:
        from pumice.build.external import find_external_dependencies

        find_external_dependencies(rock.rockspec, config, runtime=True)
    keep_rock(rock, path, config)
    return rock.replace(namespace=manner.namespace) if manner.namespace else rock


def local_file(
    request: str, config: Config, progress: Progress, work: WorkDir, *, offline: bool = False
) -> str:
    """The absolute path of a requested file; a URL is fetched into the work directory first.

    With `offline` the cache must have what the URL held when it was fetched last.
    """
    if "://" not in request:
        return os.path.normpath(os.path.join(config.cwd, request))
    from pumice.net.downloader import Downloader, Wanted

    target = f"{work.make(os.urandom(4).hex())}/{base_name(request)}"
    expect: Literal["zip"] | None = "zip" if request.endswith(".rock") else None
    with Downloader.of(config, progress, offline=offline) as downloader:
        # Whoever names a URL wants what it holds now, whatever was there before.
        downloader.fetch(Wanted((request,), target, expect=expect, released=False, max_age=0.0))
    return target
