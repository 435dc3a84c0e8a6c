"""Rock files that were installed once are kept in the cache, for `repair` to take lost contents from.

`<cache>/rocks/<name>-<version>/<MD5 of the rock_manifest>/<file>.rock`: the same name and version can have
had several contents, and the installed rock_manifest tells which one is meant.
"""

from __future__ import annotations

import os

from pumice.errors import PumiceError
from pumice.rock.rock_manifest import md5_hex, rock_manifest_of
from pumice.rock.rockfile import open_rock, rock_filename_of
from pumice.tree.layout import is_safe_rock_name, rock_manifest_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.base.config import Config, TreeSpec
    from pumice.rock.rock import Rock

__all__ = ["cached_rock", "keep_rock"]


def keep_rock(rock: Rock, path: str, config: Config) -> None:
    """The rock file at `path` is in the cache, if the cache can be written: else there is none."""
    if not (is_safe_rock_name(rock.name) and is_safe_rock_name(rock.version)):
        return
    folder = os.path.join(_folder(rock.name, rock.version, config), md5_hex(rock_manifest_of(rock)))
    target = os.path.join(folder, rock_filename_of(rock))
    if os.path.exists(target):
        return
    from pumice.base.disk import copy_file

    draft = f"{target}.{os.getpid()}.tmp"
    try:
        os.makedirs(folder, exist_ok=True)
        copy_file(path, draft)
        os.rename(draft, target)
    except (OSError, PumiceError):
        # A cache on a full or read-only disk is no cache; the installation does not depend on it.
        try:
            os.unlink(draft)
        except OSError:
            pass


def cached_rock(tree: TreeSpec, name: str, version: str, config: Config) -> Rock | None:
    """The rock of that name and version as it was installed in `tree`, from the cache, or None.

    Where the tree has lost the rock_manifest too, only a cache with a single candidate can tell.
    """
    if not (is_safe_rock_name(name) and is_safe_rock_name(version)):
        return None
    folder = _folder(name, version, config)
    try:
        with open(rock_manifest_path(tree, name, version), "rb") as file:
            candidates = [md5_hex(file.read())]
    except OSError:
        candidates = _listed(folder)
    if len(candidates) != 1:
        return None
    folder = os.path.join(folder, candidates[0])
    for file_name in _listed(folder):
        if file_name.endswith(".rock"):
            try:
                return open_rock(os.path.join(folder, file_name), platforms=config.platforms)
            except PumiceError:  # a damaged file of the cache is no rock
                return None
    return None


def _folder(name: str, version: str, config: Config) -> str:
    return os.path.join(config.cache_dir, "rocks", f"{name}-{version}")


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
