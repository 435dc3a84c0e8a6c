"""`remove`: rocks leave a tree, unless others need them (contract 1.4, 5.5)."""

from __future__ import annotations

from pumice.errors import DependencyError, NotFoundError
from pumice.operation.change import TreeChange
from pumice.operation.listing import read_namespace
from pumice.rock.version import parse_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.base.config import Config
    from pumice.base.progress import Progress

__all__ = ["remove"]


def remove(
    name: str,
    version: str | None,
    config: Config,
    progress: Progress,
    *,
    namespace: str | None = None,
    force: bool = False,
    force_fast: bool = False,
) -> None:
    """The versions of a rock that match are gone from the tree, in one transaction; all without `version`.

    Raises NotFoundError, DependencyError (what would break has been told), TreeError.
    """
    wanted = parse_version(version) if version else None
    with TreeChange(config, "remove", progress) as change:
        versions = [
            each
            for each in change.manifest.versions(name)
            if (wanted is None or parse_version(each) == wanted)
            and (namespace is None or read_namespace(change.spec, name, each) == namespace)
        ]
        if not versions:
            shown = (f"{namespace}/" if namespace else "") + name + (f" {version}" if version else "")
            raise NotFoundError(
                f"Could not find rock '{shown}' in {config.tree.root}",
                hint="`pumice list` shows what is installed in every tree.",
            )
        planner = change.planner(commands=False)
        try:
            planner.remove_versions(name, versions, force=force, force_fast=force_fast)
        except DependencyError as error:
            for level, text in planner.messages():
                progress.message(level, text)
            raise DependencyError(
                error.message, hint=error.hint or "Remove those packages first, or use --force."
            ) from None
        change.commit(planner.finish(), removed=[(name, each) for each in versions])
        change.report_missing([name], planner.installed)
