"""Every installed file against what was installed, the tree manifest against the disk, and who can read it.

Nothing is changed. A gateway that may not read a file takes it for absent, so modes are looked at too.
"""

from __future__ import annotations

import os
import stat

from pumice.base.value import Value
from pumice.errors import DataError
from pumice.rock.rock_manifest import md5_hex, read_rock_manifest
from pumice.tree import layout
from pumice.tree.rebuild import rock_directories
from pumice.tree.wrapper import is_wrapper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pumice.base.config import TreeSpec
    from pumice.tree.manifest import TreeManifest

__all__ = ["Problem", "Report", "verify_tree"]

_DOCUMENTATION = ("doc", "docs")


class Problem(Value):
    """One thing that is not as it should be."""

    severity: str
    """ "error": something is damaged; "warning": it may not work for everybody."""
    path: str
    rock: str
    """`name version`, or empty."""
    message: str


class Report(Value):
    """What a look at a tree found."""

    problems: tuple[Problem, ...]
    rocks: int
    files: int

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that are errors."""
        return tuple(problem for problem in self.problems if problem.severity == "error")


def verify_tree(tree: TreeSpec, manifest: TreeManifest) -> Report:
    """The report on a tree and its manifest. Raises TreeError if a rock's name cannot be one."""
    check = _Check(tree, manifest)
    on_disk = rock_directories(tree)
    if manifest.rebuilt and on_disk:
        check.no_manifest()
    for name in sorted({*on_disk, *manifest.names()}):
        listed = manifest.versions(name)
        for version in sorted({*on_disk.get(name, ()), *listed}):
            check.rock(name, version, listed=version in listed, on_disk=version in on_disk.get(name, ()))
    check.items()
    check.readable()
    return Report(tuple(check.problems), check.rocks, check.files)


