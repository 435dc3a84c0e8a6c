"""`ChannelPlugin`: a plugin as a channel meets it: the files below its directory, and what it needs."""

from __future__ import annotations

import os

from pumice.base.value import Value
from pumice.kong.plugin import PREFIX
from pumice.kong.provided import KONG_VERSIONS, provided_by_kong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pumice.kong.judged_plugin import PluginFacts
    from pumice.kong.package import Package
    from pumice.kong.plugin import Plugin
    from pumice.kong.targets import Targets

__all__ = ["ChannelPlugin"]

_LOADED_BY_KONG = ("api", "daos", "migrations", "status_api", "strategies")


class ChannelPlugin(Value):
    """What the rules of the channels ask of."""

    package: Package
    plugin: Plugin
    targets: Targets
    files: Mapping[str, bytes]
    """By path below the plugin's directory, as they lie on a node."""
    rocks: tuple[str, ...]
    """The rocks that it depends on and that not every targeted gateway brings."""
    schema_name: str | None
    phases: tuple[str, ...]

    @classmethod
    def of(
        cls, package: Package, plugin: Plugin, facts: PluginFacts | None, targets: Targets
    ) -> ChannelPlugin:
        """One of the plugins of `package`, with what its loading told."""
        files = {}
        for module in plugin.modules:
            path = package.modules.get(module)
            if path is not None:
                # a listed file that is not there is a finding of its own
                files[_installed(module, plugin.name, path)] = package.source(path) or b""
        return cls(
            package,
            plugin,
            targets,
            files,
            _rocks(package, targets),
            facts.schema_name if facts is not None else None,
            facts.phases if facts is not None else (),
        )

    @property
    def name(self) -> str:
        """The directory below kong/plugins."""
        return self.plugin.name

    @property
    def spec(self) -> str | None:
        """The rockspec's file, for what is about the package as a whole."""
        rockspec = self.package.rockspec
        return os.path.basename(rockspec.file_name) if rockspec is not None else None

    @property
    def schema(self) -> str | None:
        """The path of the schema in the package."""
        return self.package.modules.get(self.plugin.schema)

    @property
    def handler(self) -> str | None:
        """The path of the handler in the package."""
        return self.package.modules.get(self.plugin.handler)

    @property
    def loaded_by_kong(self) -> tuple[str, ...]:
        """Files that Kong itself looks for by name: entities, migrations, endpoints."""
        return tuple(
            path for path in self.files if path.removesuffix(".lua").split("/", 1)[0] in _LOADED_BY_KONG
        )

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """Modules of the rock that belong to none of its plugins."""
        return tuple(sorted(name for name in self.package.modules if not name.startswith(PREFIX)))

    @property
    def c_modules(self) -> tuple[str, ...]:
        """The rock's C modules."""
        return tuple(sorted(self.package.c_modules))

    def path_of(self, installed: str) -> str | None:
        """Where one of `files` lies in the package."""
        return next(
            (
                path
                for module in self.plugin.modules
                if (path := self.package.modules.get(module)) is not None
                and _installed(module, self.name, path) == installed
            ),
            None,
        )


def _installed(module: str, plugin: str, path: str) -> str:
    """The path below the plugin's directory that a module gets on a node."""
    below = module.removeprefix(f"{PREFIX}{plugin}").lstrip(".").replace(".", "/")
    if path.endswith("/init.lua") and not below.endswith("init"):
        return f"{below}/init.lua".lstrip("/")
    return f"{below or 'init'}.lua"


def _rocks(package: Package, targets: Targets) -> tuple[str, ...]:
    if package.rockspec is None:
        return ()
    brought = [
        # what the later ones of Enterprise bring is not published: at least what the open-source one did
        set(provided_by_kong(gateway.version if gateway.version in KONG_VERSIONS else "newest"))
        for gateway in targets.gateways
    ]
    everywhere = {"lua", "luajit", *set.intersection(*brought)}
    return tuple(each.name for each in package.rockspec.dependencies if each.name not in everywhere)
