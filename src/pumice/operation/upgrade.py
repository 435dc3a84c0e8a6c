"""`upgrade`: installed rocks become the newest that fits, with what that needs (SOLVE)."""

from __future__ import annotations

from pumice.errors import NotFoundError
from pumice.operation.install import Outcome, install_rocks
from pumice.operation.requests import Requests, parse_requests
from pumice.operation.trees import read_spec
from pumice.operation.work_dir import WorkDir
from pumice.rock.dependency import parse_dependency
from pumice.solve.situation import NEWEST
from pumice.tree.manifest import read_tree_manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.operation.deploy import InstallOptions

__all__ = ["upgrade"]


def upgrade(words: Sequence[str], config: Config, options: InstallOptions, progress: Progress) -> Outcome:
    """The rocks of these names (none: all of the tree) are the newest that the tree as a whole allows.

    Raises NotFoundError for a rock that is not installed, DependencyError, FetchError.
    """
    installed = read_tree_manifest(read_spec(config.tree, progress), progress).names()
    names = parse_requests(words, options.namespace).names
    for dependency in names:
        if dependency.name not in installed:
            raise NotFoundError(
                f"Could not find rock '{dependency.name}' in {config.tree.root}",
                hint=f"`pumice install {dependency.name}` installs it.",
            )
    if not words:
        names = tuple(parse_dependency(name) for name in installed)
    if not names:
        return Outcome()
    with WorkDir(config, "upgrade") as work:
        return install_rocks(
            Requests(names=names), (), config, options.replace(prefer=NEWEST), progress, work
        )
