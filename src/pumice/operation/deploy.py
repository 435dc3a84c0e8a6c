"""Rocks that are at hand go into a tree: what `make`, `install` and `ship` share (contract 1.4, 5)."""

from __future__ import annotations

from pumice.base.value import Value
from pumice.errors import DependencyError, TreeError
from pumice.rock.version import parse_version
from pumice.tree.dependents import would_break
from pumice.tree.planner import InstallOptions as PlannerOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.operation.change import TreeChange
    from pumice.rock.dependency import Dependency
    from pumice.rock.rock import Rock
    from pumice.rock.rockspec import Rockspec
    from pumice.tree.dependencies import Installed as InstalledRocks
    from pumice.tree.planner import Plan, Planner

__all__ = ["InstallOptions", "Planned", "check_dependencies", "deploy", "in_order", "plan_deployment"]


class InstallOptions(Value):
    """How rocks are installed; each field is the flag of that name."""

    command: str
    keep: bool = False
    force: bool = False
    force_fast: bool = False
    only_deps: bool = False
    no_doc: bool = False
    no_manifest: bool = False
    namespace: str | None = None
    layout: str | None = None
    """`plain` or `generations` for a tree that does not exist yet; None: plain."""
    dry_run: bool = False
    """Decide what to install, and stop there."""
    offline: bool = False
    """Ask no server; the cache has to have everything."""
    pin: bool = False
    """Write a `luarocks.lock`, and heed none."""
    branch: str | None = None
    """What to check out instead of a rockspec's `source.branch`."""
    check_lua_versions: bool = False
    """Where nothing is found, look whether it is there for other Lua versions."""
    prefer: str = "server"
    """Which of several versions to take, as in `solve.situation`."""


def in_order(rocks: Sequence[Rock]) -> list[Rock]:
    """The rocks so that each one follows those of them that it depends on; otherwise as given.

    A cycle is broken where it was entered, as LuaRocks's depth-first walk does.
    """
    by_name: dict[str, list[Rock]] = {}
    for rock in rocks:
        by_name.setdefault(rock.name, []).append(rock)
    ordered: list[Rock] = []
    met: set[str] = set()

    # A stack of our own: a chain of a thousand rocks must not meet Python's recursion limit.
    for start in rocks:
        stack = [(start.name, False)]
        while stack:
            name, done = stack.pop()
            if done:
                ordered.extend(by_name[name])
                continue
            if name in met:
                continue
            met.add(name)
            stack.append((name, True))
            needs = [
                dependency.name
                for rock in by_name[name]
                for dependency in rock.rockspec.dependencies
                if dependency.name in by_name and dependency.name not in met
            ]
            stack.extend((need, False) for need in reversed(needs))
    return ordered


def check_dependencies(
    rockspec: Rockspec,
    installed: InstalledRocks,
    config: Config,
    progress: Progress,
    coming: Collection[tuple[str, str]] = (),
) -> None:
    """The rock supports this platform, and everything that it depends on is there; told in LuaRocks's lines.

    `coming`: (name, version) of rocks of the same command that will be there. Raises RockspecError,
    DependencyError.
    """
    if config.deps_mode == "none":
        return
    rockspec.check_platform(config.platforms)
    matched = [(each, _match(each, installed, coming)) for each in rockspec.dependencies]
    missing = [dependency for dependency, version in matched if version is None]
    if missing:
        progress.message("info", f"Missing dependencies for {rockspec.name} {rockspec.version}:")
        for dependency in missing:
            progress.message("info", f"   {dependency} (not installed)")
    progress.message("info", "")
    for dependency, version in matched:
        how = "provided by VM" if installed.is_provided(dependency) else "installed"
        status = f"{version} {how}" if version else "not installed"
        progress.message("info", f"{rockspec.name} {rockspec.version} depends on {dependency} ({status})")
    if missing:
        names = ", ".join(str(dependency) for dependency in missing)
        raise DependencyError(
            f"Could not satisfy dependency {missing[0]}: No results matching query were found for "
            f"Lua {config.lua_version}.",
            hint=f"Give the files of {names} in the same command, install them first, or use "
            "--deps-mode=none to go without.",
        )


def _match(
    dependency: Dependency, installed: InstalledRocks, coming: Collection[tuple[str, str]]
) -> str | None:
    if not installed.is_provided(dependency):
        for name, each in coming:
            if name == dependency.name and dependency.accepts(each):
                return each
    return installed.match(dependency)


