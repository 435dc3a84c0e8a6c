"""`SourceTree`: the files of a source directory, never one outside of it.

A rockspec names files by relative paths, and a fetched archive may hold symlinks. Whatever a rockspec
names is looked up here, so that neither can make Pumice read (and deploy) a file of the machine, or
write beside the sources (adversary case 42).
"""

from __future__ import annotations

import os
import stat

from pumice.errors import BuildError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SourceTree"]


class SourceTree:
    """A source directory; `root` is its absolute path, as given."""

    __slots__ = ("_inside", "_real_root", "root")

    def __init__(self, root: str) -> None:
        """Raises BuildError if `root` is not a directory."""
        if not os.path.isdir(root):
            raise BuildError(
                f"The source directory {root} does not exist", hint="Name an existing directory."
            )
        self.root = root
        self._real_root = os.path.realpath(root)
        self._inside: dict[str, bool] = {}

    def relative(self, path: str, what: str) -> str:
        """The path, tidied (`./a//b` is `a/b`), if it stays below the root by its text alone.

        Raises BuildError that names `what`, the place in the rockspec.
        """
        tidy = os.path.normpath(path) if path else ""
        if not tidy or "\0" in path or path.startswith("/") or tidy == ".." or tidy.startswith("../"):
            raise BuildError(
                f"{what} names {path!r}, which is not inside the source directory",
                hint="Paths in a rockspec are relative to its source directory and stay inside it.",
            )
        return tidy

    def file(self, path: str, what: str) -> str | None:
        """The absolute path of a regular file, or None if there is none.

        Raises BuildError if the path leaves the source directory, by its text or through a symlink.
        """
        absolute = os.path.join(self.root, self.relative(path, what))
        try:
            mode = os.lstat(absolute).st_mode
            if stat.S_ISLNK(mode):
                self._check(absolute, path, what)
                mode = os.stat(absolute).st_mode
            else:
                self._check(os.path.dirname(absolute), path, what)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise BuildError(f"Cannot read {path}: {error.strerror}") from error
        return absolute if stat.S_ISREG(mode) else None

    def directory(self, path: str, what: str) -> str | None:
        """The absolute path of a directory, or None if there is none. Raises as `file` does."""
        absolute = os.path.join(self.root, self.relative(path, what))
        if not os.path.isdir(absolute):
            return None
        self._check(absolute, path, what)
        return absolute

    def is_link_outside(self, path: str) -> bool:
        """Whether the path is a symlink that leads out of the tree."""
        absolute = os.path.join(self.root, path)
        return os.path.islink(absolute) and not self._leads_inside(absolute)

    def names(self, path: str = ".") -> list[str]:
        """The names in a directory of the tree, sorted; empty if it cannot be read."""
        try:
            return sorted(os.listdir(os.path.join(self.root, path)))
        except OSError:
            return []

    def walk(
        self, path: str, what: str, skipped: frozenset[str] = frozenset(), *, empty: bool = False
    ) -> Iterator[str]:
        """Every regular file below a directory of the tree: paths relative to it, sorted.

        Hidden and `skipped` names in the directory itself are passed over, further down they are not:
        LuaRocks uses `cp directory/*` and `find *` (LuaFileSystem, if it has that, sees them everywhere).
        Symlinks are followed inside the tree, a directory never twice on one way down. Devices, pipes and
        dangling links are passed over. With `empty` directories in which nothing was found come too, with a
        `/` at their end; the directory itself is "". Raises BuildError for a symlink that leaves the tree.
        """
        top = self.directory(path, what)
        if top is None:
            return
        for name in self._walk(top, "", what, (os.path.realpath(top),), skipped):
            if empty or (name and not name.endswith("/")):
                yield name

    def _walk(
        self, directory: str, prefix: str, what: str, above: tuple[str, ...], skipped: frozenset[str]
    ) -> Iterator[str]:
        with os.scandir(directory) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        nothing = True
        for entry in entries:
            name = prefix + entry.name
            if name.startswith(".") or name in skipped:
                continue
            if entry.is_symlink():
                self._check(entry.path, os.path.relpath(entry.path, self.root), what)
            if entry.is_dir():
                real = os.path.realpath(entry.path) if entry.is_symlink() else f"{above[-1]}/{entry.name}"
                if real not in above:
                    nothing = False
                    yield from self._walk(entry.path, name + "/", what, (*above, real), skipped)
            elif entry.is_file():
                nothing = False
                yield name
        if nothing:
            yield prefix

    def _check(self, absolute: str, path: str, what: str) -> None:
        """Raise BuildError if the real place of an existing path is outside the tree."""
        if not self._leads_inside(absolute):
            raise BuildError(
                f"{what} names {path!r}, which leads outside the source directory through a symbolic link",
                hint="Copy the file into the source directory; a rock is built from that directory alone.",
            )

    def _leads_inside(self, absolute: str) -> bool:
        inside = self._inside.get(absolute)
        if inside is None:
            real = os.path.realpath(absolute)
            inside = real == self._real_root or real.startswith(self._real_root.rstrip("/") + "/")
            self._inside[absolute] = inside
        return inside
