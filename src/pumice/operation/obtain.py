"""A rock from a file or URL: opened, or built from its sources."""

from __future__ import annotations

import os

from pumice.errors import DataError
from pumice.operation.rock_cache import keep_rock
from pumice.rock.arch import accepts
from pumice.rock.filename import base_name, parse_rock_filename

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.operation.work_dir import WorkDir
    from pumice.rock.rock import Rock

__all__ = ["local_file", "obtain"]


def obtain(
    request: str,
    config: Config,
    progress: Progress,
    work: WorkDir,
    namespace: str | None = None,
    *,
    solved: bool = False,
) -> Rock:
    """The rock that a file or URL holds or describes: opened, or built from its sources.

    `solved`: what it needs to be built is there or comes with the same command.
    `work` keeps what was fetched or built until the rock has been deployed. Raises PumiceError.
    """
    path = local_file(request, config, progress, work)
    if path.endswith(".src.rock"):
        from pumice.operation.from_source import build_source_rock

        return build_source_rock(path, config, progress, work, namespace, solved=solved)
    if path.endswith(".rockspec"):
        from pumice.operation.from_source import build_rockspec

        return build_rockspec(path, config, progress, work, namespace, solved=solved)
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
    return rock.replace(namespace=namespace) if namespace else rock


def local_file(request: str, config: Config, progress: Progress, work: WorkDir) -> str:
    """The absolute path of a requested file; a URL is fetched into the work directory first."""
    if "://" not in request:
        return os.path.normpath(os.path.join(config.cwd, request))
    from pumice.net.fetch import fetch

    target = f"{work.make(os.urandom(4).hex())}/{base_name(request)}"
    fetch(
        request,
        target,
        timeout=config.connection_timeout,
        progress=progress,
        verify_tls=config.check_certificates,
        environment=config.environment,
        expect="zip" if request.endswith(".rock") else None,
    )
    return target
