"""Bundles: a rock with its whole closure in one tar.gz, to be installed offline or unpacked with tar.

The archive is a rocks tree (`share/`, `lib/`, `bin/`, its manifest among them) whose commands find it
wherever it is unpacked; its first member, `pumice-bundle.json`, says what is in it (settled.md, Formats).
"""

from __future__ import annotations

import os

from pumice.base.config import TreeSpec
from pumice.errors import ArchiveError, NotFoundError
from pumice.operation.deploy import in_order
from pumice.rock.rock_manifest import md5_hex, read_rock_manifest
from pumice.tree.installed import open_installed
from pumice.tree.layout import rock_manifest_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.operation.work_dir import WorkDir
    from pumice.rock.rock import Rock

__all__ = ["bundle", "open_bundle", "write_bundle"]

_INDEX = "pumice-bundle.json"
_VERSION = 1
# In every wrapper; that of the machine would make its bundles differ from those of others.
_SYSCONFDIR = "/etc/luarocks"


class _Nothing:
    """The view of a tree in which there is nothing yet."""

    def kind(self, path: str) -> str | None:
        """Nothing is anywhere."""

    def read(self, path: str) -> bytes:
        """There is nothing to read."""
        raise FileNotFoundError(path)

    def walk(self, directory: str) -> tuple[list[str], list[str]]:
        """Nothing is below any directory."""
        return [], []


def bundle(
    words: Sequence[str], target: str, config: Config, progress: Progress, *, offline: bool = False
) -> tuple[Rock, ...]:
    """The file `target` holds what the words ask for, with everything that it needs; gives the rocks.

    Rocks that are installed in the command's tree are taken from there with what they use there; others come
    from files, URLs and servers. Raises PumiceError.
    """
    from pumice.operation.deploy import InstallOptions
    from pumice.operation.gather import Gathering
    from pumice.operation.obtain import Manner, obtain
    from pumice.operation.requests import parse_requests
    from pumice.operation.resolve import Wanted
    from pumice.operation.servers import Servers
    from pumice.operation.work_dir import WorkDir
    from pumice.tree.manifest import TreeManifest

    requests = parse_requests(words)
    with WorkDir(config, "bundle") as work:
        given = [obtain(each, config, progress, work, Manner(offline=offline)) for each in requests.files]
        for other in requests.bundles:
            given += open_bundle(os.path.join(config.cwd, other), config, work)
        names = []
        roots = [(rock.name, rock.version) for rock in given]
        for dependency in requests.names:
            found = _from_tree(dependency.name, config, progress) if not dependency.constraints else []
            given += [rock for rock in found if rock not in given]
            if found:
                roots.append((found[-1].name, found[-1].version))
            else:
                names.append(dependency)
        with Servers(config, progress, offline=offline) as servers:
            # The closure is that of an empty tree: the bundle has to stand alone.
            empty = TreeSpec.at(os.path.join(work.path, "empty"), config.lua_version)
            gathering = Gathering(
                servers,
                Wanted(tuple(names), tuple(given)),
                config.replace(tree=empty, trees=(empty,)),
                InstallOptions("bundle", offline=offline),
                progress,
                work,
            )
            gathering.resolve(empty, TreeManifest.empty())
            rocks = in_order(gathering.fetch())
        wanted = {dependency.name for dependency in names}
        roots += [(rock.name, rock.version) for rock in rocks if rock.name in wanted]
        write_bundle(rocks, roots, target, config)
    return tuple(rocks)


def _from_tree(name: str, config: Config, progress: Progress) -> list[Rock]:
    """An installed rock with what it uses in its tree, or nothing."""
    from pumice.operation.listing import pick_installed
    from pumice.tree.manifest import read_tree_manifest

    try:
        found = pick_installed((config.tree,), name, None, progress, substring=False)
    except NotFoundError:
        return []
    manifest = read_tree_manifest(found.tree, progress)
    entry = manifest.entry(found.name, found.version)
    closure = {**(entry.dependencies if entry else {}), found.name: found.version}
    # What it uses of another tree is none of this one; the servers are asked for it.
    mine = [(each, version) for each, version in closure.items() if manifest.has(each, version)]
    return [open_installed(found.tree, each, version, config.platforms) for each, version in mine]