class _Check:
    def __init__(self, tree: TreeSpec, manifest: TreeManifest) -> None:
        self.tree = tree
        self.manifest = manifest
        self.problems: list[Problem] = []
        self.rocks = 0
        self.files = 0
        self._deployed: list[tuple[str, str]] = []

    def no_manifest(self) -> None:
        """There are rocks, but no file that names them: `manifest` is what a look at the disk found."""
        there = os.path.lexists(self.manifest.name)
        self._error(self.manifest.name, "", "cannot be used" if there else "is missing")

    def rock(self, name: str, version: str, *, listed: bool, on_disk: bool) -> None:
        """One rock: its directory, its rock_manifest, its files, its entry."""
        rock = f"{name} {version}"
        if not (layout.is_safe_rock_name(name) and layout.is_safe_rock_name(version)):
            self._error(self.manifest.name, rock, "the manifest names a rock that cannot have a directory")
            return
        self.rocks += 1
        directory = layout.rock_dir(self.tree, name, version)
        if not on_disk:
            self._error(directory, rock, "is in the manifest, but its directory is missing")
            return
        if not listed:
            self._error(directory, rock, "is on the disk, but not in the manifest")
        path = layout.rock_manifest_path(self.tree, name, version)
        try:
            with open(path, "rb") as file:
                files = read_rock_manifest(file.read(), path)
        except OSError as error:
            self._error(path, rock, f"cannot be read: {error.strerror}")
            return
        except DataError as error:
            self._error(path, rock, error.message)
            return
        if listed:
            self._entry(name, version, files)
        sections_there = {section for section in _DOCUMENTATION if os.path.isdir(f"{directory}/{section}")}
        for rock_path, md5 in files.items():
            section, slash, inside = rock_path.partition("/")
            if slash and section in ("lua", "lib"):
                self._deployed_file((name, version), section, inside, md5)
                continue
            if section in _DOCUMENTATION and section not in sections_there:
                continue  # installed with --no-doc
            self._file(f"{directory}/{rock_path}", rock, md5)
            if slash and section == "bin":
                self._command((name, version), inside, md5)

    def items(self) -> None:
        """Every provider that the manifest names is a rock that the manifest knows."""
        for kind in ("commands", "modules"):
            for item in self.manifest.provided_items(kind):
                for name, version in self.manifest.providers(kind, item):
                    if not self.manifest.has(name, version):
                        self._error(
                            self.manifest.name,
                            f"{name} {version}",
                            f"is named as a provider of '{item}', but is not among the installed rocks",
                        )

    def readable(self) -> None:
        """Other users, a gateway's among them, can reach and read what was deployed."""
        closed: dict[str, bool] = {}
        for path, rock in self._deployed:
            directory = os.path.dirname(path)
            while directory not in closed:
                closed[directory] = self._is_closed(directory)
                if directory in ("/", ""):
                    break
                directory = os.path.dirname(directory)
            try:
                mode = os.stat(path).st_mode
            except OSError:
                continue
            if not mode & stat.S_IROTH:
                self._warn(
                    path,
                    f"its mode {mode & 0o777:o} does not let other users, such as a gateway's, read it",
                    rock,
                )

    def _is_closed(self, directory: str) -> bool:
        try:
            mode = os.stat(directory).st_mode
        except OSError:
            return False
        if mode & stat.S_IXOTH:
            return False
        self._warn(
            directory, f"its mode {mode & 0o777:o} does not let other users, such as a gateway's, into it"
        )
        return True

    def _entry(self, name: str, version: str, files: Mapping[str, str]) -> None:
        entry = self.manifest.entry(name, version)
        items = layout.rock_items(files)
        for kind in ("commands", "modules"):
            stands = {} if entry is None else entry.commands if kind == "commands" else entry.modules
            if set(stands.values()) != set(items[kind].values()):
                self._error(
                    self.manifest.name,
                    f"{name} {version}",
                    f"its {kind} in the manifest are not those of the rock",
                )
            for item in stands:
                if (name, version) not in self.manifest.providers(kind, item):
                    self._error(
                        self.manifest.name,
                        f"{name} {version}",
                        f"has '{item}', but is not in the manifest's list of its providers",
                    )

    def _deployed_file(self, rock: tuple[str, str], section: str, path: str, md5: str) -> None:
        expected, other = self._names(rock, section, path)
        if not os.path.lexists(expected) and os.path.lexists(other) and _md5(other) == md5:
            self._error(other, " ".join(rock), f"should have the name {expected}")
            self.files += 1
            return
        self._file(expected, " ".join(rock), md5)
        self._deployed.append((expected, " ".join(rock)))

    def _command(self, rock: tuple[str, str], path: str, md5: str) -> None:
        expected, _ = self._names(rock, "bin", path)
        try:
            with open(expected, "rb") as file:
                data = file.read()
                mode = os.fstat(file.fileno()).st_mode
        except OSError as error:
            self._error(expected, " ".join(rock), _absent(error))
            return
        self.files += 1
        self._deployed.append((expected, " ".join(rock)))
        if not mode & 0o100:
            self._error(expected, " ".join(rock), "is not executable")
        if not is_wrapper(data):
            if md5_hex(data) != md5:
                self._error(
                    expected, " ".join(rock), "is neither the command that was installed nor its wrapper"
                )
            return
        script = f"/{rock[0]}/{rock[1]}/bin/{path}"
        if script.encode("utf-8", "surrogateescape") not in data:
            self._error(expected, " ".join(rock), f"is a wrapper, but not of {script[1:]}")

    def _names(self, rock: tuple[str, str], section: str, path: str) -> tuple[str, str]:
        """(the name that a deployed file should have, the other one that it could have)."""
        kind, item = layout.provided_item(section, path)
        providers = self.manifest.providers(kind, item)
        if not providers and item.endswith(".init"):
            providers = self.manifest.providers(kind, item[: -len(".init")])
        plain = layout.deploy_path(self.tree, section, path)
        versioned = layout.deploy_path(self.tree, section, path, rock)
        return (plain, versioned) if providers[:1] in ((), (rock,)) else (versioned, plain)

    def _file(self, path: str, rock: str, md5: str) -> None:
        self.files += 1
        try:
            found = _md5(path)
        except OSError as error:
            self._error(path, rock, _absent(error))
            return
        if found != md5:
            self._error(path, rock, "was changed after it was installed")

    def _error(self, path: str, rock: str, message: str) -> None:
        self.problems.append(Problem("error", path, rock, message))

    def _warn(self, path: str, message: str, rock: str = "") -> None:
        self.problems.append(Problem("warning", path, rock, message))


def _md5(path: str) -> str:
    with open(path, "rb") as file:
        return md5_hex(file.read())


def _absent(error: OSError) -> str:
    return "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
