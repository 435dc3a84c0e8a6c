"""What a rockspec carries inline (files, patches, a CMakeLists) comes to its sources before the build."""

from __future__ import annotations

import os

from pumice.build.patch import apply_patch, parse_patch
from pumice.build.sources import SourceTree
from pumice.errors import BuildError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.build.context import BuildContext

__all__ = ["prepare_sources"]

_MARKER = ".luarocks.patches.applied"
"""LuaRocks leaves it in a directory that it has patched; what has it is not patched again."""


def prepare_sources(context: BuildContext) -> SourceTree:
    """The tree to build from: with extra files written and patches applied.

    The user's own directory is never edited: unless it is a private one already (or has LuaRocks's marker),
    a copy below the work directory is prepared. Everything is checked and patched in memory first; then
    written. Raises BuildError naming the patch and hunk that does not apply.
    """
    tree = context.tree
    contents = _all_contents(context)
    if all(_holds(tree, path, data) for path, data in contents.items()):
        return tree
    if not context.options.private_source:
        tree = SourceTree(_copy_of(context))
    for path, data in contents.items():
        _write(tree, path, data)
    return tree


def _all_contents(context: BuildContext) -> dict[str, bytes | None]:
    """Every file that differs after preparation, by its path; None for one that a patch deletes."""
    build, tree = context.build, context.tree
    extra = _texts(build.get("extra_files"), "build.extra_files")
    patches = _texts(build.get("patches"), "build.patches")
    contents: dict[str, bytes | None] = {}
    for what, files in (("build.extra_files", extra), ("build.patches", patches)):
        for name in files:
            tree.file(name, what)
            _directory_for(tree, name, what)
    if tree.file(_MARKER, "The source directory") is None:
        contents.update((tree.relative(name, "build.extra_files"), data) for name, data in extra.items())
        contents.update((tree.relative(name, "build.patches"), data) for name, data in patches.items())
        for name in sorted(patches):
            context.progress.message("info", f"Applying patch {name}...")
            _patch(context, name, patches[name], contents)
    inline = build.get("cmake")
    if context.build_type == "cmake" and isinstance(inline, str):
        contents["CMakeLists.txt"] = inline.encode("utf-8", "surrogateescape")
    return contents


def _texts(table: object, what: str) -> dict[str, bytes]:
    if table is None:
        return {}
    if not isinstance(table, dict):
        raise BuildError(f"{what} must be a table of file names and texts")
    files = {}
    for name, text in table.items():
        if isinstance(name, bool) or not isinstance(text, str):
            raise BuildError(f"{what} must be a table of file names and texts")
        files[str(name)] = text.encode("utf-8", "surrogateescape")
    return files


def _patch(context: BuildContext, name: str, data: bytes, contents: dict[str, bytes | None]) -> None:
    """Apply one patch to `contents`, over what the tree holds."""
    tree = context.tree
    what = f"Patch {name}"
    may_create = context.rockspec.format_at_least("3.0")

    def read(path: str) -> bytes | None:
        tidy = tree.relative(path, what)
        if tidy in contents:
            return contents[tidy]
        found = tree.file(tidy, what)
        if found is None:
            return None
        with open(found, "rb") as file:
            return file.read()

    try:
        changes = apply_patch(parse_patch(data), read, may_create=may_create)
    except BuildError as error:
        raise BuildError(f"Failed applying patch {name}: {error.message}", hint=error.hint) from error
    for path, text, notes in changes:
        tidy = tree.relative(path, what)
        _directory_for(tree, tidy, what)
        contents[tidy] = text
        for note in notes:
            context.progress.message("warning", note)


def _directory_for(tree: SourceTree, path: str, what: str) -> None:
    """Raise BuildError if a file at `path` would be written through a symlink out of the tree."""
    parent = os.path.dirname(tree.relative(path, what))
    while parent and not os.path.lexists(os.path.join(tree.root, parent)):
        parent = os.path.dirname(parent)
    if parent and tree.directory(parent, what) is None:
        raise BuildError(f"{what} would write below '{parent}', which is no directory")


def _holds(tree: SourceTree, path: str, data: bytes | None) -> bool:
    """Whether the tree holds the file with these bytes already (or lacks it, for None)."""
    found = tree.file(path, "The source directory")
    if found is None or data is None:
        return found is None and data is None
    with open(found, "rb") as file:
        return file.read() == data


def _copy_of(context: BuildContext) -> str:
    """A copy of the source directory, symlinks as they are, without version control's own directories."""
    import shutil

    target = os.path.join(context.work_dir, "source")
    source = context.tree.root
    inside = os.path.realpath(context.work_dir)

    def left_out(directory: str, names: list[str]) -> set[str]:
        # A work directory inside the sources must not be copied into itself.
        skipped = {name for name in names if os.path.realpath(os.path.join(directory, name)) == inside}
        if directory == source:
            skipped |= {".git", ".hg", ".svn", "lua_modules"} & set(names)
        return skipped

    try:
        shutil.copytree(source, target, symlinks=True, ignore=left_out)
    except (OSError, shutil.Error) as error:
        raise BuildError(f"Cannot copy {source} to patch it: {error}") from error
    return target


def _write(tree: SourceTree, path: str, data: bytes | None) -> None:
    """Write (or remove) one file; a symlink in its place is replaced, not followed."""
    absolute = os.path.join(tree.root, path)
    try:
        mode = 0o644
        if os.path.lexists(absolute):
            mode = os.lstat(absolute).st_mode & 0o777 if not os.path.islink(absolute) else mode
            os.unlink(absolute)
        if data is None:
            return
        os.makedirs(os.path.dirname(absolute), exist_ok=True)
        with open(absolute, "wb") as file:
            file.write(data)
        os.chmod(absolute, mode | 0o600)
    except OSError as error:
        raise BuildError(f"Cannot write {path} into {tree.root}: {error.strerror}") from error
