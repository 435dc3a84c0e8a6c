"""`make`: the rock of a source directory, built and installed (contract 1.4, 2.7)."""

from __future__ import annotations

import os

from pumice.base.value import Value
from pumice.errors import NotFoundError
from pumice.operation.change import TreeChange
from pumice.operation.deploy import InstallOptions, check_dependencies, deploy
from pumice.operation.pins import pinned_here
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


class Made(Value):
    """What `make` did: the rock, and where it went."""

    rock: Rock
    packed: str | None = None


def read_rockspec(path: str, config: Config) -> Rockspec:
    """The rockspec at an absolute path. Raises NotFoundError, RockspecError."""
    try:
        with open(path, "rb") as file:
            data = file.read()
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
            packed = None
            if pack:
                from pumice.rock.rockfile import rock_filename_of, write_rock

                packed = os.path.join(config.cwd, rock_filename_of(rock))
                write_rock(rock, packed)
            return Made(rock, packed=packed)
        with TreeChange(config, options.command, progress, layout=options.layout) as change:
            needed = _dependencies(loaded, change, options, config, progress, work)
            if options.only_deps:
                from pumice.rock.rock import Rock

                if needed:
                    deploy(needed, change, options, progress)
                if options.pin:
                    _pin(loaded, change, config)
                return Made(Rock(loaded, (), "all"))
            rock = build_rock(
                loaded,
                config.cwd,
                change.config,
                progress,
                work_dir=work.path,
                options=BuildOptions(namespace=options.namespace),
            )
            deploy((*needed, rock), change, options, progress, check=bool(needed))
            if options.pin:
                _pin(loaded, change, config)
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
    pinned = {} if options.pin else pinned_here(config.cwd, progress)
    lacking = [
        each
        for each in rockspec.dependencies
        if not planner.installed.is_provided(each)
        and (planner.installed.match(each) is None or each.name in pinned)
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


def _pin(rockspec: Rockspec, change: TreeChange, config: Config) -> None:
    """`luarocks.lock` in the current directory has the exact versions that are used now (contract 8)."""
    from pumice.base.disk import write_atomic
    from pumice.rock.luarocks_lock import LuaRocksLock, luarocks_lock_bytes

    installed = change.planner(commands=False).installed
    used: dict[str, str] = {}
    for dependency in rockspec.dependencies:
        version = installed.match(dependency)
        if version is None or installed.is_provided(dependency):
            continue
        entry = change.manifest.entry(dependency.name, version)
        used |= {**(entry.dependencies if entry else {}), dependency.name: version}
    text = luarocks_lock_bytes(LuaRocksLock(used))
    write_atomic(os.path.join(config.cwd, "luarocks.lock"), text)
