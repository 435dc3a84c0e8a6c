"""What rocks need to be built: found, built first, and visible to the builds of this command (contract 5.6).

LuaRocks installs build dependencies before it builds. Here everything is installed in one transaction at the
end, so builds get them in a private tree of the command, in front of the paths of Lua and of programs.
"""

from __future__ import annotations

import os

from pumice.base.config import TreeSpec
from pumice.base.progress import Silent
from pumice.errors import DependencyError
from pumice.operation.change import TreeChange, installed_rocks
from pumice.operation.trees import read_spec
from pumice.tree.planner import InstallOptions as PlannerOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Protocol

    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.operation.deploy import InstallOptions
    from pumice.operation.work_dir import WorkDir
    from pumice.rock.dependency import Dependency
    from pumice.rock.rock import Rock
    from pumice.rock.rockspec import Rockspec

    class Finder(Protocol):
        """Finds what rocks need to be built."""

        def tools(self, rockspec: Rockspec) -> tuple[TreeSpec, ...]:
            """Trees with what this one needs, beside the command's own trees. Raises PumiceError."""


__all__ = ["FromRocks", "FromServers", "building_config", "check_build_dependencies"]


class FromRocks:
    """Takes build dependencies from rocks that come with the same command; what they lack is installed."""

    def __init__(self, rocks: Callable[[], Iterable[Rock]], config: Config, work: WorkDir) -> None:
        """`rocks`: those that are here by now."""
        self._rocks = rocks
        self._config = config
        self._work = work
        self._trees: dict[tuple[tuple[str, str], ...], TreeSpec] = {}

    def tools(self, rockspec: Rockspec) -> tuple[TreeSpec, ...]:
        """As the protocol says."""
        if not rockspec.build_dependencies:
            return ()
        here = list(self._rocks())
        found: dict[tuple[str, str], Rock] = {}
        pending = list(rockspec.build_dependencies)
        while pending:
            dependency = pending.pop()
            for rock in here:
                key = rock.name, rock.version
                if rock.name == dependency.name and key not in found and dependency.accepts(rock.version):
                    found[key] = rock
                    pending += rock.rockspec.dependencies
        if not found:
            return ()
        key_of_all = tuple(sorted(found))
        if key_of_all not in self._trees:
            self._trees[key_of_all] = _private_tree(list(found.values()), self._config, self._work)
        return (self._trees[key_of_all],)


class FromServers:
    """Takes build dependencies that are not installed from the servers."""

    def __init__(self, config: Config, options: InstallOptions, progress: Progress, work: WorkDir) -> None:
        self._config = config
        self._options = options
        self._progress = progress
        self._work = work
        self.rocks: list[Rock] = []
        """What was found on servers; it is to be installed with what was built by it."""

    def beside(self, rocks: Iterable[Rock]) -> list[Rock]:
        """What was found, except for what is among these rocks already."""
        here = {(rock.name, rock.version) for rock in rocks}
        return [rock for rock in self.rocks if (rock.name, rock.version) not in here]

    def tools(self, rockspec: Rockspec) -> tuple[TreeSpec, ...]:
        """As the protocol says."""
        missing = _missing(rockspec, self._config, self._progress)
        if not missing:
            return ()
        from pumice.operation.gather import Gathering
        from pumice.operation.resolve import Wanted
        from pumice.operation.servers import Servers
        from pumice.tree.manifest import read_tree_manifest

        listed = ", ".join(str(each) for each in missing)
        self._progress.message(
            "info", f"Missing build dependencies for {rockspec.name} {rockspec.version}: {listed}"
        )
        spec = read_spec(self._config.tree, self._progress)
        wanted = Wanted(tuple(missing), tuple(self.rocks), "installed", keep=True)
        with Servers(self._config, self._progress, offline=self._options.offline) as servers:
            gathering = Gathering(servers, wanted, self._config, self._options, self._progress, self._work)
            gathering.resolve(spec, read_tree_manifest(spec, self._progress))
            rocks = gathering.fetch()
        known = {(rock.name, rock.version) for rock in self.rocks}
        self.rocks += [rock for rock in rocks if (rock.name, rock.version) not in known]
        return (_private_tree(rocks, self._config, self._work),)


def check_build_dependencies(rockspec: Rockspec, config: Config, progress: Progress) -> None:
    """What the rockspec needs to be built is installed. Raises DependencyError."""
    missing = _missing(rockspec, config, progress)
    if missing:
        raise DependencyError(
            f"Missing build dependencies for {rockspec.name} {rockspec.version}: "
            + ", ".join(str(each) for each in missing),
            hint="Install them first, or use --deps-mode=none to go without.",
        )


def _missing(rockspec: Rockspec, config: Config, progress: Progress) -> list[Dependency]:
    """LuaRocks looks for these in every tree, whatever the deps-mode, unless that is none (contract 5.6)."""
    if config.deps_mode == "none" or not rockspec.build_dependencies:
        return []
    installed = installed_rocks(config.replace(deps_mode="all"), progress)
    return [each for each in rockspec.build_dependencies if installed.match(each) is None]


def _private_tree(rocks: Sequence[Rock], config: Config, work: WorkDir) -> TreeSpec:
    """A new tree below `work` with these rocks; their commands see the modules of all trees."""
    spec = TreeSpec.at(work.make(f"tools-{os.urandom(4).hex()}"), config.lua_version, "tools")
    private = config.replace(tree=spec, trees=(spec, *config.trees), deps_mode="all")
    with TreeChange(private, "build", Silent(), private=True) as change:
        planner = change.planner()
        for rock in rocks:
            planner.install(rock, PlannerOptions(keep=True))
        change.commit(planner.finish())
    return spec


def building_config(
    rockspec: Rockspec, config: Config, tools: Sequence[TreeSpec], progress: Progress
) -> Config:
    """The settings for the build of a rock: its programs find modules and commands of those trees first.

    A rock without build dependencies is built as it always was.
    """
    if not rockspec.build_dependencies:
        return config
    trees = [*tools, *(read_spec(tree, progress) for tree in config.trees)]
    lua = [f"{tree.lua_dir}/{form}" for tree in trees for form in ("?.lua", "?/init.lua")]
    native = [f"{tree.lib_dir}/?.{config.lib_extension}" for tree in trees]
    environment = dict(config.environment)
    programs = environment.get("PATH") or os.defpath
    environment["PATH"] = ":".join([*(tree.bin_dir for tree in trees), programs])
    for name, places in (("LUA_PATH", lua), ("LUA_CPATH", native)):
        _put_first(environment, name, places)
    return config.replace(environment=environment)


def _put_first(environment: dict[str, str], name: str, places: Sequence[str]) -> None:
    """The places stand before what the variable has; Lua prefers `LUA_PATH_5_4` where there is one."""
    found: Mapping[str, str] = {
        key: value for key, value in environment.items() if key == name or key.startswith(f"{name}_5_")
    }
    for key, value in {name: "", **found}.items():
        # An empty entry stands for Lua's own default.
        environment[key] = ";".join([*places, value or ";"])
