"""`install`: rocks from files and URLs, all of them in one transaction (contract 1.4)."""

from __future__ import annotations

import os

from pumice.errors import DataError, NotFoundError, UsageError
from pumice.operation.change import TreeChange
from pumice.operation.deploy import InstallOptions, check_dependencies, deploy, in_order
from pumice.operation.rock_cache import keep_rock
from pumice.operation.work_dir import WorkDir
from pumice.rock.arch import accepts
from pumice.rock.filename import base_name, parse_rock_filename

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.rock.rock import Rock

__all__ = ["InstallOptions", "install", "local_file", "obtain"]

_SUFFIXES = (".rock", ".rockspec")


def install(
    requests: Sequence[str], config: Config, options: InstallOptions, progress: Progress
) -> tuple[Rock, ...]:
    """Every requested rock is installed; gives them in the order in which they were.

    A request is the path or the URL of a `.rock`, `.src.rock` or `.rockspec` file. Nothing of the tree
    changes unless all succeed. Raises PumiceError.
    """
    for request in requests:
        _check_request(request, config)
    with WorkDir(config, "install") as work:
        with TreeChange(config, options.command, progress, layout=options.layout) as change:
            rocks = in_order(
                [obtain(request, change.config, progress, work, options.namespace) for request in requests]
            )
            _refuse_twins(rocks)
            if options.only_deps:
                planner = change.planner(commands=False)
                for rock in rocks:
                    check_dependencies(rock.rockspec, planner.installed, change.config, progress)
            else:
                deploy(rocks, change, options, progress)
        return tuple(rocks)


def obtain(
    request: str, config: Config, progress: Progress, work: WorkDir, namespace: str | None = None
) -> Rock:
    """The rock that a file or URL holds or describes: opened, or built from its sources.

    `work` keeps what was fetched or built until the rock has been deployed. Raises PumiceError.
    """
    path = local_file(request, config, progress, work)
    if path.endswith(".src.rock"):
        from pumice.operation.from_source import build_source_rock

        return build_source_rock(path, config, progress, work, namespace)
    if path.endswith(".rockspec"):
        from pumice.operation.from_source import build_rockspec

        return build_rockspec(path, config, progress, work, namespace)
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


def _check_request(request: str, config: Config) -> None:
    """Refuse at once what cannot become a rock. Raises NotFoundError, UsageError."""
    if not request.endswith(_SUFFIXES):
        if "://" in request:
            raise UsageError(
                f"{request} is not the URL of a rock",
                hint="A rock's URL ends in .rock, .src.rock or .rockspec.",
            )
        raise NotFoundError(
            f"No results matching query were found for Lua {config.lua_version}.",
            hint=f"'{request}' is no .rock or .rockspec file, and this version of Pumice asks no servers for "
            "names: give the file or its URL.",
        )
    if "://" not in request and not os.path.isfile(os.path.join(config.cwd, request)):
        raise NotFoundError(
            f"{request} does not exist", hint="Check the name and the directory; a URL begins with http://."
        )


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


def _refuse_twins(rocks: Sequence[Rock]) -> None:
    """The same name and version twice in one command can only be a mistake."""
    seen: set[tuple[str, str]] = set()
    for rock in rocks:
        if (rock.name, rock.version) in seen:
            raise UsageError(
                f"{rock.name} {rock.version} was given twice", hint="Leave one of the files out."
            )
        seen.add((rock.name, rock.version))
