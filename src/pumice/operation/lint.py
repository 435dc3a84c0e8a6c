"""The syntax of a rockspec: `lint` (contract 1.4, 2.2)."""

from __future__ import annotations

import os

from pumice.errors import NotFoundError, RockspecError
from pumice.rock.lint import lint
from pumice.rock.rockspec import load_rockspec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.base.config import Config

__all__ = ["lint_file"]


def lint_file(path: str, config: Config) -> tuple[str, ...]:
    """What `luarocks lint` finds wrong with a rockspec that loads.

    Raises RockspecError for one that LuaRocks refuses, NotFoundError.
    """
    if not path.endswith(".rockspec"):
        raise NotFoundError(
            f"{path} is not the name of a rockspec file", hint="Give a file whose name ends in .rockspec."
        )
    absolute = os.path.join(config.cwd, path)
    try:
        with open(absolute, "rb") as file:
            data = file.read()
    except OSError as error:
        raise NotFoundError(f"{path} cannot be read: {error.strerror}") from None
    try:
        rockspec = load_rockspec(
            data, absolute, config.platforms, accept_unknown_fields=config.accept_unknown_fields
        )
    except RockspecError as error:
        raise RockspecError(f"Failed loading rockspec: {error.message}", hint=error.hint) from None
    return tuple(problem.message for problem in lint(rockspec) if problem.severity == "error")
