"""The archive of Kong's manual: modules as they must lie on a node, with INSTALL.txt (Kong contract 4.2).

One directory, `NAME-VERSION/`, which `lua_package_path` can name as it is: `kong/plugins/…` and every other
Lua module below it, C modules under `lib/`, the rockspec and the documents beside them.
"""

from __future__ import annotations

import os

from pumice.archive.member import Entry
from pumice.kong.package import OTHERS_LIMIT, Package, PackageFile, absent_modules, module_of_path
from pumice.kong.plugin import Plugin, find_plugins
from pumice.rock.content import Content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from pumice.archive.member import Limits
    from pumice.rock.rock import Rock

__all__ = ["install_text", "manual_tar_name", "package_of_tar", "write_manual_tar"]

_ROOT = "/usr/local/custom"
"""Where the manual unpacks to."""
_BUNDLE_INDEX = "pumice-bundle.json"
_BUNDLE_PLACES = {"share/lua/5.1/": "", "lib/lua/5.1/": "lib/"}
"""Where the modules of a bundle lie, which is a tree, and where they are in the manual's layout."""
_SECTIONS_APART = ("bin", "conf", "doc", "docs", "lib", "spec", "test", "tests")
"""Directories of the archive whose Lua files are no modules."""


def manual_tar_name(rock: Rock) -> str:
    """The archive's file name: `kong-plugin-my-plugin-0.1.0-1.tar.gz`."""
    return f"{rock.name}-{rock.version}.tar.gz"


def write_manual_tar(rock: Rock, path: str) -> None:
    """The file at `path` is the rock in the manual's layout; the same rock gives the same bytes.

    Raises ArchiveError for names that no reader should take, DiskError or PermissionDenied.
    """
    from pumice.archive.tar_writer import write_tar_gz

    write_tar_gz(path, _entries(rock))


def install_text(rock: Rock) -> str:
    """INSTALL.txt for this very rock: paths, the `plugins` line, how to reload, prove and remove it."""
    top = f"{rock.name}-{rock.version}"
    place = f"{_ROOT}/{top}"
    plugins = find_plugins(_modules(rock))
    names = ",".join(plugin.name for plugin in plugins)
    path = f"{place}/?.lua;{place}/?/init.lua;;"
    cpath = f"{place}/lib/?.so;;" if rock.section("lib") else ""
    settings = [f"lua_package_path = {path}"]
    variables = [f'KONG_LUA_PACKAGE_PATH="{path}"']
    if cpath:
        settings.append(f"lua_package_cpath = {cpath}")
        variables.append(f'KONG_LUA_PACKAGE_CPATH="{cpath}"')
    if names:
        settings.append(f"plugins = bundled,{names}")
        variables.append(f'KONG_PLUGINS="bundled,{names}"')
    parts = [
        f"{rock.rockspec.package} {rock.version}\n{_summary(rock)}",
        "Do this on every node: control planes first, then data planes; plugins are configured last.",
        *_needs(rock),
        "1. Unpack\n"
        + _code(
            f"sudo mkdir -p {_ROOT}",
            f"sudo tar -xzf {manual_tar_name(rock)} -C {_ROOT}",
            f"sudo chmod -R a+rX {place}",
        )
        + "\nA file that the gateway's user cannot read is not there for Kong.",
        "2. Name it in kong.conf\n"
        + _code(*settings)
        + "\nor in the environment, which wins over kong.conf:\n"
        + _code(*variables)
        + "\nWhere these have values already, put the new ones before them; ';;' keeps Kong's own paths.",
        "3. Load it\n"
        + _migrations(plugins)
        + "Try it first; this starts nothing, and shows nearly all that a start would refuse:\n"
        + _code(
            "echo '_format_version: \"3.0\"' > /tmp/empty.yml",
            "KONG_DATABASE=off kong config parse -c /etc/kong/kong.conf /tmp/empty.yml",
        )
        + "\nThen restart, or without an interruption:\n"
        + _code("kong prepare -c /etc/kong/kong.conf", "kong reload -c /etc/kong/kong.conf")
        + "\n'kong reload' says 'Kong reloaded' even when the plugin fails to load and old code runs on. So:",
        "4. Prove it\n"
        + _code(*(_proofs(plugins) or ("kong health",)))
        + "\nA data plane has no Admin API: look into its error.log for 'init_by_lua'.",
        "To remove it: delete its configurations, take its name out of 'plugins', reload, then delete\n"
        + _code(place),
    ]
    return "\n\n".join(parts) + "\n"


