"""`pack`: rock files and tars from installed rocks, rockspecs and directories (contract 1.4, 4)."""

from __future__ import annotations

import os

from pumice.errors import NotFoundError
from pumice.operation.listing import pick_installed
from pumice.rock.rockfile import rock_filename_of, write_rock
from pumice.tree.installed import open_installed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.base.config import Config, TreeSpec
    from pumice.base.progress import Progress
    from pumice.operation.work_dir import WorkDir
    from pumice.rock.rock import Rock

__all__ = [
    "is_source",
    "pack_bundle",
    "pack_installed",
    "pack_rock",
    "pack_source",
    "pack_tar",
    "rock_to_pack",
]


def pack_installed(
    name: str,
    version: str | None,
    trees: Sequence[TreeSpec],
    config: Config,
    progress: Progress,
    *,
    namespace: str | None = None,
) -> str:
    """The path of the binary rock, written into the current directory, of an installed rock.

    Raises NotFoundError, and DataError when an installed file is not what was installed.
    """
    rock = _installed(name, version, trees, config, progress, namespace)
    path = os.path.join(config.cwd, rock_filename_of(rock))
    write_rock(rock, path)
    return path


def pack_source(rockspec: str | None, config: Config, progress: Progress) -> str:
    """The path of the source rock, written into the current directory, of a rockspec and what it names.

    `rockspec` None: the one that `make` would take; a directory: that of it. Raises PumiceError; then no
    file is left.
    """
    from pumice.operation.from_source import fetch_as_source_rock
    from pumice.operation.work_dir import WorkDir

    _, path = _project(rockspec, config)
    with WorkDir(config, "pack") as work:
        return fetch_as_source_rock(path, config, progress, work)


def pack_rock(
    word: str | None,
    version: str | None,
    trees: Sequence[TreeSpec],
    config: Config,
    progress: Progress,
) -> str:
    """The path of the rock file, written into the current directory, of `rock_to_pack`. Raises as it."""
    from pumice.operation.work_dir import WorkDir

    with WorkDir(config, "pack") as work:
        rock = rock_to_pack(word, version, trees, config, progress, work)
        path = os.path.join(config.cwd, rock_filename_of(rock))
        write_rock(rock, path)
    return path


def pack_bundle(word: str | None, config: Config, progress: Progress, *, offline: bool = False) -> str:
    """The path of the bundle, written into the current directory, of `word` and all that it needs.

    `word`: a rock file, a request or, as in `rock_to_pack`, a directory or its rockspec. Raises PumiceError.
    """
    from pumice.operation.bundle import bundle
    from pumice.operation.work_dir import WorkDir

    with WorkDir(config, "pack") as work:
        if word is None or (is_source(word, config) and not word.endswith(".rock")):
            rock = rock_to_pack(word, None, (), config, progress, work)
            word = os.path.join(work.make("packed"), rock_filename_of(rock))
            write_rock(rock, word)
        stem = word.rsplit("/", 1)[-1].removesuffix(".rock").removesuffix(".all")
        target = os.path.join(config.cwd, f"{stem}.bundle.tar.gz")
        bundle((word,), target, config, progress, offline=offline)
    return target


def pack_tar(
    word: str | None,
    version: str | None,
    trees: Sequence[TreeSpec],
    config: Config,
    progress: Progress,
) -> str:
    """The path of a tar.gz in the Kong manual's layout, written into the current directory.

    Of what: see `rock_to_pack`. Raises PumiceError.
    """
    from pumice.kong.manual_tar import manual_tar_name, write_manual_tar
    from pumice.operation.work_dir import WorkDir

    with WorkDir(config, "pack") as work:
        rock = rock_to_pack(word, version, trees, config, progress, work)
        path = os.path.join(config.cwd, manual_tar_name(rock))
        write_manual_tar(rock, path)
    return path


def rock_to_pack(
    word: str | None,
    version: str | None,
    trees: Sequence[TreeSpec],
    config: Config,
    progress: Progress,
    work: WorkDir,
) -> Rock:
    """The rock that the words name: a rock file, a directory or its rockspec, or an installed rock.

    `word` None: this directory, by the rockspec that `make` would take. Raises PumiceError.
    """
    if word is not None and word.endswith(".rock"):
        from pumice.operation.obtain import obtain

        return obtain(word, config, progress, work)
    if word is None or word.endswith("rockspec") or _is_directory(word, config):
        from pumice.operation.make import build_directory

        folder, rockspec = _project(word, config)
        return build_directory(rockspec, config.replace(cwd=folder), progress, work)
    if word.startswith((".", "/")):
        raise NotFoundError(f"{word} does not exist", hint="Give a directory, a rockspec, a rock or a name.")
    return _installed(word.lower(), version, trees, config, progress, None)


def is_source(word: str | None, config: Config) -> bool:
    """Whether `rock_to_pack` builds or opens something at this place, and looks into no tree."""
    return word is None or word.endswith((".rock", "rockspec")) or _is_directory(word, config)


def _is_directory(word: str, config: Config) -> bool:
    """Whether a directory is meant: `.`, `..` or a path, since a rock may have the name of a folder here."""
    return (word in (".", "..") or "/" in word) and os.path.isdir(os.path.join(config.cwd, word))


def _project(word: str | None, config: Config) -> tuple[str, str]:
    """The directory that is built, and its rockspec."""
    from pumice.operation.rockspec_choice import rockspec_argument, rockspec_in, source_directory

    if word is not None and _is_directory(word, config):
        folder = os.path.normpath(os.path.join(config.cwd, word))
        return folder, rockspec_in(folder)
    rockspec = rockspec_argument(word, config.cwd)
    return (config.cwd if word is None else source_directory(rockspec)), rockspec


def _installed(
    name: str,
    version: str | None,
    trees: Sequence[TreeSpec],
    config: Config,
    progress: Progress,
    namespace: str | None,
) -> Rock:
    found = pick_installed(trees, name, version, progress, substring=False, namespace=namespace)
    return open_installed(found.tree, found.name, found.version, config.platforms)
