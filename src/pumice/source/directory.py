"""Where the source directory is in what came (LuaRocks contract 2.6)."""

from __future__ import annotations

import os

from pumice.errors import BuildError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.rock.rockspec import Rockspec

__all__ = ["find_source_directory"]

_EXTENSIONS = (".zip", ".git", ".tgz", ".tar", ".gz", ".bz2", ".xz")


def find_source_directory(rockspec: Rockspec, unpacked: str, *, checkout: str | None = None) -> str:
    """The absolute path of the source directory below `unpacked`.

    `source.dir` must be there if it is written; else a single `.lua` or `.c` file is its own directory's, a
    checkout is itself, an archive's only directory is taken, or the one named like the archive.
    Raises BuildError if none can be told, or if `source.dir` leads out of `unpacked`.
    """
    source = rockspec.source
    if source.dir is not None:
        found = _inside(unpacked, source.dir)
        if found is not None:
            return found
        if source.dir_set or checkout is None:
            held = (
                f"archive {source.file}" if source.file is not None and checkout is None else "the checkout"
            )
            raise BuildError(
                f"Directory {source.dir} not found inside {held}",
                hint=f"It holds: {_listed(unpacked)}. Mend source.dir in the rockspec.",
            )
    if checkout is not None:
        return checkout
    name = source.file or ""
    if name.endswith((".lua", ".c")) and os.path.isfile(os.path.join(unpacked, name)):
        return unpacked
    names = sorted(os.listdir(unpacked))
    directories = [entry for entry in names if _is_directory(os.path.join(unpacked, entry))]
    if len(directories) == 1:
        return os.path.join(unpacked, directories[0])
    if _stem(name) in directories:
        return os.path.join(unpacked, _stem(name))
    raise BuildError(
        f"Could not determine source directory from rock contents ({len(names)} file(s), "
        f"{len(directories)} dir(s))",
        hint=f"It holds: {_listed(unpacked)}. Set source.dir in the rockspec.",
    )


def _inside(root: str, path: str) -> str | None:
    """The directory `path` below `root`, or None if there is none. Raises BuildError if it is elsewhere."""
    tidy = os.path.normpath(path) if path else "."
    if "\0" in path or tidy == ".." or tidy.startswith(("/", "../")):
        raise BuildError(
            f"source.dir is {path!r}, which is not inside the sources",
            hint="source.dir is relative to what the source URL gives and stays inside it.",
        )
    found = os.path.normpath(os.path.join(root, tidy))
    if not os.path.isdir(found):
        return None
    real, real_root = os.path.realpath(found), os.path.realpath(root)
    if real != real_root and not real.startswith(real_root + "/"):
        raise BuildError(
            f"source.dir is {path!r}, a symbolic link that leads outside the sources",
            hint="Do not build this rock: its archive is made to reach other directories.",
        )
    return found


def _is_directory(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _stem(name: str) -> str:
    """An archive's name without its extensions, as LuaRocks takes them off."""
    for _ in range(2):
        for extension in _EXTENSIONS:
            name = name.removesuffix(extension)
    return name


def _listed(directory: str) -> str:
    names = sorted(os.listdir(directory))
    return ", ".join(names[:10] + (["…"] if len(names) > 10 else [])) or "nothing"
