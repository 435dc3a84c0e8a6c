"""`verify_plugins`: a deployed rock's modules are loaded from a tree by name, as a gateway would.

This is the embedded node of `ship`: `package.path` and `package.cpath` name the tree alone, the stand-ins
give what Kong provides, LuaJIT runs it, in a child (`sandbox`). Order and verdicts are those of a
gateway's start: handler, then schema of each plugin; then every other module of the rock, as a worker would
require it.
"""

from __future__ import annotations

import os

from pumice.base.value import Value
from pumice.kong.handler_rules import handler_findings, phases_of
from pumice.kong.kong_version import NEWEST, Gateway
from pumice.kong.loaded import Job
from pumice.kong.plugin import Plugin, find_plugins
from pumice.kong.sandbox import Sandbox, load_modules
from pumice.kong.schema_rules import schema_findings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pumice.kong.loaded import Loaded, Outcome

__all__ = ["PluginReport", "verify_plugins"]


class PluginReport(Value):
    """What a gateway with this tree makes of one plugin."""

    name: str
    version: str | None
    priority: str | None
    phases: tuple[str, ...]
    modules: tuple[str, ...]
    """Of the rock, in the order in which they were loaded."""
    files: tuple[str, ...]
    """The files of the tree that were loaded, other rocks' included: absolute, sorted."""
    digest: str
    """SHA-256 over the modules' names and bytes: equal on every node that runs the same code."""
    error: str | None
    """What a gateway would say, when it would refuse."""
    hint: str = ""

    @property
    def ok(self) -> bool:
        """Whether everything was loaded."""
        return self.error is None


def verify_plugins(
    lua_dir: str,
    lib_dir: str,
    modules: Iterable[str],
    *,
    lib_extension: str = "so",
    seconds: float = 10.0,
    memory: int = 256 << 20,
) -> tuple[PluginReport, ...]:
    """One report for each plugin that `modules` (all Lua and C modules of a rock) make up, by name.

    `lua_dir` and `lib_dir` are the tree's `share/lua/5.1` and `lib/lua/5.1`, absolute; nothing else but the
    stand-ins is searched. Modules of the rock outside of `kong.plugins` are loaded with its first plugin.
    Raises CheckError when no child with LuaJIT can be started.
    """
    names = sorted(set(modules))
    plugins = find_plugins(names)
    owned = {module for plugin in plugins for module in plugin.modules}
    rest = [module for module in names if module not in owned]
    sandbox = Sandbox(
        lua_dir=os.path.normpath(lua_dir),
        lib_dir=os.path.normpath(lib_dir),
        lib_extension=lib_extension,
        seconds=seconds,
        memory=memory,
        # a node may be one of Enterprise, whose modules are not published
        gateway=Gateway(NEWEST.version, "enterprise"),
    )
    return tuple(
        _verify(plugin, rest if number == 0 else [], sandbox) for number, plugin in enumerate(plugins)
    )


def _verify(plugin: Plugin, rest: Sequence[str], sandbox: Sandbox) -> PluginReport:
    first = [Job("handler", plugin.handler), Job("schema", plugin.schema)]
    parts = (plugin.handler, plugin.schema)
    jobs = first + [Job("module", name) for name in (*plugin.modules, *rest) if name not in parts]
    outcome = load_modules(jobs, sandbox)
    handler = next((loaded for loaded in outcome.loaded if loaded.job.kind == "handler"), None)
    error, hint = _verdict(plugin, jobs, outcome, sandbox)
    files = {
        item.path
        for loaded in outcome.loaded
        for item in loaded.requires
        if item.path is not None and _lies_in_tree(item.path, sandbox)
    }
    version = handler.version if handler is not None else None
    priority = handler.priority if handler is not None else None
    return PluginReport(
        name=plugin.name,
        version=version.text if version is not None and version.type == "string" else None,
        priority=priority.text if priority is not None and priority.integral else None,
        phases=phases_of(handler) if handler is not None else (),
        modules=tuple(loaded.job.module for loaded in outcome.loaded if loaded.error is None),
        files=tuple(sorted(files)),
        digest=_digest(files, sandbox),
        error=error,
        hint=hint,
    )


def _verdict(
    plugin: Plugin, jobs: Sequence[Job], outcome: Outcome, sandbox: Sandbox
) -> tuple[str | None, str]:
    """The first thing that a gateway would refuse, in its words, and what to do."""
    for loaded in outcome.loaded:
        refused = _refusal(plugin, loaded, sandbox)
        if refused is not None:
            return refused
    if outcome.failure is not None:
        module = jobs[len(outcome.loaded)].module
        reason = {
            "time": f"takes longer than {sandbox.seconds:g} s to load",
            "memory": "takes too much memory to load",
        }.get(outcome.failure, outcome.failure)
        return f"{module}: {reason}", "a gateway would hang or die at its start"
    return None, ""


def _refusal(plugin: Plugin, loaded: Loaded, sandbox: Sandbox) -> tuple[str, str] | None:
    job = loaded.job
    if loaded.error is not None:
        if f"module '{job.module}' not found" in loaded.error:
            where = f"{sandbox.lua_dir} has no {job.module.replace('.', '/')}.lua"
            if job.kind == "handler":
                return f"{plugin.name} plugin is enabled but not installed; no plugin found", where
            if job.kind == "schema":
                return f"no configuration schema found for plugin: {plugin.name}", where
        if "undefined symbol: luaopen_" in loaded.error:
            function = loaded.error.rpartition("undefined symbol: ")[2].split()[0]
            hint = (
                f"its C source has to define {function}; Lua leaves out what stands before the first hyphen"
            )
        else:
            hint = "run 'pumice check' on the plugin's source"
        return f"error loading module '{job.module}': {loaded.error}", hint
    if any(effect.call == "os.exit" for effect in loaded.effects):
        return f"{job.module} calls os.exit while it loads", "the gateway would end without a word"
    if job.kind == "handler":
        found = next((item for item in handler_findings(plugin.name, loaded, "", b"") if item.is_error), None)
    elif job.kind == "schema":
        found = next((item for item in schema_findings(plugin.name, loaded, "") if item.is_error), None)
    else:
        found = None
    return (found.kong or found.message, found.hint) if found is not None else None


def _roots(sandbox: Sandbox) -> tuple[str, ...]:
    return tuple(root for root in (sandbox.lua_dir, sandbox.lib_dir) if root is not None)


def _lies_in_tree(path: str, sandbox: Sandbox) -> bool:
    # the child's word: a C module may have made it say anything
    return os.path.normpath(path) == path and path.startswith(tuple(root + "/" for root in _roots(sandbox)))


def _digest(files: Iterable[str], sandbox: Sandbox) -> str:
    import hashlib

    digest = hashlib.sha256()
    for path in sorted(files):
        root = next(root for root in _roots(sandbox) if path.startswith(root + "/"))
        with open(path, "rb") as file:
            content = hashlib.sha256(file.read()).hexdigest()
        digest.update(f"{os.path.relpath(path, root)}\0{content}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
