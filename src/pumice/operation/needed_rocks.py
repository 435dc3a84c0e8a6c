"""What a rock needs beyond what Kong brings, out of the trees at hand, for channels that resolve nothing."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.base.config import Config, TreeSpec
    from pumice.base.progress import Progress
    from pumice.rock.rock import Rock

__all__ = ["needed_rocks"]


def needed_rocks(
    rock: Rock, trees: Sequence[TreeSpec], config: Config, progress: Progress, *, otherwise: str
) -> tuple[Rock, ...]:
    """The rocks that are installed, the newest that fits of each; what is not there is warned of.

    `otherwise` is what the warning says of a rock that is missing: `nothing of it is folded in`.
    """
    from pumice.kong.plugin_files import rocks_needed
    from pumice.operation.listing import find_installed
    from pumice.tree.installed import open_installed

    seen = {rock.name}
    found: list[Rock] = []
    waiting = list(rocks_needed(rock))
    while waiting:
        wanted = waiting.pop(0)
        if wanted.name in seen:
            continue
        seen.add(wanted.name)
        # newest first
        installed = find_installed(trees, wanted.name, None, progress, substring=False)
        fitting = [each for each in installed if wanted.accepts(each.version)]
        if not fitting:
            progress.message(
                "warning", f"{wanted.text} is neither installed here nor brought by Kong: {otherwise}"
            )
            continue
        at = fitting[0]
        found.append(open_installed(at.tree, at.name, at.version, config.platforms))
        waiting += rocks_needed(found[-1])
    return tuple(found)