def write_bundle(
    rocks: Sequence[Rock], roots: Sequence[tuple[str, str]], target: str, config: Config
) -> None:
    """The file `target` is a bundle of the rocks; the same rocks give the same bytes everywhere.

    `roots`: (name, version) of those that were asked for. Raises ArchiveError, DiskError, PermissionDenied.
    """
    import json

    from pumice.archive.member import Entry
    from pumice.archive.tar_writer import write_tar_gz
    from pumice.tree.manifest import TreeManifest
    from pumice.tree.planner import InstallOptions, Planner
    from pumice.tree.steps import Put
    from pumice.tree.wrapper import Wrapping

    tree = TreeSpec.at("/bundle", config.lua_version)
    wrapping = Wrapping(
        "luajit" if config.lua_version == "5.1" else "lua",
        config.lua_version,
        _SYSCONFDIR,
        (tree,),
        config.lib_extension,
        config.wrap_bin_scripts,
        relocatable=True,
    )
    planner = Planner(tree, TreeManifest.empty(), _Nothing(), wrapping, platforms=config.platforms)
    for rock in rocks:
        planner.install(rock, InstallOptions(keep=True))
    archs = sorted({rock.arch for rock in rocks} - {"all"})
    index = {
        "version": _VERSION,
        "lua_version": config.lua_version,
        "arch": archs[0] if archs else "all",
        "roots": [{"name": name, "version": version} for name, version in roots],
        "rocks": [{"name": rock.name, "version": rock.version} for rock in rocks],
    }
    text = (json.dumps(index, indent=1, sort_keys=True) + "\n").encode()
    entries = [Entry(_INDEX, lambda: text)]
    for step in planner.finish().steps:
        if isinstance(step, Put):
            entries.append(Entry(step.path[len("/bundle/") :], step.content.read, step.mode == 0o755))
    write_tar_gz(target, entries, first=_INDEX)


def open_bundle(path: str, config: Config, work: WorkDir) -> list[Rock]:
    """The rocks of a bundle, each checked whole against its rock_manifest.

    Raises ArchiveError for a file that is no bundle or one for another Lua or machine, and what `unpack` and
    `open_installed` raise for one that is damaged or hostile.
    """
    import json

    from pumice.archive.member import shown
    from pumice.archive.unpack import unpack
    from pumice.rock.arch import accepts

    folder = work.make(os.urandom(6).hex())
    inside = os.path.join(folder, "tree")
    if not os.path.isfile(path):
        raise NotFoundError(f"{path} does not exist", hint="Check the name and the directory.")
    unpack(path, inside, file_name="bundle.tar.gz")
    try:
        with open(os.path.join(inside, _INDEX), "rb") as file:
            index = json.load(file)
        version, lua_version, arch = index["version"], index["lua_version"], index["arch"]
        listed = [(str(rock["name"]), str(rock["version"])) for rock in index["rocks"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise ArchiveError(
            f"{path} is no bundle", hint="`pumice bundle NAME -o FILE` writes one; rocks end in .rock."
        ) from None
    if version != _VERSION:
        raise ArchiveError(
            f"{path} is a bundle of version {shown(str(version))}, which this Pumice does not know",
            hint="Update Pumice.",
        )
    if lua_version != config.lua_version or not accepts(str(arch), config.arch):
        raise ArchiveError(
            f"{path} is for Lua {shown(str(lua_version))} and {shown(str(arch))}, "
            f"not for Lua '{config.lua_version}' and '{config.arch}'",
            hint="Make the bundle with the target's --lua-version, on a machine like it.",
        )
    tree = TreeSpec.at(inside, config.lua_version)
    return [_checked(tree, name, each, path, config) for name, each in listed]


def _checked(tree: TreeSpec, name: str, version: str, path: str, config: Config) -> Rock:
    """A rock of an unpacked bundle; its rockspec, too, is the one that the rock was made with."""
    rock = open_installed(tree, name, version, config.platforms)
    with open(rock_manifest_path(tree, name, version), "rb") as file:
        listed = read_rock_manifest(file.read(), path)
    if listed.get(f"{name}-{version}.rockspec") != md5_hex(rock.rockspec.text):
        raise ArchiveError(
            f"{path}: the rockspec of {name} {version} is not the one that its rock_manifest lists",
            hint="Nothing of it is kept; make the bundle anew.",
        )
    return rock
