"""A rock read back from the tree in which it is installed, as `pack` and `repair` want it (contract 4)."""

from __future__ import annotations

import os

from pumice.errors import NotFoundError, TreeError
from pumice.rock.content import Content
from pumice.rock.rock import Rock, RockFile
from pumice.rock.rock_manifest import md5_hex, read_rock_manifest
from pumice.rock.rockspec import load_rockspec
from pumice.tree import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.base.config import TreeSpec

__all__ = ["open_installed"]

_NATIVE = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"MZ")
_DOCUMENTATION = ("doc", "docs")


def open_installed(tree: TreeSpec, name: str, version: str, platforms: Sequence[str]) -> Rock:
    """The rock, its files taken from where they were deployed and its commands from its own directory.

    Documentation may be missing (--no-doc). Raises NotFoundError if the rock is not installed, ManifestError
    or RockspecError if its own files are damaged, TreeError if a file is gone or was changed.
    """
    layout.check_rock_name(name, version)
    directory = layout.rock_dir(tree, name, version)
    manifest_path = layout.rock_manifest_path(tree, name, version)
    rockspec_path = layout.rockspec_path(tree, name, version)
    if not os.path.isdir(directory):
        raise NotFoundError(
            f"'{name} {version}' does not seem to be an installed rock.",
            hint=f"It would have a directory {directory}.",
        )
    listed = read_rock_manifest(_read(manifest_path, name, version), manifest_path)
    rockspec = load_rockspec(
        _read(rockspec_path, name, version), rockspec_path, platforms, accept_unknown_fields=True
    )
    files = []
    for rock_path, md5 in listed.items():
        section, slash, path = rock_path.partition("/")
        if not slash:
            section, path = "", rock_path
            if path == os.path.basename(rockspec_path):
                continue
        file = _file(tree, (name, version), section, path, md5)
        if file is not None:
            files.append(file)
    files.sort(key=lambda file: (file.section, file.path))
    namespace = _namespace(tree, name, version)
    return Rock(rockspec, tuple(files), _arch(files), namespace, _empty_directories(directory))


def _empty_directories(directory: str) -> tuple[str, ...]:
    """Those of a rock's own directory in which there is nothing."""
    found = (
        place[len(directory) + 1 :] for place, below, files in os.walk(directory) if not (below or files)
    )
    return tuple(sorted(each for each in found if each.partition("/")[0] not in layout.DEPLOYED_SECTIONS))


def _file(tree: TreeSpec, rock: tuple[str, str], section: str, path: str, md5: str) -> RockFile | None:
    """The file of a rock, from under whichever of its names the bytes are that were installed."""
    own = (
        f"{layout.rock_dir(tree, *rock)}/{section}/{path}"
        if section
        else f"{layout.rock_dir(tree, *rock)}/{path}"
    )
    places = [own]
    if section in ("lua", "lib"):
        places = [layout.deploy_path(tree, section, path, rock), layout.deploy_path(tree, section, path)]
    there = False
    for place in places:
        try:
            with open(place, "rb") as file:
                data = file.read()
                executable = bool(os.fstat(file.fileno()).st_mode & 0o100)
        except OSError:
            continue
        there = True
        if md5_hex(data) == md5:
            return RockFile(section, path, executable, md5, len(data), Content.of_path(place))
    if section in _DOCUMENTATION and not there:
        return None
    raise TreeError(
        f"{places[-1]}, a file of {rock[0]} {rock[1]}, {'was changed' if there else 'is missing'}",
        hint="`pumice repair` or another installation of the rock puts it back.",
    )


def _arch(files: Sequence[RockFile]) -> str:
    """`all`, or this machine's when there are C modules or native programs (B3)."""
    native = any(
        file.section == "lib" or (file.section == "bin" and file.content.read().startswith(_NATIVE))
        for file in files
    )
    if not native:
        return "all"
    from pumice.rock.arch import machine_arch

    return machine_arch()


def _namespace(tree: TreeSpec, name: str, version: str) -> str | None:
    try:
        with open(
            layout.namespace_path(tree, name, version), encoding="utf-8", errors="surrogateescape"
        ) as file:
            return file.read()
    except OSError:
        return None


def _read(path: str, name: str, version: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        raise TreeError(
            f"{os.path.basename(path)} file not found for {name} {version} - not a LuaRocks tree?",
            hint=f"It should be {path}; `pumice repair` or another installation of the rock puts it back.",
        ) from None
    except OSError as error:
        raise TreeError(
            f"{path} cannot be read: {error.strerror}", hint="Look at its owner and mode."
        ) from None