def deploy(
    rocks: Sequence[Rock],
    change: TreeChange,
    options: InstallOptions,
    progress: Progress,
    *,
    check: bool = True,
    removals: Sequence[tuple[str, str]] = (),
) -> None:
    """All the rocks are in the tree, in one transaction with their hooks; what LuaRocks says has been said.

    `check`: look at their dependencies first. `removals`: rocks that go in the same transaction. Raises
    PumiceError; then the tree is as it was.
    """
    config = change.config
    asked = frozenset(each.name for rock in rocks for each in rock.rockspec.dependencies)
    planner = change.planner(
        commands=any(file.section == "bin" for rock in rocks for file in rock.files),
        asked=asked,
        no_manifest=options.no_manifest,
    )
    planned = plan_deployment(rocks, planner, config, options, progress, check=check, removals=removals)
    hooked = [rock for rock in rocks if rock.rockspec.hooks]
    change.commit(
        planned.plan,
        before_finish=(lambda: _run_hooks(hooked, change, progress)) if hooked else None,
        added=planned.added,
        removed=planned.removed,
    )
    change.report_missing(planned.touched, planner.installed)


class Planned(Value):
    """What a deployment comes to."""

    plan: Plan
    added: tuple[tuple[str, str], ...]
    """(name, version) of rocks that were not there."""
    removed: tuple[tuple[str, str], ...]
    touched: tuple[str, ...]
    """Names of the rocks whose versions may have changed."""


def plan_deployment(
    rocks: Sequence[Rock],
    planner: Planner,
    config: Config,
    options: InstallOptions,
    progress: Progress,
    *,
    check: bool = True,
    removals: Sequence[tuple[str, str]] = (),
) -> Planned:
    """What `deploy` does to a tree, decided and not done. Raises as `deploy`."""
    # Other versions go when all the new ones are there: one may need what another replaces.
    how = PlannerOptions(keep=True, no_doc=options.no_doc)
    touched = sorted({rock.name for rock in rocks} | {name for name, _ in removals})
    before = {name: set(planner.manifest.versions(name)) for name in touched}
    coming = [(rock.name, rock.version) for rock in rocks]
    for rock in rocks:
        _check_hooks(rock.rockspec, config)
        if check:
            check_dependencies(rock.rockspec, planner.installed, config, progress, coming)
        planner.install(rock, how)
    if not options.keep:
        _remove_other_versions(rocks, planner, options)
    for name, version in removals:
        planner.remove(name, version)
    plan = planner.finish()
    after = {name: set(planner.manifest.versions(name)) for name in touched}
    return Planned(
        plan,
        tuple(sorted((name, each) for name in touched for each in after[name] - before[name])),
        tuple(sorted((name, each) for name in touched for each in before[name] - after[name])),
        tuple(touched),
    )


def _remove_other_versions(rocks: Sequence[Rock], planner: Planner, options: InstallOptions) -> None:
    """Plan the removal of what the new rocks replace, where nothing that stays needs it (contract 1.4)."""
    waiting: dict[str, list[str]] = {}
    new = {(rock.name, rock.version) for rock in rocks}
    for name, version in sorted(new):
        mine = parse_version(version)
        others = [
            each
            for each in planner.manifest.versions(name)
            if (name, each) not in new and parse_version(each) != mine
        ]
        if others:
            waiting[name] = others
    while waiting:
        leaving = {(name, version) for name, versions in waiting.items() for version in versions}
        broken = {
            name: would_break(planner.manifest, name, versions, planner.installed)
            for name, versions in waiting.items()
        }
        # First what nothing needs; then what only leaving rocks need, as in a cycle; then the refusals.
        free = [each for each in waiting if not broken[each]]
        cyclic = [each for each in waiting if leaving.issuperset(broken[each])]
        name = (free or cyclic or list(waiting))[0]
        force_fast = options.force_fast or (not free and bool(cyclic))
        try:
            planner.remove_versions(name, waiting.pop(name), force=options.force, force_fast=force_fast)
        except DependencyError:
            # LuaRocks reports and goes on: the new version is installed, the old ones stay (B35).
            continue


def _check_hooks(rockspec: Rockspec, config: Config) -> None:
    """LuaRocks finds out only after deploying (B10); here nothing has happened yet."""
    if rockspec.hooks and not config.hooks_enabled:
        raise TreeError(
            "This rockspec contains hooks, which are blocked by the 'hooks_enabled' setting in your "
            "LuaRocks configuration.",
            hint="Set hooks_enabled = true if you trust the rock.",
        )


def _run_hooks(rocks: Sequence[Rock], change: TreeChange, progress: Progress) -> None:
    from pumice.operation.hooks import run_hook

    for rock in rocks:
        run_hook(rock, "post_install", change.config, progress)
