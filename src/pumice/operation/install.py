"""`install`: rocks from servers, files and URLs, all of them in one transaction (contract 1.4; house.md).

What is not at hand is found, solved and fetched before the tree is locked, so that nobody waits for a
download; if the tree has changed meanwhile, it is solved again under the lock.
"""

from __future__ import annotations

import os

from pumice.base.value import Value
from pumice.errors import NotFoundError, UsageError
from pumice.operation.change import TreeChange, installed_rocks, refuse_unwritable
from pumice.operation.deploy import InstallOptions, deploy, in_order
from pumice.operation.obtain import Manner, local_file, obtain
from pumice.operation.requests import parse_requests
from pumice.operation.trees import read_spec
from pumice.operation.work_dir import WorkDir
from pumice.tree.dependencies import missing_report
from pumice.tree.layout import manifest_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pumice.base.config import Config, TreeSpec
    from pumice.base.progress import Progress
    from pumice.operation.gather import Gathering
    from pumice.operation.requests import Requests
    from pumice.operation.resolve import Wanted
    from pumice.rock.rock import Rock
    from pumice.solve.resolution import Chosen
    from pumice.tree.dependencies import Installed
    from pumice.tree.manifest import TreeManifest

__all__ = ["InstallOptions", "Outcome", "install"]


class Outcome(Value):
    """What a command installed, or would."""

    installed: tuple[Rock, ...] = ()
    """In the order in which they were; what was wanted and what it needs."""
    present: tuple[tuple[str, str], ...] = ()
    """(name, version) of rocks that were asked for and are there already."""
    planned: tuple[Chosen, ...] = ()
    """With `dry_run`: what would be installed."""
    wanted: tuple[tuple[str, str], ...] = ()
    """(name, version) of what was asked for."""


def install(words: Sequence[str], config: Config, options: InstallOptions, progress: Progress) -> Outcome:
    """Everything that the words ask for is installed, with what it needs (settled.md, '`install` words').

    Nothing of the tree changes unless all of it succeeds. Raises PumiceError.
    """
    requests = parse_requests(words, options.namespace)
    for request in requests.files:
        if "://" not in request and not os.path.isfile(os.path.join(config.cwd, request)):
            raise NotFoundError(
                f"{request} does not exist",
                hint="Check the name and the directory; a URL begins with http://.",
            )
    with WorkDir(config, "install") as work:
        sources = (".rockspec", ".src.rock")
        finder: FromServers | None = None
        if any(each.endswith(sources) for each in requests.files):
            from pumice.operation.build_dependencies import FromServers

            finder = FromServers(config, options, progress, work)
        manner = Manner(
            namespace=options.namespace,
            offline=options.offline,
            branch=options.branch,
            finder=finder,
            pins=not options.pin,
        )
        given = [obtain(each, config, progress, work, manner) for each in requests.files]
        built = [rock for each, rock in zip(requests.files, given, strict=True) if each.endswith(sources)]
        for bundle in requests.bundles:
            from pumice.operation.bundle import open_bundle

            path = local_file(bundle, config, progress, work, offline=options.offline)
            given += open_bundle(path, config, work)
        _refuse_twins(given)
        beside = finder.beside(given) if finder else ()
        return install_rocks(requests, given, config, options, progress, work, built=built, beside=beside)


def install_rocks(
    requests: Requests,
    given: Sequence[Rock],
    config: Config,
    options: InstallOptions,
    progress: Progress,
    work: WorkDir,
    *,
    built: Sequence[Rock] = (),
    beside: Sequence[Rock] = (),
    here: bool = True,
) -> Outcome:
    """The rocks at hand and the names of `requests` are installed, with what they need.

    `built`: those of the rocks at hand that were built here; --pin pins what they use (contract 8).
    `beside`: more rocks at hand, which nobody asked for. `here`: whether a `luarocks.lock` in the current
    directory counts for the rocks at hand.
    """
    if not requests.names and not options.dry_run:
        with TreeChange(config, options.command, progress, layout=options.layout) as change:
            rocks = in_order([*beside, *given])
            installed = change.planner(commands=False).installed
            pinned = _pins(given, installed, config, options, progress, here=here)
            unlike = any(not change.manifest.has(name, version) for name, version in pinned.items())
            if options.only_deps or unlike or not _complete(rocks, change, progress):
                wanted = _wanted(requests, (*beside, *given), options, pinned)
                return _with_servers(wanted, config, options, progress, work, change, built=built)
            rocks = _with_pins_made(rocks, built, change, config, options)
            deploy(rocks, change, options, progress)
        return Outcome(tuple(rocks), wanted=tuple((rock.name, rock.version) for rock in given))
    if not options.dry_run:
        refuse_unwritable(config.tree)
    pinned = _pins(given, None, config, options, progress, here=here)
    wanted = _wanted(requests, (*beside, *given), options, pinned)
    return _with_servers(wanted, config, options, progress, work, None, built=built)


def _wanted(
    requests: Requests, rocks: tuple[Rock, ...], options: InstallOptions, pinned: Mapping[str, str]
) -> Wanted:
    from pumice.operation.resolve import Wanted

    return Wanted(requests.names, rocks, options.prefer, options.keep, pinned)


