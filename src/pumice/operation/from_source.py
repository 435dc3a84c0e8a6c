"""Rocks from sources: `.rockspec` and `.src.rock` files are built, sources are packed (contract 1.4)."""

from __future__ import annotations

import os

from pumice.archive.member import Entry
from pumice.build.build import BuildOptions, build_rock
from pumice.errors import BuildError
from pumice.operation.build_dependencies import building_config, check_build_dependencies
from pumice.operation.make import read_rockspec
from pumice.operation.pins import read_pin_file, with_pins
from pumice.rock.filename import rock_filename
from pumice.rock.rockfile import open_source_rock, write_source_rock
from pumice.source.source import fetch_source, open_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pumice.base.config import Config, TreeSpec
    from pumice.base.progress import Progress
    from pumice.operation.obtain import Manner
    from pumice.operation.work_dir import WorkDir
    from pumice.rock.rock import Rock
    from pumice.rock.rockspec import Rockspec

__all__ = ["build_from", "build_rockspec", "build_source_rock", "fetch_as_source_rock"]


def build_rockspec(path: str, config: Config, progress: Progress, work: WorkDir, manner: Manner) -> Rock:
    """The rock that a rockspec describes, built from the sources that it names.

    `work` keeps the sources until the rock has been deployed. Raises PumiceError.
    """
    rockspec = read_rockspec(path, config)
    rockspec.check_platform(config.platforms)
    folder = work.make(f"fetch-{os.urandom(4).hex()}")
    fetched = fetch_source(rockspec, folder, config, progress, branch=manner.branch, offline=manner.offline)
    assert fetched.dir is not None
    return build_from(rockspec, fetched.dir, config, progress, work, manner)


def build_source_rock(path: str, config: Config, progress: Progress, work: WorkDir, manner: Manner) -> Rock:
    """The rock built from the sources in a source rock. Raises PumiceError."""
    source = open_source_rock(path, platforms=config.platforms)
    folder = work.make(f"unpack-{os.urandom(4).hex()}")
    with source.archive:
        source.unpack(folder)
    source.rockspec.check_platform(config.platforms)
    opened = open_source(source.rockspec, folder)
    assert opened.dir is not None
    return build_from(source.rockspec, opened.dir, config, progress, work, manner)


def fetch_as_source_rock(path: str, config: Config, progress: Progress, work: WorkDir) -> str:
    """The path of the source rock of a rockspec, written into the current directory. Raises PumiceError."""
    rockspec = read_rockspec(path, config)
    folder = work.make("fetch")
    fetched = fetch_source(rockspec, folder, config, progress, unpack=False)
    target = os.path.join(config.cwd, rock_filename(rockspec.name, rockspec.version, "src"))
    if fetched.archive_path is not None:
        _check_source_dir(rockspec, fetched.archive_path, work)
        entries = [_entry(os.path.basename(fetched.archive_path), fetched.archive_path)]
    else:
        assert fetched.checkout_dir is not None
        entries = list(_entries(fetched.checkout_dir))
    write_source_rock(rockspec.text, rockspec.rockspec_name, entries, target)
    return target


def build_from(
    rockspec: Rockspec, source_dir: str, config: Config, progress: Progress, work: WorkDir, manner: Manner
) -> Rock:
    """The rock of a rockspec, built from sources that are here already. Raises PumiceError."""
    tools: tuple[TreeSpec, ...] = ()
    if manner.finder is not None:
        tools = manner.finder.tools(rockspec)
    else:
        check_build_dependencies(rockspec, config, progress)
    # Before the build: that may write into its sources.
    pins = read_pin_file(source_dir) if manner.pins else None
    rock = build_rock(
        rockspec,
        source_dir,
        building_config(rockspec, config, tools, progress),
        progress,
        work_dir=os.path.join(work.path, f"build-{os.urandom(4).hex()}"),
        options=BuildOptions(private_source=True, namespace=manner.namespace),
    )
    return with_pins(rock, pins)


def _check_source_dir(rockspec: Rockspec, archive: str, work: WorkDir) -> None:
    """A source rock whose `source.dir` is not in its archive could never be built (contract 1.4)."""
    from pumice.archive.unpack import unpack
    from pumice.source.directory import find_source_directory

    folder = work.make("look")
    unpack(archive, folder, file_name=os.path.basename(archive))
    find_source_directory(rockspec, folder)


def _entry(name: str, path: str) -> Entry:
    def read() -> bytes:
        with open(path, "rb") as file:
            return file.read()

    return Entry(name, read, os.access(path, os.X_OK))


def _entries(checkout: str) -> Iterator[Entry]:
    """Every file of a checkout, below the checkout's own name; links must lead to files of the checkout."""
    top = os.path.realpath(checkout)
    for folder, directories, names in os.walk(checkout):
        directories.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            real = os.path.realpath(path)
            if os.path.islink(path) and not (real.startswith(f"{top}/") and os.path.isfile(real)):
                raise BuildError(
                    f"{os.path.relpath(path, checkout)} is a link that leads out of the sources",
                    hint="A source rock holds files only; replace the link by a file.",
                )
            yield _entry(f"{os.path.basename(checkout)}/{os.path.relpath(path, checkout)}", path)
