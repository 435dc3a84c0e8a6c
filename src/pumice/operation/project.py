"""The project that a command is run in (settled.md, Words and places)."""

from __future__ import annotations

import os

from pumice.base.value import Value
from pumice.errors import NotFoundError, PumiceError
from pumice.operation.rockspec_choice import choose_rockspec

__all__ = ["LOCK_NAME", "Project", "find_project"]

LOCK_NAME = "pumice.lock"


class Project(Value):
    """A directory with a rockspec."""

    root: str
    rockspec: str
    """The absolute path of the rockspec."""

    @property
    def lock_path(self) -> str:
        """Where its lock is, or will be."""
        return os.path.join(self.root, LOCK_NAME)

    @property
    def tree_root(self) -> str:
        """The project's own tree."""
        return os.path.join(self.root, "lua_modules")


def find_project(cwd: str) -> Project:
    """The nearest parent with `pumice.toml`, with `.luarocks` and `lua_modules`, or with one rockspec.

    Raises NotFoundError if there is none, or none with a rockspec.
    """
    folder = cwd
    while True:
        if _is_project(folder):
            rockspec = choose_rockspec(folder)
            if rockspec is None:
                raise NotFoundError(
                    f"the project in {folder} has no rockspec",
                    hint="A lock is made from its dependencies; `pumice new` writes a whole project.",
                )
            return Project(folder, os.path.abspath(rockspec))
        above = os.path.dirname(folder)
        if above == folder:
            raise NotFoundError(
                f"{cwd} is not in a project",
                hint="A project has pumice.toml, .luarocks and lua_modules, or exactly one rockspec.",
            )
        folder = above


def _is_project(folder: str) -> bool:
    if os.path.isfile(f"{folder}/pumice.toml"):
        return True
    if os.path.isdir(f"{folder}/.luarocks") and os.path.isdir(f"{folder}/lua_modules"):
        return True
    try:
        return choose_rockspec(folder) is not None
    except PumiceError:  # several rockspecs, none of them meant
        return False