def package_of_tar(path: str, platforms: Collection[str], limits: Limits | None = None) -> Package:
    """The package in an archive of the manual's layout, Pumice's or anybody's, for `check`.

    A single directory around everything is skipped, and so is the tree around the modules of a bundle. The
    rockspec is optional. Raises ArchiveError for an archive that is broken or hostile, RockspecError for a
    rockspec that LuaRocks refuses.
    """
    from pumice.archive.tar_reader import open_tar
    from pumice.rock.rockspec import load_rockspec

    with open_tar(path) if limits is None else open_tar(path, limits) as archive:
        members = [member.name for member in archive.members if member.kind == "file"]
        places = _places(members)
        names = list(places)
        sizes = {member.name: member.size for member in archive.members}
        # what is large and no Lua is not looked into
        contents = {
            name: archive.read(member)
            for name, member in places.items()
            if name.endswith((".lua", ".rockspec")) or sizes[member] <= OTHERS_LIMIT
        }
    known = {name: PackageFile(name, Content.of_bytes(data)) for name, data in contents.items()}
    files = {name: file for name, file in known.items() if name.endswith((".lua", ".rockspec"))}
    others = {name: file for name, file in known.items() if name not in files}
    lua = [name for name in names if name.split("/", 1)[0] not in _SECTIONS_APART]
    modules = {module: name for name in lua if (module := module_of_path(name)) is not None}
    c_modules = frozenset(
        os.path.splitext(name.removeprefix("lib/"))[0].replace("/", ".")
        for name in names
        if name.endswith((".so", ".dylib"))
    )
    specs = sorted(name for name in files if name.endswith(".rockspec") and "/" not in name)
    rockspec = load_rockspec(contents[specs[0]], specs[0], tuple(platforms)) if specs else None
    missing = absent_modules(rockspec, modules, c_modules, "", "lib/") if rockspec is not None else ()
    return Package("tar", rockspec, (), modules, c_modules, files, missing, others=others)


def _entries(rock: Rock) -> list[Entry]:
    top = f"{rock.name}-{rock.version}/"
    text = install_text(rock).encode()
    entries = [
        Entry(f"{top}INSTALL.txt", lambda: text),
        Entry(f"{top}{rock.rockspec.rockspec_name}", lambda: rock.rockspec.text),
    ]
    for file in rock.files:
        # README and LICENSE stand at the top, as the manual has them
        at_top = file.section == "lua" or (file.section == "doc" and "/" not in file.path)
        name = file.path if at_top else file.rock_path
        entries.append(Entry(top + name, file.content.read, file.executable))
    return entries


def _modules(rock: Rock) -> list[str]:
    return [module for file in rock.section("lua") if (module := module_of_path(file.path)) is not None]


def _summary(rock: Rock) -> str:
    return rock.rockspec.description.summary or "A plugin for Kong Gateway"


def _needs(rock: Rock) -> list[str]:
    needed = [dependency.text for dependency in rock.rockspec.dependencies if dependency.name != "lua"]
    if not needed:
        return []
    return ["It needs these rocks on the node, which this archive does not hold:\n" + _code(*needed)]


def _migrations(plugins: tuple[Plugin, ...]) -> str:
    if not any(f"kong.plugins.{p.name}.migrations" in m for p in plugins for m in p.modules):
        return ""
    return (
        "It has tables of its own. With a database, once, from one node:\n"
        + _code("kong migrations up -c /etc/kong/kong.conf")
        + "\n"
    )


def _proofs(plugins: tuple[Plugin, ...]) -> tuple[str, ...]:
    return tuple(f"curl -s http://localhost:8001/schemas/plugins/{plugin.name}" for plugin in plugins)


def _code(*lines: str) -> str:
    return "\n".join(f"     {line}" for line in lines)


def _places(members: list[str]) -> dict[str, str]:
    """The member behind each path of the manual's layout."""
    if _BUNDLE_INDEX in members:
        return {
            place + name[len(prefix) :]: name
            for name in members
            for prefix, place in _BUNDLE_PLACES.items()
            if name.startswith(prefix)
        }
    top = _top(members)
    return {name[len(top) :]: name for name in members}


def _top(names: list[str]) -> str:
    """The one directory around everything, with its `/`; empty if there is none or it is the modules' own."""
    first = names[0].split("/", 1)[0] + "/" if names and "/" in names[0] else ""
    if first in ("", "kong/") or not all(name.startswith(first) for name in names):
        return ""
    return first
