"""What can be mended in a tree is mended by installing it again; what cannot is named.

A damaged rock comes from whoever has it (a rock file, the cache, the store), or from the tree itself when its
files are all there under one name or another. The manifest is written anew from the disk.
"""

from __future__ import annotations

import os

from pumice.base.progress import Silent
from pumice.base.value import Value
from pumice.errors import PumiceError
from pumice.rock.content import Content
from pumice.rock.rock_manifest import read_rock_manifest
from pumice.tree import layout
from pumice.tree.installed import open_installed
from pumice.tree.planner import InstallOptions, Planner
from pumice.tree.rebuild import rock_directories, scan_tree
from pumice.tree.verify import verify_tree
from pumice.tree.view import DiskView

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pumice.base.config import TreeSpec
    from pumice.rock.rock import Rock
    from pumice.tree.manifest import TreeManifest
    from pumice.tree.planner import Plan
    from pumice.tree.wrapper import Wrapping

__all__ = ["ANEW", "Repair", "plan_repair"]

ANEW = "is written anew"
"""What is said of the manifest."""


class Repair(Value):
    """What a repair does, and what it leaves."""

    plan: Plan | None
    """None when there is nothing to do."""
    mended: tuple[str, ...]
    unmended: tuple[str, ...]


def plan_repair(
    tree: TreeSpec,
    manifest: TreeManifest,
    wrapping: Wrapping,
    supply: Callable[[str, str], Rock | None],
    *,
    platforms: Sequence[str],
    provided: Mapping[str, str],
    given: Sequence[Rock] = (),
) -> Repair:
    """The plan that mends a tree as far as `supply` (name, version → the rock, or None) allows.

    `manifest` is the tree's, as read. Files that somebody changed are kept under a name with `~`; modes come
    to be as they were deployed. `given`: rocks of which also those x bits are mended that nothing in the
    tree tells of, in copied directories.
    """
    report = verify_tree(tree, manifest)
    damaged: dict[str, list[str]] = {}
    for problem in report.problems:
        damaged.setdefault(problem.rock, []).append(f"{problem.path} {problem.message}")
    for each in given:
        if manifest.has(each.name, each.version) and (lost := _other_bits(tree, each)):
            damaged.setdefault(f"{each.name} {each.version}", []).extend(lost)
    before = None if manifest.rebuilt else manifest.to_bytes()
    anew = scan_tree(tree, platforms, Silent())
    _keep_what_only_the_manifest_knows(tree, manifest, anew)
    planner = Planner(tree, anew, DiskView(), wrapping, provided=provided)
    mended: list[str] = []
    unmended: list[str] = []
    damaged.pop("", None)  # the manifest as a whole, which is written anew
    for rock_text, problems in sorted(damaged.items()):
        name, _, version = rock_text.partition(" ")
        if not (layout.is_safe_rock_name(name) and layout.is_safe_rock_name(version)):
            mended.append(f"the manifest no longer names {rock_text!r}")
            continue
        try:
            rock = _source(tree, name, version, supply, platforms)
            if rock is not None:
                planner.install(rock, InstallOptions(keep=True))
                mended += problems
            elif _only_in_manifest(problems, manifest.name):
                mended += problems
            else:
                unmended += problems
        except PumiceError as error:
            unmended.append(f"{rock_text}: {error.message}")
    plan = planner.finish()
    if not mended and plan.manifest == before:
        return Repair(None, (), tuple(unmended))
    if plan.manifest != before:
        mended.append(f"{layout.manifest_path(tree)} {ANEW}")
    return Repair(plan, tuple(mended), tuple(unmended))


def _keep_what_only_the_manifest_knows(tree: TreeSpec, manifest: TreeManifest, anew: TreeManifest) -> None:
    """A rock whose own rock_manifest or rockspec is lost keeps its entry: nothing else names its files."""
    on_disk = rock_directories(tree)
    for name in manifest.names():
        for version in manifest.versions(name):
            entry = manifest.entry(name, version)
            if entry is None or version not in on_disk.get(name, ()):
                continue
            dependencies = manifest.dependencies(name, version)
            if not anew.has(name, version):
                anew.add(name, version, entry.modules, entry.commands, dependencies)
            elif dependencies is not None and anew.dependencies(name, version) is None:
                anew.set_dependencies(name, version, dependencies)


def _source(
    tree: TreeSpec,
    name: str,
    version: str,
    supply: Callable[[str, str], Rock | None],
    platforms: Sequence[str],
) -> Rock | None:
    """The rock as it was installed: from the tree if it is whole there, else from `supply` if the same."""
    supplied = supply(name, version)
    if supplied is not None and not _is_same(tree, supplied):
        supplied = None
    try:
        rock = open_installed(tree, name, version, platforms)
    except PumiceError:
        return supplied
    bits = {} if supplied is None else {file.rock_path: file.executable for file in supplied.files}
    # The plan is about to move or replace the files that this rock is read from.
    files = tuple(
        file.replace(
            content=Content.of_bytes(file.content.read()),
            executable=bits.get(file.rock_path, file.executable),
        )
        for file in rock.files
    )
    return rock.replace(files=files)


def _other_bits(tree: TreeSpec, rock: Rock) -> list[str]:
    """The files in the rock's own directory that are executable and should not be, or the reverse."""
    found = []
    for file in rock.files:
        path = f"{layout.rock_dir(tree, rock.name, rock.version)}/{file.rock_path}"
        try:
            executable = bool(os.lstat(path).st_mode & 0o100)
        except OSError:
            continue
        if file.section not in ("lua", "lib") and executable != file.executable:
            found.append(f"{path} should {'' if file.executable else 'not '}be executable")
    return found


def _is_same(tree: TreeSpec, rock: Rock) -> bool:
    """Whether a rock from elsewhere is what the tree's rock_manifest lists, if that can still be read."""
    path = layout.rock_manifest_path(tree, rock.name, rock.version)
    try:
        with open(path, "rb") as file:
            listed = read_rock_manifest(file.read(), path)
    except (OSError, PumiceError):
        return True
    return all(listed.get(file.rock_path) == file.md5 for file in rock.files)


def _only_in_manifest(problems: Sequence[str], manifest_name: str) -> bool:
    """Whether a manifest made from the disk settles these problems by itself."""
    settled = ("is in the manifest, but its directory is missing", "is on the disk, but not in the manifest")
    return all(problem.startswith(manifest_name) or problem.endswith(settled) for problem in problems)
