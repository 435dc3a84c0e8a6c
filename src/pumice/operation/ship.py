"""`ship`: check → build → pack → install on the node → prove that the node loads it (house.md).

The node is an embedded one: a tree of generations under the project's `.pumice/node`, and LuaJIT in a child
process that loads the plugin from it by name, as a gateway would.
"""

from __future__ import annotations

import os

from pumice.base.config import TreeSpec
from pumice.base.value import Value
from pumice.errors import NotFoundError, TreeError
from pumice.kong.gateway import verify_plugins
from pumice.kong.package import module_of_path
from pumice.kong.plugin import find_plugins
from pumice.operation.change import TreeChange
from pumice.operation.check import check_path, check_rock
from pumice.operation.deploy import InstallOptions, deploy
from pumice.operation.rockspec_choice import rockspec_argument, rockspec_in, source_directory
from pumice.operation.work_dir import WorkDir
from pumice.rock.rockfile import rock_filename_of, write_rock
from pumice.tree.layout import module_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.kong.check import Report
    from pumice.kong.gateway import PluginReport
    from pumice.rock.rock import Rock

__all__ = ["Shipped", "pack_to_ship", "ship"]

_LUA = "5.1"
"""Kong runs OpenResty's LuaJIT."""


class Shipped(Value):
    """How far it came: each field is None or empty from the step on that was not reached."""

    report: Report | None
    rock: Rock | None = None
    packed: str | None = None
    """The path of the rock file."""
    node: str | None = None
    """The root of the node's tree."""
    plugins: tuple[PluginReport, ...] = ()
    rolled_back: bool = False
    """The node did not load the plugin, and is as it was before."""

    @property
    def ok(self) -> bool:
        """Whether every step went well and every plugin was loaded."""
        return bool(self.plugins) and all(plugin.ok for plugin in self.plugins)


def ship(path: str, config: Config, progress: Progress, *, check: bool = True) -> Shipped:
    """Ships the plugin at `path` (a directory, a rockspec or a rock) to the embedded node.

    Stops at the first step that fails, a rock without a plugin included; a node that does not load the plugin
    is taken back to the generation before. `check` False leaves the check out, never the proof. Raises
    PumiceError.
    """
    made, config = _made(path, config, progress, check=check)
    if made.rock is None or made.packed is None:
        return made
    return _install_and_prove(made, _module_names(made.rock, config), config, progress)


def pack_to_ship(path: str, config: Config, progress: Progress, *, check: bool = True) -> Shipped:
    """As `ship`, up to the rock file: for nodes elsewhere. Without `packed` where the check found errors."""
    return _made(path, config, progress, check=check)[0]


def _made(path: str, config: Config, progress: Progress, *, check: bool) -> tuple[Shipped, Config]:
    """The checked and packed rock, and the settings of the embedded node that belongs to it."""
    absolute = os.path.normpath(os.path.join(config.cwd, path))
    if not os.path.isdir(absolute) and not absolute.endswith((".rock", "rockspec")):
        raise NotFoundError(
            f"{path} {'is nothing to ship' if os.path.exists(absolute) else 'does not exist'}",
            hint="Give a directory, a rockspec or a rock.",
        )
    if absolute.endswith(".rock"):
        home = config.cwd
    else:
        home = absolute if os.path.isdir(absolute) else source_directory(absolute)
    tree = TreeSpec.at(os.path.join(home, ".pumice", "node"), _LUA, "node")
    config = config.replace(lua_version=_LUA, tree=tree, trees=(tree,), cwd=home)
    with WorkDir(config, "ship") as work:
        report = None
        if check and not absolute.endswith(".rock"):
            progress.message("detail", f"Checking {absolute}")
            report = check_path(absolute, config)
            if not report.ok:
                return Shipped(report), config
        rock = _obtain(absolute, config, progress, work)
        names = _module_names(rock, config)
        if not find_plugins(names):
            raise TreeError(
                f"There is no Kong plugin in {rock.name} {rock.version}; nothing was shipped.",
                hint="A plugin has the modules kong.plugins.NAME.handler and .schema; `pumice install` takes "
                "any rock.",
            )
        if check and report is None:
            report = check_rock(rock, config)
            if not report.ok:
                return Shipped(report, rock), config
        packed = os.path.join(home, ".pumice", rock_filename_of(rock))
        _make_private_folder(os.path.dirname(packed))
        write_rock(rock, packed)
        # What the rock's contents are read from is gone with the work directory: the file is all of it.
        from pumice.rock.rockfile import open_rock

        return Shipped(report, open_rock(packed, platforms=config.platforms), packed), config


def _obtain(path: str, config: Config, progress: Progress, work: WorkDir) -> Rock:
    if path.endswith(".rock"):
        from pumice.operation.obtain import obtain

        return obtain(path, config, progress, work)
    from pumice.operation.make import build_directory

    rockspec = rockspec_in(path) if os.path.isdir(path) else rockspec_argument(path, config.cwd)
    return build_directory(rockspec, config, progress, work)


def _make_private_folder(folder: str) -> None:
    """`.pumice/` at the project's root, ignored by git wherever it lies."""
    from pumice.base.disk import make_directories, write_atomic

    make_directories(folder)
    ignore = os.path.join(folder, ".gitignore")
    if not os.path.exists(ignore):
        write_atomic(ignore, b"*\n")


def _module_names(rock: Rock, config: Config) -> list[str]:
    names = [module_of_path(file.path) for file in rock.section("lua")]
    names += [module_name(file.path, config.lib_extension) for file in rock.section("lib")]
    return [name for name in names if name is not None]


def _install_and_prove(made: Shipped, names: Sequence[str], config: Config, progress: Progress) -> Shipped:
    from pumice.tree.generations import GenerationTree
    from pumice.tree.kinds import open_tree

    assert made.rock is not None
    tree = open_tree(config.tree, layout="generations")
    assert isinstance(tree, GenerationTree)
    before = tree.current
    with TreeChange(config, "ship", progress, layout="generations") as change:
        deploy((made.rock,), change, InstallOptions("ship"), progress)
    spec = tree.read_spec
    plugins = verify_plugins(spec.lua_dir, spec.lib_dir, names, lib_extension=config.lib_extension)
    shipped = made.replace(node=config.tree.root, plugins=plugins)
    if shipped.ok:
        return shipped
    why = "; ".join(f"{each.name} does not load: {each.error}" for each in plugins if not each.ok)
    tree.reject(why, before, timeout=config.lock_timeout)
    return shipped.replace(rolled_back=True)
