"""What is in any rockspec, rock, directory or tree: `inspect` (settled.md, `inspect --json`)."""

from __future__ import annotations

import os

from pumice.errors import NotFoundError, PermissionDenied, RockspecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.rock.rock import Rock
    from pumice.rock.rockspec import Rockspec

__all__ = ["inspect"]

_HINT = "Look at the owners and modes on the way there."


def inspect(path: str, config: Config, progress: Progress) -> dict[str, object]:
    """The facts of one file or directory, as `inspect --json` prints them; `file` is `path` as given.

    Raises PumiceError for what LuaRocks would refuse.
    """
    absolute = os.path.normpath(os.path.join(config.cwd, path))
    if os.path.isdir(absolute):
        return {"file": path, **_directory(absolute, config, progress)}
    if path.endswith(".src.rock"):
        from pumice.rock.rockfile import open_source_rock

        source = open_source_rock(absolute, platforms=config.platforms)
        with source.archive as archive:
            files = sorted(member.name for member in archive.members if member.kind == "file")
        return {
            "file": path,
            "kind": "rock",
            **_rockspec_facts(source.rockspec),
            "arch": "src",
            "files": files,
        }
    if path.endswith(".rock"):
        from pumice.rock.rockfile import open_rock

        return {"file": path, **_rock(open_rock(absolute, platforms=config.platforms), "rock")}
    if not os.path.exists(absolute):
        raise NotFoundError(f"{path} does not exist", hint="Give a rockspec, a rock, a directory or a tree.")
    if path.endswith((".tar.gz", ".tgz", ".zip")):
        raise RockspecError(f"{path} is an archive, not a rock", hint="`pumice check` looks into a tar.gz.")
    return {"file": path, "kind": "rockspec", **_rockspec_facts(_load(absolute, config))}


def _is_directory(path: str) -> bool:
    """As `os.path.isdir`, but what may not be looked at is not taken for absent."""
    import stat

    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except PermissionError as error:
        raise PermissionDenied(f"{path} cannot be read: {error.strerror}", hint=_HINT) from None
    except OSError:
        return False


def _load(path: str, config: Config) -> Rockspec:
    from pumice.rock.rockspec import load_rockspec

    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise NotFoundError(f"{path} cannot be read: {error.strerror}") from None
    return load_rockspec(data, path, config.platforms, accept_unknown_fields=config.accept_unknown_fields)


def _rockspec_facts(rockspec: Rockspec) -> dict[str, object]:
    return {
        "package": rockspec.package,
        "version": rockspec.version,
        "rockspec_format": rockspec.format,
        "dependencies": [dependency.text for dependency in rockspec.dependencies],
        "build_type": rockspec.build_type,
        "modules": dict(rockspec.modules),
        "source_url": rockspec.source.url,
        "supported_platforms": list(rockspec.supported_platforms) or None,
    }


def _rock(rock: Rock, kind: str) -> dict[str, object]:
    files = [file.rock_path for file in rock.files]
    return {"kind": kind, **_rockspec_facts(rock.rockspec), "arch": rock.arch, "files": files}


def _directory(path: str, config: Config, progress: Progress) -> dict[str, object]:
    """A rocks tree if it holds one; else a source directory by the rockspec that `make` would take."""
    from pumice.base.config import TreeSpec
    from pumice.operation.listing import find_installed
    from pumice.operation.rockspec_choice import choose_rockspec
    from pumice.operation.trees import read_spec

    tree = read_spec(TreeSpec.at(path, config.lua_version), progress)
    if _is_directory(tree.rocks_dir):
        rocks = find_installed((tree,), "", None, progress, substring=True)
        return {
            "kind": "tree",
            "lua_version": config.lua_version,
            "arch": config.arch,
            "rocks": [{"name": rock.name, "version": rock.version} for rock in rocks],
            "files": _files_below(path),
        }
    chosen = choose_rockspec(path)
    if chosen is None:
        raise RockspecError(f"{path} is neither a rocks tree nor a directory with a rockspec")
    return {"kind": "directory", "rockspec": chosen, **_rockspec_facts(_load(chosen, config))}


def _files_below(path: str) -> list[str]:
    """Every file of a tree, relative to it, sorted; what Pumice keeps for itself is not of the tree."""
    from pumice.tree.view import walk_files

    return [each for each in walk_files(path)[0] if not each.startswith(".pumice/")]
