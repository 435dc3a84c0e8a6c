"""`JudgedPlugin`: what one gateway would say of one plugin, whose modules are loaded in a child process."""

from __future__ import annotations

import re

from pumice.base.value import Value
from pumice.kong.code_rules import absent_findings, required_outside
from pumice.kong.entity_rules import entity_findings, entity_jobs
from pumice.kong.finding import Finding, finding
from pumice.kong.handler_rules import handler_findings, line_of, phases_of, version_findings
from pumice.kong.loaded import Job
from pumice.kong.package_rules import UPVALUES, unlisted_modules
from pumice.kong.package_sandbox import package_sandbox
from pumice.kong.sandbox import load_modules
from pumice.kong.schema_functions import SchemaFunctions
from pumice.kong.schema_rules import fields_of, forbids_a_scope, schema_findings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pumice.kong.kong_version import Gateway
    from pumice.kong.loaded import Loaded, Outcome
    from pumice.kong.package import Package
    from pumice.kong.plugin import Plugin
    from pumice.kong.schema_rules import SchemaField

__all__ = ["JudgedPlugin", "PluginFacts"]


class PluginFacts(Value):
    """What a gateway would learn of a plugin when it loads it; None and empty where it could not."""

    name: str
    version: str | None
    priority: str | None
    phases: tuple[str, ...]
    fields: tuple[SchemaField, ...]
    schema_name: str | None = None
    """The name that the schema gives itself."""


