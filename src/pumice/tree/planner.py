"""`Planner`: what installing and removing rocks does to a tree, decided without touching it.

Several rocks can be planned one after the other: each sees the tree as the earlier ones leave it, and
`finish` gives the steps of them all, for one transaction. What is decided is LuaRocks's own deployment
(contract 5.3 to 5.5) with these differences, all from its section 12 or the adversary's cases: a rock that is
installed again replaces itself at once (B11), files that somebody changed are kept under a name with `~`,
and closures are computed anew only for the rocks whose closure can have changed (B26).
"""

from __future__ import annotations

from pumice.base.value import Value
from pumice.errors import DataError, DependencyError, NotFoundError
from pumice.rock.content import Content
from pumice.rock.version import newest_first, parse_version
from pumice.tree.dependencies import Installed, closure
from pumice.tree.dependents import forced_lines, refused_lines, stability_lines, would_break
from pumice.tree.deployment import Deployment
from pumice.tree.layout import check_rock_name, manifest_path, namespace_path, prune_stop, rockspec_path
from pumice.tree.overlay import Overlay
from pumice.tree.steps import Put

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pumice.base.config import TreeSpec
    from pumice.rock.dependency import Dependency
    from pumice.rock.rock import Rock
    from pumice.tree.manifest import TreeManifest
    from pumice.tree.steps import Step
    from pumice.tree.view import TreeView
    from pumice.tree.wrapper import Wrapping

__all__ = ["InstallOptions", "Plan", "Planner"]


class InstallOptions(Value):
    """What LuaRocks's flags of the same names say."""

    keep: bool = False
    """Leave other versions of the rock installed."""
    force: bool = False
    """Remove other versions even if that breaks other rocks."""
    force_fast: bool = False
    """As `force`, without looking."""
    no_doc: bool = False


class Plan(Value):
    """What is to be done to a tree, and what there is to say about it once it is done."""

    steps: tuple[Step, ...]
    """In order; the last one writes the manifest."""
    messages: tuple[tuple[str, str], ...]
    """(level, text) as `Progress.message` takes them."""
    manifest: bytes

    @property
    def warnings(self) -> tuple[str, ...]:
        """The texts of the warnings among the messages."""
        return tuple(text for level, text in self.messages if level == "warning")


