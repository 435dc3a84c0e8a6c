"""`new`: a Kong plugin project that passes its own check."""

from __future__ import annotations

import os

from pumice.errors import PumiceError
from pumice.kong.scaffold import project_directory, scaffold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.base.config import Config

__all__ = ["new_plugin"]


def new_plugin(name: str, config: Config) -> str:
    """The new directory, below the current one, with every file of the project; all of it, or nothing.

    `kong-plugin-NAME` is taken for NAME. Raises UsageError for a name that not every channel would take,
    PumiceError if the directory is there already.
    """
    import time

    from pumice.base.disk import remove_tree, translate

    name = name.removeprefix("kong-plugin-")
    files = scaffold(name, author=_author(config), year=time.localtime().tm_year)
    target = os.path.join(config.cwd, project_directory(name))
    if os.path.lexists(target):
        raise PumiceError(
            f"{target} exists already", hint="Choose another name, or run the command elsewhere."
        )
    draft = f"{target}.{os.urandom(4).hex()}"
    try:
        for path, text in files.items():
            place = os.path.join(draft, path)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(place, "w", encoding="utf-8") as file:
                file.write(text)
        os.rename(draft, target)
    except OSError as error:
        remove_tree(draft)
        raise translate(error, f"write {target}") from error
    return target


def _author(config: Config) -> str:
    """Who the environment says that we are, as git does."""
    return config.environment.get("GIT_AUTHOR_NAME") or config.environment.get("USER") or ""
