"""`luarocks.lock`: the versions that LuaRocks pinned for a rock, read, reported and made (contract 8)."""

from __future__ import annotations

import os

from pumice.base.value import Value
from pumice.errors import DependencyError, PumiceError
from pumice.rock.content import Content
from pumice.rock.rock import RockFile
from pumice.rock.rock_manifest import md5_hex
from pumice.tree.layout import rock_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.operation.deploy import InstallOptions
    from pumice.operation.work_dir import WorkDir
    from pumice.rock.dependency import Dependency
    from pumice.rock.rock import Rock
    from pumice.rock.rockspec import Rockspec
    from pumice.tree.dependencies import Installed
    from pumice.tree.manifest import TreeManifest

__all__ = [
    "PIN_FILE",
    "Pins",
    "pins_for",
    "pins_in",
    "pins_in_empty_tree",
    "pins_made",
    "read_pin_file",
    "report_pins",
    "with_pins",
]

PIN_FILE = "luarocks.lock"


class Pins(Value):
    """The only versions that some names may have."""

    path: str
    """The file that says so."""
    versions: Mapping[str, str]


def read_pin_file(folder: str) -> bytes | None:
    """The bytes of a directory's `luarocks.lock`, or None."""
    try:
        with open(os.path.join(folder, PIN_FILE), "rb") as file:
            return file.read()
    except OSError:
        return None


def pins_in(folder: str, progress: Progress) -> Pins | None:
    """What a directory's `luarocks.lock` demands; one that does not load is a warning, as in LuaRocks."""
    data = read_pin_file(folder)
    return None if data is None else _read(data, os.path.join(folder, PIN_FILE), progress)


def pins_for(
    rocks: Sequence[Rock], config: Config, progress: Progress, *, here: bool = True
) -> dict[str, str]:
    """The versions that hold when these rocks are installed: of the current directory, else of the rocks.

    `here` False leaves the current directory out, as LuaRocks does with rocks that it finds by name.

    Raises DependencyError for two rocks of which each pins another version of the same.
    """
    own_lock = pins_in(config.cwd, progress) if rocks and here else None
    if own_lock is not None:
        return dict(own_lock.versions)
    found: dict[str, tuple[str, str]] = {}
    for rock in rocks:
        own = next((file for file in rock.files if file.rock_path == PIN_FILE), None)
        if own is None:
            continue
        path = f"{rock_dir(config.tree, rock.name, rock.version)}/{PIN_FILE}"
        pins = _read(own.content.read(), path, progress)
        for name, version in pins.versions.items() if pins else ():
            other, asker = found.setdefault(name, (version, rock.name))
            if other != version:
                raise DependencyError(
                    f"{asker} is pinned to {name} {other}, {rock.name} to {name} {version}",
                    hint=f"Install them one by one, or write one {PIN_FILE} here that suits both.",
                )
    return {name: version for name, (version, _) in found.items()}


def report_pins(
    rockspec: Rockspec, pins: Mapping[str, str], installed: Installed, progress: Progress
) -> None:
    """LuaRocks's lines on what a rock is pinned to, and where that is not what the tree has."""
    from pumice.rock.dependency import parse_dependency

    for name, version in sorted(pins.items()):
        each = parse_dependency(name)
        there = installed.versions(each)
        status = "not installed"
        if version in there:
            status = f"{version} {'provided by VM' if installed.is_provided(each) else 'installed'}"
        progress.message(
            "info", f"{rockspec.name} {rockspec.version} is pinned to {name} {version} ({status})"
        )
        asked = next((own for own in rockspec.dependencies if own.name == name), each)
        latest = installed.match(asked)
        if latest is not None and version not in there:
            progress.message(
                "info", f"Forcing {name} to pinned version {version} (latest matching is {latest})"
            )
    progress.message("info", "")


def pins_made(
    rockspec: Rockspec, coming: Iterable[Rock], installed: Installed, manifest: TreeManifest
) -> bytes:
    """The `luarocks.lock` of a rock: all that it uses of what comes with it and of what is there."""
    from pumice.rock.luarocks_lock import LuaRocksLock, luarocks_lock_bytes

    by_name: dict[str, list[Rock]] = {}
    for rock in coming:
        by_name.setdefault(rock.name, []).append(rock)

    def used(roots: Sequence[Dependency]) -> dict[str, str]:
        found: dict[str, str] = {}
        pending = list(roots)
        while pending:
            dependency = pending.pop(0)
            name = dependency.name
            if name in found or name == rockspec.name or installed.is_provided(dependency):
                continue
            rock = next((each for each in by_name.get(name, ()) if dependency.accepts(each.version)), None)
            version = rock.version if rock else installed.match(dependency)
            if version is not None:
                found[name] = version
                pending += rock.rockspec.dependencies if rock else manifest.dependencies(name, version) or ()
        return found

    return luarocks_lock_bytes(LuaRocksLock(used(rockspec.dependencies), used(rockspec.build_dependencies)))


def pins_in_empty_tree(
    rockspec: Rockspec, config: Config, options: InstallOptions, progress: Progress, work: WorkDir
) -> bytes:
    """The `luarocks.lock` of a rock that is only packed: what it would use in a tree with nothing else.

    Raises DependencyError, FetchError, BuildError.
    """
    from pumice.base.config import TreeSpec
    from pumice.operation.change import provided_rocks
    from pumice.operation.gather import Gathering
    from pumice.operation.resolve import Wanted
    from pumice.operation.servers import Servers
    from pumice.tree.dependencies import Installed
    from pumice.tree.manifest import TreeManifest

    empty = TreeSpec.at(os.path.join(work.path, "empty"), config.lua_version)
    manifest = TreeManifest.empty()
    alone = config.replace(tree=empty, trees=(empty,))
    wanted = Wanted((*rockspec.dependencies, *rockspec.build_dependencies), (), "installed")
    provided = provided_rocks(config)
    wanted = wanted.replace(names=tuple(each for each in wanted.names if each.name not in provided))
    rocks: tuple[Rock, ...] = ()
    if wanted.names and config.deps_mode != "none":
        with Servers(alone, progress, offline=options.offline) as servers:
            gathering = Gathering(servers, wanted, alone, options, progress, work)
            gathering.resolve(empty, manifest)
            rocks = gathering.fetch()
    return pins_made(rockspec, rocks, Installed([(empty, manifest)], provided), manifest)


def with_pins(rock: Rock, data: bytes | None) -> Rock:
    """The rock with this `luarocks.lock` beside its rockspec, where LuaRocks looks for it; None: as it is."""
    if data is None:
        return rock
    file = RockFile("", PIN_FILE, False, md5_hex(data), len(data), Content.of_bytes(data))
    others = [each for each in rock.files if each.rock_path != PIN_FILE]
    return rock.replace(files=tuple(sorted([file, *others], key=lambda each: (each.section, each.path))))


def _read(data: bytes, path: str, progress: Progress) -> Pins | None:
    from pumice.rock.dependency import parse_dependency
    from pumice.rock.luarocks_lock import read_luarocks_lock

    try:
        pinned = read_luarocks_lock(data, path).dependencies
        # As a rockspec may write a name: in capitals, with a namespace.
        versions = {parse_dependency(name).name: version for name, version in pinned.items()}
    except PumiceError as error:
        progress.message("warning", error.message)
        return None
    progress.message("info", f"Using dependencies pinned in lockfile: {path}")
    return Pins(path, versions)
