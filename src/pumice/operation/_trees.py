"""Which rocks trees there are, and which of them a command acts on (contract 1.2, 5.1)."""

from __future__ import annotations

import os

from pumice.base.config import TreeSpec
from pumice.base.value import Value
from pumice.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pumice.operation.settings import Flags

__all__ = ["Layout", "choose_tree", "configured_trees"]

_LOCAL_AS_ROOT = (
    "The --local flag is meant for operating in a user's home directory.\n"
    "You are running as a superuser, which is intended for system-wide operation.\n"
    "To force using the superuser's home, use --tree explicitly."
)


class Layout(Value):
    """Where things lie below the root of a tree."""

    lua_modules_path: str
    lib_modules_path: str
    rocks_subdir: str
    cwd: str
    """What a relative root is relative to."""

    def spec(self, root: str, name: str, given: Mapping[Any, Any] | None = None) -> TreeSpec:
        """The tree at `root`, with the directories that its table names."""
        given = given or {}
        root = self._absolute(root)

        def directory(key: str, below: str) -> str:
            own = given.get(key)
            return self._absolute(own if isinstance(own, str) and own else f"{root}/{below}")

        return TreeSpec(
            name,
            root,
            directory("bin_dir", "bin"),
            directory("lua_dir", self.lua_modules_path),
            directory("lib_dir", self.lib_modules_path),
            directory("rocks_dir", self.rocks_subdir),
        )

    def _absolute(self, path: str) -> str:
        path = os.path.normpath(os.path.join(self.cwd, path))
        return path.replace("//", "/", 1) if path.startswith("//") else path


def configured_trees(value: object, layout: Layout, *, home_tree: str, superuser: bool) -> list[TreeSpec]:
    """The trees of `rocks_trees`; without it the user's own, and the system's for the superuser.

    Raises ConfigError for an entry that is neither a path nor a table with a `root`.
    """
    if not isinstance(value, dict):
        trees = [layout.spec(home_tree, "user")]
        return [*trees, layout.spec("/usr/local", "system")] if superuser else trees
    found = []
    position = 1
    while position in value:
        entry = value[position]
        position += 1
        if isinstance(entry, str) and entry:
            found.append(layout.spec(entry, ""))
            continue
        name = entry.get("name") if isinstance(entry, dict) else None
        name = name if isinstance(name, str) else ""
        root = entry.get("root") if isinstance(entry, dict) else None
        if not isinstance(root, str) or not root:
            raise ConfigError(
                f"Configuration error: tree '{name or position - 1}' has no 'root' field.",
                hint="Every entry of rocks_trees is a path, or a table with name and root.",
            )
        found.append(layout.spec(root, name, entry))
    if not found:
        raise ConfigError(
            "Configuration error: rocks_trees names no tree.",
            hint='Give it one: rocks_trees = { { name = "user", root = home .. "/.luarocks" } }',
        )
    return found


def choose_tree(
    flags: Flags,
    trees: list[TreeSpec],
    layout: Layout,
    *,
    home_tree: str,
    project_dir: str | None,
    local_by_default: bool,
    deps_mode: str,
    superuser: bool,
) -> tuple[TreeSpec, tuple[TreeSpec, ...]]:
    """The tree to act on, and all of them.

    `--global`, `--tree`, `--local`, `--project-tree`, the project, `local_by_default`, the last of
    `rocks_trees`: the first of these that applies. A tree that only the command line names is put first,
    or with deps-mode `order` last, so that no other tree's rocks count for it.
    """
    if flags.global_:
        system = _named(trees, "system") or _unnamed_system(trees, layout.spec(home_tree, "").root)
        return _configured(system, "--global", "system"), tuple(trees)
    if flags.tree is not None:
        tree = _named(trees, flags.tree)
        if tree is not None:
            return tree, tuple(trees)
        tree = layout.spec(flags.tree, "arg")
        return tree, (*trees, tree) if deps_mode == "order" else (tree, *trees)
    if flags.local:
        if superuser:
            raise ConfigError(_LOCAL_AS_ROOT, hint="For example: --tree ~/.luarocks")
        return _configured(_user_tree(trees, layout, home_tree), "--local", "user"), tuple(trees)
    project_tree = flags.project_tree or (f"{project_dir}/lua_modules" if project_dir else None)
    if project_tree:
        tree = layout.spec(project_tree, "project")
        return tree, (tree, *trees)
    if local_by_default:
        tree = _user_tree(trees, layout, home_tree)
        if tree is None:
            tree = layout.spec(home_tree, "user")
            return tree, (tree, *trees)
        return tree, tuple(trees)
    return trees[-1], tuple(trees)


def _named(trees: list[TreeSpec], name: str) -> TreeSpec | None:
    for tree in trees:
        if tree.name == name:
            return tree
    return None


def _user_tree(trees: list[TreeSpec], layout: Layout, home_tree: str) -> TreeSpec | None:
    """The tree named `user`; in a list without names (Debian's), the one in the home directory."""
    named = _named(trees, "user")
    if named is not None:
        return named
    root = layout.spec(home_tree, "").root
    for tree in trees:
        if tree.root == root:
            return tree
    return None


def _unnamed_system(trees: list[TreeSpec], home_root: str) -> TreeSpec | None:
    """In a list without names (Debian's): the last tree, where it is not the user's own."""
    if any(tree.name for tree in trees) or trees[-1].root == home_root:
        return None
    return trees[-1]


def _configured(tree: TreeSpec | None, option: str, name: str) -> TreeSpec:
    if tree is None:
        raise ConfigError(
            f"{option} needs a tree named '{name}', and the configuration has none.",
            hint="Add one to rocks_trees in a configuration file, or name a directory: --tree PATH.",
        )
    return tree