class Planner:
    """Plans changes of one tree; `manifest` is changed along the way and then belongs to the plan."""

    def __init__(
        self,
        tree: TreeSpec,
        manifest: TreeManifest,
        view: TreeView,
        wrapping: Wrapping,
        *,
        others: Sequence[tuple[TreeSpec, TreeManifest]] | None = None,
        provided: Mapping[str, str] | None = None,
        no_manifest: bool = False,
        lib_extension: str = "so",
        platforms: Sequence[str] = ("linux", "unix"),
    ) -> None:
        """`others`: the trees that may fulfil dependencies, as `searched_trees` gives them; None for this one
        alone. `provided`: rocks that count as installed, as `lua_provides` gives them.
        """
        self.tree = tree
        self.manifest = manifest
        self._overlay = Overlay(view)
        self._messages: list[tuple[str, str]] = []
        self._deployment = Deployment(
            tree, manifest, view, self._overlay, wrapping, self._say, lib_extension=lib_extension
        )
        self._namespaces: dict[tuple[str, str], str | None] = {}
        searched = ((tree, manifest),) if others is None else others
        self._installed = Installed(
            ((each, manifest if each.root == tree.root else other) for each, other in searched),
            provided or {},
            namespace_of=self._namespace,
        )
        self._no_manifest = no_manifest
        self._platforms = platforms
        self._changed: set[str] = set()

    @property
    def installed(self) -> Installed:
        """What may fulfil dependencies, the rocks planned so far included."""
        return self._installed

    def is_installed(self, name: str, version: str) -> bool:
        """Whether this version of the rock will be installed as planned so far."""
        return self.manifest.has(name, version)

    def install(self, rock: Rock, options: InstallOptions | None = None) -> None:
        """Plan a rock, and unless `keep` the removal of its other versions where no other rock needs them.

        Raises TreeError when a file of the rock has a path that leads elsewhere, or cannot be where it must.
        """
        options = options or InstallOptions()
        name, version = rock.name, rock.version
        check_rock_name(name, version)
        if self.manifest.rebuilt:
            self._rebuilt()
        self._deployment.install(rock, no_doc=options.no_doc)
        self._namespaces[name, version] = rock.namespace
        self._changed.add(name)
        license_name = rock.rockspec.description.license
        suffix = f" (license: {license_name})" if license_name else ""
        self._say("info", f"{name} {version} is now installed in {self.tree.root}{suffix}")
        self._say("info", "")
        if not options.keep:
            mine = parse_version(version)
            others = [each for each in self.manifest.versions(name) if parse_version(each) != mine]
            if others:
                self._remove_others(name, others, options)

    def remove(self, name: str, version: str) -> None:
        """Plan the removal of one version, whatever needs it. Raises NotFoundError if it is not installed."""
        if not self.manifest.has(name, version):
            raise NotFoundError(
                f"Could not find rock '{name} {version}' in {self.tree.root}",
                hint="`pumice list` shows what is installed.",
            )
        check_rock_name(name, version)
        if self.manifest.rebuilt:
            self._rebuilt()
        self._deployment.remove(name, version)
        self._namespaces.pop((name, version), None)
        self._changed.add(name)

    def remove_versions(
        self, name: str, versions: Sequence[str], *, force: bool = False, force_fast: bool = False
    ) -> None:
        """Plan the removal of versions of a rock as `luarocks remove` does it, with what it says.

        Raises DependencyError, its lines among the messages, if other rocks need them and nothing is forced.
        """
        versions = newest_first(versions)
        dependents: list[tuple[str, str]] = []
        if not force_fast:
            self._say_lines("info", stability_lines(name, versions))
            dependents = would_break(self.manifest, name, versions, self._installed)
        if dependents:
            if not force:
                lines = refused_lines(name, versions, dependents)
                self._say_lines("notice", lines)
                raise DependencyError("Failed removing.")
            self._say_lines("notice", forced_lines(dependents))
        for version in versions:
            self._say("info", f"Removing {name} {version}...")
            self.remove(name, version)
        self._say("info", "Removal successful.")

    def messages(self) -> tuple[tuple[str, str], ...]:
        """What there is to say so far: (level, text)."""
        return tuple(self._messages)

    def finish(self) -> Plan:
        """The plan: every step, the manifest last."""
        if self.manifest.rebuilt:
            self._rebuilt()
        self._compute_closures()
        manifest = self.manifest.to_bytes()
        steps = self._overlay.steps(self._stop)
        if not self._no_manifest:
            steps += (Put(manifest_path(self.tree), Content.of_bytes(manifest), 0o644),)
        return Plan(steps, tuple(self._messages), manifest)

    def _remove_others(self, name: str, versions: list[str], options: InstallOptions) -> None:
        try:
            self.remove_versions(name, versions, force=options.force, force_fast=options.force_fast)
        except DependencyError:
            # LuaRocks reports and goes on: the new version is installed, the old ones stay (B35).
            return

    def _compute_closures(self) -> None:
        """Enter the closures of the rocks changed and of all that reach one of them by their dependencies."""
        affected: set[str] = set()
        pending = list(self._changed)
        while pending:
            name = pending.pop()
            if name not in affected:
                affected.add(name)
                pending += self.manifest.needing(name) - affected
        known: dict[tuple[str, str], tuple[tuple[str, str], ...] | None] = {}
        for name in sorted(affected):
            for version in self.manifest.versions(name):
                found = closure(self.manifest, name, version, self._installed, known, self._load)
                self.manifest.set_closure(name, version, found)

    def _load(self, name: str, version: str) -> tuple[Dependency, ...] | None:
        """What the rockspec of an installed rock asks for; None, with a notice, if it cannot be read."""
        from pumice.rock.rockspec import load_rockspec

        path = rockspec_path(self.tree, name, version)
        try:
            data = self._overlay.read(path)
            return load_rockspec(data, path, self._platforms, accept_unknown_fields=True).dependencies
        except (DataError, OSError) as error:
            self._say("notice", f"Couldn't load rockspec for {name} {version}: {error}")
            return None

    def _rebuilt(self) -> None:
        """Say once that there was no manifest, and have all closures computed."""
        self.manifest.rebuilt = False
        self._say("aside", "No existing manifest. Attempting to rebuild...")
        self._changed.update(self.manifest.names())

    def _namespace(self, tree: TreeSpec, name: str, version: str) -> str | None:
        if tree.root == self.tree.root and (name, version) in self._namespaces:
            return self._namespaces[name, version]
        try:
            data = self._overlay.read(namespace_path(tree, name, version))
        except OSError:
            return None
        return data.decode("utf-8", "surrogateescape")

    def _stop(self, path: str) -> str:
        if path.startswith(self.tree.rocks_dir + "/"):
            return self.tree.rocks_dir
        return prune_stop(self.tree, path)

    def _say(self, level: str, text: str) -> None:
        self._messages.append((level, text))

    def _say_lines(self, level: str, lines: Sequence[str]) -> None:
        self._messages += [(level, line) for line in lines]
