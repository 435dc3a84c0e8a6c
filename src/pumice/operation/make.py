"""`make`: the rock of a source directory, built and installed (contract 1.4, 2.7)."""

from __future__ import annotations

import os

from pumice.base.value import Value
from pumice.errors import NotFoundError
from pumice.operation.change import TreeChange
from pumice.operation.deploy import InstallOptions, check_dependencies, deploy
from pumice.operation.pins import PIN_FILE, pins_in, pins_made, read_pin_file, report_pins, with_pins
from pumice.operation.rockspec_choice import rockspec_argument
from pumice.operation.work_dir import WorkDir
from pumice.rock.rockspec import load_rockspec
from pumice.tree.dependencies import missing_report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.rock.rock import Rock
    from pumice.rock.rockspec import Rockspec

__all__ = ["Made", "build_directory", "make", "read_rockspec"]


_READ = 16 << 20
"""Enough to see that a rockspec is too long; what is there may be any file."""


class Made(Value):
    """What `make` did: the rock, and where it went."""

    rock: Rock
    packed: str | None = None


def read_rockspec(path: str, config: Config) -> Rockspec:
    """The rockspec at an absolute path. Raises NotFoundError, RockspecError."""
    try:
        with open(path, "rb") as file:
            data = file.read(_READ)
    except OSError as error:
        raise NotFoundError(
            f"{path} cannot be read: {error.strerror}", hint="Check the name and the file's mode."
        ) from None
    return load_rockspec(data, path, config.platforms, accept_unknown_fields=config.accept_unknown_fields)


def build_directory(
    rockspec_path: str, config: Config, progress: Progress, work: WorkDir, *, install: bool = True
) -> Rock:
    """The rock that a rockspec makes of the current directory; installs nothing. Raises BuildError."""
    from pumice.build.build import BuildOptions, build_rock

    rockspec = read_rockspec(rockspec_path, config)
    return build_rock(
        rockspec, config.cwd, config, progress, work_dir=work.path, options=BuildOptions(install=install)
    )


def make(
    config: Config,
    options: InstallOptions,
    progress: Progress,
    *,
    rockspec: str | None = None,
    no_install: bool = False,
    pack: bool = False,
) -> Made:
    """Builds the current directory by its rockspec, and installs the rock (or packs it, or neither).

    `rockspec` is relative to the current directory; None: the one that LuaRocks would choose. Nothing of
    the tree changes unless everything succeeds. Raises PumiceError.
    """
    from pumice.build.build import BuildOptions, build_rock

    loaded = read_rockspec(rockspec_argument(rockspec, config.cwd), config)
    with WorkDir(config, "make") as work:
        if no_install or pack:
            rock = build_rock(
                loaded,
                config.cwd,
                config,
                progress,
                work_dir=work.path,
                options=BuildOptions(install=not no_install, namespace=options.namespace),
            )
            pins = None if options.pin else read_pin_file(config.cwd)
            if options.pin and pack:
                from pumice.operation.pins import pins_in_empty_tree

                pins = pins_in_empty_tree(loaded, config, options, progress, work)
                _write_pins(pins, config)
            rock = with_pins(rock, pins)
            packed = None
            if pack:
                from pumice.rock.rockfile import rock_filename_of, write_rock

                packed = os.path.join(config.cwd, rock_filename_of(rock))
                write_rock(rock, packed)
            return Made(rock, packed=packed)
        with TreeChange(config, options.command, progress, layout=options.layout) as change:
            needed = _dependencies(loaded, change, options, config, progress, work)
            pins = read_pin_file(config.cwd)
            if options.pin:
                installed = change.planner(commands=False).installed
                pins = pins_made(loaded, needed, installed, change.manifest)
            if options.only_deps:
                from pumice.rock.rock import Rock

                if needed:
                    deploy(needed, change, options, progress)
                _write_pins(pins if options.pin else None, config)
                return Made(Rock(loaded, (), "all"))
            building = change.config
            if loaded.build_dependencies:
                from pumice.operation.build_dependencies import FromServers, building_config

                finder = FromServers(config, options, progress, work)
                building = building_config(loaded, building, finder.tools(loaded), progress)
                needed = (*finder.beside(needed), *needed)
            rock = build_rock(
                loaded,
                config.cwd,
                building,
                progress,
                work_dir=work.path,
                options=BuildOptions(namespace=options.namespace),
            )
            rock = with_pins(rock, pins)
            deploy((*needed, rock), change, options, progress, check=bool(needed))
            _write_pins(pins if options.pin else None, config)
        return Made(rock)


def _dependencies(
    rockspec: Rockspec,
    change: TreeChange,
    options: InstallOptions,
    config: Config,
    progress: Progress,
    work: WorkDir,
) -> tuple[Rock, ...]:
    """The rocks that the tree lacks for this rockspec, from the servers; usually none, and none is asked."""
    planner = change.planner(commands=False, asked=frozenset(each.name for each in rockspec.dependencies))
    pins = None if options.pin or config.deps_mode == "none" else pins_in(config.cwd, progress)
    pinned = pins.versions if pins else {}
    if pins:
        report_pins(rockspec, pinned, planner.installed, progress)
    # A pin may be of a rock that only another rock needs.
    unlike = any(not change.manifest.has(name, version) for name, version in pinned.items())
    lacking = [
        each
        for each in rockspec.dependencies
        if not planner.installed.is_provided(each) and (unlike or planner.installed.match(each) is None)
    ]
    if config.deps_mode == "none" or not lacking:
        check_dependencies(rockspec, planner.installed, change.config, progress)
        return ()
    for line in missing_report(rockspec.name, rockspec.version, rockspec.dependencies, planner.installed):
        progress.message("info", line)
    rockspec.check_platform(config.platforms)
    from pumice.operation.gather import Gathering
    from pumice.operation.resolve import Wanted
    from pumice.operation.servers import Servers

    wanted = Wanted(tuple(lacking), prefer="installed", keep=options.keep, pinned=pinned)
    with Servers(config, progress, offline=options.offline) as servers:
        gathering = Gathering(servers, wanted, change.config, options, progress, work)
        gathering.resolve(change.spec, change.manifest)
        return gathering.fetch()


def _write_pins(pins: bytes | None, config: Config) -> None:
    """`luarocks.lock` in the current directory has the exact versions that are used now (contract 8)."""
    if pins is not None:
        from pumice.base.disk import write_atomic

        write_atomic(os.path.join(config.cwd, PIN_FILE), pins)