def _pins(
    rocks: Sequence[Rock],
    installed: Installed | None,
    config: Config,
    options: InstallOptions,
    progress: Progress,
    *,
    here: bool = True,
) -> dict[str, str]:
    """What a `luarocks.lock` demands for the rocks at hand, told as LuaRocks does.

    `here`: one in the current directory goes before those that the rocks carry.
    """
    if options.pin or config.deps_mode == "none" or not rocks:
        return {}
    carried = any(file.rock_path == "luarocks.lock" for rock in rocks for file in rock.files)
    if not carried and not (here and os.path.lexists(os.path.join(config.cwd, "luarocks.lock"))):
        return {}
    from pumice.operation.pins import pins_for, report_pins

    pinned = pins_for(rocks, config, progress, here=here)
    if pinned:
        for rock in rocks:
            report_pins(rock.rockspec, pinned, installed or installed_rocks(config, progress), progress)
    return pinned


def _with_pins_made(
    rocks: Sequence[Rock],
    built: Sequence[Rock],
    change: TreeChange,
    config: Config,
    options: InstallOptions,
) -> list[Rock]:
    """The rocks; with --pin those of `built` have a `luarocks.lock`, or, with --only-deps, this directory."""
    if not options.pin:
        return list(rocks)
    from pumice.operation.pins import PIN_FILE, pins_made, with_pins

    installed = change.planner(commands=False).installed
    made = {
        (rock.name, rock.version): pins_made(rock.rockspec, rocks, installed, change.manifest)
        for rock in built
    }
    if options.only_deps:
        from pumice.base.disk import write_atomic

        for data in made.values():
            write_atomic(os.path.join(config.cwd, PIN_FILE), data)
    return [with_pins(rock, made.get((rock.name, rock.version))) for rock in rocks]


def _complete(rocks: Sequence[Rock], change: TreeChange, progress: Progress) -> bool:
    """Whether what the rocks need is in the tree or among them; what is missing is told as LuaRocks does."""
    if change.config.deps_mode == "none":
        return True
    installed = change.planner(commands=False).installed
    by_name: dict[str, list[str]] = {}
    for rock in rocks:
        by_name.setdefault(rock.name, []).append(rock.version)
    complete = True
    for rock in rocks:
        needed = [
            each
            for each in rock.rockspec.dependencies
            if not any(map(each.accepts, by_name.get(each.name, ())))
        ]
        for line in missing_report(rock.name, rock.version, needed, installed):
            progress.message("info", line)
            complete = False
    return complete


def _with_servers(
    wanted: Wanted,
    config: Config,
    options: InstallOptions,
    progress: Progress,
    work: WorkDir,
    change: TreeChange | None,
    *,
    built: Sequence[Rock],
) -> Outcome:
    """Find, solve, fetch; then deploy, in the change that is under way or in one of its own."""
    from pumice.operation.gather import Gathering
    from pumice.operation.servers import Servers

    with Servers(config, progress, offline=options.offline) as servers:
        if change is not None:
            gathering = Gathering(servers, wanted, config, options, progress, work)
            gathering.resolve(change.spec, change.manifest)
            return _deployed(gathering, change, config, options, progress, built)
        spec, manifest, seen = _look(config, progress)
        gathering = Gathering(servers, wanted, config, options, progress, work)
        gathering.resolve(spec, manifest)
        if options.dry_run:
            return Outcome(planned=gathering.chosen, present=gathering.present)
        if not gathering.chosen and not gathering.forced:
            return Outcome(present=gathering.present, wanted=gathering.wanted_rocks)
        named = {dependency.name for dependency in wanted.names}
        roots = [rock for rock in gathering.fetch() if rock.name in named]
        pinned = _pins(roots, None, config, options, progress, here=False)
        if pinned:
            gathering.hold_to({**pinned, **wanted.pinned}, roots)
            gathering.resolve(spec, manifest)
            gathering.fetch()
        with TreeChange(config, options.command, progress, layout=options.layout) as own:
            if _read(manifest_path(own.spec)) != seen:
                gathering.resolve(own.spec, own.manifest)
            return _deployed(gathering, own, config, options, progress, (*built, *gathering.built_roots))


def _deployed(
    gathering: Gathering,
    change: TreeChange,
    config: Config,
    options: InstallOptions,
    progress: Progress,
    built: Sequence[Rock],
) -> Outcome:
    rocks = tuple(_with_pins_made(gathering.fetch(), built, change, config, options))
    if options.only_deps:
        asked = {name for name, _ in gathering.wanted_rocks}
        rocks = tuple(rock for rock in rocks if rock.name not in asked)
    if rocks:
        deploy(rocks, change, options, progress)
    return Outcome(rocks, gathering.present, wanted=gathering.wanted_rocks)


def _look(config: Config, progress: Progress) -> tuple[TreeSpec, TreeManifest, bytes | None]:
    """The tree as it is now, and the bytes by which to see whether it still is."""
    from pumice.tree.manifest import read_tree_manifest

    spec = read_spec(config.tree, progress)
    seen = _read(manifest_path(spec))
    return spec, read_tree_manifest(spec, progress, platforms=config.platforms), seen


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def _refuse_twins(rocks: Sequence[Rock]) -> None:
    """The same name and version twice in one command can only be a mistake."""
    seen: set[tuple[str, str]] = set()
    for rock in rocks:
        if (rock.name, rock.version) in seen:
            raise UsageError(
                f"{rock.name} {rock.version} was given twice", hint="Leave one of the files out."
            )
        seen.add((rock.name, rock.version))
