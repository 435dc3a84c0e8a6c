"""`pack`: rock files and tars from installed rocks, rockspecs and directories (contract 1.4, 4)."""

from __future__ import annotations

import os

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

__all__ = ["pack_installed", "pack_source", "pack_tar", "rock_to_pack"]


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

    `rockspec` None: the one that `make` would take. Raises PumiceError; then no file is left.
    """
    from pumice.operation.from_source import fetch_as_source_rock
    from pumice.operation.rockspec_choice import rockspec_argument
    from pumice.operation.work_dir import WorkDir

    path = rockspec_argument(rockspec, config.cwd)
    with WorkDir(config, "pack") as work:
        return fetch_as_source_rock(path, config, progress, work)


def pack_tar(
    word: str | None,
    version: str | None,
    trees: Sequence[TreeSpec],
    config: Config,
    progress: Progress,
) -> str:
    """The path of a tar.gz in the Kong manual's layout, written into the current directory.

    Of what: a rock file, a rockspec of this directory (None: the one that `make` would take), else the name
    of an installed rock. Raises PumiceError.
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
    """The rock that the words name: a rock file, a rockspec of this directory, or an installed rock.

    `word` None: the rockspec that `make` would take. Raises PumiceError.
    """
    if word is not None and word.endswith(".rock"):
        from pumice.operation.obtain import obtain

        return obtain(word, config, progress, work)
    if word is None or word.endswith("rockspec"):
        from pumice.operation.make import build_directory
        from pumice.operation.rockspec_choice import rockspec_argument

        return build_directory(rockspec_argument(word, config.cwd), config, progress, work)
    return _installed(word.lower(), version, trees, config, progress, None)


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
