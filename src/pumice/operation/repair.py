"""`repair`: what can be mended in a tree is mended, from rock files, the cache, or the tree itself."""

from __future__ import annotations

from pumice.base.progress import Silent
from pumice.base.value import Value
from pumice.operation.change import TreeChange, provided_rocks
from pumice.operation.obtain import obtain
from pumice.operation.rock_cache import cached_rock
from pumice.operation.work_dir import WorkDir
from pumice.tree.kinds import open_tree
from pumice.tree.manifest import read_tree_manifest
from pumice.tree.planner import Plan
from pumice.tree.repair import ANEW, plan_repair
from pumice.tree.verify import verify_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.rock.rock import Rock
    from pumice.tree.repair import Repair

__all__ = ["Repaired", "repair"]

_LOOKS = 3


class Repaired(Value):
    """What was mended, and what is left as it was."""

    mended: tuple[str, ...]
    unmended: tuple[str, ...]


def repair(rocks: Sequence[str], config: Config, progress: Progress) -> Repaired:
    """The tree is as it should be, as far as that can be.

    `rocks`: rock files or URLs to take lost contents from before the cache is asked. Each look at the tree is
    one transaction; a second one follows when the first has changed something, for what a rock that is gone
    for good had left in another's place shows only then. Raises PumiceError.
    """
    with WorkDir(config, "repair") as work:
        given: dict[tuple[str, str], Rock] = {}
        for request in rocks:
            rock = obtain(request, config, progress, work)
            given[rock.name, rock.version] = rock
        mended: list[str] = []
        for _ in range(_LOOKS):
            result = _look(given, config, progress)
            again = [each for each in result.mended if each in mended and not each.endswith(ANEW)]
            if again:
                # as under a umask that keeps others out of every new file
                left = tuple(each for each in mended if each not in again)
                return Repaired(left, (*result.unmended, *again))
            mended += result.mended
            if result.plan is None:
                break
        return Repaired(tuple(mended), result.unmended)


def _look(given: Mapping[tuple[str, str], Rock], config: Config, progress: Progress) -> Repair:
    lost = _lost_in_generation(config)
    with TreeChange(config, "repair", progress) as change:

        def supply(name: str, version: str) -> Rock | None:
            return given.get((name, version)) or cached_rock(change.spec, name, version, config)

        result = plan_repair(
            change.spec,
            change.manifest,
            change.wrapping(),
            supply,
            platforms=config.platforms,
            provided=provided_rocks(change.config),
            given=tuple(given.values()),
        )
        if result.plan is not None:
            change.commit(result.plan.replace(messages=()))
        elif lost and not result.unmended:
            # The generation of this change was filled from the store and is whole: it mends the current one.
            anew = Plan((), (), b"")
            change.commit(anew)
            return result.replace(plan=anew, mended=lost)
        return result


def _lost_in_generation(config: Config) -> tuple[str, ...]:
    """What is wrong in the current generation of a tree of generations; nothing for a plain tree."""
    tree = open_tree(config.tree)
    if tree.kind != "generations":
        return ()
    spec = tree.read_spec
    report = verify_tree(spec, read_tree_manifest(spec, Silent(), platforms=config.platforms))
    return tuple(f"{problem.path} {problem.message}" for problem in report.errors)
