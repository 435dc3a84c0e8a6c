"""Requests, the tree and the servers become the exact rocks to install: find → solve (house.md)."""

from __future__ import annotations

from pumice.base.value import Value
from pumice.operation.change import provided_rocks
from pumice.operation.listing import read_namespace
from pumice.operation.servers import Origin
from pumice.operation.trees import read_spec
from pumice.rock.dependency import parse_dependency
from pumice.solve.situation import InstalledRock, Request, Situation
from pumice.solve.solver import Solver
from pumice.solve.table import Candidate, Facts, Overlay
from pumice.tree.dependencies import searched_trees
from pumice.tree.manifest import read_tree_manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pumice.base.config import Config, TreeSpec
    from pumice.base.progress import Progress
    from pumice.rock.dependency import Dependency
    from pumice.rock.rock import Rock
    from pumice.solve.resolution import Resolution
    from pumice.solve.table import Table
    from pumice.tree.manifest import TreeManifest

__all__ = ["Wanted", "exactly", "resolve"]


class Wanted(Value):
    """What a command wants to be installed."""

    names: tuple[Dependency, ...] = ()
    rocks: tuple[Rock, ...] = ()
    """Rocks that are at hand."""
    prefer: str = "server"
    """As in `solve.situation`: `server`, `installed` or `newest`."""
    keep: bool = False
    pinned: Mapping[str, str] = {}
    preferred: Mapping[str, str] = {}
    tests: bool = False


def exactly(name: str, version: str, namespace: str | None = None) -> Dependency:
    """The dependency that only this version fulfils."""
    return parse_dependency(f"{namespace}/{name} == {version}" if namespace else f"{name} == {version}")


def resolve(
    wanted: Wanted,
    table: Table,
    tree: TreeSpec,
    manifest: TreeManifest,
    config: Config,
    progress: Progress,
) -> Resolution:
    """The rocks that satisfy everything wanted, with all that they and the tree need.

    `tree` and `manifest`: what would be changed, as it is. Raises DependencyError with an explanation,
    FetchError.
    """
    given = {
        Candidate(rock.name, rock.version, rock.namespace, False, Origin(rock=rock)): Facts(
            rock.rockspec.dependencies, supported_platforms=rock.rockspec.supported_platforms
        )
        for rock in wanted.rocks
    }
    requests = [Request(each, wanted.prefer, wanted.tests) for each in wanted.names]
    requests += [Request(exactly(rock.name, rock.version, rock.namespace)) for rock in wanted.rocks]
    solver = Solver(
        Overlay(table, given) if given else table, _situation(wanted, tree, manifest, config, progress)
    )
    resolution = solver.solve(requests)
    for note in resolution.notes:
        progress.message("warning", note)
    return resolution


def _situation(
    wanted: Wanted, tree: TreeSpec, manifest: TreeManifest, config: Config, progress: Progress
) -> Situation:
    counts = config.deps_mode != "none"
    elsewhere: list[InstalledRock] = []
    if counts:
        for other in searched_trees(config.deps_mode, config.tree, config.trees):
            spec = read_spec(other, progress)
            if spec.root != tree.root:
                elsewhere += _rocks_of(spec, read_tree_manifest(spec, progress))
    return Situation(
        provided=provided_rocks(config),
        platforms=config.platforms,
        installed=tuple(_rocks_of(tree, manifest)),
        elsewhere=tuple(elsewhere),
        pinned=wanted.pinned,
        preferred=wanted.preferred,
        keep=wanted.keep,
        dependencies=counts,
        build_dependencies=counts,
    )


def _rocks_of(tree: TreeSpec, manifest: TreeManifest) -> list[InstalledRock]:
    return [
        InstalledRock(
            name,
            version,
            read_namespace(tree, name, version),
            manifest.dependencies(name, version) or (),
        )
        for name in manifest.names()
        for version in manifest.versions(name)
    ]
