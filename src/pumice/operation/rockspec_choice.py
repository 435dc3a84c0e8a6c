"""Which rockspec of a directory is meant when none is named (contract 1.4, `make`)."""

from __future__ import annotations

import os

from pumice.base.disk import translate
from pumice.errors import NotFoundError, RockspecError, UsageError
from pumice.rock.filename import parse_filename
from pumice.rock.version import parse_version

__all__ = ["choose_rockspec", "rockspec_argument", "rockspec_in", "source_directory"]

_AMBIGUOUS = "Please specify which rockspec file to use."


def choose_rockspec(directory: str) -> str | None:
    """The path of the rockspec, or None when there is none at all.

    Looks in the directory, `rockspec/` and `rockspecs/`: the only file without name and version, else the
    newest version of the only rock, else of the rock named like the directory. Raises RockspecError when
    that leaves several.
    """
    newest: dict[str, tuple[str, str]] = {}
    unnamed: list[str] = []
    for folder in (directory, f"{directory}/rockspec", f"{directory}/rockspecs"):
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        for name in names:
            path = f"{folder}/{name}"
            if not name.endswith("rockspec") or not os.path.isfile(path):
                continue
            parsed = parse_filename(name)
            if parsed is None:
                unnamed.append(path)
            elif parsed.name not in newest or parse_version(newest[parsed.name][0]) < parse_version(
                parsed.version
            ):
                newest[parsed.name] = (parsed.version, path)
    if unnamed:
        if len(unnamed) > 1:
            raise RockspecError(_AMBIGUOUS, hint="There are: " + ", ".join(unnamed))
        return unnamed[0]
    own = newest.get(os.path.basename(os.path.abspath(directory)))
    if own:
        return own[1]
    if len(newest) > 1:
        raise RockspecError(
            _AMBIGUOUS, hint="There are: " + ", ".join(sorted(path for _, path in newest.values()))
        )
    return next(iter(newest.values()))[1] if newest else None


def rockspec_argument(given: str | None, directory: str) -> str:
    """The absolute path of the rockspec that a command line means. Raises PumiceError."""
    if given is None:
        chosen = choose_rockspec(directory)
        if chosen is None:
            raise NotFoundError(
                "Argument missing: please specify a rockspec to use on current directory.",
                hint="Run the command where the rockspec is, or name it.",
            )
        return chosen
    if not given.endswith("rockspec"):
        raise UsageError("Invalid argument: 'make' takes a rockspec as a parameter.")
    path = os.path.normpath(os.path.join(directory, given))
    if not os.path.isfile(path):
        raise NotFoundError(f"{given} does not exist", hint="Check the name and the directory.")
    return path


def rockspec_in(directory: str) -> str:
    """The path of the rockspec of a directory that was named. Raises NotFoundError, RockspecError, or that it
    cannot be read.
    """
    try:
        os.listdir(directory)
    except OSError as error:
        raise translate(error, f"read {directory}") from error
    chosen = choose_rockspec(directory)
    if chosen is None:
        raise NotFoundError(
            f"There is no rockspec in {directory}",
            hint="Name the directory that has it; `pumice new NAME` writes a plugin project to begin with.",
        )
    return chosen


def source_directory(rockspec: str) -> str:
    """The directory that a rockspec describes: its own, or the one above `rockspec/` and `rockspecs/`."""
    folder = os.path.dirname(rockspec)
    return os.path.dirname(folder) if os.path.basename(folder) in ("rockspec", "rockspecs") else folder
