"""The plugins in a tree: their files, versions, priorities and schemas, by loading them here in a sandbox."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pumice.cluster.node_content import PluginContent
from pumice.errors import CheckError
from pumice.kong.loaded import Job
from pumice.kong.package import module_of_path
from pumice.kong.plugin import find_plugins
from pumice.kong.sandbox import ModuleSource, Sandbox, load_modules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pumice.cluster.blobs import BlobCache
    from pumice.kong.loaded import Loaded
    from pumice.kong.plugin import Plugin
    from pumice.tree.manifest import TreeManifest
    from pumice.tree.store import Blob

__all__ = ["plugin_names", "plugins_of"]

_LUA = "share/lua/5.1/"
_LIB = "lib/lua/5.1/"


def plugin_names(files: Mapping[str, Blob]) -> tuple[str, ...]:
    """The names of the plugins among the files of a tree."""
    return tuple(plugin.name for plugin in find_plugins(_modules(files)))


def plugins_of(
    files: Mapping[str, Blob], manifest: TreeManifest, blobs: BlobCache
) -> dict[str, PluginContent]:
    """Every plugin of a tree. What a plugin does while it loads stays in the sandbox."""
    modules = _modules(files)
    plugins = find_plugins(modules)
    if not plugins:
        return {}
    loaded, failure = _load(plugins, files, modules, blobs)
    return {
        plugin.name: _content(plugin, files, modules, manifest, loaded.get(plugin.name, {}), failure)
        for plugin in plugins
    }


def _modules(files: Mapping[str, Blob]) -> dict[str, str]:
    """Every Lua module of a tree, with its path below the Lua directory."""
    found: dict[str, str] = {}
    for path in sorted(files, reverse=True):  # `a.lua` is found before `a/init.lua`
        if path.startswith(_LUA):
            module = module_of_path(path[len(_LUA) :])
            if module is not None:
                found[module] = path[len(_LUA) :]
    return found


def _load(
    plugins: tuple[Plugin, ...], files: Mapping[str, Blob], modules: Mapping[str, str], blobs: BlobCache
) -> tuple[dict[str, dict[str, Loaded]], str]:
    """What became of the handler and schema of each plugin."""
    sources = {
        name: ModuleSource(path, data)
        for name, path in modules.items()
        if (data := blobs.find(files[_LUA + path].key)) is not None
    }
    c_modules = frozenset(
        path[len(_LIB) :].removesuffix(".so").replace("/", ".")
        for path in files
        if path.startswith(_LIB) and path.endswith(".so")
    )
    jobs = [
        Job(kind, module)
        for plugin in plugins
        for kind, module in (("handler", plugin.handler), ("schema", plugin.schema))
        if module in sources
    ]
    sandbox = Sandbox(modules=sources, assumed=c_modules, assume_missing=True)
    try:
        outcome = load_modules(jobs, sandbox)
    except CheckError as error:
        return {}, error.message
    found: dict[str, dict[str, Loaded]] = {}
    for each in outcome.loaded:
        name = each.job.module.removeprefix("kong.plugins.").rpartition(".")[0]
        found.setdefault(name, {})[each.job.kind] = each
    return found, outcome.failure or ""


def _content(
    plugin: Plugin,
    files: Mapping[str, Blob],
    modules: Mapping[str, str],
    manifest: TreeManifest,
    loaded: Mapping[str, Loaded],
    failure: str,
) -> PluginContent:
    own = f"kong/plugins/{plugin.name.replace('.', '/')}/"
    mine = tuple(sorted(path[len(_LUA) :] for path in files if path.startswith(_LUA + own)))
    digest = hashlib.sha256()
    for path in mine:
        digest.update(f"{path}\0{files[_LUA + path].key}\n".encode("utf-8", "surrogateescape"))
    providers = [
        rock for module in (plugin.handler, plugin.schema) for rock in manifest.providers("modules", module)
    ]
    handler, schema = loaded.get("handler"), loaded.get("schema")
    version = handler.version if handler is not None else None
    priority = handler.priority if handler is not None else None
    problem = next((each.error for each in (handler, schema) if each is not None and each.error), "")
    if handler is None:
        problem = problem or failure or f"{plugin.handler} is not in the tree"
    return PluginContent(
        plugin.name,
        providers[0] if providers else ("", ""),
        version.text if version is not None and version.type == "string" else None,
        int(priority.text) if priority is not None and priority.integral else None,
        digest.hexdigest(),
        mine,
        migrations=any(module.startswith(f"kong.plugins.{plugin.name}.migrations") for module in modules),
        schema=schema.value if schema is not None and isinstance(schema.value, dict) else None,
        problem=problem,
    )
