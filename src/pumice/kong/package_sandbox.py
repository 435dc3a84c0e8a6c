"""The sandbox in which a package's modules are loaded, and a plugin's schema from it."""

from __future__ import annotations

from pumice.errors import CheckError
from pumice.kong.kong_version import NEWEST
from pumice.kong.loaded import Job
from pumice.kong.metaschema import judge
from pumice.kong.sandbox import ModuleSource, Sandbox, load_modules
from pumice.kong.schema_functions import SchemaFunctions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.kong.kong_version import Gateway
    from pumice.kong.package import Package
    from pumice.kong.plugin import Plugin
    from pumice.kong.schema_table import Table

__all__ = ["accepted_schema", "package_sandbox", "schema_functions"]


def package_sandbox(package: Package, seconds: float, memory: int, gateway: Gateway = NEWEST) -> Sandbox:
    """Where the modules of `package` find each other, and what its dependencies may bring is assumed."""
    rockspec = package.rockspec
    modules = {
        name: ModuleSource(path, text)
        for name, path in package.modules.items()
        if (text := package.source(path)) is not None
    }
    return Sandbox(
        modules=modules,
        assumed=package.c_modules,
        # without a rockspec nobody knows the dependencies
        assume_missing=rockspec is None or any(item.name != "lua" for item in rockspec.dependencies),
        seconds=seconds,
        memory=memory,
        gateway=gateway,
    )


def schema_functions(
    package: Package, plugin: Plugin, *, seconds: float = 10.0, memory: int = 256 << 20
) -> SchemaFunctions:
    """The functions of a plugin's schema, to be called under these limits."""
    return SchemaFunctions(plugin.schema, package_sandbox(package, seconds, memory))


def accepted_schema(
    package: Package, plugin: Plugin, *, seconds: float = 10.0, memory: int = 256 << 20
) -> Table:
    """The schema of one plugin of `package`. Raises CheckError when a gateway would not take it."""
    hint = "pumice check tells more"
    if package.source(package.modules.get(plugin.schema, "")) is None:
        raise CheckError(f"no configuration schema found for plugin: {plugin.name}", hint=hint)
    outcome = load_modules([Job("schema", plugin.schema)], package_sandbox(package, seconds, memory))
    if not outcome.loaded:
        raise CheckError(f"the schema of '{plugin.name}' could not be loaded: {outcome.failure}", hint=hint)
    (loaded,) = outcome.loaded
    if loaded.error is not None:
        raise CheckError(
            f"the schema of '{plugin.name}' fails while it loads: {loaded.error.splitlines()[0]}", hint=hint
        )
    if not isinstance(loaded.value, dict):
        raise CheckError(f"the schema of '{plugin.name}' returns no table", hint=hint)
    functions = schema_functions(package, plugin, seconds=seconds, memory=memory)
    verdict = judge(plugin.name, loaded.value, functions=functions)
    if verdict is not None:
        raise CheckError(f"the schema of '{plugin.name}' is refused: {verdict.words}", hint=hint)
    return loaded.value
