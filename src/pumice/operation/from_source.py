"""Rocks from sources: `.rockspec` and `.src.rock` files are built, sources are packed (contract 1.4)."""

from __future__ import annotations

import os

from pumice.archive.member import Entry
from pumice.build.build import BuildOptions, build_rock
from pumice.errors import BuildError, DependencyError
from pumice.operation.change import installed_rocks
from pumice.operation.make import read_rockspec
from pumice.operation.pins import read_pin_file, with_pins
from pumice.rock.filename import rock_filename
from pumice.rock.rockfile import open_source_rock, write_source_rock
from pumice.source.source import fetch_source, open_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.operation.work_dir import WorkDir
    from pumice.rock.rock import Rock
    from pumice.rock.rockspec import Rockspec

__all__ = ["build_from", "build_rockspec", "build_source_rock", "fetch_as_source_rock"]


def build_rockspec(
    path: str,
    config: Config,
    progress: Progress,
    work: WorkDir,
    namespace: str | None = None,
    *,
    solved: bool = False,
) -> Rock:
    """The rock that a rockspec describes, built from the sources that it names.

    `work` keeps the sources until the rock has been deployed; `solved` as in `obtain`. Raises PumiceError.
    """
    rockspec = read_rockspec(path, config)
    rockspec.check_platform(config.platforms)
    folder = work.make(f"fetch-{os.urandom(4).hex()}")
    fetched = fetch_source(rockspec, folder, config, progress)
    assert fetched.dir is not None
    return _built(rockspec, fetched.dir, config, progress, work, namespace, solved=solved)


def build_from(
    path: str,
    source_dir: str,
    config: Config,
    progress: Progress,
    work: WorkDir,
    namespace: str | None = None,
) -> Rock:
    """The locked rock of a rockspec, built from sources that are here already. Raises PumiceError."""
    return _built(read_rockspec(path, config), source_dir, config, progress, work, namespace, solved=True)


def build_source_rock(
    path: str,
    config: Config,
    progress: Progress,
    work: WorkDir,
    namespace: str | None = None,
    *,
    solved: bool = False,
) -> Rock:
    """The rock built from the sources in a source rock; `solved` as in `obtain`. Raises PumiceError."""
    source = open_source_rock(path, platforms=config.platforms)
    folder = work.make(f"unpack-{os.urandom(4).hex()}")
    with source.archive:
        source.unpack(folder)
    source.rockspec.check_platform(config.platforms)
    opened = open_source(source.rockspec, folder)
    assert opened.dir is not None
    return _built(source.rockspec, opened.dir, config, progress, work, namespace, solved=solved)


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


def _built(
    rockspec: Rockspec,
    source_dir: str,
    config: Config,
    progress: Progress,
    work: WorkDir,
    namespace: str | None,
    *,
    solved: bool,
) -> Rock:
    if not solved:
        _check_build_dependencies(rockspec, config, progress)
    # Before the build: that may write into its sources.
    pins = None if solved else read_pin_file(source_dir)
    rock = build_rock(
        rockspec,
        source_dir,
        config,
        progress,
        work_dir=os.path.join(work.path, f"build-{os.urandom(4).hex()}"),
        options=BuildOptions(private_source=True, namespace=namespace),
    )
    return with_pins(rock, pins)


def _check_build_dependencies(rockspec: Rockspec, config: Config, progress: Progress) -> None:
    """LuaRocks looks for these in every tree, whatever the deps-mode, unless that is none (contract 5.6)."""
    if config.deps_mode == "none" or not rockspec.build_dependencies:
        return
    installed = installed_rocks(config.replace(deps_mode="all"), progress)
    missing = [each for each in rockspec.build_dependencies if installed.match(each) is None]
    if missing:
        raise DependencyError(
            f"Missing build dependencies for {rockspec.name} {rockspec.version}: "
            + ", ".join(str(each) for each in missing),
            hint="Install them first, or use --deps-mode=none to go without.",
        )


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
