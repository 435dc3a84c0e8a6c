"""Which installed rocks would break if others went, and what LuaRocks says of it (contract 1.4, 5.5)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pumice.tree.dependencies import Installed
    from pumice.tree.manifest import TreeManifest

__all__ = ["forced_lines", "refused_lines", "stability_lines", "would_break"]


def would_break(
    manifest: TreeManifest, name: str, versions: Collection[str], installed: Installed
) -> list[tuple[str, str]]:
    """(name, version) of the rocks of this tree with a dependency on `name` that nothing would fulfil then.

    A dependency that nothing fulfils now already counts too; one marked `@` does not. As in LuaRocks.
    """
    found = []
    for needing in sorted(manifest.needing(name) - {name}):
        for version in manifest.versions(needing):
            for dependency in manifest.dependencies(needing, version) or ():
                if dependency.name != name or installed.match(dependency, versions) is not None:
                    continue
                if dependency.constraints and dependency.constraints[0].no_upgrade:
                    continue
                found.append((needing, version))
                break
    return found


def stability_lines(name: str, versions: Sequence[str]) -> list[str]:
    """What is said before the dependents are looked for."""
    return ["Checking stability of dependencies in the absence of", f"{name} {', '.join(versions)}...", ""]


def forced_lines(dependents: Sequence[tuple[str, str]]) -> list[str]:
    """What is said when a forced removal breaks other rocks."""
    return [
        "The following packages may be broken by this forced removal:",
        *(f"{name} {version}" for name, version in dependents),
        "",
    ]


def refused_lines(name: str, versions: Sequence[str], dependents: Sequence[tuple[str, str]]) -> list[str]:
    """What is said when a removal is not done because of other rocks."""
    if len(versions) == 1:
        head = [f"Will not remove {name} {versions[0]}.", "Removing it would break dependencies for: "]
    else:
        head = [
            f"Will not remove installed versions of {name}.",
            "Removing them would break dependencies for: ",
        ]
    return [
        *head,
        *(f"{needing} {version}" for needing, version in dependents),
        "",
        "Use --force to force removal (warning: this may break modules).",
    ]
