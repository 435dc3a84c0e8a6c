"""Which file a module name stands for: `which`, as `luarocks.loader` would answer (contract 1.5, 5.8)."""

from __future__ import annotations

import os

from pumice.base.value import Value
from pumice.lua.interpreter import find_interpreter
from pumice.lua.search_path import search_path
from pumice.operation.trees import read_spec
from pumice.rock.version import parse_version
from pumice.tree import layout
from pumice.tree.manifest import read_tree_manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.base.config import Config, TreeSpec
    from pumice.base.progress import Progress

__all__ = ["Found", "which"]


class Found(Value):
    """The file of a module; who provides it, or how Lua itself finds it."""

    path: str
    rock: str | None = None
    version: str | None = None
    variable: str | None = None
    """`path` or `cpath` when no rock provides it but `package.path` or `package.cpath` leads there."""


def which(module: str, trees: Sequence[TreeSpec], config: Config, progress: Progress) -> Found | None:
    """The file that `require(module)` would load with the loader of LuaRocks, or None.

    Of several rocks with the module the highest version is taken, in whatever tree.
    """
    best: Found | None = None
    for tree in trees:
        tree = read_spec(tree, progress)
        manifest = read_tree_manifest(tree, progress)
        for name in (module, f"{module}.init"):
            providers = manifest.providers("modules", name)
            for place, (rock, version) in enumerate(providers):
                entry = manifest.entry(rock, version)
                if entry is None or name not in entry.modules:
                    continue
                if best is None or parse_version(best.version or "") < parse_version(version):
                    path = layout.module_file(
                        tree,
                        entry.modules[name],
                        rock,
                        version,
                        active=place == 0,
                    )
                    best = Found(path, rock, version)
            if providers:
                break
    return best or _on_the_path(module, config)


def _on_the_path(module: str, config: Config) -> Found | None:
    here = search_path(config, find_interpreter(config))
    for variable, templates in (("path", here.path), ("cpath", here.cpath)):
        for template in templates.split(";"):
            path = template.replace("?", module.replace(".", "/"))
            if path and os.path.isfile(os.path.join(config.cwd, path)):
                return Found(path, variable=variable)
    return None
