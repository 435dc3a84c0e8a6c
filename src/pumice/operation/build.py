"""`build`: a rock is built from its sources and installed, whatever binaries there are (contract 1.4)."""

from __future__ import annotations

import os

from pumice.operation.build_dependencies import FromServers
from pumice.operation.install import Outcome, install_rocks
from pumice.operation.obtain import Manner, local_file, obtain
from pumice.operation.requests import Requests, parse_requests
from pumice.operation.work_dir import WorkDir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.operation.deploy import InstallOptions
    from pumice.rock.dependency import Dependency

__all__ = ["build"]


def build(
    words: Sequence[str],
    config: Config,
    options: InstallOptions,
    progress: Progress,
    *,
    pack: bool = False,
) -> tuple[Outcome, tuple[str, ...]]:
    """What the words ask for is built and installed; with `pack` packed into the current directory instead.

    Names are looked for among source rocks and rockspecs alone. Gives what was installed, and the paths of
    what was packed. Raises PumiceError.
    """
    requests = parse_requests(words, options.namespace)
    with WorkDir(config, "build") as work:
        files = [local_file(each, config, progress, work, offline=options.offline) for each in requests.files]
        if requests.names:
            files += _sources(requests.names, config, options, progress, work)
        finder = FromServers(config, options, progress, work)
        manner = Manner(
            namespace=options.namespace,
            offline=options.offline,
            branch=options.branch,
            finder=finder,
            pins=not options.pin,
        )
        rocks = [obtain(each, config, progress, work, manner) for each in files]
        if not pack:
            beside = finder.beside(rocks)
            outcome = install_rocks(
                Requests(),
                rocks,
                config,
                options,
                progress,
                work,
                built=rocks,
                beside=beside,
                here=not requests.names,
            )
            return outcome, ()
        from pumice.rock.rockfile import rock_filename_of, write_rock

        packed = []
        for rock in rocks:
            if options.pin:
                from pumice.operation.pins import pins_in_empty_tree, with_pins

                pins = pins_in_empty_tree(rock.rockspec, config, options, progress, work)
                rock = with_pins(rock, pins)
            packed.append(os.path.join(config.cwd, rock_filename_of(rock)))
            write_rock(rock, packed[-1])
        return Outcome(), tuple(packed)


def _sources(
    names: Sequence[Dependency],
    config: Config,
    options: InstallOptions,
    progress: Progress,
    work: WorkDir,
) -> list[str]:
    """The newest source rock or rockspec of each name, fetched."""
    from pumice.errors import NotFoundError
    from pumice.index.index import Query
    from pumice.net.downloader import Wanted
    from pumice.operation.servers import Servers

    wanted = []
    with Servers(config, progress, offline=options.offline) as servers:
        for name in names:
            query = Query(name.name, name.namespace, name.constraints, archs=frozenset(("src", "rockspec")))
            found = servers.index.newest(query)
            if found is None:
                error = servers.index.not_found()
                raise NotFoundError(f"Could not find a result named {name}: {error.message}", hint=error.hint)
            offer = found.best
            progress.message("info", f"Installing {offer.urls[0]}")
            folder = work.make(os.urandom(6).hex())
            wanted.append(Wanted(offer.urls, f"{folder}/{offer.file_name}", sha256=offer.sha256))
        servers.downloader.fetch_many(wanted)
    return [each.target for each in wanted]