class JudgedPlugin:
    """One plugin, loaded and judged as one gateway would."""

    def __init__(
        self,
        package: Package,
        plugin: Plugin,
        gateway: Gateway,
        *,
        broken: frozenset[str],
        seconds: float,
        memory: int,
        hasty: bool = False,
    ) -> None:
        """`hasty`: one second is waited for at most, since it has been seen to take longer than `seconds`."""
        self._package = package
        self._plugin = plugin
        self._gateway = gateway
        self._broken = broken
        self._seconds = seconds
        parts = [
            Job("handler", plugin.handler),
            Job("schema", plugin.schema),
            *entity_jobs(plugin),
            *(Job("scan", module) for module in sorted(package.modules)),
        ]
        jobs = [job for job in parts if package.source(package.modules.get(job.module, "")) is not None]
        if jobs:
            jobs += [Job("known", module) for module in sorted(required_outside(package))]
        self._sandbox = package_sandbox(package, min(seconds, 1.0) if hasty else seconds, memory, gateway)
        self._outcome = load_modules(jobs, self._sandbox) if jobs else None
        self._loaded = {loaded.job.kind: loaded for loaded in self._outcome.loaded} if self._outcome else {}
        self.findings = tuple(self._judge(jobs, self._outcome)) if self._outcome else ()

    @property
    def facts(self) -> PluginFacts:
        handler, schema = self._loaded.get("handler"), self._loaded.get("schema")
        return PluginFacts(
            self._plugin.name,
            handler.version.text
            if handler and handler.version and handler.version.type == "string"
            else None,
            handler.priority.text if handler and handler.priority and handler.priority.integral else None,
            phases_of(handler) if handler else (),
            fields_of(schema.value) if schema else (),
            _schema_name(schema.value) if schema else None,
        )

    def _judge(self, jobs: list[Job], outcome: Outcome) -> Iterator[Finding]:
        asked = {item.job.module: item for item in outcome.loaded if item.job.kind == "known"}
        for loaded in outcome.loaded:
            if loaded.job.kind == "known":
                continue
            yield from self._effect_findings(loaded)
            yield from self._require_findings(loaded)
            yield from self._global_findings(loaded)
            for write in loaded.writes:
                yield finding(
                    "code-global",
                    f"'{write.name}' becomes global when the function runs: every request and every plugin "
                    "shares it",
                    kong=f"writing a global Lua variable ('{write.name}') which may lead to race conditions",
                    file=self._package.modules[loaded.job.module],
                    line=write.line,
                    hint=f"write 'local {write.name}', or keep it in kong.ctx.plugin",
                )
            if loaded.error is None:
                yield from self._rule_findings(loaded)
            elif loaded.job.kind != "module":
                yield from self._error_findings(loaded, loaded.error)
        yield from entity_findings(self._package, self._plugin, outcome.loaded, self._gateway)
        unknown = {module for module, item in asked.items() if item.values != (True,)}
        yield from absent_findings(self._package, unknown)
        if outcome.failure is not None:
            yield self._limit_finding(jobs[len(outcome.loaded)], outcome.failure)

    def _rule_findings(self, loaded: Loaded) -> Iterator[Finding]:
        file = self._package.modules[loaded.job.module]
        name = self._plugin.name
        source = self._package.source(file) or b""
        if loaded.job.kind == "schema":
            functions = SchemaFunctions(loaded.job.module, self._sandbox)
            yield from schema_findings(name, loaded, file, source, self._gateway, functions)
        if loaded.job.kind != "handler":
            return
        schema = self._loaded.get("schema")
        scoped = schema is not None and forbids_a_scope(schema.value)
        yield from handler_findings(name, loaded, file, source, self._gateway, scoped=scoped)
        if self._package.rockspec is not None:
            yield from version_findings(name, loaded, self._package.rockspec.version, file, source)

    def _effect_findings(self, loaded: Loaded) -> Iterator[Finding]:
        for effect in loaded.effects:
            what = f"{effect.call}({effect.detail})" if effect.detail else effect.call
            if effect.call == "os.exit":
                yield finding(
                    "load-exit",
                    f"{what} is called while the plugin loads: the gateway would end without a word",
                    file=effect.file,
                    line=effect.line,
                    hint="raise an error instead: error('…')",
                )
            else:
                yield finding(
                    "load-effect",
                    f"{what} is called while the plugin loads: every node would do so at each start",
                    file=effect.file,
                    line=effect.line,
                    hint="do it in init_worker, or not at all; the check has refused it",
                )

    def _global_findings(self, loaded: Loaded) -> Iterator[Finding]:
        for name in loaded.globals:
            own = self._package.modules[loaded.job.module]
            places = [own, *sorted(set(self._package.modules.values()) - {own})]
            lines = ((path, line_of(self._package.source(path) or b"", name)) for path in places)
            path, line = next(((path, line) for path, line in lines if line is not None), (own, None))
            yield finding(
                "load-global",
                f"'{name}' is made global: every plugin of the node shares it, and can break it",
                kong=f"writing a global Lua variable ('{name}') which may lead to race conditions",
                file=path,
                line=line,
                hint=f"write 'local {name}'",
            )

    def _require_findings(self, loaded: Loaded) -> Iterator[Finding]:
        for required in loaded.requires:
            if required.origin == "assumed" and required.module not in self._package.c_modules:
                whose = (
                    "be Kong Enterprise's own"
                    if required.module.startswith("kong.")
                    else "come from a dependency"
                )
                yield finding(
                    "module-assumed",
                    f"{required.module} is taken to {whose}; what it does here is unknown",
                    file=required.file,
                    line=required.line,
                )

    def _error_findings(self, loaded: Loaded, error: str) -> Iterator[Finding]:
        if any(path in error for path in self._broken) or any(
            effect.call == "os.exit" for effect in loaded.effects
        ):
            # what stopped it has been told
            return
        own = self._package.modules[loaded.job.module]
        words = f"error loading module '{loaded.job.module}': {_first_line(error)}"
        absent = {item.module: item for item in loaded.requires if item.origin == "missing"}
        if UPVALUES in error:
            yield finding(
                "load-unknown",
                f"{loaded.job.module} has a function with more than 60 upvalues: a gateway's LuaJIT takes "
                "it, the one here does not, so nothing is known of what it does",
                file=own,
            )
            return
        missing = re.search(r"module '([^']*)' not found", error)
        if missing is not None and missing[1] in absent:
            required = absent[missing[1]]
            if required.module not in unlisted_modules(self._package):
                yield finding(
                    "module-missing",
                    f"'{self._plugin.name}' requires {required.module}, which neither the rock nor Kong has",
                    kong=words,
                    file=required.file or own,
                    line=required.line,
                    hint=self._missing_hint(required.module),
                )
            return
        at = re.search(r"([^\s:'\"]+\.lua):(\d+): ", error)
        inside = at is not None and at[1] in self._package.files
        yield finding(
            "load-error",
            f"{loaded.job.module} fails while it loads: {_first_line(error)}",
            kong=words,
            file=at[1] if at is not None and inside else own,
            line=int(at[2]) if at is not None and inside else None,
            hint=_error_hint(error),
        )

    def _limit_finding(self, job: Job, failure: str) -> Finding:
        told = {
            "time": f"takes longer than {self._seconds:g} s",
            "memory": "takes more memory than a check gives it",
        }.get(failure, f"could not be loaded: {failure}")
        return finding(
            "load-limit",
            f"{job.module} {told}" + (" to load" if failure in ("time", "memory") else ""),
            file=self._package.modules.get(job.module),
            hint="a node would hang or die at its start: move the work into a phase",
        )

    def _missing_hint(self, module: str) -> str:
        if module == "kong.plugins.base_plugin":
            return (
                "Kong 3.0 took base_plugin away: the handler is a plain table now, without extend, new and "
                "super"
            )
        when = self._gateway.when(module)
        if when:
            return f"the module {when}: use the plugin development kit (the global 'kong')"
        if module.startswith("kong.plugins."):
            return "add the file, and list it in build.modules"
        if module.startswith("kong."):
            return "Kong has no such module; if it is Kong Enterprise's own, check with --for enterprise"
        return "name the rock that has it in the rockspec's dependencies"


def _schema_name(schema: object) -> str | None:
    name = schema.get("name") if isinstance(schema, dict) else None
    return name if isinstance(name, str) else None


def _first_line(error: str) -> str:
    return error.strip().split("\n", 1)[0]


def _error_hint(error: str) -> str:
    if "API disabled in the context of init_by_lua" in error:
        return "there is no request, timer or socket while a node starts: do this in a phase"
    if "schema typedef error" in error:
        return "Kong has no typedef of that name: spell it as in kong.db.schema.typedefs"
    return "Kong refuses to start with it: mend the line"
