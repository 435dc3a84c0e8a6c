"""Everything about one installed rock: `show` (contract 1.4, 1.5)."""

from __future__ import annotations

import os

from pumice.base.value import Value
from pumice.errors import NotFoundError
from pumice.operation.listing import InstalledRock, find_installed, pick_installed
from pumice.rock.rock_manifest import read_rock_manifest
from pumice.rock.rockspec import load_rockspec
from pumice.tree import layout
from pumice.tree.dependencies import lua_provides
from pumice.tree.manifest import read_tree_manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pumice.base.config import Config, TreeSpec
    from pumice.base.progress import Progress
    from pumice.rock.dependency import Dependency
    from pumice.rock.rockspec import Rockspec

__all__ = ["RockReport", "show"]


class RockReport(Value):
    """What `show` tells; pairs are (name, file) or (dependency, label)."""

    rock: InstalledRock
    rockspec: Rockspec
    rock_dir: str
    rockspec_path: str
    commands: tuple[tuple[str, str], ...]
    modules: tuple[tuple[str, str], ...]
    module_names: tuple[str, ...]
    """As the tree manifest has them."""
    dependencies: tuple[tuple[str, str], ...]
    build_dependencies: tuple[tuple[str, str], ...]
    test_dependencies: tuple[tuple[str, str], ...]
    indirect_dependencies: tuple[tuple[str, str], ...]


def show(
    config: Config,
    trees: Sequence[TreeSpec],
    name: str,
    version: str | None,
    progress: Progress,
    namespace: str | None = None,
) -> RockReport:
    """The report on the newest installed rock that matches. Raises NotFoundError, DataError."""
    rock = pick_installed(trees, name, version, progress, substring=True, namespace=namespace)
    tree = rock.tree
    rock_dir = layout.rock_dir(tree, rock.name, rock.version)
    rockspec_path = layout.rockspec_path(tree, rock.name, rock.version)
    rockspec = load_rockspec(
        _read(rockspec_path, rock),
        rockspec_path,
        config.platforms,
        accept_unknown_fields=config.accept_unknown_fields,
    )
    files = read_rock_manifest(
        _read(layout.rock_manifest_path(tree, rock.name, rock.version), rock), f"{rock_dir}/rock_manifest"
    )
    entry = read_tree_manifest(tree, progress).entry(rock.name, rock.version)
    provided = lua_provides(config.lua_version, configured=config.rocks_provided)

    def labelled(dependencies: Iterable[Dependency]) -> tuple[tuple[str, str], ...]:
        return tuple(
            (str(dependency), _label(dependency.name, dependency, provided, trees, progress))
            for dependency in dependencies
        )

    direct = {dependency.name for dependency in rockspec.dependencies}
    return RockReport(
        rock=rock,
        rockspec=rockspec,
        rock_dir=rock_dir,
        rockspec_path=rockspec_path,
        commands=tuple(
            sorted((path[4:], _deployed(rock, "bin", path[4:])) for path in files if path.startswith("bin/"))
        ),
        modules=tuple(
            sorted(
                (layout.module_name(path[4:], config.lib_extension), _deployed(rock, path[:3], path[4:]))
                for path in files
                if path.startswith(("lua/", "lib/"))
            )
        ),
        module_names=tuple(sorted(entry.modules)) if entry else (),
        dependencies=labelled(rockspec.dependencies),
        build_dependencies=labelled(rockspec.build_dependencies),
        test_dependencies=labelled(rockspec.test_dependencies),
        indirect_dependencies=tuple(
            (each, _label(each, None, provided, trees, progress))
            for each in sorted(entry.dependencies if entry else ())
            if each not in direct
        ),
    )


def _label(
    name: str,
    dependency: Dependency | None,
    provided: dict[str, str],
    trees: Sequence[TreeSpec],
    progress: Progress,
) -> str:
    if name in provided:
        return f"using {provided[name]}"
    for rock in find_installed(trees, name, None, progress, substring=False):
        if dependency is None or dependency.accepts(rock.version):
            return f"using {rock.version}"
    return "missing"


def _deployed(rock: InstalledRock, section: str, path: str) -> str:
    """Where a file lies: under its versioned name if another rock or version holds the plain one."""
    versioned = layout.deploy_path(rock.tree, section, path, (rock.name, rock.version))
    return versioned if os.path.exists(versioned) else layout.deploy_path(rock.tree, section, path)


def _read(path: str, rock: InstalledRock) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise NotFoundError(
            f"{os.path.basename(path)} of {rock.name} {rock.version} cannot be read: {error.strerror}",
            hint="`pumice repair` mends a tree whose files were lost.",
        ) from None
